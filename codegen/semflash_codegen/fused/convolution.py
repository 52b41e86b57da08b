"""Decisions and tables for one convolution: whole patches or chunks, requantisation, weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semflash_codegen.fused.exact import ExactForm, find_exact
from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.mixed import coefficients as mixed_coefficients
from semflash_codegen.fused.mixed import mixable, padded_steps
from semflash_codegen.fused.requantise import Channelwise, CheapForm, find_form
from semflash_codegen.fused.tables import Gather, Step, coefficients, group_words, groups, mixed_bias

Ints = NDArray[np.int64]
#: Plans that differ in RAM alone ask for the same forms and tables of the same layer (the very object) again.
_once = lru_cache(maxsize=64)

BYTES, PAIRS, MAX = STORES = ("bytes", "pairs", "max")
STRIP_STEPS = 112
"""Steps of both patches of a strip: LDRD reaches 1,020 bytes, and the call's fields lie before them."""
FEW_STEPS = 16
"""Up to so many steps int16 weights win: their requantisation is shorter."""
MIXED_STEPS = 128
"""Longest patch with byte-mixed weights, steps of zeros included: 8 bytes of stack a step."""
QUAD_STEPS = (160, 112, 80, 48, 0)
"""Longest patches of four pixels to choose from: 16 bytes of stack a step."""
TABLES_IN_RAM_BYTES = 1664
"""Tables of int16 weights that are copied to RAM: flash would be waited for at every pair of pixels."""
MIXED_LEFT_STEPS = 104
"""The same where bytes are left over, which STRD puts behind the patch: it reaches 1,020 bytes."""
WHOLE_STEPS = 80
"""A patch of at most so many steps of int16 weights is gathered at once; 41 bytes of code per step."""
LONG_RUN_BYTES = 32
LONG_RUN_WHOLE_STEPS = 40
"""Layers of long kernel rows and more steps go row by row, so that only one row's steps are unrolled."""
CHUNK_STEPS = 64
GAIN_MAX = 3


