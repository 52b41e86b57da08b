"""What the edge side needs of a part of a data set, as semflash.data.registry loads it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Split(Protocol):
    """Images uint8 (N, H, W, C) and labels int32 (N,)."""

    @property
    def images(self) -> NDArray[np.uint8]: ...
    @property
    def labels(self) -> NDArray[np.int32]: ...


def cover_of(split: Split, indices: NDArray[np.intp] | None = None) -> NDArray[np.uint8] | None:
    """Share of each patch that the labelled object covers, uint8 (N, rows, columns), 255: all of it.

    Args:
        indices: Of the images that are meant; None: all.

    Returns:
        None where the data set has no masks.
    """
    cover: NDArray[np.uint8] | None = getattr(split, "cover", None)
    return cover if cover is None or indices is None else cover[indices]
