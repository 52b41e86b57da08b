"""Debug probes on this machine, found by the USB ids and serial number of their serial ports; never guessed.

USB ids of ST-LINK serial ports: docs/boards.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from semflash.errors import DeviceError
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.boards.hardware_map import UNKNOWN_BOARD, HardwareMap, MapEntry, find_map, read_map
from semflash.firmware.boards.probe import Probe, device_file, natural, same_number, twins
from semflash.firmware.probes.verdicts import Verdict, VerdictError
from semflash.printable import printable

#: ST-LINK with a serial port: V2-1, V2-1 without drive, V3E, V3S, V3 with two ports, V3 (2), V3PWR.
STLINK_IDS = tuple(f"0483:{pid}" for pid in ("374b", "3752", "374e", "374f", "3753", "3754", "3757"))


class UsbPort(Protocol):
    """What is used of pyserial's ListPortInfo."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    product: str | None
    location: str | None


Ports = Callable[[], Iterable[UsbPort]]


def comports() -> Iterable[UsbPort]:
    """The serial ports of this machine."""
    from serial.tools import list_ports

    return list_ports.comports()


def scan(ports: Ports | None = None, usb_ids: Iterable[str] = STLINK_IDS) -> tuple[Probe, ...]:
    """Serial ports with one of the USB ids, ttyACM9 before ttyACM10. ports: of this machine when None."""
    wanted = frozenset(usb_ids)
    found = []
    for port in (ports or comports)():
        if port.vid is None or port.pid is None:
            continue
        usb_id = f"{port.vid:04x}:{port.pid:04x}"
        if usb_id in wanted:
            found.append(Probe(port.device, usb_id, serial_of(port), _words(port.product), socket_of(port)))
    return tuple(sorted(found, key=lambda probe: natural(probe.port)))


def socket_of(port: UsbPort) -> str:
    """The USB socket of a port, the same for all ports of one device; "" where the system does not tell."""
    return _words(port.location).partition(":")[0]  # 1-1.2:1.0 is an interface of the device at 1-1.2


def serial_of(port: UsbPort) -> str:
    """The serial number that the device behind a port says of itself; "": none."""
    return _words(port.serial_number)


def _words(said: str | None) -> str:
    """What a USB device says of itself, fit for terminals and files."""
    return printable(said or "")[:80]


def candidates(board: Board, ports: Ports | None = None) -> tuple[Probe, ...]:
    """Probes that may be `board`'s, by the USB ids of its description."""
    return scan(ports, board.serial.usb_ids if board.serial is not None else ())


def choose(
    board: Board,
    *,
    port: str | None = None,
    probe: str | None = None,
    entry: MapEntry | None = None,
    found: Iterable[Probe] | None = None,
    hardware_map: HardwareMap | None = None,
) -> Probe:
    """The one probe of a hardware board.

    Args:
        port: The serial port that the user named, or a link to it.
        probe: The serial number of the probe that the user named.
        entry: The entry of the map that the user named. The port of an entry with a probe is where that was
            seen last, and does not count.
        found: what is plugged in; looked up when None.
        hardware_map: tells boards of one kind apart; the one :func:`find_map` finds when None.

    Raises:
        VerdictError: no-probe; wrong-board where what was named is another board's.
        DeviceError: several fit; all are listed.
        UsageError: the map is malformed.
    """
    fitting = tuple(candidates(board) if found is None else found)
    known = hardware_map or _own_map()
    probe = probe or (entry.probe if entry is not None else None)
    if entry is not None and entry.probe is None:
        port = port or entry.port
    if probe is not None:
        _check_named(board, probe, known)
    chosen = _matching(fitting, port, probe, known, board)
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(map(str, chosen or fitting)) or "none"
    if chosen and len({item.serial for item in chosen}) == 1 and chosen[0].serial:
        if not twins(chosen[0], chosen):
            return chosen[0]  # one probe with two serial ports: the first is the board's
        raise DeviceError(
            f"two probes have the serial number {chosen[0].serial}, so it does not say which is meant",
            value=names,
            remedy="name one with --port; to flash one, unplug the other",
        )
    if chosen:
        raise DeviceError(
            f"{len(chosen)} boards of this kind are plugged in, and nothing tells them apart",
            value=names,
            remedy="name one with --probe SERIAL (or --port), or in a hardware map (semflash boards --scan)",
        )
    if port is not None and fitting:
        raise VerdictError(
            Verdict.WRONG_BOARD,
            "that port is not the board's",
            value=port,
            remedy=f"leave --port out, or use {names}",
        )
    missing = f"probe {probe}" if probe is not None else board.title
    remedy = None if not fitting else f"plugged in: {names}"
    raise VerdictError(Verdict.NO_PROBE, f"no {missing} is plugged in", value=names, remedy=remedy)


def _own_map() -> HardwareMap | None:
    path = find_map()
    return read_map(path) if path is not None else None


def _check_named(board: Board, probe: str, known: HardwareMap | None) -> None:
    """The map must not say that the probe is another board's."""
    entry = known.by_probe(probe) if known is not None else None
    if entry is not None and entry.board not in (board.name, UNKNOWN_BOARD):
        raise VerdictError(
            Verdict.WRONG_BOARD,
            f"probe {probe} is that of a {entry.board}, not of a {board.name}",
            value=f"entry {entry.name!r} of the hardware map",
            remedy=f"build for --board {entry.board}, or correct the map",
        )


def _matching(
    fitting: tuple[Probe, ...], port: str | None, probe: str | None, known: HardwareMap | None, board: Board
) -> tuple[Probe, ...]:
    """What fits all that is known: serial number, port, and the map's word."""
    if port is not None:
        named = device_file(port)
        fitting = tuple(p for p in fitting if device_file(p.port) == named)
    if probe is not None:
        return tuple(p for p in fitting if same_number(p.serial, probe))
    if port is not None:
        return fitting
    if known is None:
        return fitting
    entries = {p.port: known.by_probe(p.serial) for p in fitting if p.serial}
    ours = tuple(
        p for p in fitting if (found := entries.get(p.port)) is not None and found.board == board.name
    )
    if ours:
        return ours
    # None is said to be ours; those that are said to be another kind's are not.
    return tuple(
        p
        for p in fitting
        if (found := entries.get(p.port)) is None or found.board in (board.name, UNKNOWN_BOARD)
    )


def same_probe(probe: Probe, board: Board, ports: Ports | None = None) -> Probe:
    """Where a probe is now: its port may have another name after a reset. Itself where it has no number."""
    if not probe.serial:
        return probe
    now = [found for found in candidates(board, ports) if same_number(found.serial, probe.serial)]
    if twins(probe, now):
        now = [found for found in now if found.place == probe.place]
    return next((found for found in now if found.port == probe.port), now[0] if now else probe)
