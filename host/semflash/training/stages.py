"""The two training stages of a feature codec, as Keras models with their own loss.

Two-stage feature-augmentation learning, SemanticNN (arXiv 2511.11038), section on training:

1. autoencoder: images -> codec -> decoded features, against the features of the task network's own head,
   under sampled bit error rates (a denoising autoencoder; the tail takes no part);
2. task: decoded features -> tail -> logits; cross entropy, a small feature loss, the same weighed by the
   features' importance for the task (XAI asymmetry compensation), the expected error of the received codes
   weighed by it, the use of the centres against even use, and distillation from the task network; codec
   and tail learn together.

A family adds terms of its own by :meth:`semflash.codecs.base.Codec.stage_loss`.
Deviation: distillation stands beside the task loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from semflash.codecs.training_side import StageContext
from semflash.tasks.kinds import Classification, TaskKind
from semflash.tasks.losses import feature_loss, weighed_feature_loss
from semflash.training.recipes.recipe import CodecRecipe


@dataclass(frozen=True)
class LossWeights:
    """Weights of stage 2's loss terms beside the cross entropy; see CodecRecipe."""

    feature: float = 0.0
    distillation: float = 0.0
    temperature: float = 2.0
    xai: float = 0.0
    codes: float = 0.0
    usage: float = 0.0


def weights_of(recipe: CodecRecipe) -> LossWeights:
    """The weights a recipe names."""
    return LossWeights(
        feature=recipe.feature_weight,
        distillation=recipe.distillation_weight,
        temperature=recipe.temperature,
        xai=recipe.xai_weight,
        codes=recipe.xai_code_weight,
        usage=recipe.usage_weight,
    )


def in_float32(value: Any) -> Any:
    """For the losses, where the task network computes in less."""
    return ops.cast(value, "float32")


class _Stage(keras.Model):
    """Common to both: the way through the codec, and its own loss term.

    Inputs {image (B, H, W, C), ber (B, 1), told (B, 1), noise (B, ...), importance (only if weighed)};
    ``y``: the task kind's targets, for classification int32 (B,) labels.
    """

    def __init__(self, codec: Any, teacher_head: keras.Model, variance: float, *, name: str) -> None:
        super().__init__(name=name)
        teacher_head.trainable = False
        self.codec = codec
        self.teacher_head = teacher_head
        self.variance = variance

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def through_codec(self, x: dict[str, Any], training: bool) -> dict[str, Any]:
        """Decoded features and the codec's trace."""
        decoded, trace = self.codec.forward(
            x["image"], x["ber"], x["noise"], training=training, told=x.get("told")
        )
        return {"features": decoded, "trace": trace}

    def with_own_loss(self, loss: Any, x: dict[str, Any], y: Any, y_pred: Any, features: Any) -> Any:
        """``loss`` plus the family's own term."""
        own = self.codec.stage_loss(
            self.name,
            StageContext(
                images=x["image"],
                labels=y,
                quality=x["ber"],
                noise=x["noise"],
                features=features,
                importance=x.get("importance"),
                decoded=y_pred["features"],
                logits=y_pred.get("logits"),
                trace=y_pred["trace"],
            ),
        )
        return loss if own is None else loss + own


class AutoencoderStage(_Stage):
    """Stage 1.

    Args:
        codec: a keras.Model that is a :class:`semflash.codecs.base.Codec`.
        teacher_head: the task network's head; frozen here.
        variance: of the teacher's features, the unit of the loss.
    """

    def __init__(
        self, codec: Any, teacher_head: keras.Model, variance: float, *, name: str = "autoencoder"
    ) -> None:
        super().__init__(codec, teacher_head, variance, name=name)

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Decoded features (B, h, w, c) and the codec's trace."""
        return self.through_codec(inputs, training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Feature error over the features' variance."""
        features = in_float32(self.teacher_head(x["image"], training=False))
        loss = feature_loss(y_pred["features"], features, self.variance)
        return self.with_own_loss(loss, x, y, y_pred, features)


class TaskStage(_Stage):
    """Stage 2; the call also gives logits (B, classes), or a detector's maps.

    Args:
        codec: The codec, as in stage 1.
        variance: The variance of the features, as in stage 1.
        tail: fine-tuned with the codec.
        teacher_head: The head of the task network, frozen.
        teacher_tail: Its tail, frozen.
        weights: of the loss terms.
        kind: of the task; None: classification.
    """

    def __init__(
        self,
        codec: Any,
        tail: keras.Model,
        teacher_head: keras.Model,
        teacher_tail: keras.Model,
        variance: float,
        weights: LossWeights,
        *,
        name: str = "task",
        kind: TaskKind | None = None,
    ) -> None:
        super().__init__(codec, teacher_head, variance, name=name)
        teacher_tail.trainable = False
        self.tail = tail
        self.teacher_tail = teacher_tail
        self.loss_weights = weights
        self.kind = kind or Classification()

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Decoded features (B, h, w, c), logits (B, classes) and the codec's trace."""
        result = self.through_codec(inputs, training)
        return result | {"logits": in_float32(self.tail(result["features"], training=training))}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The task's loss and the weighed terms; what has weight 0 is not computed."""
        weights, decoded = self.loss_weights, y_pred["features"]
        loss, features = self.kind.loss(y, y_pred["logits"]), None
        if weights.feature or weights.xai or weights.distillation:
            features = in_float32(self.teacher_head(x["image"], training=False))
        if weights.feature:
            loss += weights.feature * feature_loss(decoded, features, self.variance)
        if weights.xai:
            loss += weights.xai * weighed_feature_loss(decoded, features, x["importance"], self.variance)
        if weights.distillation:
            teacher_logits = in_float32(self.teacher_tail(features, training=False))
            loss += weights.distillation * self.kind.distillation(
                y, y_pred["logits"], teacher_logits, weights.temperature
            )
        if weights.codes:
            loss += weights.codes * self.codec.code_loss(y_pred["trace"], x["ber"], x["importance"])
        if weights.usage:
            loss += weights.usage * self.codec.usage_loss(y_pred["trace"])
        return self.with_own_loss(loss, x, y, y_pred, features)