@dataclass(frozen=True)
class ConvTables:
    """Everything that the C writer needs about one convolution.

    mode: "whole" (one call computes finished pixels), "quads" (the same, four pixels at a time), "rows" (the
    same, run after run of bytes), "chunked" (accumulators in memory, a chunk of a kernel row per call),
    "patch" (the same, fed with patches that the convolution before wrote). store: what "whole" does with
    finished pixels: BYTES, PAIRS (16 bits, into a patch) or MAX (2x2 maximum).
    """

    layer: Conv
    mode: str
    store: str
    gather: Gather
    chunks: int
    form: CheapForm | ExactForm | None
    weights: list[int]
    chunk_words: int
    bias: list[int]
    coefficients: list[int]
    out_width: int = 0
    """Columns that are computed, if not all."""

    @property
    def mixed(self) -> bool:
        """Whether weights are byte-mixed; those with the exact form are."""
        return isinstance(self.form, ExactForm)

    @property
    def gain(self) -> int:
        """Bits by which inputs are shifted to the left."""
        return self.form.gain if isinstance(self.form, CheapForm) else 0

    @property
    def steps(self) -> int:
        """Steps of one patch, those of zeros included."""
        return padded_steps(self.gather.steps) if self.mixed else self.gather.steps

    @property
    def group_count(self) -> int:
        """Groups of four output channels; of two where four pixels are computed at once."""
        return -(-self.layer.output.channels // (2 if self.mode == "quads" else 4))

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
        if isinstance(self.form, ExactForm):
            return f"{kind} requantisation, int8 weights mixed in pairs"
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


@_once
def cheap_form(layer: Conv, *, gain_max: int = 0) -> CheapForm | None:
    """A proven cheap form for int16 weights."""
    return find_form(requantisation(layer), *reachable(layer), gain_max=gain_max)


@_once
def exact_form(layer: Conv) -> ExactForm | None:
    """The exact form for byte-mixed weights, or None where weights or accumulators do not fit."""
    low, high, _ = reachable(layer)
    form = find_exact(requantisation(layer), low, high)
    return form if form is not None and mixable(layer, low, high, form.live) else None


@_once
def depthwise_form(layer: Conv) -> CheapForm | ExactForm | None:
    """The form of a depthwise convolution: a cheap one, else the exact one, else none."""
    low, high, _ = reachable(layer)
    return cheap_form(layer) or find_exact(requantisation(layer), low, high)


@_once
def whole_tables(layer: Conv, form: CheapForm | ExactForm, store: str) -> ConvTables:
    """Tables of a convolution whose patch fits at once: per group bias, weights, coefficients."""
    kernel_h, kernel_w = layer.window.kernel
    gather = Gather(kernel_h, kernel_w * layer.source.channels)
    flat, bias = _scaled(layer, form)
    words: list[int] = []
    for members in _ordered(layer.output.channels, ascending=store == PAIRS):
        words += [value & 0xFFFFFFFF for value in _starts(form, bias, members)]
        words += _mac_words(form, flat, gather, members)
        words += _ends(form, members)
    return ConvTables(layer, "whole", store, gather, 1, form, words, 0, [], [])


@_once
def quad_tables(layer: Conv, form: ExactForm, store: str) -> ConvTables:
    """Tables for four pixels and two channels at a time, the last two channels first."""
    gather = Gather(layer.window.kernel[0], layer.window.kernel[1] * layer.source.channels)
    flat, bias = _scaled(layer, form)
    channels = layer.output.channels
    words: list[int] = []
    for first in reversed(range(0, channels, 2)):
        members = [first, first + 1 if first + 1 < channels else None]
        words += [value & 0xFFFFFFFF for value in _starts(form, bias, members)]
        words += _mac_words(form, flat, gather, members)
        words += _ends(form, members)
    return ConvTables(layer, "quads", store, gather, 1, form, words, 0, [], [])


@_once
def chunked_tables(
    layer: Conv,
    form: CheapForm | ExactForm | None,
    padded_channels: int = 0,
    limit: int = CHUNK_STEPS,
) -> ConvTables:
    """Tables of a convolution that adds chunk after chunk to accumulators in memory.

    padded_channels: > 0 for a layer that is fed with patches, whose pixels hold so many channels.
    """
    flat, bias = _scaled(layer, form)
    if padded_channels:
        flat = _pad_channels(layer, flat, padded_channels)
    run = flat.shape[2]
    words = -(-run // 4)
    chunks = -(-2 * words // limit)
    gather = Gather(1, 4 * (-(-words // chunks)), whole_words=True)
    members = _ordered(layer.output.channels, ascending=False)
    table: list[int] = []
    for row in range(flat.shape[1]):
        for chunk in range(chunks):
            part = flat[:, row : row + 1, chunk * gather.run : (chunk + 1) * gather.run]
            for group in members:
                table += _mac_words(form, part, gather, group)
    starts = [value for group in members for value in _starts(form, bias, group)]
    ends = [word for group in members for word in _ends(form, group)]
    chunk_words = len(table) // (flat.shape[1] * chunks)
    mode = "patch" if padded_channels else "chunked"
    return ConvTables(layer, mode, BYTES, gather, chunks, form, table, chunk_words, starts, ends)


def _mac_words(
    form: CheapForm | ExactForm | None, weights: Ints, gather: Gather, members: list[int | None]
) -> list[int]:
    steps: list[Step | None] = list(gather.order())
    mixed = isinstance(form, ExactForm)
    if mixed:
        steps += [None] * (padded_steps(len(steps)) - len(steps))
    return group_words(weights, steps, members, mixed)


def _starts(form: CheapForm | ExactForm | None, bias: Ints, members: list[int | None]) -> list[int]:
    """What the accumulators of one group begin with."""
    values = [0 if c is None else int(bias[c]) for c in members]
    return mixed_bias(values) if isinstance(form, ExactForm) else values


def _ends(form: CheapForm | ExactForm | None, members: list[int | None]) -> list[int]:
    """Coefficients of one group."""
    if form is None:
        return []
    return mixed_coefficients(form, members) if isinstance(form, ExactForm) else coefficients(form, members)


@_once
def rows_tables(layer: Conv, form: CheapForm | ExactForm) -> ConvTables:
    """Tables of a convolution whose kernel takes one run of bytes after the other, in one piece."""
    parts = chunked_tables(layer, form)
    words = [value & 0xFFFFFFFF for value in parts.bias] + parts.weights + parts.coefficients
    return replace(parts, mode="rows", weights=words, bias=[], coefficients=[])


def _scaled(layer: Conv, form: CheapForm | ExactForm | None) -> tuple[Ints, Ints]:
    """Weights and folded bias, shifted by k per channel where the form is cheap."""
    if isinstance(form, ExactForm):
        return _flat(layer) * form.live[:, None, None], folded_bias(layer) * form.live
    if form is None:
        return _flat(layer), folded_bias(layer)
    return _flat(layer) << (form.k - form.gain)[:, None, None], folded_bias(layer) << form.k


def _pad_channels(layer: Conv, flat: Ints, padded: int) -> Ints:
    channels, rows, _ = flat.shape
    columns, source = layer.window.kernel[1], layer.source.channels
    result = np.zeros((channels, rows, columns, padded), dtype=np.int64)
    result[..., :source] = flat.reshape(channels, rows, columns, source)
    return result.reshape(channels, rows, columns * padded)


def _ordered(channels: int, ascending: bool) -> list[list[int | None]]:
    found = groups(channels)
    return found[::-1] if ascending else found


def depthwise_bytes(layer: Conv, form: CheapForm | ExactForm | None) -> int:
    """Flash of a depthwise convolution's tables."""
    groups_count = -(-layer.output.channels // 4)
    taps = layer.window.kernel[0] * layer.window.kernel[1]
    words = groups_count * (2 * taps + 4)
    if isinstance(form, ExactForm):
        words += 4 * groups_count * (2 if form.shift else 3)
    else:
        words += 0 if form is None else 4 * groups_count * (3 if form.signed else 2)
    return 4 * words + (5 * layer.output.channels if form is None else 0)
