"""JPEG and WebP at the bytes of a payload, as good as they can be made, also of a flattened background."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.baselines.image_streams import ImageStream
from semflash.baselines.jpeg import JpegStream
from semflash.baselines.webp import WebpStream
from semflash.errors import UsageError

#: Sides that an image may be scaled to; of those that fit, the one with the least error of the whole is sent.
SIDES = (64, 48, 32, 24)
STREAMS: dict[str, Callable[..., ImageStream]] = {"jpeg": JpegStream, "webp": WebpStream}

Pixels = NDArray[np.uint8]


def pictures_of(kind: str, images: Pixels, rate: int) -> tuple[Pixels, float]:
    """What arrives of images uint8 (N, H, W, C) at a rate in bytes, and the mean bytes of one.

    Args:
        kind: Of :data:`STREAMS`.
    """
    streams = [STREAMS[kind](images.shape[1:], rate, (side,)) for side in SIDES]
    found, sent = np.empty_like(images), 0
    for place, image in enumerate(images):
        tried = [one for one in (_sent(stream, image) for stream in streams) if one is not None]
        if not tried:
            raise UsageError("an image does not fit at any side", value=rate, remedy="more bytes")
        best = min(tried, key=lambda one: float(np.square(one[0].astype(np.int64) - image).sum()))
        found[place], sent = best[0], sent + best[1]
    return found, sent / len(images)


def _sent(stream: ImageStream, image: Pixels) -> tuple[Pixels, int] | None:
    try:
        payload = stream.encode(image)
    except UsageError:  # does not fit at this side
        return None
    decoded = stream.decode(payload)
    if decoded is None:
        raise ValueError("a stream that was just made cannot be decoded")
    return decoded, len(payload)


def flattened(images: Pixels, importance: NDArray[np.floating], least: float) -> Pixels:
    """Images whose blocks of less importance have the mean colour of all such blocks.

    Args:
        importance: Of the blocks, (N, rows, columns).
        least: What is kept.
    """
    side = images.shape[1] // importance.shape[1]
    kept = (importance > least).repeat(side, axis=1).repeat(side, axis=2)
    found = images.copy()
    for image, inside in zip(found, kept, strict=True):
        if not inside.all():
            image[~inside] = np.rint(image[~inside].mean(axis=0)).astype(np.uint8)
    return found


def best_flattened(
    images: Pixels,
    importance: NDArray[np.floating],
    rate: int,
    thresholds: Sequence[float],
    judge: Callable[[Pixels], float],
) -> tuple[Pixels, float, float]:
    """JPEG of flattened images at the threshold the judge likes best: pictures, mean bytes, threshold."""
    found = []
    for least in thresholds:
        sent, size = pictures_of("jpeg", flattened(images, importance, least), rate)
        found.append((judge(sent), sent, size, least))
    _, sent, size, least = max(found, key=lambda each: each[0])
    return sent, size, least
