"""MEAN over neighbouring dimensions, for instance height and width, with or without keep_dims.

Source: tensorflow/lite/kernels/internal/reference/reduce.h (QuantizedMeanOrSum): 1 / count goes into the
multiplier.
"""

from __future__ import annotations

from math import prod

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier
from semflash_codegen.schema import Options, TensorType

_REACH = 383  # |value| + |zero point|, with the kernel's two sums apart
_OUTPUT_ROOM = 512


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    axes = _axes(context, op, source)
    kept = tuple(1 if i in axes else n for i, n in enumerate(source.shape))
    squeezed = tuple(n for i, n in enumerate(source.shape) if i not in axes)
    keep = context.options(op, Options.REDUCER).integer(0, "<b")
    context.expect_shape(op, output, kept if keep else squeezed)
    first, last = min(axes), max(axes)
    count = prod(source.shape[first : last + 1])
    multiplier, shift = _mean_multiplier(source.scale / output.scale, count)
    if (_REACH * count) << max(shift, 0) > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(op, "the sum can leave int32", count)
    fields = (
        ("outer", str(prod(source.shape[:first]))),
        ("count", str(count)),
        ("inner", str(prod(source.shape[last + 1 :]))),
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


def _axes(context: Context, op: Operator, source: Tensor) -> set[int]:
    """The reduced dimensions: constant, without gaps between them."""
    tensor = context.input(op, 1)
    if tensor.data is None or tensor.dtype is not TensorType.INT32:
        raise context.unsupported(op, "the axes are not a constant of type int32", tensor.dtype.name.lower())
    rank = len(source.shape)
    given = [int(a) for a in tensor.int32_values().reshape(-1)]
    if not given or any(not -rank <= a < rank for a in given):
        raise context.unsupported(op, f"the axes must lie in -{rank}..{rank - 1}", given[:8])
    axes = {a % rank for a in given}
    if len(axes) != max(axes) - min(axes) + 1:
        raise context.unsupported(op, "the axes must be neighbours", sorted(axes))
    return axes


def _mean_multiplier(factor: float, count: int) -> tuple[int, int]:
    """(multiplier, shift) of factor / count, rounded as TFLite rounds it."""
    multiplier, shift = quantise_multiplier(factor)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra
