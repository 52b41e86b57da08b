"""Compressed images of at most so many bytes: scaled down, then the highest quality that fits."""

from __future__ import annotations

import abc
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflash.errors import UsageError


class ImageStream(abc.ABC):
    """A still-image format with its known parts left away.

    Args:
        image_shape: (H, W, C), C 1 or 3.
        size_bytes: most bytes of a payload.
        sides: pixels that an image is scaled to, in the order in which they are tried: the first at which
            the lowest quality fits is taken. At most 4, each at least 1.
    """

    qualities: tuple[int, ...]

    def __init__(self, image_shape: tuple[int, int, int], size_bytes: int, sides: tuple[int, ...]) -> None:
        if not 1 <= len(sides) <= 4 or min(sides) < 1 or size_bytes < 1:
            raise UsageError("one to four sides, and a byte or more", value=(sides, size_bytes))
        self.height, self.width, self.channels = image_shape
        self.size_bytes = size_bytes
        self.sides = sides

    @abc.abstractmethod
    def compress(self, image: Image.Image, side: int, quality: int) -> bytes:
        """Payload of a scaled image; indices of side and quality."""

    @abc.abstractmethod
    def expand(self, payload: bytes) -> NDArray[np.uint8] | None:
        """Pixels of any bytes, or None."""

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        """Payload of at most ``size_bytes``; pixels uint8 (H, W, C).

        Raises:
            UsageError: not even the smallest side at the lowest quality fits.
        """
        full = pillow_image(pixels)
        for index, side in enumerate(self.sides):
            scaled = full.resize((side, side), Image.Resampling.BICUBIC)
            best, low, high = None, -1, len(self.qualities)
            while high - low > 1:
                middle = (low + high) // 2
                found = self.compress(scaled, index, middle)
                if len(found) <= self.size_bytes:
                    best, low = found, middle
                else:
                    high = middle
            if best is not None:
                return best
        raise UsageError(
            "the image does not fit into so few bytes at any side",
            value=self.size_bytes,
            remedy="more bytes, or a smaller side",
        )

    def decode(self, payload: bytes) -> NDArray[np.uint8] | None:
        """Pixels uint8 (H, W, C) of any bytes; None: cannot be decoded."""
        small = self.expand(payload)
        if small is None:
            return None
        size = (self.width, self.height)
        large = np.asarray(pillow_image(small).resize(size, Image.Resampling.BICUBIC), np.uint8)
        return large.reshape(self.height, self.width, self.channels)


def pillow_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """uint8 (H, W, 1 or 3) as a Pillow image of mode L or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def pillow_pixels(data: bytes, size: tuple[int, int], mode: str) -> NDArray[np.uint8] | None:
    """Decode with Pillow: uint8 (height, width, channels); None where it refuses, or finds another size."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as image:
            if image.size != size:
                return None
            pixels = np.asarray(image.convert(mode), np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError):  # what Pillow raises for broken streams
        return None
    return pixels.reshape(size[1], size[0], -1)
