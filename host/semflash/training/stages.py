"""The two training stages of a feature codec, as Keras models with their own loss.

Two-stage feature-augmentation learning, SemanticNN (arXiv 2511.11038), section on training:

1. autoencoder: images -> codec -> decoded features, against the features of the task network's own head,
   under sampled bit error rates (a denoising autoencoder; the tail takes no part);
2. task: decoded features -> tail -> logits; cross entropy, a small feature loss and distillation from the
   task network; codec and tail learn together.

Deviations: distillation stands beside the task loss; the paper's XAI and centre-usage terms are not in yet.
"""

from __future__ import annotations

from typing import Any

import keras

from semflash.training.losses import cross_entropy, distillation, feature_loss


class AutoencoderStage(keras.Model):
    """Stage 1. Inputs {image (B, H, W, C), ber (B, 1), noise (B, ...)}; output decoded features.

    Args:
        codec: a keras.Model that is a :class:`semflash.codecs.base.Codec`.
        teacher_head: the task network's head; frozen here.
        variance: of the teacher's features, the unit of the loss.
    """

    def __init__(self, codec: Any, teacher_head: keras.Model, variance: float) -> None:
        super().__init__(name="autoencoder_stage")
        teacher_head.trainable = False
        self.codec = codec
        self.teacher_head = teacher_head
        self.variance = variance

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Decoded features (B, h, w, c)."""
        return self.codec.transmit(inputs["image"], inputs["ber"], inputs["noise"], training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool = True,
    ) -> Any:  # fmt: skip
        """Feature error over the features' variance."""
        return feature_loss(y_pred, self.teacher_head(x["image"], training=False), self.variance)


class TaskStage(keras.Model):
    """Stage 2. Same inputs; outputs {features, logits}; ``y`` int32 (B,) labels.

    Args:
        codec, variance: as in stage 1.
        tail: fine-tuned with the codec.
        teacher_head, teacher_tail: the task network, frozen.
        feature_weight, distillation_weight, temperature: of the loss terms.
    """

    def __init__(
        self, codec: Any, tail: keras.Model, teacher_head: keras.Model, teacher_tail: keras.Model,
        variance: float, *, feature_weight: float, distillation_weight: float, temperature: float,
    ) -> None:  # fmt: skip
        super().__init__(name="task_stage")
        teacher_head.trainable = False
        teacher_tail.trainable = False
        self.codec, self.tail = codec, tail
        self.teacher_head, self.teacher_tail = teacher_head, teacher_tail
        self.variance, self.temperature = variance, temperature
        self.feature_weight, self.distillation_weight = feature_weight, distillation_weight

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Decoded features (B, h, w, c) and logits (B, classes)."""
        features = self.codec.transmit(inputs["image"], inputs["ber"], inputs["noise"], training=training)
        return {"features": features, "logits": self.tail(features, training=training)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool = True,
    ) -> Any:  # fmt: skip
        """Cross entropy + feature_weight x feature error + distillation_weight x distillation."""
        features = self.teacher_head(x["image"], training=False)
        teacher_logits = self.teacher_tail(features, training=False)
        return (
            cross_entropy(y, y_pred["logits"])
            + self.feature_weight * feature_loss(y_pred["features"], features, self.variance)
            + self.distillation_weight * distillation(y_pred["logits"], teacher_logits, self.temperature)
        )
