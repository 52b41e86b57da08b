"""A small codec that gives a picture and a label, with a map of levels and a limit of bytes.

The device is LimitNet's: codes of a saliency map first (the levels of 4 x 4 patches), then values in the
order of what matters, cut by the control ``bytes``. The edge is fitted in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fakes.image_codec import images
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import GraphInput, ReceivedInput
from semflash.codecs.compared.limitnet import LimitNet
from semflash.codecs.edge_side import EdgeGraphSpec
from semflash.codecs.registry import sizes_of
from semflash.data.dataset import Dataset, Split
from semflash.export.export import Origin, Target, export_codec
from semflash.outputs.kinds import CLASSIFICATION, Task

CLASSES = ("dark", "light")
SIZES: dict[str, Any] = {"latent": 8, "levels": 8}
#: The encoder is not trained; without this its codes would be two of the eight.
SPREAD, SALIENCY_SPREAD = 8.0, 8.0
#: Of a small ridge, so that the fit has one solution.
RIDGE = 1e-2


@dataclass(frozen=True)
class Scenes:
    """A split with masks, and a data set of that split alone."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    cover: NDArray[np.uint8] | None = None
    name: str = "ramps"

    @property
    def test(self) -> Scenes:
        return self


def scenes(count: int, seed: int, *, masks: bool = True) -> Scenes:
    """Ramps, labelled by whether they are lighter than most; the object is one patch of 4 x 4 in each."""
    pictures = images(count, seed)
    cover = np.zeros((count, 4, 4), np.uint8)
    places = np.random.default_rng(seed).integers(0, 4, (count, 2))
    cover[np.arange(count), places[:, 0], places[:, 1]] = 200
    labels = (pictures.mean(axis=(1, 2, 3)) > 125).astype(np.int32)
    return Scenes(pictures, labels, cover if masks else None)


class PicturedCodec(LimitNet):
    """LimitNet's device with two graphs on the edge.

    latent (4, 4, 8) -> Dense, clipped -> picture (28, 28, 1) -> Dense -> logits (2,)
    """

    family = "pictured"

    def __init__(self, sizes: Any) -> None:
        super().__init__(sizes)
        height, width, channels = sizes.image_shape
        latent = keras.Input(sizes.latent_shape, name="latent")
        x = layers.Dense(height * width * channels, name="pixels")(layers.Flatten()(latent))
        x = layers.ReLU(max_value=1.0)(layers.Reshape((height, width, channels))(x))
        self.picture_graph = keras.Model(latent, x, name="picture")
        picture = keras.Input((height, width, channels), name="picture")
        logits = layers.Dense(len(CLASSES), name="logits")(layers.Flatten()(picture))
        self.classifier = keras.Model(picture, logits, name="tail")

    @property
    def picture(self) -> str:
        return "picture"

    @property
    def level_map(self) -> str:
        return "saliency_codes"

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """Picture, then classifier."""
        del tail
        return (
            EdgeGraphSpec("picture", self.picture_graph, (ReceivedInput("latent", "codes"),)),
            EdgeGraphSpec("tail", self.classifier, (GraphInput("picture", "picture"),)),
        )

    def task(self, tail: Any) -> Task:
        """Labels."""
        del tail
        return CLASSIFICATION

    def check_data(self, tail: Any, data: Dataset) -> None:
        """The data set is the tests' own."""


@dataclass(frozen=True)
class Fitted:
    """What the export takes; the codec's own graphs give its output."""

    codec: PicturedCodec
    tail: Any = None


def export_pictured(folder: Path, name: str = "pictured") -> Bundle:
    """The codec, its edge fitted to codes that are cut at random, and its bundle."""
    keras.utils.set_random_seed(5)
    codec = PicturedCodec(sizes_of("limitnet", SIZES))
    latent, saliency = codec.device_graph.get_layer("latent"), codec.both.get_layer("saliency")
    latent.kernel.assign(SPREAD * latent.kernel)
    saliency.kernel.assign(SALIENCY_SPREAD * saliency.kernel)
    data = scenes(600, 600)
    pixels = data.images.astype(np.float32) / np.float32(255)
    values = _cut_values(codec, pixels)
    _fit(codec.picture_graph.get_layer("pixels"), values, pixels.reshape(len(pixels), -1))
    pictures = keras.ops.convert_to_numpy(codec.picture_graph(values.reshape(-1, *codec.values_shape())))
    signs = np.where(data.labels[:, None] == np.arange(len(CLASSES)), 4.0, -4.0)
    _fit(codec.classifier.get_layer("logits"), pictures.reshape(len(pictures), -1), signs)
    splits = (Split(one.images, one.labels) for one in (scenes(n, n) for n in (600, 100, 40)))
    dataset = Dataset("ramps", *splits, CLASSES)
    place = folder / f"{name}.semcodec"
    return export_codec(Fitted(codec), place, dataset, Target(name), Origin({"dataset": "ramps"}))


def _cut_values(codec: PicturedCodec, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """What arrives when between a fifth and all of the values do, float32 (N, values)."""
    codes = codec.codes(pixels)
    kept = np.random.default_rng(2).integers(10, 160, len(pixels))
    lost = np.arange(codes.shape[1])[None] - codec.places >= kept[:, None]
    values = keras.ops.convert_to_numpy(codec.values(codes, keras.ops.convert_to_tensor(lost)))
    return values.reshape(len(values), -1)


def _fit(layer: Any, x: NDArray[np.float32], y: NDArray[Any]) -> None:
    """Ridge regression into a Dense layer."""
    given = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float64)
    square = given.T @ given + RIDGE * len(x) * np.eye(given.shape[1])
    solved = np.linalg.solve(square, given.T @ y)
    layer.set_weights([solved[:-1].astype(np.float32), solved[-1].astype(np.float32)])
