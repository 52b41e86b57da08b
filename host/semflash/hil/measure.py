"""Images through a session, compared with the reference bit for bit, and counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.hil.verdict import IMAGES_LOST, OUTPUT_MISMATCH, CheckFailed
from semflash.link.counters import LinkCounters
from semflash.link.messages import Hello
from semflash.link.outcome import Lost, Received
from semflash.link.session import Session

_SHOWN = 10


@dataclass
class Measured:
    """What the bit-exact run found.

    Attributes:
        received: Images answered.
        wrong: Indices of payloads that differ from the reference.
        counts: Instructions or cycles of each image.
        stack_bytes: Deepest.
        seconds: Of the run.
        link: Counters of its session.
    """

    received: int = 0
    damaged: int = 0
    lost: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    stack_bytes: int = 0
    seconds: float = 0.0
    link: LinkCounters = field(default_factory=LinkCounters)


def measure(session: Session, images: NDArray[np.uint8], bundle: Bundle) -> Measured:
    """Run images and compare what comes undamaged with the reference."""
    golden = GoldenEncoder(bundle).payloads(images)
    rows = to_int8(images, bundle.image_shape)
    found = Measured()
    hello = session.connect()
    began = time.monotonic()
    for outcome in session.stream(enumerate(rows)):
        if isinstance(outcome, Lost):
            found.lost.append(outcome.index)
            continue
        _note(outcome, found, bytes(golden[outcome.index]), hello)
    found.seconds = max(time.monotonic() - began, 1e-9)
    found.link = session.counters
    return found


def _note(outcome: Received, found: Measured, right: bytes, hello: Hello) -> None:
    found.received += 1
    found.damaged += outcome.damaged
    if not outcome.damaged and outcome.padded(len(right)) != right:
        found.wrong.append(outcome.index)
    if outcome.ticks is not None and hello.counter != "none":
        found.counts.append(hello.count(outcome.ticks))
        found.stack_bytes = max(found.stack_bytes, outcome.stack_bytes or 0)


def check_outcomes(found: Measured, wanted: int) -> None:
    """Nothing wrong, nothing lost, nothing unaccounted for.

    Raises:
        CheckFailed: says which images.
    """
    if found.wrong:
        shown = ", ".join(map(str, found.wrong[:_SHOWN])) + (", ..." if len(found.wrong) > _SHOWN else "")
        raise CheckFailed(
            OUTPUT_MISMATCH,
            f"{len(found.wrong):,} of {found.received:,} payloads differ from the reference",
            value=f"images {shown}",
            remedy="build with --kernels reference and compare; semflash monitor --check-golden --record",
        )
    missing = wanted - found.received - len(found.lost)
    if found.lost or missing:
        raise CheckFailed(
            IMAGES_LOST,
            f"{len(found.lost):,} of {wanted:,} images were given up, {missing:,} have no outcome",
            value=f"images {', '.join(map(str, found.lost[:_SHOWN]))}" if found.lost else None,
            remedy="check cable and baud rate; semflash monitor shows the counters",
            exit_code=3,
        )
