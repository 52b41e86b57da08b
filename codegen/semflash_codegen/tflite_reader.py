""".tflite bytes -> IR: the one reader of semflash. No TensorFlow, no interpreter, limits on everything.

The generator, the checks of bundles, the export and the import all read through it. Three others look into
such files, each for a reason. :mod:`semflash_codegen.tflite_verify` walks the whole structure before a
stranger's file goes to an interpreter, also the parts that only an interpreter follows.
``semflash.conversion.cutting`` writes a part of the converter's own output again, and
``semflash.conversion.content`` digests it as run folders have recorded it: both take the schema's objects.

Source: tensorflow/lite/schema/schema.fbs, field numbers in declaration order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from semflash_codegen.errors import MalformedModelError, UnsupportedModelError
from semflash_codegen.flatbuffer import Table, root
from semflash_codegen.ir import Model, Operator, Quantisation, Tensor, short
from semflash_codegen.names import layer_name, unique
from semflash_codegen.schema import FILE_IDENTIFIER, SCHEMA_VERSION, TensorType, operator_name

MAX_RANK = 8
MAX_OPERANDS = 64
MAX_SCALES = 1 << 18

_REMEDY = "export the model again; the file is damaged or not a TensorFlow Lite model"
#: Operators that run a graph of their own.
_CALLING = ("CALL_ONCE", "IF", "WHILE")
#: Types of the schema that semflash never reads.
_OTHER_TYPES = {
    11: "complex128",
    12: "uint64",
    13: "a resource",
    14: "a variant",
    15: "uint32",
    16: "uint16",
    17: "int4",
    18: "bfloat16",
    19: "int2",
    20: "uint4",
}
_ITEM_BYTES = {
    TensorType.INT8: 1,
    TensorType.BOOL: 1,
    TensorType.INT32: 4,
    TensorType.INT64: 8,
    TensorType.FLOAT32: 4,
}


@dataclass(frozen=True)
class Limits:
    """What a file may hold; by default, what a microcontroller could run.

    Attributes:
        file_bytes: Size of the file.
        tensors: Number of tensors.
        operators: Number of operators.
        dimension: Length of one side of a tensor.
        elements: Number of values in one tensor.
    """

    file_bytes: int = 32 << 20
    tensors: int = 4096
    operators: int = 1024
    dimension: int = 65535
    elements: int = 1 << 24


DEVICE = Limits()
#: What runs on a computer: the edge's graphs, and networks that are imported.
COMPUTER = Limits(file_bytes=1 << 30, tensors=1 << 15, operators=1 << 13, dimension=1 << 30, elements=1 << 28)


def read_model(data: bytes, limits: Limits = DEVICE) -> Model:
    """Parse a .tflite file.

    Args:
        data: the file's bytes.
        limits: of sizes and numbers.

    Raises:
        MalformedModelError: not a .tflite file, truncated, or contradictory.
        UnsupportedModelError: valid, but larger than the limits above or with several subgraphs.
    """
    if len(data) > limits.file_bytes:
        raise UnsupportedModelError(
            f"the model file is larger than {limits.file_bytes} bytes",
            value=len(data),
            remedy="use a smaller encoder",
        )
    model = root(data, FILE_IDENTIFIER)
    version = model.integer(0, "<I")
    if version != SCHEMA_VERSION:
        raise UnsupportedModelError("unknown TensorFlow Lite schema version", value=version, remedy=_REMEDY)
    names = [_operator_name(code) for code in model.tables(1, limits.operators)]
    subgraphs = list(model.tables(2, 64))
    if len(subgraphs) != 1:
        calling = ", ".join(name for name in names if name in _CALLING) or "unused graphs"
        raise UnsupportedModelError(
            f"the model must have exactly one subgraph; this one has {calling}",
            value=len(subgraphs),
            remedy="use a network without memory and loops (no LSTM, GRU or variables), or unroll it",
        )
    buffers = list(model.tables(4, 2 * limits.tensors))
    graph = subgraphs[0]
    tables = list(graph.tables(0, limits.tensors))
    tensors = tuple(_tensor(i, t, buffers, limits) for i, t in enumerate(tables))
    if sum(len(t.quantisation.scales) for t in tensors if t.quantisation is not None) > MAX_SCALES:
        raise UnsupportedModelError(
            f"the model has more than {MAX_SCALES} scales", remedy="use a smaller encoder"
        )
    operators = tuple(
        _operator(i, o, names, len(tensors)) for i, o in enumerate(graph.tables(3, limits.operators))
    )
    texts = [t.text(3) for t in tables]
    inputs = _indices(graph, 1, len(tensors))
    outputs = _indices(graph, 2, len(tensors))
    if min(inputs + outputs, default=0) < 0:
        raise MalformedModelError("the model's inputs or outputs name no tensor", value=-1, remedy=_REMEDY)
    named = _named(tensors, texts, operators, inputs)
    return Model(named, operators, inputs, outputs, _named_outputs(model, len(tensors)))


def _named(
    tensors: tuple[Tensor, ...], texts: list[str], operators: tuple[Operator, ...], inputs: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Activations get the short and unique name of the layer that writes them; constants keep theirs."""
    fallbacks = dict.fromkeys(inputs, "input")
    fallbacks |= {i: op.name.lower() for op in operators for i in op.outputs}
    names = unique([short(layer_name(texts[i], otherwise)) for i, otherwise in fallbacks.items() if i >= 0])
    renamed = dict(zip((i for i in fallbacks if i >= 0), names, strict=True))
    return tuple(replace(t, name=renamed.get(t.index, t.name)) for t in tensors)


