"""Images as the link carries them: int8 arrays become bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from semflash.errors import DatasetError

Pixels = NDArray[np.int8]
#: An image of a caller: its number, pixels, and controls that hold for it alone.
Image = tuple[int, Pixels] | tuple[int, Pixels, Mapping[str, int]]


def pixels(images: Iterable[Image], size: int) -> Iterator[tuple[int, bytes, Mapping[str, int]]]:
    """(index, bytes, own controls) of int8 images with `size` values each.

    Raises:
        DatasetError: an image of another type or size.
    """
    for index, image, *rest in images:
        if image.dtype != np.int8 or image.size != size:
            raise DatasetError(
                f"an image for the device is int8 with {size} values",
                value=f"image {index}: {image.dtype} {image.shape}",
                remedy="quantise it with semflash.edge.preprocess.to_int8",
            )
        yield int(index), image.tobytes(), rest[0] if rest else {}
