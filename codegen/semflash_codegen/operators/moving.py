"""Operators that only move values: the sf_move_t of device/kernels, from shapes and strides."""

from __future__ import annotations

from collections.abc import Sequence

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context

#: SF_MOVE_RANK of device/kernels/include/semflash/kernels.h.
_RANK = 6


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next along each dimension.

    >>> dense_strides((2, 3, 4))
    [12, 4, 1]
    """
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return strides


def merged(counts: Sequence[int], strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """The same walk in as few dimensions as possible.

    >>> merged((1, 2, 3, 4), (99, 12, 4, 1)), merged((3, 2), (1, 3))
    (([24], [1]), ([3, 2], [1, 3]))
    """
    kept: list[tuple[int, int]] = []
    for count, stride in zip(counts, strides, strict=True):
        if count == 1:
            continue
        if kept and kept[-1][1] == stride * count:
            kept[-1] = (kept[-1][0] * count, stride)
        else:
            kept.append((count, stride))
    kept = kept or [(1, 1)]
    return [count for count, _ in kept], [stride for _, stride in kept]


def same_quantisation(context: Context, op: Operator, source: Tensor, output: Tensor) -> None:
    """Values that are moved keep their scale and zero point.

    Raises:
        UnsupportedModelError: they do not.
    """
    if (source.scale, source.zero_point) != (output.scale, output.zero_point):
        raise context.unsupported(op, "input and output must have the same scale and zero point")


def move_layer(
    context: Context, op: Operator, counts: Sequence[int], strides: Sequence[int], first: int = 0
) -> Layer:
    """The kernel call that fills the output (dense, of the shape `counts`) from in[first + index . strides].

    Raises:
        UnsupportedModelError: more than six dimensions are left, or the quantisation changes.
    """
    source, output = context.int8_input(op, 0), context.int8_output(op)
    same_quantisation(context, op, source, output)
    lowest = first + sum(min(0, (n - 1) * s) for n, s in zip(counts, strides, strict=True))
    highest = first + sum(max(0, (n - 1) * s) for n, s in zip(counts, strides, strict=True))
    if lowest < 0 or highest >= source.elements:
        raise context.unsupported(op, "it reads outside its input", (lowest, highest))
    shape, steps = merged(counts, strides)
    if len(shape) > _RANK:
        raise context.unsupported(op, f"more than {_RANK} dimensions move apart", len(shape))
    filler = [1] * (_RANK - len(shape))
    fields = (
        ("counts", _initialiser([*filler, *shape])),
        ("strides", _initialiser([*(0 for _ in filler), *steps])),
        ("first", str(first)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_move", None),
        struct="sf_move_t",
        fields=fields,
    )


def _initialiser(values: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"
