"""STRIDED_SLICE and SLICE with constant bounds: a part of a tensor, every n-th element, or backwards.

Source: tensorflow/lite/kernels/internal/strided_slice_logic.h (StartForAxis, StopForAxis).
"""

from __future__ import annotations

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.moving import dense_strides, move_layer
from semflash_codegen.options import option


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    ranges = slice_ranges(context, op, source)
    dropped = 0 if op.name == "SLICE" else option(op, "shrink_axis_mask")
    shape = tuple(len(part) for i, part in enumerate(ranges) if not dropped >> i & 1)
    context.expect_shape(op, output, shape)
    strides = dense_strides(source.shape)
    first = sum(part.start * stride for part, stride in zip(ranges, strides, strict=True))
    steps = [part.step * stride for part, stride in zip(ranges, strides, strict=True)]
    return move_layer(context, op, [len(part) for part in ranges], steps, first)


def slice_ranges(context: Context, op: Operator, source: Tensor) -> list[range]:
    """The indices that are taken along each dimension of the input; each holds one or more.

    Raises:
        UnsupportedModelError: bounds that are computed, an ellipsis, new axes, or nothing is left.
    """
    rank = len(source.shape)
    begin, end = (context.integers(op, i, name) for i, name in ((1, "the begin"), (2, "the end")))
    if op.name == "SLICE":
        if len(begin) != rank or len(end) != rank:
            raise context.unsupported(op, "there must be one begin and one size per dimension", begin)
        ends = [n if size == -1 else b + size for n, b, size in zip(source.shape, begin, end, strict=True)]
        if any(not 0 <= b < e <= n for n, b, e in zip(source.shape, begin, ends, strict=True)):
            raise context.unsupported(op, "the part leaves the input", (begin, end))
        return [range(b, e) for b, e in zip(begin, ends, strict=True)]
    steps = context.integers(op, 3, "the strides")
    if len(begin) > rank or len(begin) != len(end) or len(begin) != len(steps) or 0 in steps:
        raise context.unsupported(op, "begin, end and strides do not fit the input", (begin, end, steps))
    if option(op, "ellipsis_mask") or option(op, "new_axis_mask"):
        raise context.unsupported(op, "an ellipsis or a new axis", option(op, "new_axis_mask"))
    ranges = [_along(op, i, source.shape[i], begin[i], end[i], steps[i]) for i in range(len(begin))]
    ranges += [range(n) for n in source.shape[len(begin) :]]
    if any(len(part) == 0 for part in ranges):
        raise context.unsupported(op, "nothing is left", (begin, end))
    return ranges


def _along(op: Operator, axis: int, size: int, begin: int, end: int, step: int) -> range:
    """What is taken along one dimension: numpy's rule, with masks for open ends."""
    if option(op, "shrink_axis_mask") >> axis & 1:
        start = begin + size if begin < 0 else begin
        return range(start, start + 1) if 0 <= start < size else range(0)
    offset = bool(option(op, "offset"))  # the end is counted from the begin
    end = end + begin if offset else end
    first = None if option(op, "begin_mask") >> axis & 1 else begin
    behind = None if option(op, "end_mask") >> axis & 1 else end
    return range(*slice(first, behind, step).indices(size))
