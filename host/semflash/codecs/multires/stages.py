"""The stages of the training as Keras models: each learns one part of the codec alone."""

from __future__ import annotations

from collections.abc import Callable
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


class TaskLevelStage(PartStage):
    """Images (B, H, W, C) to what a coder makes of all their patches: the mean squared error, in units of
    1/255, and the error of the task network's features, relative to them.

    Args:
        head: Of the task network, images to features; it stays as it is.
        weight: Of the features.
    """

    def __init__(self, codec: Any, coder: LevelCoder, head: Any, weight: float, *, name: str) -> None:
        super().__init__(codec, coder, name=name)
        # Not a layer of this model, whose checkpoints and averages have the codec alone.
        self.features: Callable[[Any], Any] = lambda images: head(images, training=False)
        self.weight = weight

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Images of decoded patches."""
        del training
        return self.codec.reconstruct(inputs, self.part)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """``y``: the images."""
        wanted, found = self.features(y), self.features(y_pred)
        apart = ops.mean(ops.square(wanted - found)) / (ops.mean(ops.square(wanted)) + 1e-6)
        return ops.mean(ops.square(255.0 * (y - y_pred))) + self.weight * apart


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
