"""Images through a session, compared with the reference bit for bit, and counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.hil.verdict import CONTROL_UNHEEDED, IMAGES_LOST, OUTPUT_MISMATCH, CheckFailed
from semflash.link.counters import LinkCounters
from semflash.link.messages import Hello
from semflash.link.outcome import Lost, Received
from semflash.link.session import Session
from semflash.program.controls import Control

_SHOWN = 10
#: Values of a control that are tried, about.
TRIED = 8


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


@dataclass
class Steered:
    """What came of images that were encoded with controls of their own.

    Attributes:
        images: How many were sent.
        lost: Indices of those given up.
        wrong: Of payloads that differ from the reference with the values that the board says it used.
        unheeded: Times that it used other values than it was told; the image is then sent again.
    """

    images: int = 0
    lost: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    unheeded: int = 0


def values_of(control: Control) -> list[int]:
    """Values to try: all of a few, else both ends, the default and some between.

    >>> values_of(Control("state", 1, 0, 3, 0, "entry")), values_of(Control("bytes", 2, 6, 48, 48, "bytes"))
    ([0, 1, 2, 3], [6, 12, 18, 24, 30, 36, 42, 48])
    """
    if control.high - control.low < TRIED:
        return list(range(control.low, control.high + 1))
    places = np.linspace(control.low, control.high, TRIED).astype(int).tolist()
    return sorted({*places, control.default})


def measure_controls(session: Session, images: NDArray[np.uint8], bundle: Bundle) -> Steered:
    """Every value of every control, another for each image; what the device says it used, and its codes.

    Args:
        images: uint8 (N, H, W, C); the n-th sending takes number n modulo N.
    """
    golden, rows = GoldenEncoder(bundle), to_int8(images, bundle.image_shape)
    defaults = {control.name: control.default for control in bundle.program.controls}
    settings = [
        defaults | {control.name: value}
        for control in bundle.program.controls
        for value in 2 * values_of(control)
    ]
    order = np.random.default_rng(0).permutation(len(settings)).tolist()
    found = Steered(images=len(order))
    session.connect()
    sendings = ((number, rows[number % len(rows)], settings[which]) for number, which in enumerate(order))
    for outcome in session.stream(sendings):
        if isinstance(outcome, Lost):
            found.lost.append(outcome.index)
            continue
        place = outcome.index % len(rows)
        right = golden.run(images[place : place + 1], outcome.controls).sent
        if not outcome.damaged and (outcome.payload, outcome.bits) != (next(iter(right)), int(right.bits[0])):
            found.wrong.append(outcome.index)
    found.unheeded = session.counters.controls_missed
    return found


def check_steered(found: Steered) -> None:
    """Every image was encoded with what it was to have, and as the reference does it.

    Raises:
        CheckFailed: says what was not.
    """
    if found.wrong:
        raise CheckFailed(
            OUTPUT_MISMATCH,
            f"{len(found.wrong):,} of {found.images:,} payloads differ from the reference, controls and all",
            value=f"images {', '.join(map(str, found.wrong[:_SHOWN]))}",
            remedy="build again; semflash monitor --control NAME=N --check-golden",
        )
    if found.unheeded:
        raise CheckFailed(
            CONTROL_UNHEEDED,
            f"{found.unheeded:,} times the board used other controls than it was told",
            value=f"{len(found.lost):,} of {found.images:,} images were given up for it",
            remedy="build and flash again; of a noisy line semflash monitor shows the counters",
        )
    if found.lost:
        raise CheckFailed(
            IMAGES_LOST,
            f"{len(found.lost):,} of {found.images:,} images were given up",
            value=f"images {', '.join(map(str, found.lost[:_SHOWN]))}",
            remedy="check cable and baud rate; semflash monitor shows the counters",
            exit_code=3,
        )


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
