"""Write int8 models out of .tflite files with float ends: for engines that run a file as it is.

    python benchmarks/int8_ends.py OUT_FOLDER MODEL.tflite ...

QUANTIZE at the beginning and DEQUANTIZE at the end are cut off, and a RESHAPE whose shape is computed (SHAPE,
STRIDED_SLICE, PACK) takes its output's static shape instead. Weights stay as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_SHAPE_ARITHMETIC = (
    schema.BuiltinOperator.SHAPE,
    schema.BuiltinOperator.STRIDED_SLICE,
    schema.BuiltinOperator.PACK,
)


def main() -> int:
    """Entry point; returns the exit code."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(Path, sys.argv[2:]):
        (folder / path.name).write_bytes(with_int8_ends(path.read_bytes()))
    return 0


def with_int8_ends(data: bytes) -> bytes:
    """The model from its first int8 tensor to its last one."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    kept = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind == schema.BuiltinOperator.QUANTIZE and operator.inputs[0] in graph.inputs:
            graph.inputs = np.asarray(operator.outputs, np.int32)
        elif kind == schema.BuiltinOperator.DEQUANTIZE and operator.outputs[0] in graph.outputs:
            graph.outputs = np.asarray(operator.inputs, np.int32)
        elif kind not in _SHAPE_ARITHMETIC:
            if kind == schema.BuiltinOperator.RESHAPE:
                _fix_shape(model, operator)
            kept.append(operator)
    graph.operators = kept
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _fix_shape(model: schema.ModelT, operator: schema.OperatorT) -> None:
    """The shape of the output as a constant, in place of whatever computed it."""
    graph = model.subgraphs[0]
    output = graph.tensors[operator.outputs[0]]
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.asarray(output.shape, np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.shape, tensor.type = "shape", [len(output.shape)], schema.TensorType.INT32
    tensor.buffer = len(model.buffers) - 1
    graph.tensors.append(tensor)
    output.shapeSignature = None
    operator.inputs = np.asarray([operator.inputs[0], len(graph.tensors) - 1], np.int32)


if __name__ == "__main__":
    sys.exit(main())
