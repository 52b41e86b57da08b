"""Builds int8 .tflite graphs operator by operator with LiteRT's schema classes, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

#: Operator versions with int8 kernels where it is not 2.
VERSIONS = {
    "PRELU": 1,
    "TRANSPOSE_CONV": 3,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "RESHAPE": 1,
    "QUANTIZE": 1,
    "SHAPE": 1,
    "STRIDED_SLICE": 1,
    "PACK": 1,
    "HARD_SWISH": 1,
    "EXPAND_DIMS": 1,
    "SQUEEZE": 1,
    "TILE": 1,
    "SLICE": 3,
    "DEPTH_TO_SPACE": 1,
}

Quantisation = tuple[float | Sequence[float], int]


class GraphBuilder:
    """A graph with one input; add tensors and operators, then finish()."""

    def __init__(self, shape: tuple[int, ...], quantisation: Quantisation, dtype: str = "INT8") -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.source = self.activation(shape, quantisation if dtype == "INT8" else None, dtype)
        self.graph.inputs = [self.source]

    def activation(
        self, shape: tuple[int, ...], quantisation: Quantisation | None, dtype: str = "INT8"
    ) -> int:
        """A tensor that some operator writes."""
        return self._tensor(shape, getattr(schema.TensorType, dtype), quantisation, 0, 0)

    def constant(
        self, values: npt.NDArray[Any], quantisation: Quantisation | None = None, axis: int = 0
    ) -> int:
        """A constant int8, int32 or float32 tensor."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kinds = schema.TensorType
        kind = {"int8": kinds.INT8, "int32": kinds.INT32, "float32": kinds.FLOAT32}[values.dtype.name]
        return self._tensor(values.shape, kind, quantisation, len(self.model.buffers) - 1, axis)

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        output: int | Sequence[int],
        options: str | None = None,
        **fields: object,
    ) -> int:
        """Append an operator and return its first output; options without the "Options" suffix."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = VERSIONS.get(name, 2)
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        outputs = [output] if isinstance(output, int) else list(output)
        operator.inputs, operator.outputs = list(inputs), outputs
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            operator.builtinOptions = getattr(schema, f"{options}OptionsT")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field)
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)
        return outputs[0]

    def finish(self, output: int) -> bytes:
        """The file."""
        self.graph.outputs = [output]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(
        self, shape: tuple[int, ...], kind: int, quantisation: Quantisation | None, buffer: int, axis: int
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self.graph.tensors)}", list(shape)
        tensor.type, tensor.buffer = kind, buffer
        if quantisation is not None:
            scales = np.atleast_1d(np.asarray(quantisation[0], np.float32))
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.full(len(scales), quantisation[1], np.int64)
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
