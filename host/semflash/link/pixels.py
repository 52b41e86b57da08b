"""Images as the link carries them: int8 arrays become bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from semflash.errors import DatasetError


def pixels(images: Iterable[tuple[int, NDArray[np.int8]]], size: int) -> Iterator[tuple[int, bytes]]:
    """(index, bytes) of int8 images with `size` values each.

    Raises:
        DatasetError: an image of another type or size.
    """
    for index, image in images:
        if image.dtype != np.int8 or image.size != size:
            raise DatasetError(
                f"an image for the device is int8 with {size} values",
                value=f"image {index}: {image.dtype} {image.shape}",
                remedy="quantise it with semflash.edge.preprocess.to_int8",
            )
        yield int(index), image.tobytes()
