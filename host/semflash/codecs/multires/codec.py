"""The codec: patches of several resolutions ranked by attention (arXiv 2412.01817)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.bundle.schema import GraphInput, ReceivedInput
from semflash.codecs.base import Codec
from semflash.codecs.classes import check_classes
from semflash.codecs.device_side import IMAGE, DeviceSpec, GraphSpec, PatchesStage, SelectStage
from semflash.codecs.edge_side import TASK_TAIL, EdgeGraphSpec
from semflash.codecs.multires.coded import Coded, joined
from semflash.codecs.multires.coder import LevelCoder
from semflash.codecs.multires.networks import build_classifier, build_student
from semflash.codecs.multires.picture import PICTURE, Composed, build_picture, in_patches, whole
from semflash.codecs.multires.selecting import background, levels_of, weights_of
from semflash.codecs.multires.sizes import MultiresSizes
from semflash.codecs.training_side import StageSpec
from semflash.data.dataset import Dataset
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.program.controls import Control
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.quality import Ber
from semflash.program.reference.patches import cut

SCORES, LEVELS, BACKGROUND = "scores", "levels", "background"
#: Controls: bytes of the next payload, and whether its map is protected.
RATE, PROTECT = "rate", "protect"


class Multires(keras.Model, Codec):
    """An image is cut into patches; the attention of a student decides how finely each is sent.

    Names and shapes for the default sizes:

    image           [0, 1]                                              (64, 64, 3)
      student       convolutions: a logit of the attention per patch    (8, 8, 1)
    levels          selected so that the payload fits the rate          (8, 8)
    background      mean colour, 4 bits a channel                       (3,)
    codes_1..3      bytes of the patches that have this level           (64, 1), (64, 4), (64, 12)
      picture       each patch decoded at its level                     (64, 64, 3)
      tail          the network vit                                     (10,)

    The coders of the levels are trained one by one for the least squared error and know of no task; the
    student learns the attention of a transformer, which stays on the host.

    Of the paper no section can be cited: abstract, introduction and a summary were all that could be read.
    """

    family = "multires"
    family_version = 1

    def __init__(self, sizes: MultiresSizes) -> None:
        super().__init__(name="multires")
        self.sizes = sizes
        self.student = build_student(sizes)
        self.coders = {
            bits: LevelCoder(bits, sizes.residual, name=f"coder_{bits}") for bits in sizes.coder_bits
        }
        for coder in self.coders.values():
            coder.build((None, sizes.patch_values))
        self.classifier = build_classifier(sizes)
        self.measured = Measured(len(sizes.level_bits), name="measured")
        self.measured.build(())

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits of the picture in which every patch has the highest level."""
        return self.transmit(inputs["image"], inputs["quality"], inputs["noise"], training=training)

    @cached_property
    def coded(self) -> dict[int, Coded]:
        """Every coder for many patches at once, by bits."""
        return {bits: Coded(coder, self.sizes.patch_values) for bits, coder in self.coders.items()}

    def coder_of(self, level: int) -> LevelCoder:
        """Of a level from 1 on."""
        return self.coders[self.sizes.level_bits[level]]

    @property
    def distortion(self) -> np.ndarray:
        """Mean squared error of each level, of a value in [0, 1], float32 (levels,)."""
        return np.asarray(ops.convert_to_numpy(self.measured.distortion))

    @staticmethod
    def shades(codes: np.ndarray) -> np.ndarray:
        """Values in [0, 1] of codes of the mean colour, float32 (N, C)."""
        return np.asarray(Composed.shades(codes.astype(np.float32)), np.float32)

    def reconstruct(self, images: Any, coder: LevelCoder) -> Any:
        """Images (B, H, W, C) in [0, 1] with every patch coded and decoded by one coder."""
        patches = coder(in_patches(images, self.sizes.patch))
        return whole(ops.clip(patches, 0.0, 1.0), self.sizes.image_shape, self.sizes.patch)

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The picture in which every patch has the highest level: what the classifier gets at the highest
        rate.

        Nothing is lost on the way: errors of the channel are no part of the training.
        """
        del quality, noise, told, training
        return self.reconstruct(
            ops.convert_to_tensor(images), self.coder_of(len(self.sizes.level_bits) - 1)
        ), {}

    @property
    def decoder(self) -> keras.Model:
        """The bytes of all levels, the levels and the background to the picture."""
        return build_picture(self.sizes, [self.coders[bits] for bits in self.sizes.level_bits[1:]])

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The level of each patch, the background, and the bytes of all levels, one behind the other."""
        sizes = self.sizes
        head = sizes.patches + sizes.image_shape[2]
        return (head + sizes.patches * sum(sizes.level_bits) // 8,)

    def values_shape(self) -> tuple[int, ...]:
        """As the codes."""
        return self.code_shape

    def codes(self, images: Any) -> Any:
        """What is sent at the default rate, int32 (B, *code_shape); 0 for patches of another level.

        Args:
            images: float (B, H, W, C) in [0, 1].
        """
        pixels = np.rint(np.asarray(ops.convert_to_numpy(images)) * 255).astype(np.uint8)
        levels = self.levels_for(pixels, self.sizes.rate_default)
        sent = (levels, background(pixels), self.bytes_of(pixels, levels))
        return ops.convert_to_tensor(np.concatenate(sent, axis=1), dtype="int32")

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Of the float student, float32 (N, patches), for uint8 images."""
        found = self.student.predict_on_batch(images.astype(np.float32) / np.float32(255))
        return np.asarray(found).reshape(len(images), -1)

    def levels_for(self, images: np.ndarray, rates: Any) -> np.ndarray:
        """Levels uint8 (N, patches) of uint8 images for rates in bytes, by the float student."""
        weights = weights_of(self.scores(images), images, self.sizes)
        return levels_of(weights, self.sizes, self.distortion, rates)

    def bytes_of(self, images: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """What the float coders send: uint8 (N, all) of uint8 images whose patches have these levels."""
        patches = in_patches(images.astype(np.float32) / np.float32(255), self.sizes.patch)
        parts = []
        for level in range(1, len(self.sizes.level_bits)):
            coder = self.coder_of(level)
            codes = ops.convert_to_numpy(coder.codes(patches))
            given = ops.convert_to_numpy(coder.given).astype(int)
            bits = [
                codes[..., which, None] >> np.arange(count - 1, -1, -1) & 1
                for which, count in enumerate(given)
                if count
            ]
            sent = np.packbits(np.concatenate(bits, axis=-1).astype(np.uint8), axis=-1)
            sent = np.where((levels == level)[..., None], sent, 0)
            parts.append(sent.reshape(len(images), -1))
        return np.concatenate(parts, axis=1)

    def pictures(self, images: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """What arrives of uint8 images whose patches have these levels: float32 (N, H, W, C) in [0, 1]."""
        size, shape = self.sizes, self.sizes.image_shape
        patches = cut(images, size.patch).astype(np.float32) / np.float32(255)
        shade = self.shades(background(images))
        found = np.tile(shade[:, None], (1, size.patches, size.patch**2))
        for level in range(1, len(size.level_bits)):
            here = levels == level
            if here.any():
                found[here] = self.coded[size.level_bits[level]](patches[here])
        return joined(found, shape, size.patch)

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Received bytes as numbers; 0 where one was lost."""
        values = ops.cast(codes, "float32")
        return values if erased is None else ops.where(erased, 0.0, values)

    def device(self) -> DeviceSpec:
        """Student, selection, coders; the map in the payload's head."""
        sizes = self.sizes
        outputs = tuple(f"codes_{level}" for level in range(1, len(sizes.level_bits)))
        rate = Control(RATE, 1, sizes.rate_low, sizes.rate_high, sizes.rate_default, "bytes")
        protect = Control(PROTECT, 2, 0, 1, 0, "entry")
        select = SelectStage(
            scores=SCORES,
            image=IMAGE,
            output=LEVELS,
            background=BACKGROUND,
            side=sizes.patch,
            distortion=tuple(float(each) for each in self.distortion),
            weight=sizes.weight,
            rate=RATE,
            sharpness=sizes.sharpness,
        )
        coders = tuple(self.coder_of(level).device() for level in range(1, len(sizes.level_bits)))
        return DeviceSpec(
            network=self.student,
            values=(SCORES,),
            stages=(
                GraphSpec("student", IMAGE, SCORES),
                select,
                PatchesStage(IMAGE, LEVELS, sizes.patch, outputs, coders),
            ),
            payload=Layout(
                tuple(
                    Region(output, 8, items=Exactly(LEVELS, level)) for level, output in enumerate(outputs, 1)
                ),
                head=Head(LEVELS, (BACKGROUND,), PROTECT),
            ),
            quality=Ber(0.0, sizes.ber.high),
            controls=(rate, protect),
        )

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """The picture, and what the tail sees in it."""
        del tail
        names = [f"codes_{level}" for level in range(1, len(self.sizes.level_bits))]
        inputs = tuple(ReceivedInput(name, name) for name in (*names, LEVELS, BACKGROUND))
        return (
            EdgeGraphSpec(PICTURE, self.decoder, inputs),
            EdgeGraphSpec(TASK_TAIL, self.classifier, (GraphInput("picture", PICTURE),)),
        )

    @property
    def picture(self) -> str | None:
        """The graph whose output is a picture."""
        return PICTURE

    @property
    def level_map(self) -> str | None:
        """The tensor of codes that is the level of each patch."""
        return LEVELS

    def task(self, tail: Any) -> Task:
        """Classification."""
        del tail
        return CLASSIFICATION

    def check_data(self, tail: Any, data: Dataset) -> None:
        """One class per image, and as many classes as the tail has."""
        del tail
        check_classes(self.sizes.classes, data)

    def outputs(
        self, tail: Any, codes: Any, quality: Any, erased: Any = None, *, training: bool = False
    ) -> Any:
        """Logits of received codes."""
        del tail, quality
        received = self.values(ops.convert_to_tensor(codes), erased)
        return self.classifier(self.decoder(self._parted(received)), training=training)

    def _parted(self, received: Any) -> list[Any]:
        """What the decoder takes, of codes (B, *code_shape) as numbers."""
        sizes, parts = self.sizes, []
        start = sizes.patches + sizes.image_shape[2]
        for bits in sizes.level_bits[1:]:
            end = start + sizes.patches * bits // 8
            parts.append(ops.reshape(received[:, start:end], (-1, sizes.patches, bits // 8)))
            start = end
        levels = ops.reshape(received[:, : sizes.patches], (-1, *sizes.grid))
        return [*parts, levels, received[:, sizes.patches : sizes.patches + sizes.image_shape[2]]]

    def bits_per_code(self) -> int:
        """A byte."""
        return 8

    def levels(self) -> int:
        """Of a byte."""
        return self.sizes.levels

    def stages(self) -> tuple[StageSpec, ...]:
        """The training has stages of its own."""
        return (StageSpec("tail", True),)

    def noise_shape(self) -> tuple[int, ...]:
        """Of the bytes, eight bits each."""
        return (*self.code_shape, 8)

    def parts(self) -> dict[str, Any]:
        """Student, coders, tail, and what was measured of the levels."""
        coders = {f"coder_{bits}": coder for bits, coder in self.coders.items()}
        return {"student": self.student, **coders, "classifier": self.classifier, "measured": self.measured}

    def edge_parts(self) -> frozenset[str]:
        """The tail. Of a coder the device has one half and the edge the other."""
        return frozenset({"classifier"})


class Measured(keras.layers.Layer):
    """Mean squared error of each level, kept with the weights.

    Args:
        levels: How many.
    """

    def __init__(self, levels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = levels

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Create the array."""
        del input_shape
        self.distortion = self.add_weight(
            shape=(self.count,), trainable=False, initializer="zeros", name="distortion"
        )
