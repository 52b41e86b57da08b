"""The segmenter ``sam``: Segment Anything asked at a grid of points, in ONNX files of the user's.

Of the masks at 16x16 points those of a predicted IoU below 0.86, or that change much with the threshold
(stability below 0.92), are dropped; of masks that overlap with an IoU above 0.7 the better stays. Masks are
laid over each other by size, the larger below the smaller, and numbered from 1, the largest first; what no
mask covers is segment 0.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from semflash.segments.manifest import SegmenterRecord
from semflash.segments.maps import KEPT_MAX, check_image
from semflash.segments.networks import Networks
from semflash.segments.sam_files import DECODER, ENCODER, SIDE, SamFiles

NAME, VERSION = "sam", 1
GRID = 16
QUALITY_MIN, STABILITY_MIN, IOU_MAX = 0.86, 0.92, 0.7
#: Logits at which a mask is cut for its stability, below and above 0.
OFFSET = 1.0


class Sam:
    """Segments of a pair of files; their process starts with the context.

    Args:
        record: what it is known by.
        encoder, decoder: the .onnx files.
        side: longer side of an image where the encoder leaves it open, pixels; 0: 1,024.
        threads: of ONNX Runtime.
    """

    def __init__(
        self, record: SegmenterRecord, encoder: Path, decoder: Path, side: int = 0, threads: int = 1
    ) -> None:
        self.record, self._side = record, side
        self._networks = Networks(NAME, {ENCODER: encoder, DECODER: decoder}, threads)
        self._files: SamFiles | None = None

    def __enter__(self) -> Self:
        self._networks.__enter__()
        try:
            self._files = SamFiles(self._networks, self._side)
        except BaseException:
            self._networks.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._networks.__exit__(kind, error, trace)

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """A map of at most 64 segments; see :class:`semflash.segments.base.Segmenter`."""
        del mask
        check_image(image)
        assert self._files is not None  # the context has begun
        answer = self._files.masks_at(image, grid(image.shape[0], image.shape[1]))
        return laid(kept(answer.masks, answer.quality))


def settings(side: int) -> dict[str, float | int]:
    """What decides the segments beside the weights."""
    return {
        "side": side or SIDE,
        "grid": GRID,
        "quality_min": QUALITY_MIN,
        "stability_min": STABILITY_MIN,
        "offset": OFFSET,
        "iou_max": IOU_MAX,
    }


def grid(height: int, width: int) -> np.ndarray:
    """Points in the middles of 16x16 cells, x and y in pixels, float (256, 2)."""
    middles = (np.arange(GRID) + 0.5) / GRID
    y, x = np.meshgrid(middles * height, middles * width, indexing="ij")
    return np.stack([x.reshape(-1), y.reshape(-1)], 1)


def kept(masks: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """The masks that are good, stable and unlike better ones: bool (n, H, W), the best first.

    Args:
        masks: logits (n, H, W).
        quality: predicted IoU (n,).
    """
    inner, outer = ((masks > limit).sum((1, 2)) for limit in (OFFSET, -OFFSET))
    stable = inner >= STABILITY_MIN * np.maximum(outer, 1)
    good = np.flatnonzero(stable & (quality >= QUALITY_MIN) & (masks > 0).any((1, 2)))
    found: list[np.ndarray] = []
    for index in good[np.argsort(-quality[good], kind="stable")]:
        one = masks[index] > 0
        if all((one & other).sum() <= IOU_MAX * (one | other).sum() for other in found):
            found.append(one)
    return np.array(found, bool).reshape(len(found), *masks.shape[1:])


def laid(masks: np.ndarray) -> np.ndarray:
    """Masks bool (n, H, W) laid over each other, the larger below: uint8 (H, W), numbered by what is seen.

    Of more than 63 masks the largest count.
    """
    sizes = masks.sum((1, 2))
    order = np.argsort(-sizes, kind="stable")[:KEPT_MAX]
    numbers = np.zeros(masks.shape[1:], np.uint8)
    for number, index in enumerate(order, 1):
        numbers[masks[index]] = number
    seen = np.unique(numbers[numbers > 0])  # a mask may be covered by smaller ones
    table = np.zeros(KEPT_MAX + 1, np.uint8)
    table[seen] = np.arange(1, len(seen) + 1)
    return table[numbers]
