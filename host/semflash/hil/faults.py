"""Disturbances that a serial line shows, and what a board must do about them.

The faults are put between this program and the board's port (:mod:`semflash.link.faults.port`); on the
line itself they look to the board like the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass

from semflash.errors import LinkError
from semflash.hil.desk import Desk
from semflash.hil.measure import Measured, check_outcomes, measure
from semflash.hil.verdict import FAULT_NOT_SURVIVED, CheckFailed
from semflash.link.faults.log import FaultLog
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.handshake import Expected
from semflash.link.session import Session

#: Sendings per image before it may be given up, and the share of images that may be.
ATTEMPTS = 8
MAY_BE_LOST = 0.1
AFTERWARDS = 10
#: Runs of the images until a fault happens.
ROUNDS = 5
_FRAME_BYTES = 40  # header, CRCs, COBS, and the credits and counts that go with an image
_HELLO_BYTES = 120  # with names of usual length
_SHORTEST_TIMEOUT_S = 0.3


@dataclass(frozen=True)
class FaultCase:
    """One kind of disturbance.

    Attributes:
        name: for reports.
        spec: a fault SPEC (docs/link.md) whose {down_bit}, {down_byte}, {up_bit}, {up_byte} and {frame} are
            filled in: about one fault in two images on the way to the board and one in ten on the way back,
            where HELLO must come through as well.
    """

    name: str
    spec: str


CASES = (
    FaultCase("bits flipped on the way to the board", "down.flip={down_bit}"),
    FaultCase("bits flipped on the way back", "up.flip={up_bit}"),
    FaultCase("bytes lost", "down.drop={down_byte},up.drop={up_byte}:3"),
    FaultCase("bursts and stray bytes", "down.burst={down_byte}:8,up.insert={up_byte}:4"),
    FaultCase("frames lost and doubled", "lose={frame},duplicate={frame}"),
    FaultCase("stalls and torn writes", "stall=0.02:0.1,split,join"),
)


def spec_of(case: FaultCase, expected: Expected, seed: int) -> str:
    """The case's fault SPEC for images of this size.

    >>> expected = Expected("toy", 1, rows=10, row_bytes=92, payload_bytes=60)
    >>> spec_of(CASES[0], expected, 7)
    'down.flip=6.25e-05;seed=7'
    """
    down = expected.rows * (expected.row_bytes + _FRAME_BYTES // 5)
    up = expected.payload_bytes + _FRAME_BYTES + 4 * _HELLO_BYTES
    rates = {
        "down_bit": 0.5 / (8 * down),
        "down_byte": 0.5 / down,
        "up_bit": 0.5 / (8 * up),
        "up_byte": 0.5 / up,
        "frame": 0.1,
    }
    return case.spec.format(**{name: f"{rate:.3g}" for name, rate in rates.items()}) + f";seed={seed}"


def survive(desk: Desk, case: FaultCase) -> str:
    """Images over a disturbed line, then over the same line without disturbance.

    Returns:
        what happened, in words.

    Raises:
        CheckFailed: codes of another image, an image without an outcome, too many lost, or a board that does
            not work afterwards.
    """
    plan, expected = desk.plan, Expected.of(desk.plan.bundle)
    images = desk.images(plan.fault_images)
    log, spec = FaultLog(), spec_of(case, expected, plan.seed)
    port = FaultyPort(desk.port(), FaultSpec.parse(spec), log=log)
    try:
        for _ in range(ROUNDS):
            session = Session(port, expected, timeout_s=_timeout_s(desk), max_attempts=ATTEMPTS)
            found = measure(session, images, plan.bundle)
            _check_disturbed(spec, found, len(images))
            if log.total:
                break
        else:
            raise _broken(spec, "no fault happened, so nothing was shown", f"{ROUNDS} x {len(images)} images")
    except LinkError as error:
        raise _broken(spec, "the link did not come back", error) from error
    finally:
        port.stop()
    try:
        check_outcomes(
            measure(desk.session(), images[:AFTERWARDS], plan.bundle), min(AFTERWARDS, len(images))
        )
    except (LinkError, CheckFailed) as error:
        raise _broken(spec, "the board does not work after the disturbance", error) from error
    faults = ", ".join(f"{count} {name}" for name, count in log.by_name().items())
    repairs = f"{found.link.images_resent} sent again, {found.damaged} damaged"
    return f"{found.received} of {len(images)} images, {repairs} ({faults})"


def _timeout_s(desk: Desk) -> float:
    """Silence that counts: ten images' time, as measured, within 0.3 s and the plan's."""
    assert desk.measured is not None
    per_image_s = desk.measured.seconds / max(1, desk.measured.received)
    return min(desk.plan.timeout_s, max(_SHORTEST_TIMEOUT_S, 10 * per_image_s))


def _check_disturbed(spec: str, found: Measured, wanted: int) -> None:
    if found.wrong:
        shown = f"images {found.wrong[:AFTERWARDS]}"
        raise _broken(spec, "undamaged payloads differ from the reference", shown)
    if found.received + len(found.lost) != wanted:
        missing = f"{wanted - found.received - len(found.lost)} of {wanted}"
        raise _broken(spec, "images have no outcome", missing)
    if len(found.lost) > MAY_BE_LOST * wanted:
        raise _broken(spec, "too many images were given up", f"{len(found.lost)} of {wanted}")


def _broken(spec: str, what: str, value: object) -> CheckFailed:
    return CheckFailed(
        FAULT_NOT_SURVIVED,
        what,
        value=value,
        remedy=f"semflash monitor --fault repeats it: {spec}",
        exit_code=3,
    )
