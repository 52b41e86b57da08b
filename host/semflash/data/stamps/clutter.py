"""Composition of cluttered scenes: one tinted item among stamps and fragments of other items.

A scene is a background (:mod:`semflash.data.stamps.compose`), some stamps, square fragments of other items
above them, and one whole item above all, anywhere. Everything random comes from one numpy generator. The
stamps are turned, scaled and recoloured beforehand (:func:`drawn_stamps`), because that takes longer than
the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semflash.data.stamps.compose import backgrounds, draw_sprite, paste
from semflash.data.stamps.cutouts import Sprite

PATCH = 8
#: Longest side of a stamp, and side of an item, pixels: smallest and largest.
STAMP_SIDES, ITEM_SIDES = (10, 22), (20, 28)
FRAGMENT_SIDE = 8
#: Gain of each channel: of an item, and of a fragment.
ITEM_TINT, FRAGMENT_TINT = (0.5, 1.0), (0.4, 1.0)
#: Added to an item's pixels, so that its darkest parts are not black.
ITEM_OFFSET = 10.0
#: A pixel of an item above this value (0..255) belongs to it; one of a fragment, likewise.
ITEM_OPAQUE, FRAGMENT_OPAQUE = 12, 8
#: Mean luminance of a background, 0..255.
LUMINANCES = (40.0, 215.0)


@dataclass(frozen=True)
class Material:
    """What the scenes of a split are made of; no other split has any of it.

    Attributes:
        items: Grey items, uint8 (N, 28, 28).
        labels: Their classes, int32 (N,).
        stamps: Drawn stamps, float32 (h, w, 4), colours 0..255 and opacity 0..1.
    """

    items: np.ndarray
    labels: np.ndarray
    stamps: Sequence[np.ndarray]


@dataclass(frozen=True)
class Kind:
    """How scenes look.

    Attributes:
        side: Of a scene, pixels, a multiple of 8.
        stamps: How many, in each scene.
        fragments: How many.
        fading: The clutter of each scene has an opacity of its own, drawn from 0 (none) to 1.
    """

    side: int
    stamps: int
    fragments: int
    fading: bool = False


@dataclass(frozen=True)
class Scenes:
    """Composed scenes.

    Attributes:
        images: uint8 (N, side, side, 3).
        labels: Class of the item, int32 (N,).
        cover: Share of each patch of 8x8 pixels that the item covers, uint8 (N, side/8, side/8), 255: all.
    """

    images: np.ndarray
    labels: np.ndarray
    cover: np.ndarray


def drawn_stamps(sprites: Sequence[Sprite], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """So many stamps turned, mirrored, recoloured and scaled to 10 to 22 pixels: float32 (h, w, 4) each."""
    sides = rng.integers(STAMP_SIDES[0], STAMP_SIDES[1] + 1, count)
    chosen = rng.integers(len(sprites), size=count)
    return [draw_sprite(sprites[one], int(side), rng) for one, side in zip(chosen, sides, strict=True)]


def compose_scenes(material: Material, kind: Kind, count: int, rng: np.random.Generator) -> Scenes:
    """So many scenes of a kind."""
    chosen = rng.integers(len(material.items), size=count)
    opacity = rng.random(count) if kind.fading else np.ones(count)
    canvases = backgrounds(rng.uniform(*LUMINANCES, count), kind.side, rng)
    cover = np.zeros((count, kind.side // PATCH, kind.side // PATCH), np.uint8)
    for index, canvas in enumerate(canvases):
        _clutter(canvas, material, kind, float(opacity[index]), rng)
        cover[index] = _item(canvas, material.items[chosen[index]], rng)
    images = np.clip(canvases, 0, 255).round().astype(np.uint8)
    return Scenes(images, material.labels[chosen].astype(np.int32), cover)


def _clutter(
    canvas: np.ndarray, material: Material, kind: Kind, opacity: float, rng: np.random.Generator
) -> None:
    """Lay stamps, and fragments above them, onto a canvas."""
    for which, *place in zip(
        rng.integers(len(material.stamps), size=kind.stamps), *rng.random((2, kind.stamps)), strict=True
    ):
        _lay(canvas, _faded(material.stamps[which], opacity), place)
    edge = material.items.shape[1] - FRAGMENT_SIDE
    corners = rng.integers(edge // 5, edge - edge // 5 + 1, (kind.fragments, 2))
    tints = rng.uniform(*FRAGMENT_TINT, (kind.fragments, 3)).astype(np.float32)
    others = rng.integers(len(material.items), size=kind.fragments)
    for which, (top, left), tint, place in zip(
        others, corners, tints, rng.random((kind.fragments, 2)).tolist(), strict=True
    ):
        piece = material.items[which, top : top + FRAGMENT_SIDE, left : left + FRAGMENT_SIDE]
        drawn = np.empty((FRAGMENT_SIDE, FRAGMENT_SIDE, 4), np.float32)
        drawn[..., :3] = piece[..., None] * tint
        drawn[..., 3] = piece > FRAGMENT_OPAQUE
        _lay(canvas, _faded(drawn, opacity), place)


def _item(canvas: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay an item onto a canvas; the share of each patch that it covers, uint8."""
    from PIL import Image

    side = int(rng.integers(ITEM_SIDES[0], ITEM_SIDES[1] + 1))
    scaled = Image.fromarray(item).resize((side, side), Image.Resampling.BILINEAR)
    grey = np.asarray(scaled, np.float32)
    drawn = np.empty((side, side, 4), np.float32)
    drawn[..., :3] = grey[..., None] * rng.uniform(*ITEM_TINT, 3).astype(np.float32) + ITEM_OFFSET
    drawn[..., 3] = grey > ITEM_OPAQUE
    top, left = _lay(canvas, drawn, rng.random(2).tolist())
    mask = np.zeros(canvas.shape[:2], np.float32)
    mask[top : top + side, left : left + side] = drawn[..., 3]
    patches = len(canvas) // PATCH
    share = mask.reshape(patches, PATCH, patches, PATCH).mean((1, 3))
    return np.asarray((share * 255).round(), np.uint8)


def _faded(drawn: np.ndarray, opacity: float) -> np.ndarray:
    if opacity >= 1:
        return drawn
    faded = drawn.copy()
    faded[..., 3] *= np.float32(opacity)
    return faded


def _lay(canvas: np.ndarray, drawn: np.ndarray, place: Sequence[float]) -> tuple[int, int]:
    """Paste at a place of 0..1 in each direction, wholly inside; its top and left, pixels."""
    room = len(canvas) + 1
    top, left = (int(share * (room - side)) for share, side in zip(place, drawn.shape[:2], strict=True))
    paste(canvas, drawn, top, left)
    return top, left
