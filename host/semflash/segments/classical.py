"""Segmenters without a network: ``felzenszwalb``, and ``exact``, which gives back the data set's own masks.

``felzenszwalb`` is the graph-based segmentation of Felzenszwalb and Huttenlocher (2004) of scikit-image. It
knows nothing of things: it is for comparison, and for where no network is to be had.
"""

from __future__ import annotations

import numpy as np

from semflash.errors import SegmentError
from semflash.segments.manifest import SegmenterRecord
from semflash.segments.maps import check_image, check_map, reduced

FELZENSZWALB, EXACT = "felzenszwalb", "exact"
#: Found on scenes of 64x64 pixels; scale: larger ones give larger segments.
SCALE, SIGMA, PIXELS_MIN = 80.0, 0.8, 40


class Felzenszwalb:
    """Segments that a graph's minimum spanning trees find."""

    record = SegmenterRecord(
        FELZENSZWALB,
        1,
        classical=True,
        settings={"scale": SCALE, "sigma": SIGMA, "pixels_min": PIXELS_MIN},
    )

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """A map of at most 63 segments, the largest first; see :class:`semflash.segments.base.Segmenter`."""
        del mask
        check_image(image)
        if min(image.shape[:2]) < 2:  # scikit-image divides by the number of neighbours
            return np.zeros(image.shape[:2], np.uint8)
        from skimage.segmentation import felzenszwalb

        values = image if image.shape[2] == 3 else image[..., 0]
        axis = -1 if image.shape[2] == 3 else None
        found = felzenszwalb(values, scale=SCALE, sigma=SIGMA, min_size=PIXELS_MIN, channel_axis=axis)
        return reduced(found)


class Exact:
    """The exact masks of composed data: what no segmenter can be better than."""

    record = SegmenterRecord(EXACT, 1, classical=True, exact=True)

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The mask: 0 the background, 1 the labelled object, 2 others."""
        check_image(image)
        if mask is None:
            raise SegmentError(
                "the data set has no exact masks",
                remedy="--with hed, or a composed data set: stamps-focus",
            )
        return check_map(mask, image)
