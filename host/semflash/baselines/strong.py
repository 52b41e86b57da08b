"""Image formats as strong as they can be made: what a codec of pictures is compared with.

Beside :mod:`semflash.baselines.jpeg` and :mod:`.webp`, from which headers and tables are left away as well,
every quality may be chosen, and an image is scaled down first where that leaves the smaller error: at few
bytes a picture of half the side at a better quality is often nearer to the original.

    payload of JPEG:  1 byte (bit 7: index of the side, 6..0: quality, 1 to 100), entropy-coded scan
    payload of WebP:  as of :mod:`semflash.baselines.webp`; the quantiser stands in its first partition

:func:`flattened` takes the background's detail off an image, so that a format spends its bytes on the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflash.baselines import jpeg
from semflash.baselines.image_streams import ImageStream, pillow_image, pillow_pixels
from semflash.baselines.webp import WebpStream
from semflash.errors import UsageError

SIDES_MAX = 2
#: Up to this bit error rate a code of rate 1/2 is taken, above it one of rate 1/3.
HALF_MAX_BER = 0.01


class StrongStream(ImageStream):
    """A format whose best side is looked for."""

    def encode_best(self, pixels: NDArray[np.uint8]) -> bytes | None:
        """The payload of at most ``size_bytes`` with the least squared error; None: nothing fits.

        Args:
            pixels: uint8 (H, W, C).
        """
        full = pillow_image(pixels)
        found: list[tuple[float, bytes]] = []
        for index, side in enumerate(self.sides):
            filter_ = Image.Resampling.BOX if side < max(full.size) else Image.Resampling.BICUBIC
            payload = self._largest(full.resize((side, side), filter_), index)
            decoded = None if payload is None else self.decode(payload)
            if payload is not None and decoded is not None:
                error = float(((decoded.astype(np.float64) - pixels) ** 2).mean())
                found.append((error, payload))
        return min(found, default=(0.0, None), key=lambda one: one[0])[1]

    def _largest(self, scaled: Image.Image, index: int) -> bytes | None:
        """The payload of the highest quality that fits, by bisection."""
        best, low, high = None, -1, len(self.qualities)
        while high - low > 1:
            middle = (low + high) // 2
            payload = self.compress(scaled, index, middle)
            if len(payload) <= self.size_bytes:
                best, low = payload, middle
            else:
                high = middle
        return best


class StrongJpeg(StrongStream):
    """Baseline JPEG at any quality and one of up to two sides."""

    qualities = tuple(range(1, 101))

    def __init__(
        self, image_shape: tuple[int, int, int], size_bytes: int, sides: tuple[int, ...] = (64, 32)
    ) -> None:
        if len(sides) > SIDES_MAX:
            raise UsageError("one bit names the side", value=sides, remedy="one or two sides")
        super().__init__(image_shape, size_bytes, sides)

    def compress(self, image: Image.Image, side: int, quality: int) -> bytes:
        """Payload of an image that has been scaled already."""
        return bytes([side << 7 | self.qualities[quality]]) + jpeg.scan(image, self.qualities[quality])

    def expand(self, payload: bytes) -> NDArray[np.uint8] | None:
        """Pixels (side, side, C) as far as they can be decoded; None: not at all."""
        if not payload or payload[0] >> 7 >= len(self.sides) or not 1 <= payload[0] & 127 <= 100:
            return None
        side, quality = self.sides[payload[0] >> 7], payload[0] & 127
        mode = "L" if self.channels == 1 else "RGB"
        return pillow_pixels(jpeg.whole(payload[1:], (side, side), mode, quality), (side, side), mode)


class StrongWebp(StrongStream, WebpStream):
    """Lossy WebP at any quality and one of up to four sides."""

    qualities = tuple(range(101))

    def __init__(
        self, image_shape: tuple[int, int, int], size_bytes: int, sides: tuple[int, ...] = (64, 32)
    ) -> None:
        super().__init__(image_shape, size_bytes, sides)


def flattened(images: NDArray[np.uint8], kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Images whose blocks that are not kept have one colour: the mean over all of those blocks' pixels.

    Args:
        images: uint8 (n, H, W, C).
        kept: bool (n, rows, columns); rows and columns divide the sides. An image of which no block is kept
            stays as it is: nothing in it is known to be background.
    """
    count, height, width = images.shape[:3]
    rows, columns = kept.shape[1:]
    if len(kept) != count or height % rows or width % columns:
        raise UsageError("blocks divide an image's sides", value=f"{kept.shape} of {images.shape}")
    inside = kept.repeat(height // rows, 1).repeat(width // columns, 2)
    result = images.copy()
    for image, mask in zip(result, inside, strict=True):
        if mask.any() and not mask.all():
            image[~mask] = image[~mask].mean(0).round()
    return result


def room_behind_code(sent_bytes: int, ber: float) -> int:
    """Bytes that are left for a format where so many are sent behind a code for this bit error rate.

    The code is taken as perfect: whatever it protects arrives whole. That favours the formats. Its rate is 1
    on a clean line, 1/2 up to 1 %, 1/3 above.

    Raises:
        UsageError: the rate is not 0 to 0.5.
    """
    if not 0.0 <= ber <= 0.5:
        raise UsageError("a bit error rate is 0 to 0.5", value=ber)
    return sent_bytes if ber == 0 else sent_bytes // (2 if ber <= HALF_MAX_BER else 3)
