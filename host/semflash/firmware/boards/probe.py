"""A debug probe that is plugged in, as hardware maps and the search for probes know it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import msgspec


class Probe(msgspec.Struct, frozen=True):
    """A probe's serial port.

    Attributes:
        usb_id: VID:PID in lower-case hex.
        serial: What `adapter serial` takes.
        place: The USB socket it is plugged into, for instance 1-1.2; "" where the system does not tell.
    """

    port: str
    usb_id: str
    serial: str
    product: str = ""
    place: str = ""

    def __str__(self) -> str:
        return f"{self.port} (probe {self.serial or 'without number'})"


def natural(name: str) -> list[str | int]:
    """A key that sorts the numbers in names as numbers.

    >>> sorted(["ttyACM10", "ttyACM9"], key=natural)
    ['ttyACM9', 'ttyACM10']
    """
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", name))]


def device_file(port: str) -> str:
    """The device file behind a name like /dev/serial/by-id/...; other names and URLs as they are."""
    return os.path.realpath(port) if port.startswith("/") else port


def same_number(one: str, two: str) -> bool:
    """Whether two serial numbers are the same; people type them in lower case, too."""
    return one.casefold() == two.casefold()


def twins(probe: Probe, found: Iterable[Probe]) -> tuple[Probe, ...]:
    """Ports of other probes, at other USB sockets, that say the same serial number as `probe`."""
    return tuple(
        other
        for other in found
        if probe.serial and same_number(other.serial, probe.serial) and other.place != probe.place
    )
