"""The stages of the training as Keras models: each learns one part of the codec alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from semflash.codecs.multires.coder import LevelCoder
from semflash.tasks.losses import cross_entropy


class PartStage(keras.Model):
    """Trains a part; the whole codec is an attribute, so that a checkpoint has all of it. Each kind of stage
    has a loss of its own.

    Args:
        codec: :class:`semflash.codecs.multires.codec.Multires`.
        part: Its layer or model that learns.
    """

    def __init__(self, codec: Any, part: Any, *, name: str) -> None:
        super().__init__(name=name)
        self.codec, self.part = codec, part

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    @property
    def trainable_weights(self) -> list[Any]:
        """Of the part alone."""
        found: list[Any] = self.part.trainable_weights
        return found

    @property
    def trainable_variables(self) -> list[Any]:
        """Of the part alone."""
        return self.trainable_weights

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the part gives."""
        return self.part(inputs, training=training)


class LevelStage(PartStage):
    """Patches (B, n) to themselves: the mean squared error, in units of 1/255."""

    def __init__(self, codec: Any, coder: LevelCoder, *, name: str) -> None:
        super().__init__(codec, coder, name=name)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Decoded patches."""
        del training
        return self.part(inputs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """``y``: the patches."""
        return ops.mean(ops.square(255.0 * (y - y_pred)))


class StudentStage(PartStage):
    """Images to scores; ``y``: the attention, float (B, rows, columns), shares that sum to 1."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Cross-entropy of the scores' softmax against the attention."""
        count = y_pred.shape[1] * y_pred.shape[2]
        scores, shares = ops.reshape(y_pred, (-1, count)), ops.reshape(y, (-1, count))
        return -ops.mean(ops.sum(shares * ops.log_softmax(scores, axis=-1), axis=-1))


class TailStage(PartStage):
    """Pictures to logits; ``y``: labels."""

    def __init__(self, codec: Any, part: Any, smoothing: float, *, name: str) -> None:
        super().__init__(codec, part, name=name)
        self.smoothing = smoothing

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Cross-entropy."""
        return cross_entropy(y, y_pred, self.smoothing)
