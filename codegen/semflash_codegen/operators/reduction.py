"""What operators that reduce dimensions share: axes, and the four counts that device/kernels walk along."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.operators.context import Context
from semflash_codegen.schema import Options


@dataclass(frozen=True)
class Reduction:
    """The input as [outer][count][inner][tail]; count and tail are reduced."""

    outer: int
    count: int
    inner: int
    tail: int

    def fields(self) -> tuple[tuple[str, str], ...]:
        """C initialisers of the four."""
        return tuple((name, str(value)) for name, value in asdict(self).items())


def plan_reduction(context: Context, op: Operator, source: Tensor, output: Tensor) -> Reduction:
    """Check axes and shapes.

    Raises:
        UnsupportedModelError: reduced and kept dimensions change more often than in a Reduction.
        MalformedModelError: the output has another shape than axes and input give.
    """
    axes = _axes(context, op, source)
    kept = tuple(1 if i in axes else n for i, n in enumerate(source.shape))
    squeezed = tuple(n for i, n in enumerate(source.shape) if i not in axes)
    keep = context.options(op, Options.REDUCER).integer(0, "<b")
    context.expect_shape(op, output, kept if keep else squeezed)
    runs = _runs(source.shape, axes)
    if len(runs) > 4:
        raise context.unsupported(op, "the axes lie in too many pieces", sorted(axes))
    return Reduction(*runs, *(1,) * (4 - len(runs)))


def _runs(shape: tuple[int, ...], axes: set[int]) -> list[int]:
    """Values of neighbouring dimensions that are kept and reduced in turns, kept first."""
    runs, reduced = [1], False
    for i, n in enumerate(shape):
        if n > 1 and (i in axes) != reduced:
            runs.append(1)
            reduced = not reduced
        runs[-1] *= n
    return runs


def _axes(context: Context, op: Operator, source: Tensor) -> set[int]:
    """The reduced dimensions."""
    rank, given = len(source.shape), context.integers(op, 1, "the axes")
    if not given or any(not -rank <= a < rank for a in given):
        raise context.unsupported(op, f"the axes must lie in -{rank}..{rank - 1}", given[:8])
    return {a % rank for a in given}
