"""REDUCE_MAX (Keras's GlobalMaxPooling2D) and REDUCE_MIN over any dimensions with at most one gap between.

Source: tensorflow/lite/kernels/internal/reference/reduce.h: one quantisation for input and output.
"""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.moving import same_quantisation
from semflash_codegen.operators.reduction import plan_reduction


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    reduction = plan_reduction(context, op, source, output)
    same_quantisation(context, op, source, output)
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_reduce", None),
        struct="sf_reduce_t",
        fields=(*reduction.fields(), ("smallest", "true" if op.name == "REDUCE_MIN" else "false")),
    )
