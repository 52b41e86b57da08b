"""Disturbances that a serial line shows, and what a board must do about them."""

from __future__ import annotations

from dataclasses import dataclass

from semflash.hil.desk import Desk


@dataclass(frozen=True)
class FaultCase:
    """One kind of disturbance: `name` for reports."""

    name: str


CASES: tuple[FaultCase, ...] = ()


def survive(desk: Desk, case: FaultCase) -> str:
    return ""
