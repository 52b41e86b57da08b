"""WebP streams (lossy, VP8) without what both sides know: RIFF and chunk headers, start code, dimensions.

    payload: 1 byte (bits 7..6: index of the side, 5..0: bytes of the first partition; 2 bytes with 14 bits
             where payloads of more than 64 bytes are allowed), then the partitions

Not counted, because it is the same for every image or follows from the payload's length: RIFF header, chunk
header, frame tag but for the size of the first partition, start code, width and height (RFC 6386, section
9.1). Counted: everything else, the quantiser and probabilities in the first partition included.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflash.baselines.image_streams import ImageStream, pillow_pixels
from semflash.errors import TrainingError

QUALITIES = (0, 1, 2, 4, 6, 9, 13, 18, 24, 31, 40, 50, 62, 75, 88, 98)
_CHUNK = 12  # RIFF, size, WEBP
_FRAME = _CHUNK + 8  # VP8 and its size
_TAG, _KEY_HEADER = 3, 10  # frame tag; tag, start code, width, height
_SHORT_MAX_BYTES = 64


class WebpStream(ImageStream):
    """Lossy WebP at one of 16 qualities and one of up to four sides."""

    qualities: tuple[int, ...] = QUALITIES

    @property
    def _head_bytes(self) -> int:
        return 1 if self.size_bytes <= _SHORT_MAX_BYTES else 2

    def compress(self, image: Image.Image, side: int, quality: int) -> bytes:
        """Payload of an image that has been scaled already."""
        data = _webp(image, self.qualities[quality])
        size = int.from_bytes(data[_CHUNK + 4 : _FRAME], "little")
        frame = data[_FRAME : _FRAME + size]
        first = int.from_bytes(frame[:_TAG], "little") >> 5
        if _header(image.size[0], first) != frame[:_KEY_HEADER]:
            raise TrainingError(
                "Pillow's WebP headers differ between images", value=frame[:_KEY_HEADER].hex()
            )
        room = 8 * self._head_bytes - 2
        if first >> room:  # larger than any payload that fits
            return data
        head = (side << room | first).to_bytes(self._head_bytes, "big")
        return head + frame[_KEY_HEADER:]

    def expand(self, payload: bytes) -> NDArray[np.uint8] | None:
        """Pixels (side, side, C); None: the stream cannot be decoded."""
        if len(payload) <= self._head_bytes:
            return None
        head, room = int.from_bytes(payload[: self._head_bytes], "big"), 8 * self._head_bytes - 2
        if head >> room >= len(self.sides):
            return None
        side = self.sides[head >> room]
        frame = _header(side, head & ((1 << room) - 1)) + payload[self._head_bytes :]
        body = b"WEBPVP8 " + len(frame).to_bytes(4, "little") + frame + b"\0" * (len(frame) % 2)
        data = b"RIFF" + len(body).to_bytes(4, "little") + body
        pixels = pillow_pixels(data, (side, side), "RGB")
        return pixels[..., :1] if pixels is not None and self.channels == 1 else pixels


def _header(side: int, first: int) -> bytes:
    """Frame tag, start code and dimensions; ``first``: bytes of the first partition."""
    sample = _grey(side)
    flags = int.from_bytes(sample[:_TAG], "little") & 31
    return (first << 5 | flags).to_bytes(_TAG, "little") + sample[_TAG:_KEY_HEADER]


@functools.cache
def _grey(side: int) -> bytes:
    return _webp(Image.new("RGB", (side, side), (128, 128, 128)), QUALITIES[0])[_FRAME:]


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()
