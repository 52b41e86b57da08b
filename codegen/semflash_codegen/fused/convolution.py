"""Decisions and tables for one convolution: whole patches or chunks, requantisation, weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.requantise import Channelwise, CheapForm, find_form
from semflash_codegen.fused.tables import Gather, coefficients, group_words, groups

Ints = NDArray[np.int64]

BYTES, PAIRS, MAX = STORES = ("bytes", "pairs", "max")
STRIP_STEPS = 116
"""Steps of both patches of a strip: LDRD reaches 1,020 bytes, and the rows' pointers lie behind them."""
WHOLE_STEPS = 80
"""A patch of at most so many steps is gathered at once; the kernel takes about 41 bytes of code per step."""
LONG_RUN_BYTES = 32
LONG_RUN_WHOLE_STEPS = 40
"""Layers of long kernel rows and more steps go row by row, so that only one row's steps are unrolled."""
CHUNK_STEPS = 64
GAIN_MAX = 3
SMALL_K_MAX = 14


@dataclass(frozen=True)
class ConvTables:
    """Everything that the C writer needs about one convolution.

    mode: "whole" (one call computes finished pixels), "rows" (the same, run after run of bytes),
    "chunked" (accumulators in memory, a chunk of a kernel row per call), "patch" (the same, fed with patches
    that the convolution before wrote).
    store: what "whole" does with finished pixels: BYTES, PAIRS (16 bits, into a patch) or MAX (2x2 maximum).
    """

    layer: Conv
    mode: str
    small: bool
    store: str
    gather: Gather
    chunks: int
    form: CheapForm | None
    weights: list[int]
    chunk_words: int
    bias: list[int]
    coefficients: list[int]
    out_width: int = 0
    """Columns that are computed, if not all."""

    @property
    def group_count(self) -> int:
        return -(-self.layer.output.channels // 4)

    @property
    def table_bytes(self) -> int:
        general = 0 if self.form else 5 * self.layer.output.channels
        return 4 * (len(self.weights) + len(self.bias) + len(self.coefficients)) + general

    @property
    def reason(self) -> str:
        """One line for the report: what runs and why."""
        if self.form is None:
            return "general requantisation: no cheap form is provably exact"
        kind = "signed" if self.form.signed else "ReLU"
        return f"{kind} requantisation, shift {self.form.s}" + (", packed" if self.form.packed else "")


def requantisation(layer: Conv) -> Channelwise:
    return Channelwise(layer.multiplier, layer.shift, layer.output_zero, layer.low, layer.high)


def _flat(layer: Conv) -> Ints:
    """Weights as (channels, kernel_h, kernel_w x in_channels), int64."""
    weights: Ints = layer.weights.astype(np.int64)
    return weights.reshape(weights.shape[0], weights.shape[1], -1)


def folded_bias(layer: Conv) -> Ints:
    """Bias for inputs stored as code + 128: the zero point of the input goes in here."""
    axes = (0, 1) if layer.depthwise else (1, 2, 3)
    total: Ints = layer.weights.astype(np.int64).sum(axis=axes)
    result: Ints = layer.bias - (layer.input_zero + 128) * total
    return result


def reachable(layer: Conv) -> tuple[Ints, Ints, Ints]:
    """Smallest and largest accumulator over all inputs, and a bound of every partial sum (per channel)."""
    axes = (0, 1) if layer.depthwise else (1, 2, 3)
    weights = layer.weights.astype(np.int64)
    bias = folded_bias(layer)
    low: Ints = bias + 255 * np.minimum(weights, 0).sum(axis=axes)
    high: Ints = bias + 255 * np.maximum(weights, 0).sum(axis=axes)
    magnitude: Ints = np.abs(bias) + 255 * np.abs(weights).sum(axis=axes)
    return low, high, magnitude


def cheap_form(layer: Conv, *, small: bool = False, gain_max: int = 0) -> CheapForm | None:
    """A proven cheap form; small tables shift accumulators instead of weights."""
    if small:
        return find_form(requantisation(layer), *reachable(layer), k_max=SMALL_K_MAX)
    return find_form(requantisation(layer), *reachable(layer), gain_max=gain_max)


def whole_tables(layer: Conv, form: CheapForm, small: bool, store: str) -> ConvTables:
    """Tables of a convolution whose patch fits at once: per group bias, weights, coefficients."""
    kernel_h, kernel_w = layer.window.kernel
    gather = Gather(kernel_h, kernel_w * layer.source.channels)
    flat, bias = _scaled(layer, form, small)
    order = gather.order()
    words: list[int] = []
    for members in _ordered(layer.output.channels, ascending=store == PAIRS):
        words += [0 if c is None else int(bias[c]) & 0xFFFFFFFF for c in members]
        words += group_words(flat, order, members, small)
        words += coefficients(form, members, small)
    return ConvTables(layer, "whole", small, store, gather, 1, form, words, 0, [], [])


def chunked_tables(
    layer: Conv, form: CheapForm | None, small: bool, padded_channels: int = 0, limit: int = CHUNK_STEPS
) -> ConvTables:
    """Tables of a convolution that adds chunk after chunk to accumulators in memory.

    padded_channels: > 0 for a layer that is fed with patches, whose pixels hold so many channels.
    """
    flat, bias = _scaled(layer, form, small)
    if padded_channels:
        flat = _pad_channels(layer, flat, padded_channels)
    run = flat.shape[2]
    words = -(-run // 4)
    chunks = -(-2 * words // limit)
    gather = Gather(1, 4 * (-(-words // chunks)), whole_words=True)
    order = gather.order()
    members = _ordered(layer.output.channels, ascending=False)
    table: list[int] = []
    for row in range(flat.shape[1]):
        for chunk in range(chunks):
            part = flat[:, row : row + 1, chunk * gather.run : (chunk + 1) * gather.run]
            for group in members:
                table += group_words(part, order, group, small)
    starts = [0 if c is None else int(bias[c]) for group in members for c in group]
    ends = [word for group in members for word in coefficients(form, group, small)] if form else []
    chunk_words = len(table) // (flat.shape[1] * chunks)
    mode = "patch" if padded_channels else "chunked"
    return ConvTables(layer, mode, small, BYTES, gather, chunks, form, table, chunk_words, starts, ends)


def rows_tables(layer: Conv, form: CheapForm, small: bool) -> ConvTables:
    """Tables of a convolution whose kernel takes one run of bytes after the other, in one piece."""
    parts = chunked_tables(layer, form, small)
    words = [value & 0xFFFFFFFF for value in parts.bias] + parts.weights + parts.coefficients
    return replace(parts, mode="rows", weights=words, bias=[], coefficients=[])


def _scaled(layer: Conv, form: CheapForm | None, small: bool) -> tuple[Ints, Ints]:
    """Weights and folded bias, shifted by k per channel unless the table is small or the form general."""
    k = np.zeros(layer.output.channels, dtype=np.int64) if form is None or small else form.k
    gain = 0 if form is None or small else form.gain
    return _flat(layer) << (k - gain)[:, None, None], folded_bias(layer) << k


def _pad_channels(layer: Conv, flat: Ints, padded: int) -> Ints:
    channels, rows, _ = flat.shape
    columns, source = layer.window.kernel[1], layer.source.channels
    result = np.zeros((channels, rows, columns, padded), dtype=np.int64)
    result[..., :source] = flat.reshape(channels, rows, columns, source)
    return result.reshape(channels, rows, columns * padded)


def _ordered(channels: int, ascending: bool) -> list[list[int | None]]:
    found = groups(channels)
    return found[::-1] if ascending else found


def depthwise_bytes(layer: Conv, form: CheapForm | None) -> int:
    """Flash of a depthwise convolution's tables."""
    groups_count = -(-layer.output.channels // 4)
    taps = layer.window.kernel[0] * layer.window.kernel[1]
    words = groups_count * (2 * taps + 4)
    words += 0 if form is None else 4 * groups_count * (3 if form.signed else 2)
    return 4 * words + (5 * layer.output.channels if form is None else 0)