def _named_outputs(model: Table, tensor_count: int) -> tuple[tuple[str, int], ...]:
    """Outputs by the names that the first signature gives them."""
    signature = next(model.tables(7, MAX_OPERANDS), None)
    if signature is None:
        return ()
    found = tuple((entry.text(0), entry.integer(1, "<I")) for entry in signature.tables(1, MAX_OPERANDS))
    for _, index in found:
        if index >= tensor_count:
            raise MalformedModelError("a signature names no tensor", value=index, remedy=_REMEDY)
    return found


def _operator_name(code: Table) -> str:
    builtin = max(code.integer(0, "<b"), code.integer(3, "<i"))
    if builtin == 32:
        return f"CUSTOM:{short(code.text(1))}"
    return operator_name(builtin)


def _indices(table: Table, number: int, tensor_count: int) -> tuple[int, ...]:
    values = table.numbers(number, "<i4", MAX_OPERANDS)
    indices = () if values is None else tuple(int(v) for v in values)
    for i in indices:
        if not -1 <= i < tensor_count:
            raise MalformedModelError("the model names a tensor that does not exist", value=i, remedy=_REMEDY)
    return indices


def _operator(index: int, table: Table, names: list[str], tensor_count: int) -> Operator:
    code = table.integer(0, "<I")
    if code >= len(names):
        raise MalformedModelError(
            "the model names an operator that does not exist", value=code, remedy=_REMEDY
        )
    inputs = _indices(table, 1, tensor_count)
    outputs = _indices(table, 2, tensor_count)
    if not outputs or min(outputs) < 0:
        raise MalformedModelError(f"layer {index} {names[code]} has no output", remedy=_REMEDY)
    return Operator(index, names[code], inputs, outputs, table.integer(3, "<B"), table.table(4))


