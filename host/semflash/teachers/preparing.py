"""Images of a data set as a teacher takes them: resized, with its channels, in its range."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from semflash.errors import TeacherError

SIDE_MAX = 1_024
_Numbers = Annotated[tuple[float, ...], Meta(max_length=3)]


class ImageInput(Struct, frozen=True, forbid_unknown_fields=True):
    """How an image is given to a teacher.

    Attributes:
        height, width: that images are resized to, pixels, bicubic.
        channels: 1 or 3; a grey image fills all three.
        mean, std: taken off an image of 0..``top``, then what the rest is divided by; one number, or one for
            each channel.
        top: value of white, 1 or 255.
    """

    height: Annotated[int, Meta(ge=1, le=SIDE_MAX)]
    width: Annotated[int, Meta(ge=1, le=SIDE_MAX)]
    channels: Annotated[int, Meta(ge=1, le=3)]
    mean: _Numbers = ()
    std: _Numbers = ()
    top: float = 1.0

    def plain(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = json.loads(msgspec.json.encode(self))
        return values


def prepared(images: np.ndarray, how: ImageInput) -> np.ndarray:
    """Images float32 (n, height, width, channels) of uint8 images (n, H, W, C).

    Raises:
        TeacherError: colour images for a teacher of grey ones, or numbers that do not go with the channels.
    """
    channels = images.shape[3]
    if channels > how.channels:
        raise TeacherError(
            "the teacher takes grey images, and the data set has colour ones",
            value=f"{how.channels} channel, {channels} in the data set",
            remedy="another teacher, such as lite0",
        )
    for name, numbers in (("mean", how.mean), ("std", how.std)):
        if len(numbers) not in (0, 1, how.channels):
            raise TeacherError(f"--{name} is one number, or one for each channel", value=len(numbers))
    resized = np.stack([_resized(image, how) for image in images]) if len(images) else images
    values = np.broadcast_to(resized, (*resized.shape[:3], how.channels)).astype(np.float32)
    if how.top != 255.0:
        values *= np.float32(how.top / 255.0)
    if how.mean:
        values -= np.array(how.mean, np.float32)
    if how.std:
        values /= np.array(how.std, np.float32)
    return values


def _resized(image: np.ndarray, how: ImageInput) -> np.ndarray:
    """One image uint8 (height, width, C); bicubic as Pillow and torchvision do it."""
    if image.shape[:2] == (how.height, how.width):
        return image
    from PIL import Image

    flat = image[..., 0] if image.shape[2] == 1 else image
    small = Image.fromarray(flat).resize((how.width, how.height), Image.Resampling.BICUBIC)
    return np.asarray(small).reshape(how.height, how.width, image.shape[2])
