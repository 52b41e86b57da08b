"""Make tests/vectors/steered.semcodec: values as symbols, a projection for each state, a decoder told the state.

    PYTHONPATH=host:codegen:tests/vectors python tests/vectors/make_steered_bundle.py [OUT]

The encoder is the tiny bundle's. State 0 sends one mixture of the latent's channels twice, state 7 two mixtures
(principal axes), those between go from the one to the other: so the decoder has to know the state. Plain
Keras, none of semflash's training code. Needs semflash[train] and Fashion-MNIST (Debian:
dataset-fashion-mnist). The weights depend on the TensorFlow build; the committed bundle is the fixture.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers as kl
from make_tiny_bundle import CLASSES, float_tflite, load
from numpy.typing import NDArray

from semflash.bundle import read_bundle, write_bundle
from semflash.bundle.digest import file_ref
from semflash.bundle.schema import (
    Contract,
    ControlInput,
    EdgeGraph,
    Model,
    QualityInput,
    ReceivedInput,
    Record,
)
from semflash.outputs.kinds import ClassificationTask
from semflash.program.controls import Control
from semflash.program.layout import Layout, Region
from semflash.program.program import Program
from semflash.program.quality import Snr
from semflash.program.reference.run import run
from semflash.program.stages import Graph, Normalise, Project, Projection
from semflash.program.tensors import Tensor, Values
from semflash.runtime.reference import ReferenceGraph

HERE = Path(__file__).parent
STATES, FOLLOWS = 8, tuple(float(level) for level in range(-6, 18, 3))
REACH = 4.0 * math.sqrt(0.5)
SCALE = REACH / 127


def projections(real: NDArray[np.float64], scale: float, zero_point: int) -> tuple[list[Projection], float]:
    """One for each state, and the scale of what comes out; real: latents (N, 4, 4, C)."""
    flat = real.reshape(-1, real.shape[-1])
    middle = flat.mean(axis=0)
    axes = np.linalg.svd(flat[:20_000] - middle, full_matrices=False)[2]
    sets = []
    for state in range(STATES):
        share = state / (STATES - 1)
        sets.append(np.stack([axes[0], (1 - share) * axes[0] + share * 3 * axes[1]]))
    reach = max(np.abs((flat - middle) @ weights.T).max() for weights in sets)
    out_scale = float(reach / 127)
    return [_quantised(weights, middle, scale, out_scale) for weights in sets], out_scale


def _quantised(
    weights: NDArray[np.float64], middle: NDArray[np.float64], scale: float, out_scale: float
) -> Projection:
    steps = np.abs(weights).max(axis=1) / 127
    whole = np.round(weights / steps[:, None]).astype(int)
    bias = np.round(-(weights @ middle) / (steps * scale)).astype(int)
    mantissas, exponents = np.frexp(steps * scale / out_scale)
    return Projection(
        [int(w) for w in whole.ravel()],
        [int(b) for b in bias],
        [min(round(m * 2**31), 2**31 - 1) for m in mantissas],
        [int(e) for e in exponents],
    )


def program(latent: Tensor, tables: list[Projection], middle_scale: float) -> Program:
    """Image to 16 complex symbols."""
    shape = (*latent.shape[:2], 2)
    gain = round(256 * math.sqrt(math.prod(shape) / 2) / SCALE)
    return Program(
        image="image",
        tensors=(
            Tensor("image", (28, 28, 1), Values(1 / 255, -128)),
            latent,
            Tensor("projected", shape, Values(middle_scale, 0)),
            Tensor("symbols", shape, Values(SCALE, 0)),
        ),
        stages=(
            Graph("encoder", ("image",), (latent.name,)),
            Project(latent.name, "projected", tuple(tables), "state"),
            Normalise("projected", "symbols", gain),
        ),
        payload=Layout((Region("symbols", 8),)),
        quality=Snr(-6.0, 18.0),
        controls=(Control("state", 1, 0, STATES - 1, 4, "entry", follows=FOLLOWS),),
    )


def decoder(shape: tuple[int, ...]) -> keras.Model:
    """symbols (B, 4, 4, 2), snr (B, 1), state (B, 1) -> logits (B, 10)."""
    symbols = keras.Input(shape, name="symbols")
    snr, state = keras.Input((1,), name="snr"), keras.Input((1,), name="state")
    told = kl.Concatenate()([kl.Rescaling(1 / 12)(snr), kl.Rescaling(2 / STATES, -1)(state)])
    x = kl.Concatenate()([kl.Flatten()(symbols), told])
    gate = kl.Dense(64, activation="sigmoid")(told)
    x = kl.Multiply()([kl.Dense(64, activation="relu")(x), gate])
    x = kl.Dense(48, activation="relu")(x)
    return keras.Model([symbols, snr, state], kl.Dense(len(CLASSES))(x))


def fit(model: keras.Model, sent: NDArray[np.float32], labels: NDArray[np.int32]) -> None:
    """sent: (states, N, 4, 4, 2). Mostly the state of the ratio, sometimes another."""
    rng, count = np.random.default_rng(0), len(labels)
    snr = rng.uniform(-8, 20, (count, 1)).astype(np.float32)
    state = np.clip(np.floor((snr[:, 0] + 6) / 3), 0, STATES - 1).astype(int)
    other = rng.random(count) < 0.25
    state[other] = rng.integers(0, STATES, int(other.sum()))
    spread = np.sqrt(0.5 * 10 ** (-snr / 10))[..., None, None]
    clean = sent[state, np.arange(count)]
    noisy = clean + spread * rng.standard_normal(clean.shape)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    inputs = [noisy.astype(np.float32), snr, state[:, None].astype(np.float32)]
    model.fit(inputs, labels, batch_size=128, epochs=8, verbose=2)


def main(out: Path) -> None:
    """Write the bundle and say its hash."""
    keras.utils.set_random_seed(11)
    tiny = read_bundle(HERE / "tiny.semcodec")
    latent = tiny.program.tensor("latent")
    assert isinstance(latent.holds, Values)
    images, labels = load("train", 30_000)
    encoder = ReferenceGraph(tiny.models["encoder"], "encoder.tflite")
    pixels = (images ^ 0x80).view(np.int8)
    latents = encoder.run(pixels)
    real = (latents.astype(np.float64) - latent.holds.zero_point) * latent.holds.scale
    tables, middle = projections(real, latent.holds.scale, latent.holds.zero_point)
    made = program(latent, tables, middle)
    sent = [
        SCALE
        * run(made, pixels, lambda *_: [latents], {"state": state}).tensors["symbols"].astype(np.float32)
        for state in range(STATES)
    ]
    model = decoder((4, 4, 2))
    fit(model, np.stack(sent).astype(np.float32), labels)
    files = {"encoder.tflite": tiny.models["encoder"], "decoder.tflite": float_tflite(model)}
    contract = Contract(
        name="steered",
        family="steered",
        family_version=1,
        program=made,
        models=(Model("encoder", file_ref("encoder.tflite", files["encoder.tflite"])),),
        edge=(
            EdgeGraph(
                "decoder",
                file_ref("decoder.tflite", files["decoder.tflite"]),
                (ReceivedInput("symbols", "symbols"), QualityInput("snr"), ControlInput("state", "state")),
            ),
        ),
        class_names=tuple(CLASSES),
        task=ClassificationTask(),
    )
    recipe = {"script": "make_steered_bundle.py", "dataset": "fashion-mnist", "images": len(images)}
    record = Record(semflash_version="0.1.0", recipe=recipe, seed=11)
    print(write_bundle(out, contract, record, files, overwrite=True).hash_hex)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "steered.semcodec")