def _tensor(index: int, table: Table, buffers: list[Table], limits: Limits) -> Tensor:
    name = short(table.text(3)) or f"tensor{index}"
    dims = table.numbers(0, "<i4", MAX_RANK)
    shape = () if dims is None else tuple(int(d) for d in dims)
    elements = 1
    for d in shape:
        elements *= max(d, 0)
        if not 1 <= d <= limits.dimension or elements > limits.elements:
            raise UnsupportedModelError(
                f"tensor '{name}' has a shape outside the limits (each 1..{limits.dimension}, "
                f"{limits.elements} elements)",
                value=shape,
                remedy="export with a static shape",
            )
    code = table.integer(1, "<b")
    if code not in TensorType.__members__.values():
        what = f"is {_OTHER_TYPES[code]}" if code in _OTHER_TYPES else "has an unknown type"
        raise UnsupportedModelError(
            f"tensor '{name}' {what}", value=code, remedy="quantise weights and activations to int8"
        )
    dtype = TensorType(code)
    buffer = table.integer(2, "<I")
    if buffer >= len(buffers):
        raise MalformedModelError(
            f"tensor '{name}' names a buffer that does not exist", value=buffer, remedy=_REMEDY
        )
    if table.table(6) is not None:
        raise UnsupportedModelError(f"tensor '{name}' is sparse", remedy="export without sparsity")
    if table.integer(5, "<b"):
        raise UnsupportedModelError(
            f"tensor '{name}' is a variable: the model keeps state between images",
            remedy="use a network without memory (no LSTM, GRU, SVDF or variables)",
        )
    data = _constant(name, buffers[buffer], dtype, elements, limits)
    quantisation = _quantisation(name, table.table(4), max(shape, default=1))
    return Tensor(index, name, shape, dtype, quantisation, data, _signature(name, table, shape))


def _signature(name: str, table: Table, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with -1 for what is open until the model runs."""
    found = table.numbers(7, "<i4", MAX_RANK)
    if found is None or len(found) == 0:
        return shape
    signature = tuple(int(s) for s in found)
    if len(signature) != len(shape) or any(s not in (-1, d) for s, d in zip(signature, shape, strict=True)):
        raise MalformedModelError(
            f"tensor '{name}' has a shape that contradicts its signature", value=signature, remedy=_REMEDY
        )
    return signature


def _constant(
    name: str, buffer: Table, dtype: TensorType, elements: int, limits: Limits
) -> memoryview | None:
    """View of a constant (None: an activation); the number of bytes must fit shape and type."""
    if buffer.integer(1, "<Q") > 1:
        raise UnsupportedModelError(
            f"tensor '{name}' is stored outside the flatbuffer", remedy="export a model below 2 GB"
        )
    values = buffer.numbers(0, "u1", limits.file_bytes)
    if values is None or len(values) == 0:
        return None
    item = _ITEM_BYTES.get(dtype)
    if item is not None and len(values) != item * elements:
        raise MalformedModelError(
            f"tensor '{name}' has the wrong number of bytes for its shape", value=len(values), remedy=_REMEDY
        )
    return values.data if item is not None else memoryview(b"")


def _quantisation(name: str, table: Table | None, limit: int) -> Quantisation | None:
    """Scales and zero points, at most `limit` of them: the largest dimension of the tensor."""
    if table is None:
        return None
    scales = table.numbers(2, "<f4", limit)
    zeros = table.numbers(3, "<i8", limit)
    if scales is None or len(scales) == 0:
        return None
    zero_points = np.zeros(len(scales), np.int64) if zeros is None else zeros
    if len(zero_points) != len(scales):
        raise MalformedModelError(
            f"tensor '{name}' has more scales than zero points", value=len(scales), remedy=_REMEDY
        )
    if table.integer(4, "<b") != 0:
        raise UnsupportedModelError(
            f"tensor '{name}' has a custom quantisation", remedy="export as plain int8"
        )
    values = tuple(float(s) for s in scales)
    if not all(isfinite(s) and s > 0.0 for s in values):
        raise MalformedModelError(
            f"tensor '{name}' has a scale that is not positive", value=min(values), remedy=_REMEDY
        )
    return Quantisation(values, tuple(int(z) for z in zero_points), table.integer(6, "<i"))
