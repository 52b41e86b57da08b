"""Passes that make a model smaller and plainer before it is checked."""

from __future__ import annotations

from dataclasses import replace

from semflash_codegen.ir import Model, Operator
from semflash_codegen.operators import ALIASES
from semflash_codegen.rewrites import drop_ends, fold_dilation, fold_shapes, split_into_slices


def simplify(model: Model) -> Model:
    """All passes of this file and of rewrites/, in order."""
    return prune(fold_dilation(split_into_slices(fold_shapes(drop_ends(model)))))


def prune(model: Model) -> Model:
    """Drop operators whose results reach no output.

    All shapes are static, so operators that give their input another shape need their first input only.
    """
    needed = set(model.outputs)
    kept: list[Operator] = []
    for op in reversed(model.operators):
        if needed.isdisjoint(op.outputs):
            continue
        alive = replace(op, inputs=op.inputs[:1]) if op.name in ALIASES else op
        needed.update(alive.inputs)
        kept.append(alive)
    return replace(model, operators=tuple(reversed(kept)))
