"""What people would send instead of features: a picture, by deep joint source-channel coding, and read it.

After Bourtsoulatze et al., "Deep Joint Source-Channel Coding for Wireless Image Transmission" (arXiv
1809.01733): the squared error of the picture is what is learned, over the same symbols. Then a task network
learns on the pictures that arrive. The encoder is that of TOSC, adaptation included, so that the device does
the same work; the decoder is told the ratio.

    32 values and SNR -> Dense 256 -> Dense 4x4x64 -> twice the side, Conv 48 -> twice the side, Conv 32
      -> twice the side, Conv 3, sigmoid
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.tosc.codec import Tosc
from semflash.codecs.tosc.drawing import ChannelDraw
from semflash.codecs.tosc.sizes import ToscSizes
from semflash.data.augment import Augmentation, augment
from semflash.data.dataset import Dataset, Split
from semflash.tasks.losses import cross_entropy
from semflash.tasks.networks import build
from semflash.training.loop import StagePlan, fingerprint_of, run_stages
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import CodecRecipe

WIDTHS = (64, 48, 32)
HIDDEN = 256
BATCH = 500
#: Of the task network that reads the pictures.
READER: dict[str, Any] = {"network": "residual", "head_channels": 16, "widths": (16, 32, 64)}
READER_DECAY = 0.05


class PictureCodec(keras.Model):
    """TOSC's encoder and link, and a decoder that gives the picture.

    Args:
        sizes: of TOSC, symbols.
    """

    def __init__(self, sizes: ToscSizes) -> None:
        super().__init__(name="pictures")
        self.tosc = Tosc(sizes)
        self.tosc.edge.trainable = False  # not in use
        self.decoder = picture_decoder(sizes)

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Pictures (B, H, W, C) in [0, 1]; inputs: image, quality (B, 1), state (B, 1), noise."""
        found = self.tosc.encoder(inputs["image"], training=training)
        values = self.tosc.project(found, inputs["state"])
        received = self.tosc.link.carry(values, inputs["quality"], inputs["noise"]).received
        return self.decoder([received, self.tosc.link.known(inputs["quality"])], training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Mean squared error of the picture."""
        return ops.mean(ops.square(y_pred - x["image"]))

    def pieces(self) -> tuple[Any, ...]:
        """What is trained."""
        return self.tosc.encoder, self.tosc.projection, self.tosc.adaptation, self.decoder


def picture_decoder(sizes: ToscSizes) -> keras.Model:
    """[received (B, 1, 1, 32), SNR as networks see it (B, 1)] to pictures (B, H, W, C)."""
    height, width, channels = sizes.image_shape
    received, known = keras.Input(sizes.latent_shape, name="received"), keras.Input((1,), name="known")
    x = layers.Concatenate()([layers.Flatten()(received), known])
    x = layers.Dense(HIDDEN, activation="relu")(x)
    x = layers.Dense(height // 8 * (width // 8) * WIDTHS[0], activation="relu")(x)
    x = layers.Reshape((height // 8, width // 8, WIDTHS[0]))(x)
    for count in WIDTHS[1:]:
        x = layers.Conv2D(count, 3, padding="same", activation="relu")(layers.UpSampling2D()(x))
    x = layers.Conv2D(channels, 3, padding="same", activation="sigmoid")(layers.UpSampling2D()(x))
    return keras.Model([received, known], x, name="picture_decoder")


class Reader(keras.Model):
    """Labels of the pictures that arrive; the codec stays as it is."""

    def __init__(self, codec: PictureCodec, classes: int) -> None:
        super().__init__(name="reader")
        self.codec = codec
        image = keras.Input(codec.tosc.sizes.image_shape)
        head, tail = build(READER, codec.tosc.sizes.image_shape, classes)
        self.network = keras.Model(image, tail(head(image)), name="task")

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits (B, classes)."""
        pictures = ops.stop_gradient(self.codec(inputs, training=False))
        return self.network(pictures, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Cross entropy."""
        return cross_entropy(y, y_pred)


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches of an epoch for both stages: images, channel, noise, labels.

    Attributes:
        codec: whose channel is drawn. split: what is learnt from. batch: images of a step.
        how: what is done to images.
    """

    codec: PictureCodec
    split: Split
    batch: int
    how: Augmentation

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """({image, quality, told, state, noise}, labels)."""
        draw, order = ChannelDraw(self.codec.tosc.sizes), rng.permutation(len(self.split))
        for start in range(0, len(order) - self.batch + 1, self.batch):
            chosen = order[start : start + self.batch]
            inputs = draw(len(chosen), rng)
            noise_shape = (len(chosen), *self.codec.tosc.noise_shape())
            inputs["noise"] = rng.random(noise_shape, dtype=np.float32)
            inputs["image"] = augment(self.split.images[chosen], self.how, rng)
            yield inputs, self.split.labels[chosen]


def train(recipe: CodecRecipe, sizes: ToscSizes, data: Dataset, out: Path, progress: Progress) -> Reader:
    """Pictures first, then the reader, ``recipe.task_epochs`` passes each; goes on where it was stopped."""
    keras.utils.set_random_seed(recipe.seed)
    codec = PictureCodec(sizes)
    reader = Reader(codec, sizes.classes)
    how = dataclasses.replace(recipe.augmentation, mix=0.0)  # a mixture is no picture, and has two labels
    common: dict[str, Any] = {
        "epochs": recipe.task_epochs,
        "steps": len(data.train) // recipe.batch,
        "batches": Batches(codec, data.train, recipe.batch, how),
        "peak": recipe.task_peak,
    }
    stages = [
        StagePlan(
            name="pictures",
            model=codec,
            validate=lambda: {"val_mse": error(codec, data.val)},
            weight_decay=recipe.weight_decay,
            **common,
        ),
        StagePlan(
            name="reader",
            model=reader,
            validate=lambda: {"val_18": share(reader, data.val, 18.0)},
            weight_decay=READER_DECAY,
            frozen=codec.pieces(),
            **common,
        ),
    ]
    out.mkdir(parents=True, exist_ok=True)
    fingerprint = fingerprint_of({"jscc": 1, "recipe": repr(recipe), "sizes": repr(sizes)})
    run_stages(stages, out, seed=recipe.seed, fingerprint=fingerprint, progress=progress)
    return reader


def error(codec: PictureCodec, split: Split, snr: float = 18.0) -> float:
    """Mean squared error of the pictures at a ratio, of values in [0, 1]."""
    found = [
        np.square(keras.ops.convert_to_numpy(codec(inputs)) - inputs["image"]).mean()
        for inputs, _ in inputs_of(codec, split, snr, np.random.default_rng(1))
    ]
    return float(np.mean(found))


def share(reader: Reader, split: Split, snr: float) -> float:
    """Share of right labels at a ratio."""
    return float(right(reader, split, snr, np.random.default_rng(1)).mean())


def right(reader: Reader, split: Split, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Which labels are right at a ratio, bool (N,)."""
    found = [
        keras.ops.convert_to_numpy(reader(inputs)).argmax(-1) == labels
        for inputs, labels in inputs_of(reader.codec, split, snr, rng)
    ]
    return np.concatenate(found)


def inputs_of(
    codec: PictureCodec, split: Split, snr: float, rng: np.random.Generator
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Batches of a split with noise at a ratio, and their labels."""
    draw = ChannelDraw(codec.tosc.sizes)
    for start in range(0, len(split), BATCH):
        image = np.asarray(split.images[start : start + BATCH]).astype(np.float32) / np.float32(255)
        quality = np.full((len(image), 1), snr, np.float32)
        noise = rng.random((len(image), *codec.tosc.noise_shape()), dtype=np.float32)
        inputs = {"image": image, "quality": quality, "state": draw.state_of(quality), "noise": noise}
        yield inputs, split.labels[start : start + BATCH]
