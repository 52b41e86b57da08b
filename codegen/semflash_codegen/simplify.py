"""Passes that make a model smaller before it is checked: float ends, shape arithmetic, dead operators."""

from __future__ import annotations

from dataclasses import replace

from semflash_codegen.ir import Model, Operator
from semflash_codegen.operators import ALIASES
from semflash_codegen.schema import TensorType


def simplify(model: Model) -> Model:
    """All passes of this file, in order."""
    return prune(drop_float_ends(model))


def drop_float_ends(model: Model) -> Model:
    """Let an int8 model with a float interface begin behind its QUANTIZE and end before its DEQUANTIZE.

    The device takes and gives int8: real = scale * (value - zero point) of the tensors left at the ends.
    """
    operators = list(model.operators)
    inputs, outputs = model.inputs, model.outputs
    if len(inputs) == 1 and _is(model, inputs[0], TensorType.FLOAT32):
        readers = [op for op in operators if inputs[0] in op.inputs]
        if len(readers) == 1 and _converts(model, readers[0], "QUANTIZE", readers[0].outputs):
            operators.remove(readers[0])
            inputs = readers[0].outputs
    if len(outputs) == 1 and _is(model, outputs[0], TensorType.FLOAT32):
        writers = [op for op in operators if outputs[0] in op.outputs]
        if len(writers) == 1 and _converts(model, writers[0], "DEQUANTIZE", writers[0].inputs):
            operators.remove(writers[0])
            outputs = writers[0].inputs
    return replace(model, operators=tuple(operators), inputs=inputs, outputs=outputs)


def prune(model: Model) -> Model:
    """Drop operators whose results reach no output.

    All shapes are static, so RESHAPE needs its first input only: what computes its shape (SHAPE,
    STRIDED_SLICE, PACK) is dropped, too.
    """
    needed = set(model.outputs)
    kept: list[Operator] = []
    for op in reversed(model.operators):
        if needed.isdisjoint(op.outputs):
            continue
        alive = replace(op, inputs=op.inputs[:1]) if op.name in ALIASES else op
        needed.update(alive.inputs)
        kept.append(alive)
    return replace(model, operators=tuple(reversed(kept)))


def _is(model: Model, tensor: int, dtype: TensorType) -> bool:
    return model.tensors[tensor].dtype is dtype


def _converts(model: Model, op: Operator, name: str, int8_side: tuple[int, ...]) -> bool:
    """Whether an operator is the named conversion, with one int8 activation on the given side."""
    if op.name != name or len(int8_side) != 1 or int8_side[0] < 0:
        return False
    tensor = model.tensors[int8_side[0]]
    return tensor.dtype is TensorType.INT8 and tensor.data is None
