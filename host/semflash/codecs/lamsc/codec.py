"""The codec: bits where a large model's segments say that they matter (arXiv 2307.03492)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.bundle.schema import GraphInput, QualityInput, ReceivedInput
from semflash.codecs.base import Codec
from semflash.codecs.classes import check_classes
from semflash.codecs.device_side import IMAGE, DeviceSpec, GraphSpec, Neutral, PatchesStage, SelectStage
from semflash.codecs.edge_side import TASK_TAIL, EdgeGraphSpec
from semflash.codecs.lamsc.coding import Coding, importance_of
from semflash.codecs.lamsc.levels import LevelTables
from semflash.codecs.lamsc.networks import build_classifier, build_restorer, build_student
from semflash.codecs.lamsc.picture import build_picture, picture_of
from semflash.codecs.lamsc.sizes import BLOCK, LamscSizes
from semflash.codecs.multires.picture import PICTURE
from semflash.codecs.training_side import StageSpec
from semflash.data.dataset import Dataset
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.program.controls import Control
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.quality import Ber

SCORES, LEVELS, BACKGROUND = "scores", "levels", "background"
#: Controls: bytes of the next payload, and whether its map is protected.
RATE, PROTECT = "bytes", "protect"
#: The map is protected from this estimated BER on.
PROTECT_FROM = 1e-3
#: Stands for a byte that did not arrive: a number that no byte is.
LOST = -1.0


class Lamsc(keras.Model, Codec):
    """Blocks of 8x8 pixels at levels of detail, by importance and by what each level would leave of them.

    Names and shapes for the default sizes:

    image           [0, 1]                                                (64, 64, 3)
      student       convolutions: a logit of the importance per block     (8, 8, 1)
    background      mean colour, 4 bits a channel                         (3,)
    coefficients    of the blocks less this colour                        (64, 40)
    levels          least w D + lambda R that fits the bytes told         (8, 8)
    codes_1..7      bytes of the blocks that have this level              (64, 1) to (64, 19)
      picture       inverse transform, and a network that restores        (64, 64, 3)
      tail          the task network on the picture                       (10,)

    The student carries what segments, task and attention found on the host to the device. Transform and
    levels are found in closed form; networks restore the picture and name it.

    Of the paper: section III, A (knowledge base), B (integration by attention), C (adaptive compression).
    """

    family = "lamsc"
    family_version = 1

    def __init__(self, sizes: LamscSizes) -> None:
        super().__init__(name="lamsc")
        self.sizes = sizes
        self.student = build_student(sizes)
        self.tables = LevelTables(sizes, name="tables")
        self.tables.build(())
        self.restorer = build_restorer(sizes) if sizes.restoring else None
        self.classifier = build_classifier(sizes)

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """The picture in which every block has the highest level."""
        return self.forward(inputs["image"], inputs["quality"], inputs["noise"], training=training)[0]

    @property
    def coding(self) -> Coding:
        """What the device does, with the levels that the codec has now."""
        return Coding(self.tables.closed(), self.sizes)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Of the float student, float32 (N, blocks), for uint8 images."""
        found = self.student(images.astype(np.float32) / np.float32(255), training=False)
        return np.asarray(ops.convert_to_numpy(found)).reshape(len(images), -1)

    def levels_for(self, images: np.ndarray, rates: Any, protect: Any = False) -> np.ndarray:
        """Levels uint8 (N, blocks) of uint8 images for rates in bytes, by the float student."""
        coding = self.coding
        weights = coding.weights(importance_of(self.scores(images)))
        return coding.levels(coding.worth(coding.analyse(images)[0]), weights, rates, protect)

    def restored(
        self, coefficients: np.ndarray, levels: np.ndarray, background: np.ndarray, bers: np.ndarray
    ) -> np.ndarray:
        """Pictures float32 (N, H, W, C) in [0, 1] of what arrived.

        Args:
            coefficients: float (N, blocks, K).
            levels: (N, blocks).
            background: codes (N, C).
            bers: (N,), as the decoder is told.
        """
        grid = levels.reshape(-1, *self.sizes.grid).astype(np.float32)
        told = np.asarray(bers, np.float32)[:, None]
        arrays = np.asarray(coefficients, np.float32), grid, background.astype(np.float32), told
        given = [ops.convert_to_tensor(each) for each in arrays]
        found = picture_of(self.sizes, self.tables, self.restorer, *given)
        return np.asarray(ops.convert_to_numpy(found))

    def pictures(self, images: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """What arrives of uint8 images whose blocks have these levels, without errors."""
        coding = self.coding
        coefficients, background = coding.analyse(images)
        sent = coding.received(coding.codes(coefficients, levels), levels)
        return self.restored(sent, levels, background, np.zeros(len(images), np.float32))

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The picture in which every block has the highest level: what comes at the highest rate."""
        del noise, training
        pixels = np.rint(np.asarray(ops.convert_to_numpy(images)) * 255).astype(np.uint8)
        levels = np.full((len(pixels), self.sizes.patches), len(self.sizes.level_bits) - 1, np.uint8)
        coding = self.coding
        coefficients, background = coding.analyse(pixels)
        sent = coding.received(coding.codes(coefficients, levels), levels)
        bers = np.asarray(ops.convert_to_numpy(quality if told is None else told)).reshape(-1)
        return ops.convert_to_tensor(self.restored(sent, levels, background, bers)), {}

    @property
    def decoder(self) -> keras.Model:
        """The bytes of all levels, the levels, the background and the BER to the picture."""
        return build_picture(self.sizes, self.tables, self.restorer)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The level of each block, the background, and the bytes of all levels, one behind the other."""
        sizes = self.sizes
        head = sizes.patches + sizes.image_shape[2]
        return (head + sizes.patches * sum(sizes.level_bits) // 8,)

    def values_shape(self) -> tuple[int, ...]:
        """As the codes."""
        return self.code_shape

    def codes(self, images: Any) -> Any:
        """What is sent at the default rate, int32 (B, *code_shape); 0 for blocks of another level.

        Args:
            images: float (B, H, W, C) in [0, 1].
        """
        pixels = np.rint(np.asarray(ops.convert_to_numpy(images)) * 255).astype(np.uint8)
        coding = self.coding
        coefficients, background = coding.analyse(pixels)
        levels = self.levels_for(pixels, self.sizes.rate_default)
        sent = coding.packed(coding.codes(coefficients, levels), levels)
        parts = [levels, background, *(each.reshape(len(pixels), -1) for each in sent)]
        return ops.convert_to_tensor(np.concatenate(parts, axis=1), dtype="int32")

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Received bytes as numbers; a number that no byte is where one was lost."""
        values = ops.cast(codes, "float32")
        return values if erased is None else ops.where(erased, LOST, values)

    def device(self) -> DeviceSpec:
        """Student, selection, coders; the map in the payload's head."""
        sizes, closed = self.sizes, self.tables.closed()
        kinds = len(sizes.level_bits)
        outputs = tuple(f"codes_{level}" for level in range(1, kinds))
        rate = Control(RATE, 1, sizes.rate_low, sizes.rate_high, sizes.rate_default, "bytes")
        protect = Control(PROTECT, 2, 0, 1, 0, "entry", follows=(0.0, PROTECT_FROM))
        select = SelectStage(
            scores=SCORES,
            image=IMAGE,
            output=LEVELS,
            background=BACKGROUND,
            side=BLOCK,
            distortion=(0.0,) * kinds,
            weight="importance" if sizes.asi else "even",
            rate=RATE,
            floor=sizes.floor,
            falls=closed.tables,
        )
        return DeviceSpec(
            network=self.student,
            values=(SCORES,),
            stages=(
                GraphSpec("student", IMAGE, SCORES),
                select,
                PatchesStage(IMAGE, LEVELS, BLOCK, outputs, closed.coders, BACKGROUND),
            ),
            payload=Layout(
                tuple(
                    Region(output, 8, items=Exactly(LEVELS, level)) for level, output in enumerate(outputs, 1)
                ),
                head=Head(LEVELS, (BACKGROUND,), PROTECT),
            ),
            quality=Ber(0.0, sizes.ber.high),
            controls=(rate, protect),
            neutral={output: Neutral(value=LOST) for output in outputs},
        )

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """The picture, and what the tail sees in it."""
        del tail
        names = [f"codes_{level}" for level in range(1, len(self.sizes.level_bits))]
        inputs = tuple(ReceivedInput(name, name) for name in (*names, LEVELS, BACKGROUND))
        told = () if self.restorer is None else (QualityInput("ber"),)
        return (
            EdgeGraphSpec(PICTURE, self.decoder, (*inputs, *told)),
            EdgeGraphSpec(TASK_TAIL, self.classifier, (GraphInput("picture", PICTURE),)),
        )

    @property
    def picture(self) -> str | None:
        """The graph whose output is a picture."""
        return PICTURE

    @property
    def level_map(self) -> str | None:
        """The tensor of codes that is the level of each block."""
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
        del tail
        received = self.values(ops.convert_to_tensor(codes), erased)
        parts = self._parted(received)
        if self.restorer is not None:
            parts.append(ops.reshape(ops.cast(quality, "float32"), (-1, 1)))
        return self.classifier(self.decoder(parts), training=training)

    def _parted(self, received: Any) -> list[Any]:
        """What the decoder takes beside the BER, of codes (B, *code_shape) as numbers."""
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
        """Student, levels, restoring network, tail."""
        more = {} if self.restorer is None else {"restorer": self.restorer}
        return {"student": self.student, "tables": self.tables, **more, "classifier": self.classifier}

    def edge_parts(self) -> frozenset[str]:
        """What the device knows nothing of."""
        return frozenset({"classifier"} if self.restorer is None else {"restorer", "classifier"})
