"""Levels of detail with coders of cosines and an untrained student: a device side, and its bundle."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import keras
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fakes.untrained import CLASSES, blocks
from semflash.bundle.digest import file_ref
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Contract, EdgeGraph, Model, ReceivedInput, Record
from semflash.bundle.writer import write_bundle
from semflash.codecs.device_side import (
    IMAGE,
    DeviceSpec,
    FallTables,
    GraphSpec,
    Neutral,
    PatchCoder,
    PatchesStage,
    SelectStage,
)
from semflash.conversion.device import QuantisedDevice, quantise_device
from semflash.conversion.graphs import convert_float
from semflash.outputs.kinds import ClassificationTask
from semflash.program.controls import Control
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.quality import Ber

SHAPE, SIDE, PLACES = (28, 28, 1), 7, (4, 4)
#: Bits of the coefficients of each level.
BITS = ((5, 3), (6, 5, 5, 4, 4), (6, 6, 6, 5, 5, 4, 4, 4, 4, 4))
CODES = ("codes_1", "codes_2", "codes_3")
RATE_LOW, RATE_HIGH = 16, 130


def cosines(count: int) -> NDArray[np.float64]:
    """The first patterns of the discrete cosine transform of a patch, (count, side * side)."""
    steps = (np.arange(SIDE) + 0.5) * np.pi / SIDE
    lines = [np.cos(f * steps) / np.linalg.norm(np.cos(f * steps)) for f in range(SIDE)]
    pairs = sorted(((a, b) for a in range(SIDE) for b in range(SIDE)), key=lambda p: (p[0] + p[1], p))
    return np.stack([np.outer(lines[a], lines[b]).ravel() for a, b in pairs[:count]])


def patch_coder(bits: tuple[int, ...], *, centred: bool = False) -> PatchCoder:
    """Cosines with even thresholds; the first is the mean of the patch, around 0.

    Args:
        centred: Whether the patches come less the background.
    """
    weights = cosines(len(bits))
    middle = np.zeros(len(bits)) if centred else -weights.sum(axis=1) / 2
    bias = np.where(np.arange(len(bits)) == 0, middle, 0.0)
    thresholds = tuple(
        np.linspace(-1, 1, (1 << b) + 1)[1:-1] * (3.5 if i == 0 else 1.5) for i, b in enumerate(bits)
    )
    return PatchCoder(weights.astype(np.float32), bias.astype(np.float32), np.array(bits), thresholds)


def fall_tables(coders: tuple[PatchCoder, ...]) -> FallTables:
    """Of coders that share their rows: centres in the middle between thresholds."""
    return FallTables(
        tuple(np.arange(len(coder.bits)) for coder in coders),
        tuple(
            tuple(
                np.concatenate([steps[:1] - 0.1, (steps[1:] + steps[:-1]) / 2, steps[-1:] + 0.1])
                for steps in coder.thresholds
            )
            for coder in coders
        ),
    )


def spec(weight: str = "attention-variance") -> DeviceSpec:
    """A student of one 7x7 convolution and one score for each patch.

    Args:
        weight: With "importance" the patches' own coefficients say what a level leaves.
    """
    keras.utils.set_random_seed(5)
    by_falls = weight == "importance"
    coders = tuple(patch_coder(bits, centred=by_falls) for bits in BITS)
    image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(4, SIDE, strides=SIDE, activation="relu", name="stem")(image)
    student = keras.Model(image, keras.layers.Conv2D(1, 1, name="scores")(x), name="student")
    return DeviceSpec(
        student,
        ("scores",),
        (
            GraphSpec("student", IMAGE, "scores"),
            SelectStage(
                "scores",
                IMAGE,
                "levels",
                "background",
                SIDE,
                (0.06, 0.03, 0.012, 0.006),
                weight,  # type: ignore[arg-type]
                "rate",
                sharpness=3.0,
                falls=fall_tables(coders) if by_falls else None,
            ),
            PatchesStage(IMAGE, "levels", SIDE, CODES, coders, "background" if by_falls else None),
        ),
        Layout(
            tuple(Region(name, 8, Exactly("levels", level)) for level, name in enumerate(CODES, 1)),
            head=Head("levels", ("background",), "protect"),
        ),
        Ber(0.0, 0.06),
        (
            Control("rate", 1, RATE_LOW, RATE_HIGH, 64, "bytes"),
            Control("protect", 2, 0, 1, 0, "entry"),
        ),
        {name: Neutral(value=-1.0) for name in CODES},
    )


@cache
def quantised(weight: str = "attention-variance") -> QuantisedDevice:
    """Calibrated with the blocks of grey of :mod:`fakes.untrained`."""
    return quantise_device(spec(weight), blocks())


def bundle(folder: Path, weight: str = "attention-variance", *, mapped: bool = False) -> Bundle:
    """The device side with a dense layer on everything that arrives; mapped: it says where its levels are."""
    device = quantised(weight)
    program = device.program
    received = program.payload.sources
    given = [keras.Input(program.tensor(name).shape, name=name) for name in received]
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(each) for each in given])
    model = keras.Model(given, keras.layers.Dense(len(CLASSES))(flat), name="decoder")
    files = {"student.tflite": device.models["student"], "decoder.tflite": convert_float(model, "decoder")}
    contract = Contract(
        name="detailed",
        family="detailed",
        family_version=1,
        program=program,
        models=(Model("student", file_ref("student.tflite", files["student.tflite"])),),
        edge=(
            EdgeGraph(
                "decoder",
                file_ref("decoder.tflite", files["decoder.tflite"]),
                tuple(ReceivedInput(name, name) for name in received),
            ),
        ),
        class_names=CLASSES,
        task=ClassificationTask(),
        level_map="levels" if mapped else UNSET,
    )
    record = Record(semflash_version="0.1.0", recipe={"script": "fakes/detailed.py"}, seed=5)
    return write_bundle(folder / "detailed.semcodec", contract, record, files)
