"""Make tests/vectors/tiny.semcodec: a complete bundle of random features with a briefly fitted edge side.

    python tests/vectors/make_tiny_bundle.py [OUT]

Plain Keras and the TFLite converter, none of semflash's training code, so that bundle, codegen, device and
edge can be tested without it. Needs semflash[train] and Fashion-MNIST (Debian: dataset-fashion-mnist). The
weights depend on the TensorFlow build; the committed bundle is the fixture, this script only says whence.
"""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers as kl

from semflash.bundle import write_bundle
from semflash.bundle.digest import file_ref
from semflash.bundle.packing import pack, payload_size, unpack
from semflash.bundle.schema import (
    Record,
)
from semflash.bundle.version1 import BerInput, BitChannel, Contract1, DeviceGraph, FixedPayload, ImageInput
from semflash.channels.bits import flip_bits
from semflash.conversion.gdn import quantise_tail
from semflash.program.reference.tails import codes as tail_codes
from semflash.runtime.litert import load_interpreter
from semflash.runtime.reference import ReferenceGraph

DATA = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
LEVELS = 8


def load(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (count, 28, 28, 1) and labels int32 (count,)."""
    images = gzip.decompress((DATA / f"{split}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((DATA / f"{split}-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1)[:count]
    return x, np.frombuffer(labels, np.uint8, offset=8)[:count].astype(np.int32)


def device_model(stem: int, middle: int, latent: int) -> keras.Model:
    """Image in [0, 1] (28, 28, 1) -> latent (4, 4, latent), before GDN."""
    image = keras.Input(batch_shape=(1, 28, 28, 1))
    x = kl.Conv2D(stem, 3, padding="same", activation="relu")(image)
    x = kl.MaxPooling2D()(x)
    x = kl.Conv2D(middle, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, kl.Conv2D(latent, 3, strides=2, padding="same")(x))


def to_int8(model: keras.Model, images: np.ndarray) -> bytes:
    """Full-integer conversion; the calibration set spans 0..1, so the input scale is 1/255."""
    calibration = images.astype(np.float32) / 255
    calibration[0].flat[0], calibration[0].flat[1] = 0.0, 1.0
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([v[None]] for v in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def edge_models(latent: int, width: int) -> tuple[keras.Model, keras.Model]:
    """decoder: latent (B, 4, 4, C), ber (B, 1) -> features (B, width); tail: features -> logits (B, 10)."""
    values, ber = keras.Input((4, 4, latent), name="latent"), keras.Input((1,), name="ber")
    gate = kl.Dense(width, activation="sigmoid")(ber)
    x = kl.Flatten()(kl.Conv2D(width, 3, padding="same", activation="relu")(values))
    x = kl.Multiply()([kl.Dense(width, activation="relu")(x), gate])
    features = keras.Input((width,))
    return keras.Model([values, ber], x), keras.Model(features, kl.Dense(len(CLASSES))(features))


def fit_edge(decoder: keras.Model, tail: keras.Model, x: np.ndarray, bits: np.ndarray, y: np.ndarray) -> None:
    """Fit the edge side on received codes with bit errors; x holds the centres by code."""
    rng = np.random.default_rng(0)
    ber = np.where(rng.random(len(bits)) < 0.3, 0.0, rng.uniform(0, 0.06, len(bits))).astype(np.float32)
    received = x[unpack(flip_bits(bits, ber, rng), 3, 16 * decoder.input_shape[0][3])]
    values = received.reshape(-1, *decoder.input_shape[0][1:])
    model = keras.Model(decoder.inputs, tail(decoder.outputs[0]))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit([values, ber[:, None]], y, batch_size=64, epochs=4, verbose=2)


def float_tflite(model: keras.Model) -> bytes:
    """Float32 .tflite with a flexible batch."""
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def make(out: Path, name: str, stem: int, middle: int, latent: int, width: int, images: int) -> Any:
    """Make a bundle at ``out``; returns it."""
    keras.utils.set_random_seed(7)
    x, y = load("train", images)
    encoder = to_int8(device_model(stem, middle, latent), x[:300])
    scale, zero = load_interpreter(encoder, "encoder", reference=True).get_output_details()[0]["quantization"]
    values = ReferenceGraph(encoder, "encoder.tflite").run((x ^ 0x80).view(np.int8))
    real = (values.astype(np.float64) - zero) * scale
    beta, gamma = np.full(latent, 0.2 * real.var()), 0.1 + 0.5 * np.eye(latent)
    alpha = np.linspace(0.3, 0.7, latent)
    y0 = real / np.sqrt(beta + real**2 @ gamma)
    centres = np.quantile(np.where(y0 > 0, y0, alpha * y0), (np.arange(LEVELS) + 0.5) / LEVELS)
    centres = np.float32(centres).astype(np.float64)
    device_tail = quantise_tail(beta, gamma, alpha, centres, float(scale), int(zero))
    decoder, tail = edge_models(latent, width)
    fit_edge(decoder, tail, np.float32(centres), pack(tail_codes(values, device_tail), 3), y)
    files = {
        "encoder.tflite": encoder,
        "decoder.tflite": float_tflite(decoder),
        "tail.tflite": float_tflite(tail),
    }
    contract = Contract1(
        name=name,
        family="semanticnn",
        family_version=1,
        input=ImageInput(28, 28, 1, 1 / 255, -128),
        device_graphs=[
            DeviceGraph("encoder", file_ref("encoder.tflite", encoder), 4, 4, latent, float(scale), int(zero))
        ],
        device_tail=device_tail,
        payload=FixedPayload(16 * latent, 3, payload_size(16 * latent, 3)),
        channel=BitChannel(0.0, 0.06),
        quality=BerInput("ber"),
        centres=centres.tolist(),
        decoder=file_ref("decoder.tflite", files["decoder.tflite"]),
        task_tail=file_ref("tail.tflite", files["tail.tflite"]),
        class_names=CLASSES,
    )
    record = Record(
        semflash_version="0.1.0",
        recipe={"script": "make_tiny_bundle.py", "dataset": "fashion-mnist", "images": images},
        seed=7,
    )
    return write_bundle(out, contract, record, files, overwrite=True)


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "tiny.semcodec"
    print(make(place, "tiny", stem=4, middle=6, latent=4, width=16, images=20_000).hash_hex)
