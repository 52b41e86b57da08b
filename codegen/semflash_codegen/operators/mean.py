"""MEAN over any dimensions with at most one gap between them, with or without keep_dims.

Source: tensorflow/lite/kernels/internal/reference/reduce.h (QuantizedMeanOrSum): 1 / count goes into the
multiplier.
"""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.reduction import plan_reduction
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier

_REACH = 383  # |value| + |zero point|, with the kernel's two sums apart
_OUTPUT_ROOM = 512


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    reduction = plan_reduction(context, op, source, output)
    count = reduction.count * reduction.tail
    multiplier, shift = _mean_multiplier(source.scale / output.scale, count)
    if (_REACH * count) << max(shift, 0) > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(op, "the sum can leave int32", count)
    fields = (
        *reduction.fields(),
        ("input_zero_point", str(source.zero_point)),
        ("output_zero_point", str(output.zero_point)),
        ("multiplier", str(multiplier)),
        ("shift", str(shift)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose("MEAN", "sf_mean", None),
        struct="sf_mean_t",
        fields=fields,
    )


def _mean_multiplier(factor: float, count: int) -> tuple[int, int]:
    """(multiplier, shift) of factor / count, rounded as TFLite rounds it."""
    multiplier, shift = quantise_multiplier(factor)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra
