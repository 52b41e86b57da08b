"""The selector on the host: levels of images from real-valued scores; the device has int8 ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.codecs.multires.sizes import MultiresSizes
from semflash.codecs.patch_codes import WEIGHT_ONE, gains
from semflash.program.reference import select as reference


def attention_weights(scores: NDArray[np.floating], sharpness: float = 1.0) -> NDArray[np.int64]:
    """Weights int64 (N, patches), 1 to 4,096, of logits (N, patches): a power of the attention."""
    flat = scores.reshape(len(scores), -1).astype(np.float64)
    shares = np.exp(sharpness * (flat - flat.max(axis=1, keepdims=True)))
    return np.maximum(1, np.rint(shares * WEIGHT_ONE)).astype(np.int64)


def contrast(images: NDArray[np.uint8], side: int) -> NDArray[np.int64]:
    """One more than the variance of each patch's luminance, int64 (N, patches), of images (N, H, W, C)."""
    return reference.contrast(np.bitwise_xor(images, np.uint8(0x80)).view(np.int8), side) + 1


def weights_of(
    scores: NDArray[np.floating], images: NDArray[np.uint8], sizes: MultiresSizes
) -> NDArray[np.int64]:
    """What each patch counts, int64 (N, patches), as the sizes say."""
    found = attention_weights(scores, sizes.sharpness)
    return found * contrast(images, sizes.patch) if sizes.weight == "attention-variance" else found


def levels_of(
    weights: NDArray[np.integer],
    sizes: MultiresSizes,
    distortion: NDArray[np.floating],
    rates: ArrayLike,
    protect: ArrayLike = False,
) -> NDArray[np.uint8]:
    """The level of each patch, uint8 (N, patches), so that no payload exceeds its rate.

    Args:
        weights: Of the patches, (N, patches).
        rates: Bytes, one for all or (N,).
        protect: Whether the map is protected, one for all or (N,).
    """
    worth = gains([float(each) for each in distortion], sizes.level_bits)
    return reference.select(weights, worth, sizes.map_sizes, rates, protect)


def background(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of each channel in sixteenths of its range, uint8 (N, C)."""
    return reference.background(np.bitwise_xor(images, np.uint8(0x80)).view(np.int8))
