"""Finds the port of the same board again after its cable was out: by probe serial number, never by guess."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from semflash.edge.attach import attach
from semflash.errors import DeviceError
from semflash.firmware.boards.probe import device_file, natural, same_number
from semflash.firmware.probes import probes
from semflash.firmware.probes.probes import Ports, UsbPort, socket_of
from semflash.link.port import Port

if TYPE_CHECKING:
    from semflash.firmware.boards.descriptions import Board
    from semflash.firmware.boards.lock import BoardUser


def reopener(
    board: Board,
    opened: Port,
    *,
    port: str | None = None,
    baud: int | None = None,
    ports: Ports | None = None,
    user: BoardUser | None = None,
) -> Callable[[], Port] | None:
    """A function that opens the board's port again; None on `native`, whose port cannot vanish.

    Args:
        opened: the port as it is now; on hardware its probe's serial number is what is looked for later, and
            its USB socket, too, where two probes have one number.
        port: what --port named. baud, user: as for :func:`attach`.
        ports: the serial ports of this machine; looked up with pyserial when None.

    The function raises DeviceError while the board is not there or another job uses it, LinkError while its
    port does not open.
    """
    if board.kind == "native":
        return None
    url, look = str(getattr(opened, "url", "")), ports or probes.comports
    first = next((p for p in look() if device_file(p.device) == device_file(url)), None)
    if first is None or not first.serial_number:
        # Emulated, a socket, or a converter without a number: looked for as at the start.
        return lambda: attach(board, port=port, baud=baud, user=user)
    serial, place = first.serial_number, socket_of(first)
    had_twin = len(_sockets(look(), serial)) > 1

    def again() -> Port:
        found = [p for p in look() if same_number(p.serial_number or "", serial)]
        if not found:
            raise DeviceError("the probe is not plugged in", value=serial, remedy="plug it in again")
        if had_twin or len(_sockets(found, serial)) > 1:
            found = [p for p in found if socket_of(p) == place]
        if not found:
            raise DeviceError(
                "two probes have this serial number, and none is where the board was",
                value=serial,
                remedy=f"plug the board into the same USB socket again ({place})",
            )
        devices = sorted((p.device for p in found), key=natural)
        # A probe with two serial ports: the one that was open, if it still has that name.
        same = next((device for device in devices if device_file(device) == device_file(url)), None)
        return attach(board, port=same or devices[0], baud=baud, user=user)

    return again


def _sockets(ports: Iterable[UsbPort], serial: str) -> set[str]:
    """USB sockets of the probes with this number."""
    return {socket_of(port) for port in ports if same_number(port.serial_number or "", serial)}
