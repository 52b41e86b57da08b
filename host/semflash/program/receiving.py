"""Which tensors of a program the receiver can know."""

from __future__ import annotations

from semflash.program.program import Program
from semflash.program.stages import Order
from semflash.program.tensors import Codes, Values


def sent_tensors(program: Program) -> set[str]:
    """Names of the tensors that head and regions of the payload are made of."""
    return set(program.payload.sources)


def can_receive(program: Program, name: str) -> bool:
    """Whether the payload tells the real values of a tensor.

    Int8 values that are sent, and codes with centres that are sent as they are or in an order that is told.
    """
    sent = sent_tensors(program)
    known = {tensor.name: tensor.holds for tensor in program.tensors}
    holds = known.get(name)
    if isinstance(holds, Values):
        return name in sent
    if not isinstance(holds, Codes) or not holds.centres:
        return False
    stage = order_of(program, name)
    return name in sent or (stage is not None and {stage.output, stage.saliency} <= sent)


def order_of(program: Program, name: str) -> Order | None:
    """The stage that sorts a tensor; None where it is sent as it is."""
    return next((s for s in program.stages if isinstance(s, Order) and s.source == name), None)
