"""An untrained codec of the family tokens for small pictures, whose gates let very different numbers pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fakes.untrained import CLASSES
from semflash.bundle.reader import Bundle
from semflash.codecs.base import Codec
from semflash.codecs.registry import create
from semflash.data.dataset import Dataset, Split
from semflash.export.export import Target, export_codec

SMALL: dict[str, Any] = {
    "image_shape": (32, 40, 3),
    "stem": (4, 8),
    "width": 16,
    "heads": 2,
    "hidden": 24,
    "decoder_width": 16,
    "edge_blocks": 1,
    "symbols_each": (1, 2, 8),
    "symbols_default": 2,
    "slack": 2,
}


@dataclass(frozen=True)
class Alone:
    """A codec without a task tail."""

    codec: Codec
    tail: None = None


def tokens_codec(**changes: Any) -> Codec:
    """Small, for pictures of 32x40x3: 20 tokens of 16 values."""
    keras.utils.set_random_seed(5)
    codec = create("tokens", SMALL | changes)
    rng = np.random.default_rng(5)
    sender = codec.parts()["sender"]
    sender.set_weights([w + rng.normal(0, 0.15, w.shape).astype(np.float32) for w in sender.get_weights()])
    for gate in sender.gates:
        gate.gate.bias.assign([0.3])
        gate.threshold.bias.assign([0.0])
    return codec


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Blocks of colour, uint8 (N, 32, 40, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 10, 3), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def colours() -> Dataset:
    """300 pictures to train on, 100 and 20 others."""
    splits = (Split(pictures(n, n), np.arange(n, dtype=np.int32) % len(CLASSES)) for n in (300, 100, 20))
    return Dataset("colours", *splits, CLASSES)


def tokens_bundle(folder: Path) -> Bundle:
    """Its bundle."""
    made = Alone(tokens_codec())
    return export_codec(made, folder / "tokens.semcodec", colours(), Target("tokens", force=True))
