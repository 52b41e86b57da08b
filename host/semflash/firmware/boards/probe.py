"""A debug probe that is plugged in, as hardware maps and the search for probes know it."""

from __future__ import annotations

import msgspec


class Probe(msgspec.Struct, frozen=True):
    """A probe's serial port. usb_id: VID:PID in lower-case hex; serial: what `adapter serial` takes."""

    port: str
    usb_id: str
    serial: str
    product: str = ""

    def __str__(self) -> str:
        return f"{self.port} (probe {self.serial or 'without number'})"
