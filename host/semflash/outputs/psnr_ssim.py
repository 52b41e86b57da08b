"""How near a picture is to its original: PSNR and SSIM of pictures with values in [0, 1], in float64.

SSIM is that of Wang et al. 2004 (doi 10.1109/TIP.2003.819861), equation 13, with the choices of
scikit-image's ``structural_similarity``: a uniform window of 7 x 7 pixels, sample covariances, K1 = 0.01,
K2 = 0.03, data range 1, the mean over those pixels whose window lies inside the picture, and over channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.kinds import SSIM_WINDOW

WINDOW = SSIM_WINDOW
_K1, _K2 = 0.01, 0.03
#: The PSNR of equal pictures, which would be infinite, dB.
EQUAL_DB = 100.0
#: Numbers in the pictures that are compared at once; bounds the memory it takes.
_BATCH_VALUES = 4 << 20

Pictures = NDArray[np.floating]
PerPicture = NDArray[np.float64]
Where = NDArray[np.bool_]


def psnr(pictures: Pictures, originals: Pictures, where: Where | None = None) -> PerPicture:
    """Peak signal-to-noise ratio in dB of each picture, at most 100 dB.

    Args:
        pictures: Float (N, H, W, C) in [0, 1].
        originals: The same shape.
        where: Bool (N, H, W), the pixels that count; a picture without one gives NaN. None: all.

    >>> psnr(np.full((1, 7, 7, 1), 0.1), np.zeros((1, 7, 7, 1))).round(6).tolist()
    [20.0]
    """
    error = _mean(np.square(pictures.astype(np.float64) - originals), where)
    return np.minimum(EQUAL_DB, -10.0 * np.log10(np.maximum(error, 1e-30)))


def ssim(pictures: Pictures, originals: Pictures, where: Where | None = None) -> PerPicture:
    """Mean structural similarity of each picture, at most 1.

    Args:
        pictures: Float (N, H, W, C) in [0, 1], H and W at least 7.
        originals: The same shape.
        where: Bool (N, H, W), the pixels in the middle of the windows that count; a picture without one gives
            NaN. None: all.
    """
    most = max(1, _BATCH_VALUES // max(1, pictures[0].size)) if len(pictures) else 1
    edge = slice(WINDOW // 2, -(WINDOW // 2))
    parts = []
    for start in range(0, len(pictures), most):
        part = slice(start, start + most)
        found = _ssim(pictures[part].astype(np.float64), originals[part])
        parts.append(_mean(found, None if where is None else where[part, edge, edge]))
    return np.concatenate(parts) if parts else np.zeros(0)


def _mean(values: PerPicture, where: Where | None) -> PerPicture:
    """Mean of values (N, H, W, C) of each picture, over the pixels that count."""
    if where is None:
        found: PerPicture = values.mean(axis=(1, 2, 3))
        return found
    counted = where.sum(axis=(1, 2)) * values.shape[-1]
    total = (values * where[..., None]).sum(axis=(1, 2, 3))
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def _ssim(x: PerPicture, given: Pictures) -> PerPicture:
    y = given.astype(np.float64)
    count = WINDOW * WINDOW
    mean_x, mean_y = _windows(x) / count, _windows(y) / count
    sample = count / (count - 1)
    var_x = sample * (_windows(x * x) / count - mean_x * mean_x)
    var_y = sample * (_windows(y * y) / count - mean_y * mean_y)
    both = sample * (_windows(x * y) / count - mean_x * mean_y)
    c1, c2 = _K1**2, _K2**2
    above = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    found: PerPicture = above / below
    return found


def _windows(values: PerPicture) -> PerPicture:
    """Sums over every window that lies inside, (N, H - 6, W - 6, C), by running sums."""
    for axis in (1, 2):
        sums = np.cumsum(values, axis=axis)
        first = np.take(sums, [WINDOW - 1], axis=axis)
        later = np.take(sums, range(WINDOW, sums.shape[axis]), axis=axis)
        earlier = np.take(sums, range(sums.shape[axis] - WINDOW), axis=axis)
        values = np.concatenate([first, later - earlier], axis=axis)
    return values
