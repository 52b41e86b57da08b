"""How many multiply-accumulates an operator takes for one image: the one count of semflash.

Whoever states MACs (the export, a build's report, a benchmark) asks here, so that figures can be compared. A
multiply-accumulate is one product that is added to a sum; biases, requantisation, pools and elementwise
operators (ADD, MUL, activations) count nothing.

==================  ===============================================================
CONV_2D             values of the output x kernel height x kernel width x depth of the weights
DEPTHWISE_CONV_2D   values of the output x kernel height x kernel width
TRANSPOSE_CONV      values of the input x kernel height x kernel width x channels of the output
FULLY_CONNECTED     values of the output x inputs of one output
BATCH_MATMUL        values of the output x length of the sums
==================  ===============================================================

Places of a kernel that lie in the padding count like all others, as is usual in the field: the figure depends
on shapes alone, not on how a kernel treats the border.
"""

from __future__ import annotations

from math import prod

from semflash_codegen.errors import MalformedModelError
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.options import option

#: Dimensions of the weights where an operator has them.
_RANKS = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "TRANSPOSE_CONV": 4, "FULLY_CONNECTED": 2}


def macs(model: Model, op: Operator) -> int:
    """Multiply-accumulates of one operator, for the batch that the file's shapes have.

    Args:
        model: Any graph that was read; its types do not matter.
        op: One of its operators.

    Raises:
        MalformedModelError: The operator lacks an input, or its weights have another rank.
    """
    if op.name == "BATCH_MATMUL":
        left = _input(model, op, 0)
        if len(left.shape) < 2:
            raise _malformed(model, op, "needs matrices", left.shape)
        return _output(model, op).elements * left.shape[-2 if option(op, "adj_x") else -1]
    if op.name not in _RANKS:
        return 0
    weights = _input(model, op, 1)
    if len(weights.shape) != _RANKS[op.name]:
        raise _malformed(model, op, f"needs weights of {_RANKS[op.name]} dimensions", weights.shape)
    match op.name:
        case "TRANSPOSE_CONV":
            return _input(model, op, 2).elements * prod(weights.shape[:3])
        case "DEPTHWISE_CONV_2D":
            return _output(model, op).elements * prod(weights.shape[1:3])
        case _:
            return _output(model, op).elements * prod(weights.shape[1:])


def _output(model: Model, op: Operator) -> Tensor:
    return model.tensors[op.outputs[0]]


def _input(model: Model, op: Operator, number: int) -> Tensor:
    if number >= len(op.inputs) or op.inputs[number] < 0:
        raise _malformed(model, op, f"lacks input {number}", len(op.inputs))
    return model.tensors[op.inputs[number]]


def _malformed(model: Model, op: Operator, what: str, value: object) -> MalformedModelError:
    return MalformedModelError(
        f"{model.layer_name(op)} {what}", value=value, remedy="export the model again; the file is damaged"
    )
