"""A small image codec whose decoder is fitted in seconds: what arrives is a picture, at a BER or an SNR."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import QualityInput, ReceivedInput
from semflash.codecs.edge_side import EdgeGraphSpec
from semflash.codecs.registry import sizes_of
from semflash.codecs.semanticnn.codec import SemanticNN
from semflash.data.dataset import Dataset, Split
from semflash.export.export import Origin, Target, export_codec
from semflash.outputs.kinds import ImageTask, Task
from semflash.program.quality import Ber, Quality

CLASSES = ("dark", "light")
SIZES: dict[str, Any] = {"stem": 8, "latent": 8, "levels": 8, "decoder_width": 4, "gdn": False}
#: The encoder stays as it is; without this its codes would be two of the eight.
SPREAD = 12.0
BER = Ber(0.0, 0.1)


class PictureCodec(SemanticNN):
    """SemanticNN's device with a decoder of pictures behind it, and no task network.

    latent (4, 4, 8) + quality -> transposed convolutions, strides 4 and 2 -> crop -> (28, 28, 1) in [0, 1]
    """

    family = "picture"

    def __init__(self, sizes: Any, quality: Quality) -> None:
        super().__init__(sizes)
        self.told = quality
        latent = keras.Input(sizes.latent_shape, name="latent")
        level = keras.Input((1,), name=quality.name)
        scaled = layers.Rescaling(1 / max(quality.high, 1))(level)
        bias = layers.Reshape((1, 1, sizes.latent))(layers.Dense(sizes.latent)(scaled))
        x = layers.Add()([latent, bias])
        x = layers.Conv2DTranspose(24, 4, strides=4, activation="relu")(x)
        x = layers.Conv2DTranspose(1, 2, strides=2, activation="sigmoid")(x)
        self.picture_decoder = keras.Model([latent, level], layers.Cropping2D(2)(x), name="decoder")

    def device(self) -> Any:
        """SemanticNN's, with this codec's quality."""
        return dataclasses.replace(super().device(), quality=self.told)

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """The decoder alone."""
        del tail
        inputs = (ReceivedInput("latent", "codes"), QualityInput(self.told.name))
        return (EdgeGraphSpec("decoder", self.picture_decoder, inputs),)

    def task(self, tail: Any) -> Task:
        """Pictures."""
        del tail
        return ImageTask(*self.sizes.image_shape)

    def check_data(self, tail: Any, data: Dataset) -> None:
        """Any labels will do."""


@dataclass(frozen=True)
class Fitted:
    """What the export takes; there is no task tail."""

    codec: PictureCodec
    tail: Any = None


def images(count: int, seed: int = 0) -> np.ndarray:
    """Ramps of grey in any direction, uint8 (N, 28, 28, 1)."""
    rng, place = np.random.default_rng(seed), np.linspace(-1, 1, 28)
    middle, across, down = (
        rng.uniform(low, high, (count, 1, 1)) for low, high in ((70, 180), (-60, 60), (-60, 60))
    )
    ramps = middle + across * place[None, None, :] + down * place[None, :, None]
    return np.clip(ramps, 0, 255).astype(np.uint8)[..., None]


def ramps() -> Dataset:
    """Train, val and test splits of such images; their labels mean nothing to a codec of pictures."""
    splits = (Split(images(n, n), np.arange(n, dtype=np.int32) % len(CLASSES)) for n in (600, 100, 40))
    return Dataset("ramps", *splits, CLASSES)


def export_pictures(folder: Path, quality: Quality = BER, name: str = "pictures") -> tuple[Fitted, Bundle]:
    """The codec, its decoder fitted to clean codes of random images, and its bundle."""
    keras.utils.set_random_seed(3)
    codec = PictureCodec(sizes_of("semanticnn", SIZES), quality)
    last = codec.device_graph.get_layer("latent")
    last.kernel.assign(SPREAD * last.kernel)
    pixels = images(600, 600).astype(np.float32) / np.float32(255)
    values = keras.ops.convert_to_numpy(codec.values(codec.codes(pixels)))
    told = np.random.default_rng(1).uniform(quality.low, quality.high, (len(pixels), 1)).astype(np.float32)
    codec.picture_decoder.compile(keras.optimizers.Adam(0.02), "mse")
    codec.picture_decoder.fit([values, told], pixels, batch_size=60, epochs=15, verbose=0)
    made = Fitted(codec)
    place = folder / f"{name}.semcodec"
    return made, export_codec(made, place, ramps(), Target(name), Origin({"dataset": "ramps"}))
