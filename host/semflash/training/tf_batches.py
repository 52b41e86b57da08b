"""Training batches by ``tf.data``: files decoded and augmented in parallel and ahead of the training step.

The images of an epoch, their order and every random number come from seeds of the epoch's numpy generator and
stateless TensorFlow operators, so that a resumed run sees the batches of an undisturbed one. A worker of a
distributed training reads its own rows of each batch only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from semflash.codecs.layers.channel import BerRange
from semflash.data.augment import Augmentation
from semflash.data.dataset import Split
from semflash.data.lazy import LazyImages
from semflash.errors import DatasetError, UsageError

#: A random crop's width over its height lies between this and its inverse, as for Inception.
CROP_ASPECT = 3 / 4
_SEED_MAX = 2**31
#: What ``tf.io.decode_image`` reads, by the names' endings.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class ChannelInputs:
    """What a codec is trained with beside images: bit error rates, shape of noise, error of the estimate."""

    ber: BerRange
    noise_shape: tuple[int, ...]
    estimate_noise: float = 0.0


@dataclass(frozen=True)
class TfBatches:
    """One epoch after another; classification only.

    Attributes:
        data: images, an array or LazyImages, and labels int32 (N,).
        batch: images per step, of all workers together.
        how: augmentation.
        channel: None: x is the image, as a task network takes it; else the dictionary that a codec takes.
        rank: Which of the workers this one is, from 0; it takes that part of a batch's rows.
        workers: How many workers share a batch.
    """

    data: Split
    batch: int
    how: Augmentation
    channel: ChannelInputs | None = None
    rank: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.data.labels.ndim != 1:
            raise UsageError("the tf.data pipeline is for classification", remedy='pipeline="numpy"')
        if self.how.gain:
            raise UsageError(
                "the tf.data pipeline changes no colours", value=self.how.gain, remedy="augmentation.gain=0"
            )
        if self.batch % self.workers:
            raise UsageError(f"a batch must divide by the {self.workers} workers", value=self.batch)
        paths = self.data.images.paths if isinstance(self.data.images, LazyImages) else []
        other = next((path for path in paths if path.suffix.lower() not in SUFFIXES), None)
        if other is not None:
            raise DatasetError(
                f"the tf.data pipeline reads {', '.join(SUFFIXES)} files from disk",
                value=other,
                remedy="convert the images",
            )

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        """(x, labels) as tensors; this worker's rows of every full batch."""
        steps, mine = len(self.data) // self.batch, self.batch // self.workers
        order = rng.permutation(len(self.data))[: steps * self.batch]
        columns = {"index": order, "seed": rng.integers(0, _SEED_MAX, (len(order), 2))}
        if self.channel is not None:
            columns["ber"] = self.channel.ber.sample(len(order), rng)
            if self.channel.estimate_noise:
                columns["told"] = self.channel.ber.tell(columns["ber"], self.channel.estimate_noise, rng)
        rows = slice(self.rank * mine, (self.rank + 1) * mine)
        columns = {
            name: values.reshape(steps, self.batch, *values.shape[1:])[:, rows].reshape(-1, *values.shape[1:])
            for name, values in columns.items()
        }
        try:
            yield from self._pipeline(columns, mine)
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            reason = error.message.splitlines()[0][:200] if error.message else type(error).__name__
            raise DatasetError(
                "cannot read a training image", value=reason, remedy="look for a damaged or missing file"
            ) from error

    def _pipeline(self, columns: dict[str, np.ndarray], batch: int) -> Any:
        columns = dict(columns, label=self.data.labels[columns["index"]])
        images = self.data.images
        if isinstance(images, LazyImages):
            columns["path"] = np.array([os.fsencode(images.paths[index]) for index in columns["index"]])
            columns["orientation"] = images.orientations[columns["index"]]
            read = self._read_file
        else:
            kept = tf.constant(images)  # one copy, not one per epoch
            read = lambda row: tf.gather(kept, row["index"])  # noqa: E731
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = True
        return (
            tf.data.Dataset.from_tensor_slices(columns)
            .map(lambda row: self._example(row, read(row)), num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )

    def _example(self, row: dict[str, Any], image: Any) -> tuple[Any, Any]:
        size = self.data.images.shape[1:]
        augmented = tf.ensure_shape(augmented_image(image, row["seed"], self.how, size), size)
        if self.channel is None:
            return augmented, row["label"]
        noise = tf.random.stateless_uniform(self.channel.noise_shape, _other(row["seed"], 9))
        inputs = {"image": augmented, "noise": noise} | {
            name: tf.cast(row[name], tf.float32) for name in ("ber", "told") if name in row
        }
        return inputs, row["label"]

    @staticmethod
    def _read_file(row: dict[str, Any]) -> Any:
        image = tf.io.decode_image(tf.io.read_file(row["path"]), channels=3, expand_animations=False)
        image.set_shape((None, None, 3))
        return upright(image, row["orientation"])


def upright(image: Any, orientation: Any) -> Any:
    """An image of any size put upright by its EXIF orientation, a scalar, 1 to 8."""
    orientation = tf.cast(orientation, tf.int32)
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    across = tf.reduce_any(tf.equal(orientation, (2, 3, 6, 7)))
    down = tf.reduce_any(tf.equal(orientation, (3, 4, 7, 8)))
    image = tf.cond(across, lambda: image[:, ::-1], lambda: image)
    return tf.cond(down, lambda: image[::-1], lambda: image)


def augmented_image(image: Any, seed: Any, how: Augmentation, size: tuple[int, int, int]) -> Any:
    """Float32 (*size) in [0, 1] of a uint8 image of any size; ``seed`` int (2,) decides everything random."""
    if how.crop_area < 1:
        image = _random_crop(image, seed, how.crop_area)
    if image.shape[:2] != size[:2]:
        image = tf.image.resize(image, size[:2], antialias=True)
    image = tf.clip_by_value(tf.cast(image, tf.float32) / 255.0, 0.0, 1.0)
    if how.flip:
        mirrored = tf.random.stateless_uniform((), _other(seed, 1)) < how.flip
        image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    if how.shift_px:
        most = how.shift_px
        start = tf.random.stateless_uniform((2,), _other(seed, 2), 0, 2 * most + 1, tf.int32)
        padded = tf.pad(image, ((most, most), (most, most), (0, 0)))
        image = tf.slice(padded, tf.concat([start, [0]], 0), size)
    if how.erase:
        image = _erased(image, seed, how, size)
    return image


def _random_crop(image: Any, seed: Any, least: float) -> Any:
    box = tf.zeros((1, 0, 4), tf.float32)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        box,
        _other(seed, 3),
        min_object_covered=0.0,
        area_range=(least, 1.0),
        aspect_ratio_range=(CROP_ASPECT, 1 / CROP_ASPECT),
        use_image_if_no_bounding_boxes=True,
    )
    cut = tf.slice(image, begin, extent)
    cut.set_shape((None, None, image.shape[-1]))
    return cut


def _erased(image: Any, seed: Any, how: Augmentation, size: tuple[int, int, int]) -> Any:
    """One rectangle in one random grey, as in :func:`semflash.data.augment.augment`."""
    draw = tf.random.stateless_uniform((6,), _other(seed, 4))
    inside = draw[5] < how.erase
    for axis, side in enumerate(size[:2]):
        most = max(1, int(side * how.erase_max_side))
        length = 1 + tf.cast(draw[axis] * most, tf.int32)
        start = tf.cast(draw[2 + axis] * tf.cast(side - length + 1, tf.float32), tf.int32)
        place = tf.range(side)
        within = (place >= start) & (place < start + length)
        inside = tf.reshape(within, (-1, 1, 1) if axis == 0 else (1, -1, 1)) & inside
    return tf.where(inside, tf.floor(draw[4] * 256.0) / 255.0, image)


def _other(seed: Any, number: int) -> Any:
    """A seed for another purpose."""
    return tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), number)
