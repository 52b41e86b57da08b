"""The segmenter ``saliency``: a network that tells the object from the rest, such as ISNet or U2-Net.

One ONNX file of the user's with one image input (1, 3, H, W) and a probability for each pixel as its first
output, (1, 1, h, w). Two segments come of it: 1 where the probability, stretched to 0..1 over the image, is
at least a half, and 0.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from semflash.errors import SegmentError
from semflash.segments.hed import resized
from semflash.segments.manifest import SegmenterRecord
from semflash.segments.maps import check_image
from semflash.segments.networks import Interface, Networks

NAME, VERSION = "saliency", 1
#: Side of the images of a network that leaves it open, pixels.
SIDE = 256
#: Taken off an image of 0..1, as ISNet does, and divided by.
MEAN, STD = 0.5, 1.0
THRESHOLD = 0.5
#: Probabilities that differ by less over a whole image tell nothing.
SPREAD_MIN = 1e-3


class Saliency:
    """Object and rest; its network starts with the context.

    Args:
        record: what it is known by.
        path: of the .onnx file.
        side: of images for a network that leaves it open, pixels; 0: 256.
        threads: of ONNX Runtime.
    """

    def __init__(self, record: SegmenterRecord, path: Path, side: int = 0, threads: int = 1) -> None:
        self.record, self._side = record, side
        self._networks = Networks(NAME, {NAME: path}, threads)
        self._input, self._output, self._size = "", "", (0, 0)

    def __enter__(self) -> Self:
        self._networks.__enter__()
        try:
            self._input, self._output, self._size = _checked(self._networks.interfaces[NAME], self._side)
        except BaseException:
            self._networks.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._networks.__exit__(kind, error, trace)

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """0 the rest, 1 the object; see :class:`semflash.segments.base.Segmenter`."""
        del mask
        check_image(image)
        values = (stretched(image, self._size) / 255 - MEAN) / STD
        fed = {self._input: values.transpose(2, 0, 1)[None].astype(np.float32)}
        (found,) = self._networks.run(NAME, fed, [self._output])
        if found.ndim not in (3, 4) or found.shape[0] != 1 or (found.ndim == 4 and found.shape[1] != 1):
            raise SegmentError(
                "the network gives no probability for each pixel",
                value=found.shape,
                remedy="a network whose first output is (1, 1, height, width)",
            )
        chances = resized(found.reshape(found.shape[-2:]), image.shape[:2])
        spread = float(np.ptp(chances))
        if spread < SPREAD_MIN:
            return np.zeros(image.shape[:2], np.uint8)
        return np.asarray((chances - chances.min()) / spread >= THRESHOLD, np.uint8)


def settings(side: int) -> dict[str, object]:
    """What decides the segments beside the weights."""
    return {"side": side or SIDE, "mean": MEAN, "std": STD, "threshold": THRESHOLD}


def stretched(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 1 or 3) in three channels at another size (height, width), bicubic: float32, 0..255."""
    from PIL import Image

    colour = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    drawn = Image.fromarray(np.ascontiguousarray(colour)).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(drawn, np.float32)


def _checked(found: Interface, side: int) -> tuple[str, str, tuple[int, int]]:
    """Names of input and output, and the size of the images that it takes."""
    one = found.inputs[0] if len(found.inputs) == 1 else None
    if one is None or one.type != "tensor(float)" or len(one.shape) != 4 or one.shape[1] != 3:
        raise SegmentError(
            "a saliency network takes one float32 image (1, 3, height, width)",
            value="; ".join(f"{each.name} {each.type} {each.shape}" for each in found.inputs),
            remedy="export it so",
        )
    own = (one.shape[2], one.shape[3])
    size = tuple(given or side or SIDE for given in own)
    if side and size != (side, side):
        raise SegmentError(
            "the network takes images of another size", value=f"{own}, {side} asked", remedy="no --side"
        )
    return one.name, found.outputs[0].name, (size[0], size[1])
