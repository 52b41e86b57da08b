"""What matters in an image, out of its segments' weights: for each pixel, and for each block of 8x8.

    store = find_store("hed", data)
    blocks = block_importance(store, "train")        # float32 (images, rows, columns), 0 to 1

A pixel's importance is the largest weight of the segments that cover it, a block's the mean over its pixels.
"""

from __future__ import annotations

import numpy as np

from semflash.data.dataset import TARGET
from semflash.errors import SegmentError
from semflash.segments.maps import SEGMENTS_MAX
from semflash.segments.store import SegmentStore
from semflash.segments.weighing import names, stored_weights

BLOCK = 8
#: Weights of the store ``exact`` that need no task network: 1 for the labelled object, 0 for the rest.
MASKS = "masks"
_CHUNK = 500


def segment_weights(store: SegmentStore, split: str = "train", by: str = "") -> np.ndarray:
    """Weights of the segments of a split's first images, float32 (n, 64); n may be less than the split has.

    Args:
        by: name of the weights, such as ``task``; empty: the only ones that there are, and ``masks`` of the
            store ``exact`` where nothing else is named.

    Raises:
        SegmentError: there are none, or several and none is named.
    """
    exact = store.manifest.segmenter.exact
    if by == MASKS or (not by and exact):
        if not exact:
            raise SegmentError(
                "masks weigh the segments of `exact` alone",
                value=store.manifest.segmenter.name,
                remedy="semflash segment DATASET --with NAME --task RUN",
            )
        found = np.zeros((store.count(split), SEGMENTS_MAX), np.float32)
        found[:, TARGET] = 1.0
        return found
    there = names(store)
    if not by and len(there) != 1:
        raise SegmentError(
            "several weights of these segments" if there else "nothing has weighed these segments",
            value=", ".join(there) or store.folder,
            remedy="name one of them" if there else "semflash segment DATASET --with NAME --task RUN",
        )
    return stored_weights(store, split, by or there[0])


def weighted(segments: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Importance of each pixel: float32 (n, H, W) of maps uint8 (n, H, W) and weights (n, 64)."""
    return np.take_along_axis(weights, segments.reshape(len(segments), -1).astype(np.int64), 1).reshape(
        segments.shape
    )


def blocks_of(pixels: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Mean over blocks, float32 (n, rows, columns).

    Args:
        pixels: (n, H, W).
        block: side of a block; the last ones are smaller where the image's sides are no multiples of it.
    """
    height, width = pixels.shape[1:]
    rows, columns = (np.arange(0, side, block) for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, 1, dtype=np.float64), columns, 2)
    tall, wide = np.diff([*rows, height]), np.diff([*columns, width])
    return np.asarray(sums / (tall[:, None] * wide), np.float32)


def block_importance(store: SegmentStore, split: str = "train", by: str = "") -> np.ndarray:
    """Importance of each block of 8x8 pixels of a split's first images: float32 (n, rows, columns), 0 to 1.

    Args:
        by: as of :func:`segment_weights`.

    Raises:
        SegmentError: as :func:`segment_weights`.
    """
    weights = segment_weights(store, split, by)
    maps = store.segments(split)
    count = min(len(weights), len(maps))
    parts = []
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        parts.append(blocks_of(weighted(np.asarray(maps[part]), weights[part])))
    return np.concatenate(parts)
