"""Make the encoders that docs/benchmarks.md measures, with random weights from a fixed seed.

    python benchmarks/make_models.py [DIRECTORY]      # benchmarks/models by default; needs semflash[train]

The cost of an int8 encoder depends on its shapes, not on what it has learned. `enc32`, `enc96`: a convolution
3x3 with stride 2 and 24 channels, ReLU, then 4x4 with stride 4 to 12 channels, for images of 32x32x3 and
96x96x3. `resnet50_head`: the first layers of ResNet-50 at 224x224x3 (7x7 with stride 2 to 64 channels, ReLU,
maximum 3x3 with stride 2), then 4x4 with stride 4 to 32 channels.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, nargs="?", default=HERE / "models")
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, model, images in (
        ("enc32", small_encoder(32, seed=0), 32),
        ("enc96", small_encoder(96, seed=0), 32),
        ("resnet50_head", resnet50_head(seed=1), 8),
    ):
        data = convert(model, images)
        temporary = directory / f".{name}.tflite"
        temporary.write_bytes(data)
        temporary.replace(directory / f"{name}.tflite")
        print(f"{name}: {len(data):,} bytes, output {tuple(model.output_shape)}")


def small_encoder(side: int, seed: int) -> Any:
    """Keras model (1, side, side, 3) -> (1, side/8, side/8, 12)."""
    import keras

    keras.utils.set_random_seed(seed)
    image = keras.Input((side, side, 3), batch_size=1)
    features = keras.layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(image)
    return keras.Model(image, keras.layers.Conv2D(12, 4, strides=4, padding="valid")(features))


def resnet50_head(seed: int) -> Any:
    """Keras model (1, 224, 224, 3) -> (1, 14, 14, 32)."""
    import keras

    keras.utils.set_random_seed(seed)
    image = keras.Input((224, 224, 3), batch_size=1)
    features = keras.layers.Conv2D(64, 7, strides=2, padding="same", activation="relu")(image)
    features = keras.layers.MaxPooling2D(3, 2, padding="same")(features)
    return keras.Model(image, keras.layers.Conv2D(32, 4, strides=4, padding="valid")(features))


def convert(model: Any, images: int) -> bytes:
    """int8 .tflite with int8 ends, calibrated on uniform noise in 0..1."""
    import numpy as np
    import tensorflow as tf

    shape = (1, *model.input_shape[1:])
    noise = np.random.default_rng(0)

    def representative() -> Iterator[list[Any]]:
        for _ in range(images):
            yield [noise.random(shape, dtype=np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


if __name__ == "__main__":
    main()
