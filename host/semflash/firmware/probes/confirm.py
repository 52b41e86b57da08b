"""After flashing: asks HELLO and compares board, build id and bundle hash with what was built."""

from __future__ import annotations

import time
from contextlib import closing

from semflash.errors import LinkError
from semflash.firmware.building.result import BuildResult
from semflash.firmware.probes.verdicts import Verdict, VerdictError, of_link
from semflash.link.frame import PROTOCOL_VERSION, Frame, FrameType
from semflash.link.handshake import Expected, HelloWatch
from semflash.link.line import Line
from semflash.link.messages import Hello, parse_hello
from semflash.link.port import Port, open_port

ATTEMPTS = 4
#: A probe that has just reset its board takes a moment to give its serial port back.
OPEN_TIMEOUT_S = 3.0
BOARD_NAME_BYTES = 24


def confirm(built: BuildResult, url: str, baud: int, *, timeout_s: float = 2.0) -> Hello:
    """The HELLO of the board at `url`, which must run `built`.

    Args:
        timeout_s: for one HELLO; asked ATTEMPTS times.

    Raises:
        VerdictError: no-hello, link-timeout, no-permission, wrong-board or wrong-firmware.
    """
    try:
        with closing(_open(url, baud)) as port:
            hello = ask_hello(port, built.bundle_name, timeout_s=timeout_s)
    except LinkError as error:
        raise of_link(error) from error
    return check(hello, built)


def ask_hello(port: Port, bundle_name: str = "BUNDLE", *, timeout_s: float = 2.0) -> Hello:
    """HELLO of whatever firmware runs there; `bundle_name` is for messages.

    Raises:
        LinkError: none comes; its class says why.
    """
    line, watch = Line(port), HelloWatch()
    for attempt in range(ATTEMPTS):
        if attempt > 0:
            line.ask_hello_of_earlier()  # an old firmware hears nothing else
        line.ask_hello()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            before = line.counters.bytes_received
            event = line.next_event()
            watch.see(event, line.counters.bytes_received - before)
            if isinstance(event, Frame) and _answers(event, line):
                return parse_hello(event.payload)
            if attempt > 0 and watch.other_version is not None:
                raise watch.failure(Expected(bundle_name, 0, 0, 0, 0), timeout_s)
    raise watch.failure(Expected(bundle_name, 0, 0, 0, 0), ATTEMPTS * timeout_s)


def _answers(frame: Frame, line: Line) -> bool:
    """Whether this is the HELLO to our own request."""
    return frame.type == FrameType.HELLO and not frame.damaged and frame.request == line.session


def check(hello: Hello, built: BuildResult) -> Hello:
    """The HELLO itself, if it is that of `built`.

    Raises:
        VerdictError: wrong-board, wrong-firmware; both sides are named.
    """
    wanted = built.board[:BOARD_NAME_BYTES]
    if hello.board != wanted:
        raise VerdictError(
            Verdict.WRONG_BOARD, f"the board says it is {hello.board!r}, the firmware is for {wanted!r}"
        )
    found = (hello.protocol, f"{hello.build_id:08x}", f"{hello.bundle:08x}")
    right = (PROTOCOL_VERSION, built.build_id, built.bundle_hash[:8])
    if found != right:
        words = "protocol {}, build {}, bundle {}"
        raise VerdictError(
            Verdict.WRONG_FIRMWARE, value=f"{words.format(*found)}; flashed was {words.format(*right)}"
        )
    return hello


def _open(url: str, baud: int) -> Port:
    """Open the port; wait where it is not back yet after the reset."""
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while True:
        try:
            return open_port(url, baud=baud)
        except LinkError as error:
            if "no such port" not in error.what or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
