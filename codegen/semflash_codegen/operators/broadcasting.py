"""Operands that are repeated: numpy's broadcasting rule on (h, w, c), as strides for device/kernels."""

from __future__ import annotations

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.operators.context import Context


def image_of(context: Context, op: Operator, tensor: Tensor) -> tuple[int, int, int]:
    """A tensor of up to four dimensions as (h, w, c); missing ones are 1, the batch must be 1.

    Raises:
        UnsupportedModelError: more dimensions, or a batch.
    """
    shape = (1,) * (4 - len(tensor.shape)) + tensor.shape
    if len(shape) != 4 or shape[0] != 1:
        raise context.unsupported(op, f"tensor '{tensor.name}' must be one image (1, h, w, c)", tensor.shape)
    return shape[1], shape[2], shape[3]


def strides_initialiser(context: Context, op: Operator, tensor: Tensor, output: Tensor) -> str:
    """C initialiser of sf_strides_t: elements to go per row, column and channel of the output.

    Raises:
        UnsupportedModelError: the tensor's shape does not broadcast to the output's.
    """
    own, wanted = image_of(context, op, tensor), image_of(context, op, output)
    dense = (own[1] * own[2], own[2], 1)
    for have, want in zip(own, wanted, strict=True):
        if have not in (1, want):
            raise context.unsupported(
                op, f"'{tensor.name}' does not broadcast to {output.shape}", tensor.shape
            )
    return "{" + ", ".join(str(0 if n == 1 else s) for n, s in zip(own, dense, strict=True)) + "}"


def broadcast_shape(context: Context, op: Operator, a: Tensor, b: Tensor, output: Tensor) -> None:
    """The output's shape must be what the operands give together."""
    left, right = image_of(context, op, a), image_of(context, op, b)
    together = tuple(max(pair) for pair in zip(left, right, strict=True))
    if image_of(context, op, output) != together:
        raise context.unsupported(op, f"output shape should be {together}", output.shape)
