"""What a segmenter is: it is given one image and gives a map of segment numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semflash.segments.manifest import SegmenterRecord


class Segmenter(Protocol):
    """Divides images.

    Attributes:
        record: what it is known by.
    """

    record: SegmenterRecord

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """A map of segment numbers, uint8 (H, W), 0 to 63.

        Args:
            image: uint8 (H, W, 1 or 3).
            mask: the data set's exact mask of it, uint8 (H, W), where there is one. Nothing but the segmenter
                ``exact`` looks at it.

        Raises:
            SegmentError: it is no image of 8 bits, or what divides it failed.
        """


@dataclass(frozen=True)
class Plan:
    """A segmenter before it runs.

    Attributes:
        record: what it is known by.
        start: makes it ready; a context, at whose end what it holds is let go.
    """

    record: SegmenterRecord
    start: Callable[[], AbstractContextManager[Segmenter]]
