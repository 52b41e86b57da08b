"""JPEG streams without what both sides know: tables, sizes, markers (an abbreviated format, ITU-T T.81 B.5).

    payload: 1 byte (bits 7..4: index of the side, 3..0: index of the quality), entropy-coded scan

Not counted, because it is the same for every image: SOI, APP0, DQT (a function of the quality), SOF0 (a
function of the side), DHT (Annex K's tables), SOS, EOI. Counted: the byte above and every byte of the scan.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflash.baselines.image_streams import ImageStream, pillow_pixels
from semflash.errors import TrainingError

QUALITIES = (1, 2, 3, 5, 7, 10, 14, 18, 23, 29, 36, 45, 55, 67, 80, 92)
_EOI = b"\xff\xd9"


class JpegStream(ImageStream):
    """Baseline JPEG at one of 16 qualities and one of some sides."""

    qualities = QUALITIES

    def compress(self, image: Image.Image, side: int, quality: int) -> bytes:
        """Payload of an image that has been scaled already."""
        return bytes([side << 4 | quality]) + scan(image, QUALITIES[quality])

    def expand(self, payload: bytes) -> NDArray[np.uint8] | None:
        """Pixels (side, side, C) as far as they can be decoded; None: not at all."""
        if not payload or payload[0] >> 4 >= len(self.sides):
            return None
        side, quality = self.sides[payload[0] >> 4], QUALITIES[payload[0] & 15]
        mode = "L" if self.channels == 1 else "RGB"
        return pillow_pixels(whole(payload[1:], (side, side), mode, quality), (side, side), mode)


def scan(image: Image.Image, quality: int) -> bytes:
    """The entropy-coded scan alone of an image at a quality of 1 to 100."""
    data, head = _jpeg(image, quality), _head(image.size, image.mode, quality)
    if not (data.startswith(head) and data.endswith(_EOI)):
        raise TrainingError("Pillow's JPEG headers differ between images", value=len(head))
    return data[len(head) : -len(_EOI)]


def whole(scanned: bytes, size: tuple[int, int], mode: str, quality: int) -> bytes:
    """A JPEG file of a scan, whose size (width, height), mode and quality both sides know."""
    return _head(size, mode, quality) + scanned + _EOI


@functools.cache
def _head(size: tuple[int, int], mode: str, quality: int) -> bytes:
    """All bytes up to the end of SOS."""
    data = _jpeg(Image.new(mode, size), quality)
    start = data.index(b"\xff\xda")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    return data[: start + 2 + length]


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": quality, "optimize": False, "progressive": False}
    image.save(out, "JPEG", **options)
    return out.getvalue()
