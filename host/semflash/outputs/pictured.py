"""A picture, and the levels of its patches, beside what a bundle's task gives: how both are judged and shown.

The picture is judged by PSNR and SSIM over the whole image, and over the labelled object where the data set
says which share of each patch it covers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.errors import DatasetError
from semflash.outputs.image import mean_score, pixels, unit
from semflash.outputs.level_map import LevelMap
from semflash.outputs.metrics import OBJECT_PSNR, OBJECT_SSIM, PSNR, SSIM, Metric, Score
from semflash.outputs.output import Array, Judge, Picture, Reading, Verdict
from semflash.outputs.psnr_ssim import psnr, ssim

#: A patch belongs to the object when the object covers more than this share of it.
OBJECT_SHARE = 0.05
#: In the order of :func:`figures`.
WHOLE: tuple[Metric, ...] = (PSNR, SSIM)
OBJECT: tuple[Metric, ...] = (OBJECT_PSNR, OBJECT_SSIM)
#: Name of the map over its image.
LEVELS = "levels"
PICTURE_METRICS = (*WHOLE, *OBJECT)
_PLACES = {"dB": 4, "1": 6}

Figures = NDArray[np.float64]
Cover = NDArray[Any]


def object_pixels(cover: Cover, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels of the patches that the object lies in, bool (N, H, W).

    Args:
        cover: Share of each patch that the object covers, (N, rows, columns): uint8, 255 is all of it, or
            float 0..1.
        shape: (H, W, ...) of the images.

    Raises:
        DatasetError: The patches do not tile the image.
    """
    rows, columns = cover.shape[1:]
    if shape[0] % rows or shape[1] % columns:
        raise DatasetError(
            "the patches of the data set's masks do not tile its images",
            value=f"{rows} x {columns} patches, {shape[0]} x {shape[1]} pixels",
            remedy="compose the data set again",
        )
    share = cover.astype(np.float64) / (255 if cover.dtype == np.uint8 else 1)
    inside = share > OBJECT_SHARE
    return inside.repeat(shape[0] // rows, axis=1).repeat(shape[1] // columns, axis=2)


def metrics(cover: Cover | None) -> tuple[Metric, ...]:
    """What the pictures of a split are measured in; cover: of its images, None: it has no masks."""
    return WHOLE if cover is None else PICTURE_METRICS


def figures(pictures: Array, images: NDArray[np.uint8], cover: Cover | None) -> Figures:
    """The metrics of each picture, float64 (N, metrics); NaN of the object where an image shows none.

    Args:
        pictures: Float32 (N, H, W, C) in [0, 1]. images: What was sent, uint8 of the same shape.
        cover: See :func:`object_pixels`.
    """
    pair = pictures, unit(images)
    found = [psnr(*pair), ssim(*pair)]
    if cover is not None:
        where = object_pixels(cover, images.shape[1:])
        found += [psnr(*pair, where), ssim(*pair, where)]
    return np.stack(found, axis=1)


def measure(each: Figures) -> tuple[Score, ...]:
    """Means over the images with normal intervals; of the object over the images that show one.

    Raises:
        DatasetError: No image shows one, though the data set has masks.
    """
    there = [column[np.isfinite(column)] for column in each.T]
    if not all(len(column) for column in there):
        raise DatasetError(
            "no image of the sample has a patch of its object", value=len(each), remedy="a larger sample"
        )
    return tuple(mean_score(column) for column in there)


@dataclass(frozen=True)
class PicturedReading(Reading):
    """What the task says of an image, with what came beside it.

    Attributes:
        task: The task's reading; words and confidence are its.
        picture: Float32 (H, W, C) in [0, 1]; None: there is none.
        levels: None: there are none.
    """

    task: Reading
    picture: Array | None = None
    levels: LevelMap | None = None

    @property
    def number(self) -> int | None:
        """The task's."""
        return self.task.number


def readings(
    task: Sequence[Reading], pictures: Array | None, levels: NDArray[np.uint8] | None, count: int
) -> list[Reading]:
    """The task's readings with a picture and levels (N, rows, columns) each; count: of different levels."""
    return [
        PicturedReading(
            reading.words,
            reading.confidence,
            reading,
            None if pictures is None else pictures[i],
            None if levels is None else LevelMap(levels[i], count),
        )
        for i, reading in enumerate(task)
    ]


class PicturedJudge(Judge):
    """The judge of the task, and of the pictures beside.

    Args:
        task: Judges the task's readings.
        images: What was sent, uint8 (N, H, W, C), an array or one that reads them when asked.
        cover: See :func:`object_pixels`; None: the data set has no masks.
    """

    def __init__(self, task: Judge, images: Any, cover: Cover | None) -> None:
        self._task, self._images, self._cover = task, images, cover
        self.metric = task.metric
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._task)

    def number(self, index: int) -> int:
        """The task's."""
        return self._task.number(index)

    def judge(self, reading: Reading, index: int) -> Verdict:
        """The task's verdict with the figures of the picture, the patches by level, and what can be shown."""
        assert isinstance(reading, PicturedReading)  # what readings() made
        verdict = self._task.judge(reading.task, index)
        original = np.asarray(self._images[index])
        record, shown, note = dict(verdict.record), [Picture("original", original)], ""
        if reading.picture is not None:
            found = self._figures(reading.picture, original, index)
            record |= {metric.name: round(value, _PLACES[metric.unit]) for metric, value in found}
            note = ", ".join(f"{metric.title} {metric.text(value)}" for metric, value in found[:1])
            shown.append(Picture("received", pixels(reading.picture)))
        if reading.levels is not None:
            record["patches_by_level"] = reading.levels.patches
            shown.append(Picture(LEVELS, reading.levels.over(original)))
        return dataclasses.replace(
            verdict, record=record, pictures=tuple(shown), levels=reading.levels, note=note
        )

    def _figures(self, picture: Array, original: NDArray[np.uint8], index: int) -> list[tuple[Metric, float]]:
        """Those of one picture that there are, added to the sums."""
        cover = None if self._cover is None else self._cover[index : index + 1]
        values = figures(picture[None], original[None], cover)[0].tolist()
        found = [pair for pair in zip(metrics(cover), values, strict=True) if np.isfinite(pair[1])]
        for metric, value in found:
            self._sums[metric.name] = self._sums.get(metric.name, 0.0) + value
            self._counts[metric.name] = self._counts.get(metric.name, 0) + 1
        return found

    def beside(self) -> dict[str, float]:
        """Means of the pictures' metrics so far."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    def figures(self) -> dict[str, float]:
        """The task's, and those of the pictures."""
        return self._task.figures() | self.beside()
