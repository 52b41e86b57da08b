"""Shape arithmetic as constants: SHAPE of a static tensor, and what is computed from it.

Keras writes it where the batch is open: TRANSPOSE_CONV and RESHAPE get a shape that SHAPE, STRIDED_SLICE and
PACK put together. The batch is 1 on a device, so that all of it is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from semflash_codegen.errors import CodegenError
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.strided_slice import slice_ranges
from semflash_codegen.options import option
from semflash_codegen.schema import TensorType

#: Values of one such constant; shapes have at most 8.
_VALUES_MAX = 64
_WIDTHS = {TensorType.INT32: "<i4", TensorType.INT64: "<i8"}
Integers = npt.NDArray[np.int64]


def fold_shapes(model: Model) -> Model:
    """Replace what is known of the integers by constants; the operators that gave them are gone."""
    tensors, kept = list(model.tensors), list[Operator]()
    for op in model.operators:
        current = replace(model, tensors=tuple(tensors)) if op.name in _FOLDED else model
        values = _folded(current, op)
        if values is None:
            kept.append(op)
            continue
        output = tensors[op.outputs[0]]
        stored = values.astype(_WIDTHS[output.dtype])
        tensors[output.index] = replace(output, data=memoryview(stored.tobytes()), signature=output.shape)
    return replace(model, tensors=tuple(tensors), operators=tuple(kept))


def _folded(model: Model, op: Operator) -> Integers | None:
    """The operator's output where it is known, else None."""
    if op.name not in _FOLDED or len(op.outputs) != 1 or op.outputs[0] in model.inputs:
        return None
    output = model.tensors[op.outputs[0]]
    if output.dtype not in _WIDTHS or output.data is not None or output.elements > _VALUES_MAX:
        return None
    try:
        values = _FOLDED[op.name](model, op)
    except (CodegenError, ValueError):
        return None  # left as it is: validate() refuses it by name
    within = bool(np.all((values >= -(1 << 31)) & (values < 1 << 31)))
    return values if within and values.shape == output.shape else None


def _values(model: Model, index: int) -> Integers:
    """A constant's values.

    Raises:
        ValueError: it is none, not of integers, or longer than any shape.
    """
    tensor = model.tensors[index] if index >= 0 else None
    if tensor is None or tensor.data is None or tensor.dtype not in _WIDTHS:
        raise ValueError("no constant of integers")
    if tensor.elements > _VALUES_MAX:
        raise ValueError("too many values for a shape")
    values: Integers = np.frombuffer(tensor.data, _WIDTHS[tensor.dtype]).astype(np.int64)
    return values.reshape(tensor.shape)


def _shape(model: Model, op: Operator) -> Integers:
    source: Tensor = model.tensors[op.inputs[0]]
    if source.dynamic:
        raise ValueError("the shape is open")
    return np.array(source.shape, np.int64)


def _slice(model: Model, op: Operator) -> Integers:
    source = model.tensors[op.inputs[0]]
    ranges = slice_ranges(Context(model, "reference"), op, source)
    dropped = 0 if op.name == "SLICE" else option(op, "shrink_axis_mask")
    picked = _values(model, op.inputs[0])[np.ix_(*(list(part) for part in ranges))]
    return np.squeeze(picked, tuple(i for i in range(len(ranges)) if dropped >> i & 1))


def _pack(model: Model, op: Operator) -> Integers:
    return np.stack([_values(model, i) for i in op.inputs], option(op, "axis"))


def _concatenation(model: Model, op: Operator) -> Integers:
    return np.concatenate([_values(model, i) for i in op.inputs], option(op, "axis"))


def _same(model: Model, op: Operator) -> Integers:
    return _values(model, op.inputs[0]).reshape(model.tensors[op.outputs[0]].shape)


def _binary(function: Callable[[Integers, Integers], Integers]) -> Callable[[Model, Operator], Integers]:
    def fold(model: Model, op: Operator) -> Integers:
        return function(_values(model, op.inputs[0]), _values(model, op.inputs[1]))

    return fold


_FOLDED: dict[str, Callable[[Model, Operator], Integers]] = {
    "ADD": _binary(np.add),
    "CAST": _same,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _same,
    "MUL": _binary(np.multiply),
    "PACK": _pack,
    "RESHAPE": _same,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SQUEEZE": _same,
    "STRIDED_SLICE": _slice,
    "SUB": _binary(np.subtract),
}
