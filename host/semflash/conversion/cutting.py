"""Cuts one int8 graph with several outputs into graphs that hand tensors on, without changing a number.

Quantising the whole network once gives each tensor one scale and zero point, whoever writes or reads it.

What belongs to a part is decided on the graph as :mod:`semflash_codegen.tflite_reader` reads it. The schema's
objects are taken to write the part alone, for the reader's form keeps no more of a file than it needs.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema

from semflash.conversion.graphs import output_indices
from semflash.errors import ExportError
from semflash_codegen.ir import Model, Operator
from semflash_codegen.schema import FILE_IDENTIFIER
from semflash_codegen.tflite_reader import COMPUTER, read_model


def cut(data: bytes, source: int | None, output: int) -> bytes:
    """The part of a graph between two of its tensors, as a .tflite file of its own.

    Args:
        data: An int8 graph with one input.
        source: Number of the output that the part begins with; None: the graph's input.
        output: Number of the output that it ends with.

    Raises:
        ExportError: The end does not follow from the beginning alone.
    """
    found = read_model(data, COMPUTER)
    ends = output_indices(found)
    first = found.inputs[0] if source is None else ends[source]
    between = _between(found, first, ends[output])
    used = {first, ends[output]} | {i for op in between for i in (*op.inputs, *op.outputs) if i >= 0}
    places = {index: place for place, index in enumerate(sorted(used))}
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    operators = [graph.operators[op.index] for op in between]
    for operator in operators:
        operator.inputs = [places[int(i)] if i >= 0 else -1 for i in operator.inputs]
        operator.outputs = [places[int(i)] for i in operator.outputs]
    graph.operators = operators
    graph.tensors = [graph.tensors[index] for index in sorted(used)]
    graph.inputs, graph.outputs = [places[first]], [places[ends[output]]]
    _keep_buffers(model, graph)
    codes = sorted({operator.opcodeIndex for operator in operators})
    for operator in operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[code] for code in codes]
    model.signatureDefs, model.metadata, model.metadataBuffer = [], None, None
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _between(model: Model, first: int, last: int) -> list[Operator]:
    """Operators that lead from one tensor to another, in their order."""
    writer = {index: op for op in model.operators for index in op.outputs}
    wanted, found, reached = [last], set[int](), False
    while wanted:
        index = wanted.pop()
        if index == first:
            reached = True
        elif index in writer and writer[index].index not in found:
            found.add(writer[index].index)
            wanted += [i for i in writer[index].inputs if i >= 0]
        elif index in model.inputs:
            raise ExportError("a graph of the device needs the image beside its own input", value=index)
    if not reached or not found:
        raise ExportError("a graph of the device does not follow from its input", value=(first, last))
    return [op for op in model.operators if op.index in found]


def _keep_buffers(model: Any, graph: Any) -> None:
    """Only the constants that are used; buffer 0 is the empty one."""
    kept: dict[int, int] = {0: 0}
    buffers = [model.buffers[0]]
    for tensor in graph.tensors:
        if tensor.buffer not in kept:
            kept[tensor.buffer] = len(buffers)
            buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = kept[tensor.buffer]
    model.buffers = buffers
