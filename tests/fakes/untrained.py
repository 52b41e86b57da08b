"""Untrained codecs of any family as bundles: their bytes mean nothing, and every device must send them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.bundle.reader import Bundle
from semflash.codecs.base import Codec
from semflash.codecs.registry import create
from semflash.data.dataset import Dataset, Split
from semflash.export.export import Target, export_codec

CLASSES = tuple(f"class {index}" for index in range(10))
SIZES: dict[str, dict[str, Any]] = {
    "agilenn": {"stem": 4, "latent": 3, "decoder_width": 8},
    "limitnet": {"stem": 4, "middle": [(4, 2)], "latent": 3, "decoder_width": 8},
}


@dataclass(frozen=True)
class Untrained:
    """A codec and a task tail, where its family has one, with the weights they begin with."""

    codec: Codec
    tail: keras.Model | None


def untrained(family: str) -> Untrained:
    """A small codec of a family for 28x28x1 images."""
    keras.utils.set_random_seed(5)
    features = keras.Input((14, 14, 16), name="features")
    mean = keras.layers.GlobalAveragePooling2D()(features)
    tail = keras.Model(features, keras.layers.Dense(len(CLASSES))(mean))
    return Untrained(create(family, SIZES[family]), tail)


def tosc(channel: str) -> Codec:
    """TOSC for 28x28x1 images with random numbers in its adaptation, so that its states differ."""
    keras.utils.set_random_seed(5)
    codec = create("tosc", {"channel": channel, "decoder_width": 16, "middle": [(8, 2), (8, 2), (16, 2)]})
    rng = np.random.default_rng(5)
    adaptation = codec.parts()["adaptation"]
    adaptation.set_weights([rng.normal(0, 0.7, w.shape).astype(np.float32) for w in adaptation.get_weights()])
    return codec


def export_tosc(channel: str, folder: Path) -> Bundle:
    """Its bundle."""
    made = _Alone(tosc(channel))
    return export_codec(made, folder / f"{channel}.semcodec", blocks(), Target(channel, force=True))


@dataclass(frozen=True)
class _Alone:
    """A codec without a task tail."""

    codec: Codec
    tail: None = None


def blocks() -> Dataset:
    """300 images to train on, 100 and 20 others."""
    splits = (Split(images(n, n), np.arange(n, dtype=np.int32) % len(CLASSES)) for n in (300, 100, 20))
    return Dataset("blocks", *splits, CLASSES)


def images(count: int, seed: int = 0) -> np.ndarray:
    """Blocks of grey, uint8 (N, 28, 28, 1): smooth enough that codes vary within an image."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 7, 7, 1), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def export_untrained(family: str, folder: Path) -> tuple[Untrained, Bundle]:
    """The codec and its bundle."""
    made = untrained(family)
    return made, export_codec(made, folder / f"{family}.semcodec", blocks(), Target(family, force=True))
