"""SPLIT and SPLIT_V: each part is a SLICE of the same tensor."""

from __future__ import annotations

from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.rewrites.making import Maker
from semflash_codegen.schema import TensorType


def split_into_slices(model: Model) -> Model:
    """Write every SPLIT and SPLIT_V as one SLICE an output; those that make no sense stay."""
    if not any(op.name in ("SPLIT", "SPLIT_V") for op in model.operators):
        return model
    maker, operators = Maker(model), list[Operator]()
    for op in model.operators:
        operators += _parts(model, maker, op) if op.name in ("SPLIT", "SPLIT_V") else [op]
    return maker.model(operators)


def _parts(model: Model, maker: Maker, op: Operator) -> list[Operator]:
    """The slices, or the operator itself where axis and sizes do not fit its input."""
    found = _source_and_axis(model, op)
    if found is None:
        return [op]
    source, axis = found
    outputs = [model.tensors[i] for i in op.outputs]
    start, slices = 0, list[Operator]()
    for output in outputs:
        if not _fits(source, output, axis):
            return [op]
        begin = [0] * len(source.shape)
        begin[axis] = start
        bounds = (maker.integers("begin", begin), maker.integers("size", output.shape))
        slices.append(maker.operator(op, "SLICE", (source.index, *bounds), output.index))
        start += output.shape[axis]
    return slices if start == source.shape[axis] else [op]


def _source_and_axis(model: Model, op: Operator) -> tuple[Tensor, int] | None:
    """The tensor that is split and the dimension, counted from 0; None where they are not known."""
    numbers = (1, 0) if op.name == "SPLIT" else (0, 2)
    if len(op.inputs) <= max(numbers) or min(op.inputs) < 0:
        return None
    source, given = (model.tensors[op.inputs[number]] for number in numbers)
    if given.data is None or given.dtype is not TensorType.INT32 or given.elements != 1:
        return None
    axis = int(given.int32_values().reshape(-1)[0])
    rank = len(source.shape)
    return (source, axis % rank) if -rank <= axis < rank else None


def _fits(source: Tensor, output: Tensor, axis: int) -> bool:
    """Whether a part has the input's shape but along the axis."""
    return len(output.shape) == len(source.shape) and all(
        i == axis or n == m for i, (n, m) in enumerate(zip(source.shape, output.shape, strict=True))
    )
