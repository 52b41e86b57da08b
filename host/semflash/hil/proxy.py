"""A bad line between a host and a board, by hand, with the board's lock held for as long as it runs.

    python -m semflash.hil.proxy --port /dev/ttyACM0 --listen pty:/tmp/bad --fault flip=1e-4

prints where the host attaches. The line itself is :mod:`semflash.link.proxy`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from semflash.errors import SemflashError
from semflash.firmware.boards.lock import BoardUser, key_behind
from semflash.link.faults.log import FaultLog
from semflash.link.faults.spec import FaultSpec
from semflash.link.port import DEFAULT_BAUD, open_port
from semflash.link.proxy import Proxy


def main(arguments: list[str] | None = None) -> int:
    """``python -m semflash.hil.proxy``: returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m semflash.hil.proxy", description=__doc__)
    parser.add_argument("--port", required=True, help="the board: a device file or socket://host:port")
    parser.add_argument("--baud", type=int, default=DEFAULT_BAUD)
    parser.add_argument("--listen", default="pty", help="pty, pty:LINK or tcp:HOST:PORT")
    parser.add_argument("--fault", default="", help="SPEC of docs/link.md")
    parser.add_argument("--log", type=Path, help="file for the faults as JSON lines")
    parser.add_argument("--map", type=Path, help="hardware map beside which the board is locked, too")
    chosen = parser.parse_args(arguments)
    try:
        _run(chosen)
    except SemflashError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _run(chosen: argparse.Namespace) -> None:
    """Pass bytes on until the board's port fails.

    Raises:
        BoardBusyError: Another job uses the board; its port was not opened.
        LinkError: The port failed.
        UsageError: A fault or a place to listen that does not exist.
    """
    spec = FaultSpec.parse(chosen.fault)
    with (
        BoardUser("semflash proxy", chosen.map).hold(key_behind(chosen.port)),
        FaultLog(chosen.log) as log,
        open_port(chosen.port, baud=chosen.baud) as port,
        Proxy(port, spec, listen=chosen.listen, log=log) as proxy,
    ):
        print(proxy.url, flush=True)
        proxy.wait()
    if log.failure is not None:
        raise log.failure


if __name__ == "__main__":
    raise SystemExit(main())
