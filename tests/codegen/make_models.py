"""Makes the small int8 models of tests/codegen/models. Needs TensorFlow; run once, commit the files.

    python tests/codegen/make_models.py [NAME ...]

Every model has random weights (seeded), random biases and full int8 quantisation, and covers a corner of the
operators: SAME and VALID, strides, odd sizes, channel multipliers, asymmetric zero points, fused activations.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers as kl
from tensorflow.lite.python import schema_py_generated as schema

FOLDER = Path(__file__).parent / "models"
Tensor = keras.KerasTensor
Builder = Callable[[Tensor], Tensor]


def conv_valid(x: Tensor) -> Tensor:
    """VALID, odd sizes, channels that are no multiple of 4, signed output."""
    x = kl.Conv2D(5, (3, 2), activation="relu")(x)
    return kl.Conv2D(7, 3, strides=(2, 3))(x)


def conv_same(x: Tensor) -> Tensor:
    """SAME with strides on odd and even sizes, fused ReLU6, 5x5 kernel."""
    x = kl.Conv2D(8, 5, strides=2, padding="same")(x)
    x = kl.ReLU(max_value=6.0)(x)
    return kl.Conv2D(6, 3, strides=2, padding="same")(x)


def conv_pointwise(x: Tensor) -> Tensor:
    """1x1, with stride 1 and stride 2, without bias."""
    x = kl.Conv2D(9, 1, use_bias=False)(x)
    x = kl.Conv2D(4, 1, activation="relu")(x)
    return kl.Conv2D(3, 1, strides=2)(x)


def conv_dilated(x: Tensor) -> Tensor:
    """Dilation 2, VALID and SAME."""
    x = kl.Conv2D(4, 3, dilation_rate=2, activation="relu")(x)
    return kl.Conv2D(4, 3, dilation_rate=2, padding="same")(x)


def depthwise(x: Tensor) -> Tensor:
    """3x3 SAME (CMSIS-NN's 3x3 kernel), 5x5 VALID stride 2 (its general one), 10 channels."""
    x = kl.Conv2D(10, 1, activation="relu")(x)
    x = kl.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = kl.DepthwiseConv2D(5, strides=2)(x)
    return kl.Conv2D(4, 1)(x)


def depthwise_multiplier(x: Tensor) -> Tensor:
    """Channel multipliers 3 and 4, SAME with stride 2."""
    x = kl.DepthwiseConv2D(3, depth_multiplier=3, strides=2, padding="same", activation="relu")(x)
    x = kl.DepthwiseConv2D((2, 3), depth_multiplier=4)(x)
    return kl.Conv2D(4, 1)(x)


def depthwise_dilated(x: Tensor) -> Tensor:
    """Depthwise with dilation 2."""
    x = kl.DepthwiseConv2D(3, dilation_rate=2, activation="relu")(x)
    return kl.Conv2D(3, 2)(x)


def max_pool(x: Tensor) -> Tensor:
    """Max pools: 2x2, 3x3 stride 2 SAME, a fused-ReLU convolution before."""
    x = kl.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = kl.MaxPooling2D(2)(x)
    x = kl.Conv2D(5, 2)(x)
    return kl.MaxPooling2D(3, strides=2, padding="same")(x)


def average_pool(x: Tensor) -> Tensor:
    """Average pools: SAME at the border, and over everything."""
    x = kl.Conv2D(6, 3, padding="same")(x)
    x = kl.AveragePooling2D(3, strides=2, padding="same")(x)
    return kl.AveragePooling2D((2, 3))(x)


def dense(x: Tensor) -> Tensor:
    """RESHAPE and FULLY_CONNECTED, twice."""
    x = kl.Conv2D(3, 3, strides=2, activation="relu")(x)
    x = kl.Flatten()(x)
    x = kl.Dense(13, activation="relu")(x)
    return kl.Dense(6)(x)


def residual(x: Tensor) -> Tensor:
    """ADD with fused ReLU across a branch, and a plain ADD."""
    a = kl.Conv2D(6, 3, padding="same", activation="relu")(x)
    b = kl.Conv2D(6, 1)(x)
    y = kl.ReLU()(kl.Add()([a, b]))
    c = kl.Conv2D(6, 3, padding="same")(y)
    return kl.Add()([c, y])


def padded(x: Tensor) -> Tensor:
    """PAD with different sides before a VALID convolution."""
    x = kl.Conv2D(4, 1)(x)
    x = kl.ZeroPadding2D(((0, 1), (2, 1)))(x)
    return kl.Conv2D(5, 3, strides=2)(x)


def stand_alone_relu(x: Tensor) -> Tensor:
    """RELU on its own: after ADD is used twice, so it cannot be fused."""
    a = kl.Conv2D(4, 3, padding="same")(x)
    b = kl.ReLU()(a)
    return kl.Add()([a, b])


def stand_alone_relu6(x: Tensor) -> Tensor:
    """RELU6 on its own."""
    a = kl.Conv2D(4, 3, padding="same")(x)
    b = kl.ReLU(max_value=6.0)(a)
    return kl.Add()([a, b])


def tall(x: Tensor) -> Tensor:
    """A 1-pixel-wide image: 1xN and Nx1 kernels."""
    x = kl.Conv2D(4, (3, 1), padding="same", activation="relu")(x)
    return kl.Conv2D(8, (4, 1), strides=(2, 1))(x)


def wide(x: Tensor) -> Tensor:
    """A 1-pixel-high image whose output width is a multiple of 4 (CMSIS-NN's 1xN path)."""
    x = kl.Conv2D(4, (1, 3), padding="same", activation="relu")(x)
    return kl.Conv2D(8, (1, 2), strides=(1, 2))(x)


def mobile(x: Tensor) -> Tensor:
    """A small separable network with everything: stem, depthwise blocks, residual, pools."""
    x = kl.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    y = kl.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    y = kl.Conv2D(8, 1)(y)
    x = kl.Add()([x, y])
    x = kl.MaxPooling2D(2)(x)
    return kl.Conv2D(12, 4, strides=4)(x)


MODELS: dict[str, tuple[tuple[int, int, int], Builder]] = {
    "conv_valid": ((13, 11, 3), conv_valid),
    "conv_same": ((15, 12, 1), conv_same),
    "conv_pointwise": ((7, 9, 5), conv_pointwise),
    "conv_dilated": ((11, 12, 2), conv_dilated),
    "depthwise": ((12, 13, 3), depthwise),
    "depthwise_multiplier": ((9, 10, 2), depthwise_multiplier),
    "depthwise_dilated": ((10, 9, 5), depthwise_dilated),
    "max_pool": ((14, 13, 1), max_pool),
    "average_pool": ((13, 14, 2), average_pool),
    "dense": ((9, 8, 2), dense),
    "dense_per_tensor": ((9, 8, 2), dense),
    "residual": ((8, 7, 3), residual),
    "padded": ((8, 9, 2), padded),
    "stand_alone_relu": ((6, 7, 2), stand_alone_relu),
    "stand_alone_relu6": ((6, 7, 2), stand_alone_relu6),
    "refused_relu6": ((6, 7, 2), stand_alone_relu6),
    "tall": ((20, 1, 3), tall),
    "wide": ((1, 16, 3), wide),
    "mobile": ((32, 32, 3), mobile),
}


def make(name: str) -> bytes:
    """One model as int8 .tflite."""
    shape, build = MODELS[name]
    keras.utils.set_random_seed(sum(map(ord, name)))
    image = keras.Input(shape, batch_size=1)
    model = keras.Model(image, build(image))
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if weight.path.endswith("bias"):
            weight.assign(rng.normal(0.0, 0.3, weight.shape))
        else:
            spread = rng.uniform(0.3, 2.5, weight.shape[-1])  # per-channel scales that differ
            weight.assign(np.array(weight) * spread)

    def samples() -> Iterator[list[npt.NDArray[np.float32]]]:
        low = 0.0 if len(name) % 2 else -0.7  # some models with an asymmetric input
        for _ in range(24):
            yield [rng.uniform(low, 1.0, (1, *shape)).astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = name == "dense_per_tensor"
    data: bytes = converter.convert()
    return one_quantisation(data) if name == "stand_alone_relu6" else data


def one_quantisation(data: bytes) -> bytes:
    """Give the output of RELU6 the quantisation of its input: only then do TFLite-Micro and LiteRT agree."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    graph = model.subgraphs[0]
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.RELU6:
            graph.tensors[op.outputs[0]].quantization = graph.tensors[op.inputs[0]].quantization
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def make_refused(name: str) -> bytes:
    """Models that the generator must refuse, each for its own reason."""
    size = None if name == "refused_dynamic" else 8
    image = keras.Input((size, size, 2), batch_size=1)
    y = kl.Conv2D(2, 3, padding="same")(image)
    if name == "refused_exp":
        y = kl.Activation("exponential")(y)
    images = [image]
    if name == "refused_two_inputs":
        images.append(keras.Input((8, 8, 2), batch_size=1))
        y = kl.Add()([y, images[1]])
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(images, y))

    def samples() -> Iterator[list[npt.NDArray[np.float32]]]:
        for _ in range(8):
            yield [
                np.random.rand(*(8 if d is None else d for d in i.shape)).astype(np.float32) for i in images
            ]

    if name != "refused_float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    data: bytes = converter.convert()
    return data


REFUSED = (
    "refused_exp",
    "refused_two_inputs",
    "refused_dynamic",
    "refused_float",
)


def main() -> None:
    """Write the models named on the command line, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or (*MODELS, *REFUSED):
        path = FOLDER / f"{name}.tflite"
        path.with_suffix(".tmp").write_bytes(make_refused(name) if name in REFUSED else make(name))
        path.with_suffix(".tmp").replace(path)
        print(name, path.stat().st_size)


if __name__ == "__main__":
    main()
