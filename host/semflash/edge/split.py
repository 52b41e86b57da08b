"""What the edge side needs of a part of a data set, as semflash.data.registry loads it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Split(Protocol):
    """Images uint8 (N, H, W, C) and labels int32 (N,)."""

    @property
    def images(self) -> NDArray[np.uint8]: ...
    @property
    def labels(self) -> NDArray[np.int32]: ...
