"""Images as the device sees them: q = pixel - 128."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.errors import DatasetError


def to_int8(images: NDArray[np.generic], shape: tuple[int, int, int]) -> NDArray[np.int8]:
    """Quantise images for the device graph.

    Args:
        images: uint8 (N, H, W, C), or float (N, H, W, C) in [0, 1] (rounded to the nearest of 256 steps).
        shape: (H, W, C) of the bundle.

    Returns:
        int8 (N, H, W, C).

    Raises:
        DatasetError: wrong size, type or range, NaN or infinite pixels.
    """
    if images.ndim != 4 or images.shape[1:] != shape:
        height, width, channels = shape
        raise DatasetError(
            f"images must be (N, {', '.join(map(str, shape))})",
            value=tuple(images.shape),
            remedy=f"resize them to {height} x {width} with {channels} channel(s)",
        )
    images = np.asarray(images)  # images that were on disk until now
    if np.issubdtype(images.dtype, np.floating):
        pixels = _float_to_uint8(images)
    elif images.dtype == np.uint8:
        pixels = images.view(np.uint8)
    else:
        raise DatasetError(
            "pixels must be uint8, or float in [0, 1]", value=images.dtype, remedy="pass uint8 pixels 0..255"
        )
    return np.bitwise_xor(pixels, np.uint8(0x80)).view(np.int8)


def _float_to_uint8(images: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = np.asarray(images, np.float64)
    if not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values))[0]
        raise DatasetError(
            "an image holds a NaN or infinite pixel",
            value=f"image {bad[0]}, row {bad[1]}",
            remedy="repair the data",
        )
    if values.size and (values.min() < 0 or values.max() > 1):
        raise DatasetError(
            "float pixels must be in [0, 1]",
            value=(float(values.min()), float(values.max())),
            remedy="pass uint8 pixels 0..255",
        )
    return np.rint(values * 255).astype(np.uint8)
