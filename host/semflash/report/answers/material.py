"""What the details of a report are measured from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.edge.evaluate import Evaluation

#: Images of each bundle that a report shows.
EXAMPLES = 4


@dataclass(frozen=True)
class Material:
    """A bundle with the images it was measured on.

    Attributes:
        bundle: What was measured.
        images: uint8 (N, H, W, C), those of the evaluation, in its order.
        labels: Their classes (N,) or boxes (N, M, 6).
        evaluation: The outcome.
        seed: Of the injected damage.
        pictures: Whether examples are asked for, which import Keras where it is installed.
        cover: Share of each patch that the labelled object covers, one entry an image; None: no masks.
        attention: Of the task network, from images uint8 (n, H, W, C) to shares of the patches float
            (n, rows, columns); None: it is not at hand.
    """

    bundle: Bundle
    images: NDArray[np.uint8]
    labels: NDArray[Any]
    evaluation: Evaluation
    seed: int
    pictures: bool
    cover: NDArray[np.uint8] | None = None
    attention: Callable[[NDArray[np.uint8]], NDArray[np.floating]] | None = None
