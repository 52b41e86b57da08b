"""Finds the port of the same board again after its cable was out: by probe serial number, never by guess."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from semflash.edge.attach import attach
from semflash.errors import DeviceError
from semflash.link.port import Port

if TYPE_CHECKING:
    from semflash.firmware.boards.descriptions import Board


class UsbPort(Protocol):
    """What is used of pyserial's ListPortInfo: device file, and the serial number of the USB device."""

    device: str
    serial_number: str | None


Ports = Callable[[], Iterable[UsbPort]]


def comports() -> Iterable[UsbPort]:
    """The serial ports of this machine."""
    from serial.tools import list_ports

    return list_ports.comports()


def probe_serial(url: str, ports: Ports = comports) -> str | None:
    """Serial number of the probe behind an open port; None: no USB port, or one without a number."""
    real = _real(url)
    return next((port.serial_number for port in ports() if _real(port.device) == real), None) or None


def reopener(
    board: Board,
    opened: Port,
    *,
    port: str | None = None,
    baud: int | None = None,
    ports: Ports = comports,
) -> Callable[[], Port] | None:
    """A function that opens the board's port again; None on `native`, whose port cannot vanish.

    Args:
        opened: the port as it is now; on hardware its probe's serial number is what is looked for later.
        port: what --port named. baud: as for :func:`attach`.

    The function raises DeviceError while the board is not there, LinkError while its port does not open.
    """
    if board.kind == "native":
        return None
    url = str(getattr(opened, "url", ""))
    serial = probe_serial(url, ports)
    if serial is None:  # emulated, a socket, or a converter without a number: looked for as at the start
        return lambda: attach(board, port=port, baud=baud)

    def again() -> Port:
        found = [item.device for item in ports() if item.serial_number == serial]
        if not found:
            raise DeviceError("the probe is not plugged in", value=serial, remedy="plug it in again")
        # A probe with two serial ports: the one that was open, if it still has that name.
        return attach(board, port=url if url in found else found[0], baud=baud)

    return again


def _real(device: str) -> str:
    """A device file without symbolic links (/dev/serial/by-id)."""
    return str(Path(device).resolve()) if device.startswith("/") else device
