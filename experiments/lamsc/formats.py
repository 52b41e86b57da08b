"""JPEG and WebP at the bytes of a payload, as strong as they can be made, also of a flattened background."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.baselines.strong import StrongJpeg, StrongStream, StrongWebp, flattened

STREAMS: dict[str, Callable[..., StrongStream]] = {"jpeg": StrongJpeg, "webp": StrongWebp}

Pixels = NDArray[np.uint8]


def pictures_of(kind: str, images: Pixels, rate: int) -> tuple[Pixels, float]:
    """What arrives of images uint8 (N, H, W, C) at a rate in bytes, and the mean bytes of one.

    An image that does not fit arrives as its mean colour, at all the bytes.

    Args:
        kind: Of :data:`STREAMS`.
    """
    stream = STREAMS[kind](images.shape[1:], rate)
    found, sent = np.empty_like(images), 0
    for place, image in enumerate(images):
        payload = stream.encode_best(image)
        decoded = None if payload is None else stream.decode(payload)
        if payload is None or decoded is None:
            found[place], sent = image.reshape(-1, image.shape[2]).mean(axis=0).round(), sent + rate
        else:
            found[place], sent = decoded, sent + len(payload)
    return found, sent / len(images)


def best_flattened(
    images: Pixels,
    importance: NDArray[np.floating],
    rate: int,
    thresholds: Sequence[float],
    judge: Callable[[Pixels], float],
) -> tuple[Pixels, float, float]:
    """JPEG of flattened images at the threshold the judge likes best: pictures, mean bytes, threshold.

    Args:
        importance: Of the blocks, (N, rows, columns).
        thresholds: What a block must be above to keep its detail, the candidates.
    """
    found = []
    for least in thresholds:
        sent, size = pictures_of("jpeg", flattened(images, importance > least), rate)
        found.append((judge(sent), sent, size, least))
    _, sent, size, least = max(found, key=lambda each: each[0])
    return sent, size, least
