"""Composition of images from cut-outs: random backgrounds; stamps scaled, turned, mirrored, recoloured.

Everything random comes from one numpy generator, so the same seed, stamps and Pillow give the same images.
"""

from __future__ import annotations

import numpy as np

from semflash.data.stamps.cutouts import LUMINANCE, Sprite, opaque_box

COARSE = 4
COARSE_SIGMA = 14.0
FINE_SIGMA = 4.0
ANGLE_MAX_DEG = 20.0
#: Cells along a side of each octave's grid, and standard deviation of its grey part (0..255).
OCTAVES = ((4, 22.0), (8, 18.0), (16, 16.0), (32, 12.0), (64, 6.0))
#: Standard deviation of an octave's colours, as a share of that of its grey part.
COLOURED = 0.4
#: Least distance of the background's luminance from the stamp's, 0..255.
CONTRAST = 70.0


def backgrounds(luminance: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Float32 (N, side, side, 3) in 0..255: a gradient of two colours, coarse blotches and fine noise.

    Args:
        luminance: wished mean luminance per image, float (N,), 0..255.
    """
    count = len(luminance)
    colours = rng.uniform(0, 255, (count, 2, 3)).astype(np.float32)
    colours += (luminance[:, None] - colours @ LUMINANCE)[..., None].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi, count)
    axis = np.linspace(-0.5, 0.5, side)
    ramp = np.cos(angle)[:, None, None] * axis[:, None] + np.sin(angle)[:, None, None] * axis + 0.5
    share = np.clip(ramp, 0, 1).astype(np.float32)[..., None]
    result = colours[:, None, None, 0] * (1 - share) + colours[:, None, None, 1] * share
    blotches = rng.normal(0, COARSE_SIGMA, (count, COARSE, COARSE, 3)).astype(np.float32)
    enlarge = _linear(COARSE, side)
    result += np.einsum("hi,nijc,wj->nhwc", enlarge, blotches, enlarge, optimize=True)
    result += FINE_SIGMA * rng.standard_normal(result.shape, np.float32)
    clipped: np.ndarray = np.clip(result, 0, 255)
    return clipped


def octaves(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of several octaves, float32 (N, side, side, 3) around 0: each of them is a grid of random values,
    grey and coloured, enlarged by linear interpolation."""
    result = np.zeros((count, side, side, 3), np.float32)
    for cells, sigma in OCTAVES:
        grid = rng.normal(0, sigma, (count, cells, cells, 1)).astype(np.float32)
        coloured = rng.normal(0, COLOURED * sigma, (count, cells, cells, 3)).astype(np.float32)
        enlarge = _linear(cells, side)
        result += np.einsum("hi,nijc,wj->nhwc", enlarge, grid + coloured, enlarge, optimize=True)
    return result


def contrasting(luminance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Background luminances (N,) at least 70 away from the stamps' where there is room on a side."""
    below, above = np.maximum(luminance - CONTRAST, 0), np.maximum(255 - CONTRAST - luminance, 0)
    draw = rng.uniform(0, 1, len(luminance)) * (below + above)
    return np.where(draw < below, draw, luminance + CONTRAST + (draw - below))


def draw_sprite(sprite: Sprite, long_side: int, rng: np.random.Generator) -> np.ndarray:
    """A turned, perhaps mirrored, recoloured copy: float32 (h, w, 4), cut to its object, alpha 0..1.

    Args:
        long_side: of the result before rounding, pixels; the longer of h and w is at most this.
    """
    from PIL import Image

    image = sprite.image
    if sprite.mirrored and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = float(rng.uniform(-ANGLE_MAX_DEG, ANGLE_MAX_DEG))
    image = image.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    box = opaque_box(np.asarray(image)[..., 3])
    if box is not None:
        image = image.crop(box)
    scale = long_side / max(image.size)
    size = tuple(max(2, min(long_side, round(side * scale))) for side in image.size)
    pixels = np.array(image.resize(size, Image.Resampling.BILINEAR), np.float32)
    pixels[..., :3] *= rng.uniform(0.8, 1.2) * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    pixels[..., :3] = np.clip(pixels[..., :3], 0, 255)
    pixels[..., 3] /= 255.0
    return pixels


def paste(canvas: np.ndarray, drawn: np.ndarray, top: int, left: int) -> None:
    """Lay ``drawn`` (h, w, 4) over the float canvas (H, W, 3), in place; it must lie inside."""
    height, width = drawn.shape[:2]
    under = canvas[top : top + height, left : left + width]
    under += drawn[..., 3:] * (drawn[..., :3] - under)


def _linear(small: int, large: int) -> np.ndarray:
    """Matrix (large, small) of linear interpolation between ``small`` points spread over ``large`` pixels."""
    position = np.linspace(0, small - 1, large)
    weights: np.ndarray = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(small))).astype(np.float32)
    return weights
