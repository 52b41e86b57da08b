"""The stages of the training as Keras models: each learns one part of the codec alone."""

from __future__ import annotations

from typing import Any

from keras import ops

from semflash.codecs.lamsc.networks import STEP
from semflash.codecs.multires.stages import PartStage


class ImportanceStage(PartStage):
    """Images to scores; ``y``: the importance of each block, float (B, rows, columns), 0..1."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Binary cross-entropy of logits."""
        scores = ops.reshape(y_pred, ops.shape(y))
        return ops.mean(ops.maximum(scores, 0.0) - scores * y + ops.log1p(ops.exp(-ops.abs(scores))))


class RestoringStage(PartStage):
    """What arrived, as the restoring network takes it, to the picture; ``y``: the image and what each of its
    pixels counts, float (B, H, W, C + 1)."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The picture; may lie a little outside [0, 1]."""
        return inputs[3] + STEP * self.part(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The weighted mean squared error, in units of 1/255."""
        wrong = ops.mean(ops.square(255.0 * (y[..., :-1] - y_pred)), axis=-1)
        return ops.sum(y[..., -1] * wrong) / ops.sum(y[..., -1])
