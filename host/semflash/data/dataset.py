"""What a data set is: three splits of images with labels or boxes, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from semflash.data.source import DataSource

#: Values of exact masks (:attr:`Split.masks`).
BACKGROUND, TARGET, OTHERS = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C), an array or :class:`semflash.data.lazy.LazyImages`, and labels:
    classes int32 (N,), or boxes float32 (N, M, 6) for detection (:mod:`semflash.outputs.boxes`).

    Attributes:
        cover: share of each patch that the labelled object covers, uint8 (N, rows, columns), 255: all of it.
            For evaluation alone: nothing is trained on it. None: not known.
        masks: what each pixel shows, uint8 (N, H, W): 0 the background, 1 the labelled object, 2 another one.
            For evaluation, and for the segmenter ``exact``. None: not known.
    """

    images: Any
    labels: np.ndarray
    cover: np.ndarray | None = None
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set: name, three splits and the class names in label order.

    Attributes:
        source: what it is known by; None: made in a program.
        notes: what its owner should know: sizes that were changed, files that were left out.
    """

    name: str
    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    source: DataSource | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_boxes(self) -> bool:
        """The labels are boxes: a detection data set."""
        return self.train.labels.ndim == 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        height, width, channels = self.train.images.shape[1:]
        return int(height), int(width), int(channels)
