"""Builds int8 .tflite files layer by layer with LiteRT's schema classes, without TensorFlow."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

CODES = {
    "CONV_2D": (schema.BuiltinOperator.CONV_2D, 3),
    "DEPTHWISE_CONV_2D": (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 3),
    "MAX_POOL_2D": (schema.BuiltinOperator.MAX_POOL_2D, 2),
    "PAD": (schema.BuiltinOperator.PAD, 2),
    "PADV2": (schema.BuiltinOperator.PADV2, 2),
    "AVERAGE_POOL_2D": (schema.BuiltinOperator.AVERAGE_POOL_2D, 2),
    "RELU": (schema.BuiltinOperator.RELU, 2),
    "RELU6": (schema.BuiltinOperator.RELU6, 2),
}
ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3}


class Builder:
    """One chain of int8 layers; every method appends a layer and returns self."""

    def __init__(self, shape: tuple[int, int, int], scale: float, zero: int) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.last = self._tensor("image", (1, *shape), [scale], [zero])
        self.graph.inputs = [self.last]

    @property
    def shape(self) -> tuple[int, int, int]:
        _, h, w, c = self.graph.tensors[self.last].shape
        return h, w, c

    @property
    def quantisation(self) -> tuple[float, int]:
        q = self.graph.tensors[self.last].quantization
        return float(q.scale[0]), int(q.zeroPoint[0])

    def conv(
        self,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        scales: NDArray[np.float32],
        *,
        stride: tuple[int, int],
        same: bool,
        activation: str,
        scale: float,
        zero: int,
    ) -> Builder:
        """weights (out, kh, kw, in), one scale per output channel."""
        options = schema.Conv2DOptionsT()
        options.dilationHFactor = options.dilationWFactor = 1
        return self._convolution(
            "CONV_2D",
            options,
            weights,
            bias,
            scales,
            0,
            stride,
            same,
            activation,
            scale,
            zero,
            weights.shape[0],
        )

    def depthwise(
        self,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        scales: NDArray[np.float32],
        *,
        stride: tuple[int, int],
        same: bool,
        activation: str,
        scale: float,
        zero: int,
    ) -> Builder:
        """weights (1, kh, kw, out)."""
        options = schema.DepthwiseConv2DOptionsT()
        options.dilationHFactor = options.dilationWFactor = 1
        options.depthMultiplier = weights.shape[3] // self.shape[2]
        return self._convolution(
            "DEPTHWISE_CONV_2D",
            options,
            weights,
            bias,
            scales,
            3,
            stride,
            same,
            activation,
            scale,
            zero,
            weights.shape[3],
        )

    def pool(
        self,
        kind: str,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int],
        same: bool,
        activation: str = "none",
    ) -> Builder:
        """kind "MAX_POOL_2D" or "AVERAGE_POOL_2D"."""
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = kernel
        self._window(options, stride, same, activation)
        scale, zero = self.quantisation
        out = (*self._out(kernel, stride, same), self.shape[2])
        return self._append(kind, options, schema.BuiltinOptions.Pool2DOptions, [self.last], out, scale, zero)

    def pad(self, rows: tuple[int, int], columns: tuple[int, int]) -> Builder:
        values = np.array([[0, 0], rows, columns, [0, 0]], np.int32)
        h, w, c = self.shape
        scale, zero = self.quantisation
        paddings = self._constant("paddings", values, 2)
        out = (h + sum(rows), w + sum(columns), c)
        return self._append(
            "PAD",
            schema.PadOptionsT(),
            schema.BuiltinOptions.PadOptions,
            [self.last, paddings],
            out,
            scale,
            zero,
        )

    def padv2(self, rows: tuple[int, int], columns: tuple[int, int], value: int) -> Builder:
        """Like pad, with a value of its own around the image."""
        (h, w, c), (scale, zero) = self.shape, self.quantisation
        paddings = self._constant("paddings", np.array([[0, 0], rows, columns, [0, 0]], np.int32), 2)
        around = self._constant("value", np.array([value], np.int8), 9, np.array([scale], np.float32))
        self.graph.tensors[around].quantization.zeroPoint = np.array([zero], np.int64)
        kind = schema.BuiltinOptions.PadV2Options
        out, tensors = (h + sum(rows), w + sum(columns), c), [self.last, paddings, around]
        return self._append("PADV2", schema.PadV2OptionsT(), kind, tensors, out, scale, zero)

    def activation(self, kind: str, scale: float, zero: int) -> Builder:
        return self._append(kind, None, 0, [self.last], self.shape, scale, zero)

    def finish(self) -> bytes:
        self.graph.outputs = [self.last]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _out(self, kernel: tuple[int, int], stride: tuple[int, int], same: bool) -> tuple[int, int]:
        size = [
            -(-n // s) if same else -(-(n - k + 1) // s)
            for n, k, s in zip(self.shape[:2], kernel, stride, strict=True)
        ]
        return size[0], size[1]

    @staticmethod
    def _window(options: Any, stride: tuple[int, int], same: bool, activation: str) -> None:
        options.padding = 0 if same else 1
        options.strideH, options.strideW = stride
        options.fusedActivationFunction = ACTIVATIONS[activation]

    def _convolution(
        self,
        name: str,
        options: Any,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        scales: NDArray[np.float32],
        axis: int,
        stride: tuple[int, int],
        same: bool,
        activation: str,
        scale: float,
        zero: int,
        channels: int,
    ) -> Builder:
        self._window(options, stride, same, activation)
        w = self._constant("weights", weights, 9, scales, axis)
        bias_scales = (np.float32(self.quantisation[0]) * scales).astype(np.float32)
        b = self._constant("bias", bias, 2, bias_scales, 0)
        out = (*self._out(weights.shape[1:3], stride, same), channels)
        kind = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return self._append(name, options, kind, [self.last, w, b], out, scale, zero)

    def _append(
        self,
        name: str,
        options: Any,
        kind: int,
        inputs: list[int],
        shape: tuple[int, ...],
        scale: float,
        zero: int,
    ) -> Builder:
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = CODES[name]
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs = inputs
        operator.builtinOptions, operator.builtinOptionsType = options, kind
        self.last = self._tensor(f"{name}_{len(self.graph.operators)}", (1, *shape), [scale], [zero])
        operator.outputs = [self.last]
        self.graph.operators.append(operator)
        return self

    def _tensor(self, name: str, shape: tuple[int, ...], scales: Any, zeros: list[int], kind: int = 9) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, 0
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.asarray(scales, np.float32)
        tensor.quantization.zeroPoint = np.asarray(zeros, np.int64)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _constant(
        self,
        name: str,
        values: NDArray[Any],
        kind: int,
        scales: NDArray[np.float32] | None = None,
        axis: int = 0,
    ) -> int:
        index = self._tensor(
            name,
            values.shape,
            [1.0] if scales is None else scales,
            [0] * (1 if scales is None else len(scales)),
            kind,
        )
        tensor = self.graph.tensors[index]
        if scales is None:
            tensor.quantization = None
        else:
            tensor.quantization.quantizedDimension = axis
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1
        return index
