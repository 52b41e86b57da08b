"""The segmenter ``hed``: edges of a pre-trained network, and a watershed between them.

An image is enlarged, HED gives the probability of an edge at each pixel, and that map is brought back to the
image's size. Basins of the smoothed map that are deep enough are seeds; a watershed floods from them, and
where there are more than 63 segments, the smallest ones join their neighbour behind the weakest edge.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from semflash.segments.hed_graph import EDGES, IMAGE
from semflash.segments.manifest import SegmenterRecord
from semflash.segments.maps import check_image, reduced
from semflash.segments.networks import Networks

NAME, VERSION = "hed", 1
#: Side that the longer side of an image is enlarged to, pixels; the time grows with its square.
SIDE = 128
#: Of the Gauss filter, pixels; and how deep a basin of the edge probability is at least. On 80 training
#: scenes of stamps-focus the best choice among 8.3 segments reaches an IoU of 0.74 with the target; 0.03:
#: 0.77 with 10.9, 0.2: 0.71 with 4.8; seeds wherever the probability is below 0.35: 0.71 with 4.9.
SIGMA, DEPTH = 0.7, 0.06


class Hed:
    """Segments between HED's edges; its network starts with the context.

    Args:
        record: what it is known by.
        network: ONNX, from :func:`semflash.segments.hed_graph.hed_graph`.
        side: of the enlarged image, pixels.
        threads: of ONNX Runtime.
    """

    def __init__(self, record: SegmenterRecord, network: bytes, side: int = SIDE, threads: int = 1) -> None:
        self.record, self._side = record, side
        self._networks = Networks(NAME, {NAME: network}, threads)

    def __enter__(self) -> Self:
        self._networks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._networks.__exit__(kind, error, trace)

    def edges(self, image: np.ndarray) -> np.ndarray:
        """Probability of an edge at each pixel, float32 (H, W), of an image uint8 (H, W, 1 or 3)."""
        check_image(image)
        large = enlarged(image, self._side)
        (found,) = self._networks.run(NAME, {IMAGE: large[None]}, [EDGES])
        return resized(found[0, 0], image.shape[:2])

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """A map of at most 63 segments, the largest first; see :class:`semflash.segments.base.Segmenter`."""
        del mask
        return between(self.edges(image))


def between(edges: np.ndarray) -> np.ndarray:
    """Segments between edges: a map of at most 63, the largest first.

    Args:
        edges: probability of an edge at each pixel, float (H, W).
    """
    from skimage.filters import gaussian
    from skimage.measure import label
    from skimage.morphology import h_minima
    from skimage.segmentation import watershed

    values = edges.astype(np.float64)
    seeds = label(h_minima(gaussian(values, SIGMA), DEPTH), connectivity=2)
    if not seeds.any():  # hardly any difference anywhere
        return np.zeros(edges.shape, np.uint8)
    return reduced(watershed(values, seeds), values)


def settings(side: int) -> dict[str, float | int]:
    """What decides the segments beside the weights."""
    return {"side": side, "sigma": SIGMA, "depth": DEPTH}


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W, 1 or 3) in three channels, its longer side this long, bicubic: float32, 0..255."""
    from PIL import Image

    scale = side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    colour = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    drawn = Image.fromarray(np.ascontiguousarray(colour)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(drawn, np.float32)


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of float values at another size (height, width), bilinear."""
    from PIL import Image

    drawn = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(drawn.resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
