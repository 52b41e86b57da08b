"""A float32 .tflite (what onnx2tf writes, channels last) as a functional Keras model that can be trained.

onnx2tf's Keras and SavedModel outputs hold weights as constants of TensorFlow operations: they can be run,
not fine-tuned, and only by TensorFlow. The same graph read out of its .tflite becomes Keras layers of any
backend.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from semflash.errors import TrainingError
from semflash.importing.tflite.graph import TfliteGraph
from semflash.importing.tflite.max_pools import Padded, maximum, padded_nowhere
from semflash.importing.tflite.shapes import ComputedShapes
from semflash.importing.tflite.slices import Masks, enlargement, plain_slice, split_slices, strided_slice
from semflash.tasks.keras.layers import ConstantPad, Offset, Part, Power, Product, Scale
from semflash_codegen.ir import Operator
from semflash_codegen.options import fused_activation, option, real_option
from semflash_codegen.schema import Padding

_FUSED = {1: layers.ReLU, 3: lambda: layers.ReLU(max_value=6.0), 4: lambda: layers.Activation("tanh")}
_SIMPLE = {
    "RELU": layers.ReLU,
    "RELU6": lambda: layers.ReLU(max_value=6.0),
    "RELU_0_TO_1": lambda: layers.ReLU(max_value=1.0),
    "LOGISTIC": lambda: layers.Activation("sigmoid"),
    "EXP": lambda: layers.Activation("exponential"),
    "SQUARE": lambda: Power(2),
    "TANH": lambda: layers.Activation("tanh"),
    "ELU": lambda: layers.Activation("elu"),
    "HARD_SWISH": lambda: layers.Activation("hard_silu"),
    "SOFTMAX": layers.Softmax,
}


def keras_model(data: bytes, name: str, input_name: str) -> keras.Model:
    """Build the model and put its weights in.

    Args:
        data: The .tflite file; batch of one, one input, one output.
        name: Of the model.
        input_name: Of its input.

    Raises:
        TrainingError: an operator has no Keras layer; the message names it.
    """
    return _Reader(data).model(name, input_name)


class _Reader(TfliteGraph):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.weights: list[tuple[Any, list[np.ndarray]]] = []
        self.nowhere: dict[int, Padded] = {}
        self.shapes = ComputedShapes(lambda index: tuple(self.tensor(index).shape[1:]), self.constant)

    def model(self, name: str, input_name: str) -> keras.Model:
        source, result = self._ends()
        start = keras.Input(self.shape(source), name=input_name)
        self.values[source] = start
        for operator in self.graph.operators:
            kind = operator.name
            if self.shapes.follow(operator, self.graph.tensors[operator.outputs[0]].dtype):
                continue
            made = self._layer(kind, operator)
            values = made if isinstance(made, list) else [self._fused(made, operator)]
            for output, value in zip(operator.outputs, values, strict=True):
                if not self.fits(tuple(value.shape[1:]), output):
                    raise TrainingError(
                        f"{kind} as a Keras layer gives {tuple(value.shape[1:])}, not {self.shape(output)}",
                        value=self.label(output),
                    )
                self.values[output] = value
        model = keras.Model(start, self.values[result], name=name)
        for layer, arrays in self.weights:
            layer.set_weights(arrays)
        return model

    def _ends(self) -> tuple[int, int]:
        if (len(self.graph.inputs), len(self.graph.outputs)) != (1, 1):
            raise TrainingError(
                "only a network with one input and one output becomes layers",
                value=(len(self.graph.inputs), len(self.graph.outputs)),
            )
        return self.graph.inputs[0], self.graph.outputs[0]

    def _layer(self, kind: str, operator: Operator) -> Any:
        if kind in _SIMPLE:
            return _SIMPLE[kind]()(self.tensor(operator.inputs[0]))
        builder = getattr(self, f"_{kind.lower()}", None)
        if builder is None:
            raise TrainingError(
                f"the operator {kind} of the converted network has no Keras layer",
                value=self.label(operator.outputs[0]),
                remedy="split or export the network without it (docs/networks.md lists what converts)",
            )
        try:
            return builder(operator)
        except ValueError as error:  # of Keras, in many words
            raise TrainingError(
                f"{kind} of the converted network does not fit into a Keras layer",
                value=f"{self.label(operator.outputs[0])}: {str(error)[:200]}",
                remedy="split or export the network without it (docs/networks.md lists what converts)",
            ) from error

    def _fused(self, value: Any, operator: Operator) -> Any:
        which = fused_activation(operator)
        if which == 0:
            return value
        if which not in _FUSED:
            raise TrainingError("an activation has no Keras layer", value=f"number {which}")
        return _FUSED[which]()(value)

    def _conv_2d(self, operator: Operator) -> Any:
        x, kernel, bias = self._weighted(operator)
        groups = x.shape[-1] // kernel.shape[3]
        return self._with(
            layers.Conv2D(
                kernel.shape[0],
                kernel.shape[1:3],
                strides=_strides(operator),
                groups=groups,
                padding=_padding(operator),
                dilation_rate=_dilation(operator),
            ),
            x,
            kernel.transpose(1, 2, 3, 0),
            bias,
        )

    def _depthwise_conv_2d(self, operator: Operator) -> Any:
        x, kernel, bias = self._weighted(operator)
        rows, columns, channels = kernel.shape[1], kernel.shape[2], x.shape[-1]
        multiplier = kernel.shape[3] // channels
        return self._with(
            layers.DepthwiseConv2D(
                (rows, columns),
                strides=_strides(operator),
                padding=_padding(operator),
                depth_multiplier=multiplier,
                dilation_rate=_dilation(operator),
            ),
            x,
            kernel.reshape(rows, columns, channels, multiplier),
            bias,
        )

    def _transpose_conv(self, operator: Operator) -> Any:
        kernel = self.constant(operator.inputs[1])
        x = self.tensor(operator.inputs[2])
        bias = self._optional(operator, 3, kernel.shape[0])
        layer = layers.Conv2DTranspose(
            kernel.shape[0],
            kernel.shape[1:3],
            strides=_strides(operator),
            padding=_padding(operator),
        )
        return self._with(layer, x, kernel.transpose(1, 2, 0, 3), bias)

    def _fully_connected(self, operator: Operator) -> Any:
        x, kernel, bias = self._weighted(operator)
        if len(x.shape) > 2 and not option(operator, "keep_num_dims"):
            x = layers.Flatten()(x)
        return self._with(layers.Dense(kernel.shape[0]), x, kernel.T, bias)

    def _batch_matmul(self, operator: Operator) -> Any:
        pair = [self.tensor(index) for index in operator.inputs]
        return Product((bool(option(operator, "adj_x")), bool(option(operator, "adj_y"))))(pair)

    def _max_pool_2d(self, operator: Operator) -> Any:
        padded = self.nowhere.get(operator.inputs[0])
        if padded is not None and _padding(operator) != "same":
            value = maximum(padded, _filter(operator), _strides(operator))
            if value is not None:
                return value
        return self._pool(layers.MaxPooling2D, operator)

    def _average_pool_2d(self, operator: Operator) -> Any:
        return self._pool(layers.AveragePooling2D, operator)

    def _mean(self, operator: Operator) -> Any:
        return self._global(layers.GlobalAveragePooling2D, operator)

    def _reduce_max(self, operator: Operator) -> Any:
        return self._global(layers.GlobalMaxPooling2D, operator)

    def _add(self, operator: Operator) -> Any:
        return self._arithmetic(operator, layers.Add, Offset, lambda c: c)

    def _add_n(self, operator: Operator) -> Any:
        return layers.Add()([self.tensor(index) for index in operator.inputs])

    def _mul(self, operator: Operator) -> Any:
        return self._arithmetic(operator, layers.Multiply, Scale, lambda c: c)

    def _sub(self, operator: Operator) -> Any:
        if self.is_constant(operator.inputs[0]):
            minus = self._with(Scale(()), self.tensor(operator.inputs[1]), np.full((), -1, np.float32))
            constant = self._squeezed(operator.inputs[0], len(minus.shape))
            return self._with(Offset(constant.shape), minus, constant)
        return self._arithmetic(operator, layers.Subtract, Offset, lambda c: -c)

    def _div(self, operator: Operator) -> Any:
        if not self.is_constant(operator.inputs[1]):
            raise TrainingError("DIV by a tensor has no Keras layer", value=self.label(operator.outputs[0]))
        return self._arithmetic(operator, layers.Multiply, Scale, lambda c: 1.0 / c)

    def _pad(self, operator: Operator) -> Any:
        padding = self.constant(operator.inputs[1])
        value = float(self.constant(operator.inputs[2])) if len(operator.inputs) > 2 else 0.0
        if padding[0].any():
            raise TrainingError("a PAD pads the batch", value=self.label(operator.outputs[0]))
        nowhere = padded_nowhere(self.tensor(operator.inputs[0]), padding, value)
        if nowhere is not None:
            self.nowhere[operator.outputs[0]] = nowhere
        return ConstantPad(padding[1:].tolist(), value)(self.tensor(operator.inputs[0]))

    _padv2 = _pad

    def _concatenation(self, operator: Operator) -> Any:
        values = [self.tensor(index) for index in operator.inputs]
        return layers.Concatenate(axis=option(operator, "axis"))(values)

    def _resize_nearest_neighbor(self, operator: Operator) -> Any:
        x, size = self.tensor(operator.inputs[0]), self.constant(operator.inputs[1]).tolist()
        corners, label = bool(option(operator, "align_corners")), self.label(operator.outputs[0])
        factors = enlargement(x.shape[1:3], size, corners, label)
        return layers.UpSampling2D(factors, interpolation="nearest")(x)

    def _strided_slice(self, operator: Operator) -> Any:
        x, label = self.tensor(operator.inputs[0]), self.label(operator.outputs[0])
        begin, end, strides = (self.constant(index) for index in operator.inputs[1:4])
        slices = strided_slice(Masks.of(operator), (begin, end, strides), label)
        return self._shaped(Part(slices)(x), self.shape(operator.outputs[0]))

    def _slice(self, operator: Operator) -> Any:
        begin, size = (self.constant(index) for index in operator.inputs[1:3])
        slices = plain_slice(begin, size, self.label(operator.outputs[0]))
        return Part(slices)(self.tensor(operator.inputs[0]))

    def _split(self, operator: Operator) -> list[Any]:
        count, x = option(operator, "num_splits"), self.tensor(operator.inputs[1])
        axis = int(self.constant(operator.inputs[0]))
        return self._parts(operator, x, axis, [int(x.shape[axis]) // count] * count)

    def _split_v(self, operator: Operator) -> list[Any]:
        x, axis = self.tensor(operator.inputs[0]), int(self.constant(operator.inputs[2]))
        return self._parts(operator, x, axis, self.constant(operator.inputs[1]).tolist())

    def _parts(self, operator: Operator, x: Any, axis: int, sizes: list[int]) -> list[Any]:
        slices = split_slices(axis, sizes, len(x.shape), self.label(operator.outputs[0]))
        return [Part(one)(x) for one in slices]

    def _pow(self, operator: Operator) -> Any:
        if self.is_constant(operator.inputs[0]) or not self.is_constant(operator.inputs[1]):
            raise TrainingError(
                "only a constant power has a Keras layer", value=self.label(operator.outputs[0])
            )
        exponents = np.unique(self.constant(operator.inputs[1]))
        if len(exponents) != 1:
            raise TrainingError("a power for each entry", value=self.label(operator.outputs[0]))
        return Power(float(exponents[0]))(self.tensor(operator.inputs[0]))

    def _tile(self, operator: Operator) -> Any:
        x, repeats = self.tensor(operator.inputs[0]), self.constant(operator.inputs[1]).tolist()
        if repeats[0] != 1:
            raise TrainingError("a TILE repeats the batch", value=self.label(operator.outputs[0]))
        for axis, times in enumerate(repeats):
            x = layers.Concatenate(axis=axis)([x] * times) if times > 1 else x
        return x

    def _transpose(self, operator: Operator) -> Any:
        order = self.constant(operator.inputs[1]).tolist()
        if order[0] != 0:
            raise TrainingError("a TRANSPOSE moves the batch", value=self.label(operator.outputs[0]))
        return layers.Permute(order[1:])(self.tensor(operator.inputs[0]))

    def _reshape(self, operator: Operator) -> Any:
        target = self.shapes.target(operator.inputs[-1]) or self.shape(operator.outputs[0])
        return self._shaped(self.tensor(operator.inputs[0]), target)

    def _shaped(self, x: Any, target: tuple[int, ...]) -> Any:
        return x if tuple(x.shape[1:]) == target else layers.Reshape(target)(x)

    _squeeze = _expand_dims = _reshape

    def _leaky_relu(self, operator: Operator) -> Any:
        slope = real_option(operator, "alpha")
        return layers.LeakyReLU(negative_slope=slope)(self.tensor(operator.inputs[0]))

    def _prelu(self, operator: Operator) -> Any:
        x, alpha = self.tensor(operator.inputs[0]), self.constant(operator.inputs[1])
        shared = list(range(1, len(x.shape) - 1))
        alpha = (
            np.broadcast_to(alpha.reshape(-1), (x.shape[-1],)) if alpha.size in (1, x.shape[-1]) else alpha
        )
        return self._with(layers.PReLU(shared_axes=shared), x, alpha.reshape(*[1] * len(shared), x.shape[-1]))

    def _pool(self, kind: Any, operator: Operator) -> Any:
        pool = kind(_filter(operator), _strides(operator), padding=_padding(operator))
        return pool(self.tensor(operator.inputs[0]))

    def _global(self, kind: Any, operator: Operator) -> Any:
        x = self.tensor(operator.inputs[0])
        axes = {int(a) % len(x.shape) for a in np.ravel(self.constant(operator.inputs[1]))}
        if len(x.shape) != 4 or axes != {1, 2}:
            raise TrainingError(
                "only the mean or maximum of whole maps has a Keras layer",
                value=self.label(operator.outputs[0]),
            )
        return kind(keepdims=bool(option(operator, "keep_dims")))(x)

    def _arithmetic(self, operator: Operator, merge: Any, constant_layer: Any, change: Any) -> Any:
        left, right = operator.inputs[:2]
        if not self.is_constant(left) and not self.is_constant(right):
            return merge()([self.tensor(left), self.tensor(right)])
        variable, constant = (right, left) if self.is_constant(left) else (left, right)
        x = self.tensor(variable)
        value = change(self._squeezed(constant, len(x.shape)))
        return self._with(constant_layer(value.shape), x, value)

    def _squeezed(self, index: int, rank: int) -> np.ndarray:
        """A constant without the batch axis."""
        value = self.constant(index)
        return value[0] if value.ndim == rank else value

    def _weighted(self, operator: Operator) -> tuple[Any, np.ndarray, np.ndarray]:
        if not self.is_constant(operator.inputs[1]):
            raise TrainingError(
                "weights that are computed have no layer", value=self.label(operator.outputs[0])
            )
        kernel = self.constant(operator.inputs[1])
        channels = kernel.shape[3] if kernel.ndim == 4 and kernel.shape[0] == 1 else kernel.shape[0]
        output = self.shape(operator.outputs[0])[-1]
        bias = self._optional(operator, 2, output if output else channels)
        return self.tensor(operator.inputs[0]), kernel, bias

    def _optional(self, operator: Operator, place: int, channels: int) -> np.ndarray:
        given = len(operator.inputs) > place and operator.inputs[place] >= 0
        return self.constant(operator.inputs[place]) if given else np.zeros(channels, np.float32)

    def _with(self, layer: Any, x: Any, *arrays: np.ndarray) -> Any:
        """Call a layer and remember what its weights will be."""
        value = layer(x)
        self.weights.append((layer, [np.asarray(array, np.float32) for array in arrays]))
        return value


def _padding(operator: Operator) -> str:
    return "same" if option(operator, "padding") == Padding.SAME else "valid"


def _strides(operator: Operator) -> tuple[int, int]:
    return option(operator, "stride_h"), option(operator, "stride_w")


def _dilation(operator: Operator) -> tuple[int, int]:
    return option(operator, "dilation_h_factor"), option(operator, "dilation_w_factor")


def _filter(operator: Operator) -> tuple[int, int]:
    return option(operator, "filter_height"), option(operator, "filter_width")
