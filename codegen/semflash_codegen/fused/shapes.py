"""Which layers can stream, and layers that stream better in another shape."""

from __future__ import annotations

from dataclasses import replace

from semflash_codegen.fused import convolution
from semflash_codegen.fused.layers import Conv, Layer, Pool, Shape, Table

ROWS_MAX = 11
COLUMNS_MAX = 64
#: Of a pixel computed beside three others, to one beside another.
QUAD_COST = 0.93
#: Longest row that 1x1 convolutions make of several, and what part of the tensor at most.
_REGROUPED_ROW_BYTES, _REGROUPED_PART = 1664, 4


def refusal(layer: Layer) -> str | None:
    """Why a layer cannot stream, or None."""
    if isinstance(layer, Table):
        return None
    window = layer.window
    if isinstance(layer, Conv) and (window.kernel[0] > ROWS_MAX or window.kernel[1] > COLUMNS_MAX):
        return f"kernel {window.kernel[0]}x{window.kernel[1]} is larger than {ROWS_MAX}x{COLUMNS_MAX}"
    if max(window.kernel) > 255 or max(window.stride) > 255:
        return "kernel or stride above 255"
    if window.top >= window.kernel[0] or min(window.top, window.left, window.bottom, window.right) < 0:
        return "more padding above than the kernel is high"
    widest = layer.source.row_bytes + (window.left + window.right) * layer.source.channels
    if widest > 60000 or layer.output.row_bytes > 60000 or layer.source.height > 60000:
        return "rows above 60,000 bytes"
    if window.stride[1] * layer.source.channels > 60000:
        return "steps from column to column above 60,000 bytes"
    if window.bottom > 255 or (isinstance(layer, Pool) and window.left > 255):
        return "more than 255 rows or columns of padding"
    if isinstance(layer, Conv) and layer.depthwise and layer.output.channels // layer.source.channels > 255:
        return "more than 255 output channels per input channel"
    if isinstance(layer, Conv):
        _, _, magnitude = convolution.reachable(layer)
        if (magnitude << layer.shift.clip(min=0) >= 1 << 31).any() or (layer.shift > 8).any():
            return "accumulators leave 32 bits"
    return None


def regrouped(layer: Layer) -> Layer:
    """A 1x1 convolution between two tensors in memory, several rows of it as one: its pixels know no rows.

    Kernels compute two or four pixels at once, which narrow rows are no multiple of.
    """
    if not isinstance(layer, Conv) or layer.depthwise:
        return layer
    window, source = layer.window, layer.source
    padded = window.top or window.left or window.bottom or window.right
    if window.kernel != (1, 1) or window.stride != (1, 1) or padded:
        return layer
    room = min(_REGROUPED_ROW_BYTES, source.height * source.row_bytes // _REGROUPED_PART)
    longest = max(source.width, room // source.channels)
    fits = [n for n in range(1, source.height + 1) if source.height % n == 0 and n * source.width <= longest]
    rows = min(fits, key=lambda n: (_pixel_cost(n * source.width), n))
    shapes = [
        Shape(shape.height // rows, shape.width * rows, shape.channels) for shape in (source, layer.output)
    ]
    return replace(layer, source=shapes[0], output=shapes[1])


def _pixel_cost(width: int) -> float:
    """Of one pixel of a row so wide, relative; what is computed twice counts twice."""
    fours = -(-width // 4) * 4 * QUAD_COST if width >= 4 else 4.0
    return min(fours, -(-width // 2) * 2) / width


def clipped(layer: Layer, before: Layer | None) -> Layer:
    """A maximum behind a PAD whose value is never above what it pads: as if windows were clipped.

    So is ResNet's pool: its input went through a ReLU, and is padded with 0.
    """
    if not isinstance(layer, Pool) or layer.average or not layer.explicit_padding:
        return layer
    window, source = layer.window, layer.source
    sides = (
        (source.height, layer.output.height, window.kernel[0], window.stride[0], window.top),
        (source.width, layer.output.width, window.kernel[1], window.stride[1], window.left),
    )
    never_empty = all(
        before_it < kernel and (out - 1) * stride - before_it < side
        for side, out, kernel, stride, before_it in sides
    )
    if window.pad_value > _lowest(before) or not never_empty:
        return layer
    return replace(layer, explicit_padding=False)


def _lowest(layer: Layer | None) -> int:
    """A bound of a layer's outputs from below, int8; the image's for None."""
    if layer is None:
        return -128
    return int(layer.values.min()) if isinstance(layer, Table) else layer.low
