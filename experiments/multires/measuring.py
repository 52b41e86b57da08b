"""Pictures of a split by every way to spend the bits, and what a classifier sees in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from experiments.multires import arms, formats, names
from experiments.multires.pointing import on_object
from experiments.multires.results import Row
from semflash.codecs.multires.codec import Multires
from semflash.codecs.multires.selecting import background
from semflash.data.dataset import Split
from semflash.program.reference.patches import cut

BATCH = 250

Pixels = NDArray[np.uint8]


class Measured:
    """A split, coded at every resolution.

    Args:
        codec: With its weights.
        split: With its cover.
        name: Of the split.
        teacher: Attention of the teacher to its images, (N, patches).
    """

    def __init__(self, codec: Multires, split: Split, name: str, teacher: NDArray[np.floating]) -> None:
        if split.cover is None:
            raise ValueError("the figures of these experiments need to know where the object is")
        self.codec, self.split, self.name = codec, split, name
        self.patches = cut(np.asarray(split.images), codec.sizes.patch)
        self.touched = on_object(split.cover)
        self.coded = {bits: self._coded(coder) for bits, coder in codec.coders.items()}
        self.coded[0] = self._shades()
        self.student = np.concatenate([codec.scores(part) for part in _parts(split.images)])
        self.weights = arms.weights_by_arm(split.images, split.cover, teacher, self.student, codec.sizes)
        self.errors = {
            0: float(codec.distortion[0]),
            **{bits: self._error(self.coded[bits]) / 255**2 for bits in codec.coders},
        }

    def rows(
        self, classifier: Any, wanted: tuple[str, ...] = names.ARMS, rates: tuple[int, ...] = names.RATES
    ) -> Iterator[Row]:
        """Accuracy and errors of each way at each rate."""
        for rate in rates:
            for arm in wanted:
                chosen = self.bits_of(arm, rate)
                if chosen is not None:
                    yield self._row(arm, rate, self.pictured(chosen[0]), float(chosen[1].mean()), classifier)

    def format_rows(self, classifier: Any, rates: tuple[int, ...] = names.RATES) -> Iterator[Row]:
        """The same of image formats."""
        sizes = self.codec.sizes
        for kind, stream_of in formats.STREAMS.items():
            for rate in rates:
                stream = stream_of(sizes.image_shape, rate, formats.SIDES)
                decoded, bits = formats.pictures_of(stream, np.asarray(self.split.images))
                yield self._row(kind, rate, cut(decoded, sizes.patch), bits, classifier)

    def bits_of(self, arm: str, rate: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Bits of each patch (N, patches) and of the payload (N,); None: none are known for the rate."""
        codec = self.codec
        match arm:
            case names.SINGLE:
                bits = 8 * rate // codec.sizes.patches
                if bits not in codec.coders:
                    return None
                shape = len(self.split), codec.sizes.patches
                return np.full(shape, bits), np.full(shape[0], bits * shape[1])
            case names.ONE_BIT:
                return arms.one_bit(self.weights[names.STUDENT_VARIANCE], codec.sizes, rate)
            case names.QUANTISED:
                return arms.importance_aware(self.weights[names.STUDENT_VARIANCE], self.errors, rate)
            case _:
                return arms.selected(self.weights[arm], codec.sizes, codec.distortion, rate)

    def pictured(self, bits: NDArray[np.int64]) -> Pixels:
        """Patches uint8 (N, patches, values) with so many bits each."""
        found = np.empty_like(self.patches)
        for each, coded in self.coded.items():
            here = bits == each
            found[here] = coded[here]
        return found

    def _row(self, arm: str, rate: int, patches: Pixels, bits: float, classifier: Any) -> Row:
        count = len(patches)
        errors = _errors(patches, self.patches[:count])
        right = answers(classifier, whole(patches, self.codec.sizes)) == self.split.labels[:count]
        return Row(
            split=self.name,
            arm=arm,
            rate=rate,
            accuracy=float(right.mean()),
            images=count,
            mse=float(errors.mean()),
            object_mse=float(errors[self.touched[:count]].mean()),
            bits=bits,
        )

    def _coded(self, coder: Any) -> Pixels:
        found = [
            np.clip(ops.convert_to_numpy(coder(part.astype(np.float32) / np.float32(255))), 0, 1)
            for part in _parts(self.patches)
        ]
        return np.asarray(np.rint(np.concatenate(found) * 255), np.uint8)

    def _shades(self) -> Pixels:
        sizes = self.codec.sizes
        shade = np.rint(self.codec.shades(background(np.asarray(self.split.images))) * 255).astype(np.uint8)
        return np.tile(shade[:, None], (1, sizes.patches, sizes.patch**2))

    def _error(self, coded: Pixels) -> float:
        return float(_errors(coded, self.patches).mean())


def answers(classifier: Any, images: Pixels) -> NDArray[np.int64]:
    """Labels of images uint8 (N, H, W, C)."""
    found = [
        ops.convert_to_numpy(classifier.predict_on_batch(part.astype(np.float32) / np.float32(255)))
        for part in _parts(images)
    ]
    return np.asarray(np.concatenate(found).argmax(axis=1))


def whole(patches: Pixels, sizes: Any) -> Pixels:
    """Images uint8 (N, H, W, C) of patches (N, patches, values)."""
    (rows, columns), side, channels = sizes.grid, sizes.patch, sizes.image_shape[2]
    parts = patches.reshape(-1, rows, columns, side, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return parts.reshape(-1, *sizes.image_shape)


def _errors(coded: Pixels, patches: Pixels) -> NDArray[np.float64]:
    """Mean squared error of each patch, (N, patches)."""
    parts = [
        np.square(a.astype(np.float32) - b).mean(axis=2)
        for a, b in zip(_parts(coded), _parts(patches), strict=True)
    ]
    return np.concatenate(parts).astype(np.float64)


def _parts(values: Any) -> Iterator[Any]:
    for start in range(0, len(values), BATCH):
        yield np.asarray(values[start : start + BATCH])
