"""The stages of the training as Keras models with their own loss."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from semflash.program.tokens.stages import SHARE_MAX
from semflash.tasks.losses import cross_entropy


class StemStage(keras.Model):
    """Images to the task network's features; ``y``: these, float (B, h, w, width). Only the stem learns.

    Args:
        codec: :class:`semflash.codecs.tokens.codec.Tokens`; all of it, so that a checkpoint has it.
    """

    def __init__(self, codec: Any, *, name: str) -> None:
        super().__init__(name=name)
        self.codec = codec

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    @property
    def trainable_weights(self) -> list[Any]:
        """Of the stem alone."""
        found: list[Any] = self.codec.stem.trainable_weights
        return found

    @property
    def trainable_variables(self) -> list[Any]:
        """Of the stem alone."""
        return self.trainable_weights

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Features."""
        return self.codec.stem(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Squared error over the variance of the features: 1 is what a constant guess would reach."""
        spread = ops.mean(ops.square(y - ops.mean(y, axis=(0, 1, 2), keepdims=True)))
        return ops.mean(ops.square(y - y_pred)) / (spread + 1e-9)


class TokensStage(keras.Model):
    """Images to logits; inputs {image, share, use, quality, noise, answer (with a task network)}, ``y``:
    labels.

    Args:
        codec: :class:`semflash.codecs.tokens.codec.Tokens`.
        whole: Whether every token is kept, whatever alpha and the gates say.
        budget_weight: Of the squared difference of the share that is kept and alpha.
        teacher_share: Weight of the task network's answers, 0..1.
        temperature: Of the answers.
        smoothing: Of the labels.
    """

    def __init__(
        self,
        codec: Any,
        *,
        whole: bool,
        budget_weight: float,
        teacher_share: float,
        temperature: float,
        smoothing: float,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.codec, self.whole, self.budget_weight = codec, whole, budget_weight
        self.teacher_share, self.temperature, self.smoothing = teacher_share, temperature, smoothing

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Logits, and the shares behind each gate."""
        keep = ops.ones((ops.shape(inputs["image"])[0], self.codec.sizes.tokens)) if self.whole else None
        logits, trace = self.codec.carry(
            inputs["image"],
            inputs["share"],
            inputs["use"],
            inputs["quality"],
            inputs["noise"],
            keep=keep,
            training=training,
        )
        return {"logits": logits, "shares": trace["shares"]}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Labels, answers of the task network, and the budget."""
        logits = y_pred["logits"]
        loss = cross_entropy(y, logits, self.smoothing)
        if "answer" in x:
            loss = (1.0 - self.teacher_share) * loss + self.teacher_share * self._divergence(
                x["answer"], logits
            )
        if self.whole:
            return loss
        alpha = x["share"][:, 0] / SHARE_MAX
        return loss + self.budget_weight * ops.mean(ops.square(y_pred["shares"][-1] - alpha))

    def _divergence(self, answer: Any, logits: Any) -> Any:
        wanted = ops.softmax(answer / self.temperature)
        log_found = ops.log_softmax(logits / self.temperature)
        log_wanted = ops.log_softmax(answer / self.temperature)
        each = ops.sum(wanted * (log_wanted - log_found), axis=-1)
        return self.temperature**2 * ops.mean(each)
