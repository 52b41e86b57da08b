"""Functions of one value: the generator computes all 256 results, the device looks them up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import Array, Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.quantise import INT8_MAX, INT8_MIN


def lookup_layer(
    context: Context,
    op: Operator,
    function: Callable[[int], int],
    *,
    lowest: int = INT8_MIN,
    source: Tensor | None = None,
) -> Layer:
    """A layer out = clamp(function(in)) for in >= lowest; smaller inputs end the image.

    Args:
        function: int8 value to integer, called for lowest..127.
        source: the activation that is looked up; None: the operator's first input.
    """
    source = context.int8_input(op, 0) if source is None else source
    output = context.int8_output(op)
    if source.shape != output.shape:
        raise context.unsupported(op, "input and output must have one shape", (source.shape, output.shape))
    values = [
        min(max(function(q), INT8_MIN), INT8_MAX) if q >= lowest else INT8_MIN
        for q in range(INT8_MIN, INT8_MAX + 1)
    ]
    fields = (("size", str(output.elements)), ("lowest", str(lowest)))
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(source.index,),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_lookup", None),
        struct="sf_lookup_t",
        fields=fields,
        arrays=(Array("table", "int8_t", np.array(values, np.int8)),),
    )
