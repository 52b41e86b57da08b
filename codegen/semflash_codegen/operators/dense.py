"""FULLY_CONNECTED with byte-mixed weights: table and parameters of device/kernels/mixed_dense.c.

Four outputs at a time, two in each halfword (semflash_codegen/fused/mixed.py). The table of four outputs:
what their sums begin with (the zero point of the input in it), then two words a step; a step is two inputs,
bytes 0 and 2 or 1 and 3 of four. Outputs and inputs beyond the last are zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from semflash_codegen.fused.exact import ExactForm, find_exact
from semflash_codegen.fused.requantise import Channelwise
from semflash_codegen.fused.tables import group_words, mixed_bias, signed_word
from semflash_codegen.ir import Operator
from semflash_codegen.layer import MIXED, Array, Kernel, Layer

Ints = npt.NDArray[np.int64]

_WHY = "four outputs at a time, int8 weights mixed in pairs"
_B_BITS = 23
_STEPS_MAX = 65534


def dense_layer(
    op: Operator,
    name: str,
    rows: int,
    weights: npt.NDArray[np.int8],
    bias: npt.NDArray[np.int32],
    requantisation: Channelwise,
    input_zero: int,
) -> Layer | None:
    """The layer, or None where its numbers do not fit.

    Args:
        name: Of the output.
        weights: (outputs, inputs).
        requantisation: One multiplier and shift for all outputs.
    """
    outputs, inputs = weights.shape
    values = weights.astype(np.int64)
    folded = bias.astype(np.int64) - (input_zero + 128) * values.sum(axis=1)
    low = folded + 255 * np.minimum(values, 0).sum(axis=1)
    high = folded + 255 * np.maximum(values, 0).sum(axis=1)
    form = find_exact(requantisation, low, high)
    steps = 2 * -(-inputs // 4)
    if form is None or not _fits(form, values, low, high) or steps > _STEPS_MAX:
        return None
    fields = (
        ("rows", f"{rows}u"),
        ("outputs", f"{outputs}u"),
        ("inputs", f"{inputs}u"),
        ("steps", f"{steps}u"),
        ("shift", f"{int(form.n[0])}u"),
        ("low", f"{form.low}u"),
        ("high", f"{form.high}u"),
        ("multiplier", str(int(form.m[0]))),
        ("rounding", str(int(form.r[0]))),
    )
    table = np.array(_table(values, folded, steps), np.int32)
    return Layer(
        index=op.index,
        operator=op.name,
        name=name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=Kernel(MIXED, "sf_mixed_dense", _WHY, "sf_mixed_dense_scratch"),
        struct="sf_mixed_dense_t",
        fields=fields,
        arrays=(Array("table", "int32_t", table),),
        scratch_bytes=4 * steps,
    )


def _fits(form: ExactForm, values: Ints, low: Ints, high: Ints) -> bool:
    """One shift of at least 1 for all outputs, pairs of weights in 16 bits, sums in 24."""
    same = form.shift >= 1 and bool(form.live.all())
    small = bool((low >= -(1 << _B_BITS)).all() and (high < 1 << _B_BITS).all())
    return same and small and int(values.min()) > -128


def _table(values: Ints, folded: Ints, steps: int) -> Sequence[int]:
    """Words as int32."""
    outputs, inputs = values.shape
    padded = np.zeros((outputs, 1, 2 * steps), dtype=np.int64)
    padded[:, 0, :inputs] = values
    order = [((0, at + first), (0, at + first + 2)) for at in range(0, 2 * steps, 4) for first in (0, 1)]
    words: list[int] = []
    for first in range(0, outputs, 4):
        members = [c if c < outputs else None for c in range(first, first + 4)]
        words += mixed_bias([0 if c is None else int(folded[c]) for c in members])
        words += [signed_word(word) for word in group_words(padded, order, members, mixed=True)]
    return words
