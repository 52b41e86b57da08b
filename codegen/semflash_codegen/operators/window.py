"""Sliding windows: kernel, stride, dilation and the padding that TFLite computes from SAME or VALID."""

from __future__ import annotations

from dataclasses import dataclass

from semflash_codegen.ir import Operator
from semflash_codegen.operators.context import Context
from semflash_codegen.schema import Padding

_BYTE_MAX = 255


@dataclass(frozen=True)
class Window:
    """Window of a convolution or pool; pads are those above and to the left."""

    h: int
    w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int

    def initialiser(self) -> str:
        """C initialiser of sf_window_t."""
        values = (
            self.h,
            self.w,
            self.stride_h,
            self.stride_w,
            self.dilation_h,
            self.dilation_w,
            self.pad_top,
            self.pad_left,
        )
        return "{" + ", ".join(map(str, values)) + "}"


def plan_window(
    context: Context,
    op: Operator,
    *,
    image: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    dilation: tuple[int, int] = (1, 1),
) -> tuple[Window, tuple[int, int]]:
    """The window and the output's (height, width). All pairs are (height, width).

    Source: tensorflow/lite/kernels/padding.h (ComputePaddingHeightWidth).
    """
    if padding not in Padding.__members__.values():
        raise context.unsupported(op, "unknown padding", padding)
    if min(*kernel, *stride, *dilation) < 1 or max(*kernel, *stride, *dilation) > _BYTE_MAX:
        raise context.unsupported(
            op, f"kernel, stride and dilation must be 1..{_BYTE_MAX}", (kernel, stride, dilation)
        )
    outs, pads = [], []
    for size, k, s, d in zip(image, kernel, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        if padding == Padding.SAME:
            out = -(-size // s)
            pads.append(max(0, (out - 1) * s + reach - size) // 2)
        else:
            out = -(-(size - reach + 1) // s)
            pads.append(0)
        outs.append(out)
    if min(outs) < 1:
        raise context.unsupported(op, "the kernel is larger than its input", (image, kernel))
    if max(pads) > _BYTE_MAX:
        raise context.unsupported(op, f"padding above {_BYTE_MAX}", pads)
    return Window(*kernel, *stride, *dilation, pads[0], pads[1]), (outs[0], outs[1])
