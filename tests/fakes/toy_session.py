"""Small sessions with the fake device, and the check that no image has another's codes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fakes.link_device import (
    FakeDevice,
    digest_codes,
    on_wire,
)
from semflash.link.session import Expected, Outcome, Received, Session

EXPECTED = Expected("toy", 0xA1B2C3D4, 4, 6, 8)


def images(count: int, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, (count, 4, 6, 1)).astype(np.int8)


def session_with(device: FakeDevice, **options: object) -> Session:
    return Session(device, EXPECTED, clock=device.clock, **options)  # type: ignore[arg-type]


def run(device: FakeDevice, pictures: NDArray[np.int8], **options: object) -> tuple[list[Outcome], Session]:
    session = session_with(device, **options)
    return list(session.stream(enumerate(pictures))), session


def right_codes(outcomes: Iterable[Outcome], pictures: NDArray[np.int8]) -> set[int]:
    """Indices received; every undamaged payload must be that of its own image."""
    seen = set()
    for outcome in outcomes:
        if isinstance(outcome, Received):
            assert outcome.index not in seen, "an image was answered twice"
            seen.add(outcome.index)
            if not outcome.damaged:
                assert outcome.payload == digest_codes(pictures[outcome.index].tobytes(), 8)
    return seen


def once(kind: int, number: int, pieces: list[bytes] | None = None):  # type: ignore[no-untyped-def]
    """A fault that replaces the number-th frame of a type (from 1) by other wire pieces."""
    seen = 0

    def fault(found: int, raw: bytes) -> list[bytes]:
        nonlocal seen
        seen += found == kind
        if found == kind and seen == number:
            return pieces if pieces is not None else []
        return [on_wire(raw)]

    return fault
