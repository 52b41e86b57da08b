"""The paper's learned mask: the student goes on learning through the selection, straight through its steps.

The error of the decoded picture is a sum over the upgrades that are made: upgrade l of block p takes
``F[p, l] - F[p, l - 1]`` off it and costs bits. With the mask m of made upgrades, 0 or 1, and s the logarithm
of what an upgrade is worth by the student,

    m = (s >= tau)                         as the device has it
    dm/ds = that of sigmoid(2 (s - tau))   as if it were not hard (straight-through, arXiv 1308.3432)

tau is what the last upgrade that fits is worth, and passes no gradient. A hard sign alone has no gradient at
all: that is how the released code's mask network never learns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from semflash.codecs.multires.stages import PartStage

SLOPE = 2.0
#: Bytes that map, mean colour and check take of a payload, about.
HEAD_BYTES = 20


def made(scores: Any, tau: Any) -> Any:
    """1 where a score is at least tau, 0 elsewhere; the gradient is that of a sigmoid."""
    hard = ops.cast(scores >= tau, "float32")
    soft = ops.sigmoid(SLOPE * (scores - tau))
    return hard + soft - ops.stop_gradient(soft)


def last_that_fits(scores: Any, bits: Any, room: Any) -> Any:
    """The score of the last upgrade that fits, (B, 1), of scores (B, U), their bits (U,) and room (B, 1).

    Of upgrades in the order of falling score, those before the first that does not fit.
    """
    order = ops.argsort(-scores, axis=1)
    ranked = ops.take_along_axis(scores, order, axis=1)
    taken = ops.cumsum(ops.take(bits, order), axis=1)
    fits = ops.cast(taken <= room, "int32")
    last = ops.maximum(ops.sum(fits, axis=1, keepdims=True) - 1, 0)
    return ops.take_along_axis(ranked, last, axis=1)


class MaskStage(PartStage):
    """Images to scores; ``y``: float (B, blocks, levels - 1, 3), of each upgrade what it is good for
    (negative: worse than others that would fit in its place), the logarithm to base 2 of its slope, and the
    image's room in bits.

    Args:
        codec: :class:`semflash.codecs.lamsc.codec.Lamsc`.
    """

    def __init__(self, codec: Any, *, name: str) -> None:
        super().__init__(codec, codec.student, name=name)
        steps = np.diff(codec.sizes.level_bits).astype(np.float32)
        self.upgrade_bits = np.tile(steps, codec.sizes.patches)
        self.floor = codec.sizes.floor

    def scores_of(self, logits: Any, slopes: Any) -> Any:
        """Logarithms of what upgrades are worth, (B, blocks, levels - 1), of logits (B, rows, columns, 1)."""
        importance = ops.sigmoid(ops.reshape(logits, (-1, slopes.shape[1], 1)))
        weight = ops.log((importance + self.floor) / (1.0 + self.floor)) / float(np.log(2.0))
        return weight + slopes

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """What the made upgrades are good for, less than all that is; mean over images."""
        good, slopes, room = y[..., 0], y[..., 1], y[:, 0, 0, 2:3]
        scores = self.scores_of(y_pred, slopes)
        flat = ops.reshape(scores, (-1, len(self.upgrade_bits)))
        tau = ops.stop_gradient(last_that_fits(flat, ops.convert_to_tensor(self.upgrade_bits), room))
        found = ops.sum(made(scores, tau[..., None]) * good, axis=(1, 2))
        most = ops.sum(ops.maximum(good, 0.0), axis=(1, 2))
        return ops.mean(1.0 - found / ops.maximum(most, 1e-6))


def upgrades_of(
    worth: NDArray[np.int64],
    importance: NDArray[np.floating],
    level_bits: tuple[int, ...],
    rates: NDArray[np.integer],
    levels: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """What :class:`MaskStage` learns from, float32 (N, blocks, levels - 1, 3).

    An upgrade is good for its weighted slope less that of the last one that importance itself would make,
    times its bits.

    Args:
        worth: Slopes of blocks of weight 1, (N, blocks, levels - 1).
        importance: Of the blocks, 0..1, with the floor, (N, blocks).
        rates: Bytes, (N,).
        levels: What importance itself chooses at these rates, (N, blocks).
    """
    steps = np.diff(level_bits)
    weighted = worth * importance[..., None]
    taken = np.arange(len(steps)) < levels[..., None]
    last = np.where(taken, weighted, np.inf).min(axis=(1, 2))
    price = np.where(np.isfinite(last), last, weighted.max(axis=(1, 2)))[:, None, None]
    good = (weighted - price) * steps
    scale = np.maximum(np.abs(good).sum(axis=(1, 2), keepdims=True), 1e-9)
    room = np.broadcast_to(8.0 * (rates - HEAD_BYTES)[:, None, None], good.shape)
    return np.stack([good / scale, np.log2(worth + 1.0), room], axis=-1).astype(np.float32)
