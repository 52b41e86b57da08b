"""The codec ``lamsc`` on test images: PSNR by bytes, importance and decoder, and against image formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from experiments.lamsc import formats, names
from experiments.lamsc.elements import elements_that_fit
from experiments.lamsc.results import Row
from semflash.codecs.lamsc.codec import Lamsc
from semflash.codecs.lamsc.coding import Coding, importance_of
from semflash.codecs.lamsc.importance import exact_importance
from semflash.codecs.lamsc.picture import picture_of
from semflash.data.dataset import TARGET, Split

BATCH = 250
#: Bits of a payload without a map: mean colour and check.
MAPLESS = 28

Pixels = NDArray[np.uint8]


class Coded:
    """A trained codec on the images of a split with masks.

    Args:
        codec: With its weights.
        split: The images.
        name: Of the split.
        tuned: Whether its tail has learnt from pictures, so that labels are worth telling.
    """

    def __init__(self, codec: Lamsc, split: Split, name: str, *, tuned: bool = True) -> None:
        self.codec, self.split, self.name, self.tuned = codec, split, name, tuned
        self.images = np.asarray(split.images)
        self.exact = exact_importance(split, codec.sizes.grid)
        assert split.masks is not None  # exact importance has looked
        self.inside = np.asarray(split.masks) == TARGET

    @cached_property
    def coding(self) -> Coding:
        """What the device does."""
        found: Coding = self.codec.coding
        return found

    @cached_property
    def student(self) -> NDArray[np.float64]:
        """Importance by the student, (N, blocks)."""
        parts = range(0, len(self.images), BATCH)
        return np.concatenate(
            [importance_of(self.codec.scores(self.images[start : start + BATCH])) for start in parts]
        )

    @cached_property
    def analysed(self) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int64]]:
        """Coefficients, backgrounds, and what upgrades are worth."""
        coefficients, background = self.coding.analyse(self.images)
        return coefficients, background, self.coding.worth(coefficients)

    def levels(self, arm: str, rate: int) -> NDArray[np.uint8]:
        """Of the blocks, (N, blocks)."""
        if arm in (names.OFF, names.OFF_LINEAR):
            weights = np.full(self.student.shape, 4096, np.int64)
        else:
            shares = self.exact.reshape(len(self.exact), -1) if arm == names.EXACT_BLOCKS else self.student
            weights = self.coding.weights(shares)
        return self.coding.levels(self.analysed[2], weights, rate)

    def pictures(self, levels: NDArray[np.uint8], *, linear: bool = False) -> Pixels:
        """What arrives of blocks at these levels."""
        coefficients, background, _ = self.analysed
        sent = self.coding.received(self.coding.codes(coefficients, levels), levels)
        return self._decoded(sent, levels, background, linear)

    def _decoded(self, sent: Any, levels: Any, background: Any, linear: bool) -> Pixels:
        parts = []
        for start in range(0, len(sent), BATCH):
            part = slice(start, start + BATCH)
            if linear:
                found = linear_pictures(self.codec, sent[part], background[part])
            else:
                bers = np.zeros(len(sent[part]), np.float32)
                found = self.codec.restored(sent[part], levels[part], background[part], bers)
            parts.append(np.rint(found * 255).astype(np.uint8))
        return np.concatenate(parts)

    def rows(self, rates: Sequence[int] = names.RATES) -> Iterator[Row]:
        """Every arm of the codec at every rate."""
        for rate in rates:
            for arm in names.CODED:
                levels = self.levels(arm, rate)
                yield self.row(arm, rate, self.pictures(levels, linear="linear" in arm), self.bytes(levels))
            yield self.one_level(rate)
            yield self.elements(rate)

    def sweep(self) -> Iterator[Row]:
        """The student's arm over all bytes."""
        for rate in names.SWEEP:
            levels = self.levels(names.CODEC, rate)
            yield self.row(names.CODEC, rate, self.pictures(levels), self.bytes(levels))

    def format_rows(self, rates: Sequence[int] = names.RATES) -> Iterator[Row]:
        """JPEG, WebP, and JPEG of pictures that the same student flattened."""
        shares = self.student.reshape(self.exact.shape)
        for rate in rates:
            for kind in formats.STREAMS:
                pictures, size = formats.pictures_of(kind, self.images, rate)
                yield self.row(kind, rate, pictures, size)
            flat, size, least = formats.best_flattened(
                self.images, shares, rate, names.THRESHOLDS, lambda pictures: self.psnr(pictures)[1]
            )
            yield self.row(f"{names.FLAT_JPEG}, p > {least:g}", rate, flat, size)

    def one_level(self, rate: int) -> Row:
        """All blocks at the highest level that fits, without a map."""
        bits = MAPLESS + np.array(self.codec.sizes.level_bits) * self.codec.sizes.patches
        level = int(np.flatnonzero(bits <= 8 * rate).max())
        levels = np.full(self.student.shape, level, np.uint8)
        return self.row(names.ONE_LEVEL, rate, self.pictures(levels), float(bits[level]) / 8)

    def elements(self, rate: int) -> Row:
        """The paper's kind of mask, linear decoder."""
        coefficients, background, _ = self.analysed
        weights = self.coding.weights(self.student) / 4096
        sent, size = elements_that_fit(coefficients, weights, self.codec.tables.spread(), rate)
        pictures = self._decoded(sent, None, background, linear=True)
        return self.row(names.ELEMENTS, rate, pictures, size)

    def bytes(self, levels: NDArray[np.uint8]) -> float:
        """Mean bytes of the payloads."""
        kinds = len(self.codec.sizes.level_bits)
        counts = np.stack([(levels >= level).sum(axis=1) for level in range(1, kinds)], axis=1)
        return float(np.ceil(self.codec.sizes.map_sizes.total(counts, False) / 8).mean())

    def psnr(self, pictures: Pixels) -> tuple[float, float]:
        """Mean PSNR of pictures of the first images, dB: whole, and of the pixels of the object."""
        images, object_ = (each[: len(pictures)] for each in (self.images, self.inside))
        wrong = np.square(pictures / 255.0 - images / 255.0).mean(axis=3)
        inside = (wrong * object_).sum(axis=(1, 2)) / np.maximum(object_.sum(axis=(1, 2)), 1)
        whole, own = (-10 * np.log10(np.maximum(each, 1e-7)) for each in (wrong.mean(axis=(1, 2)), inside))
        return float(whole.mean()), float(own.mean())

    def row(self, arm: str, rate: int, pictures: Pixels, sent: float, *, ber: float = 0.0) -> Row:
        """PSNR, and where the tail has learnt from pictures of this kind the share of right labels."""
        whole, inside = self.psnr(pictures)
        right = self._right(pictures) if self.tuned and arm in names.NAMED else None
        return Row(
            self.name,
            arm,
            len(pictures),
            rate=rate,
            sent=sent,
            ber=ber,
            psnr=whole,
            object_psnr=inside,
            accuracy=right,
        )

    def _right(self, pictures: Pixels) -> float:
        found = []
        for start in range(0, len(pictures), BATCH):
            part = pictures[start : start + BATCH].astype(np.float32) / np.float32(255)
            logits = ops.convert_to_numpy(self.codec.classifier(part, training=False))
            found.append(logits.argmax(axis=1))
        return float((np.concatenate(found) == self.split.labels[: len(pictures)]).mean())


def linear_pictures(codec: Lamsc, sent: Any, background: Any) -> NDArray[np.floating]:
    """The inverse transform alone, float (N, H, W, C) in [0, 1]."""
    given = [ops.convert_to_tensor(np.asarray(each, np.float32)) for each in (sent, background)]
    found = picture_of(codec.sizes, codec.tables, None, given[0], None, given[1], None)
    return np.asarray(ops.convert_to_numpy(found))
