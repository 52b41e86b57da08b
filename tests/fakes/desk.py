"""A desk of stand-in boards: probes for the stand-in PlatformIO, behind each a serial port with a device.

A board runs what its probe was flashed with: HELLO names that build.
"""

from __future__ import annotations

import json
import os
import select
import threading
import tty
from dataclasses import dataclass
from pathlib import Path

from fakes.link_device import FakeDevice, entries, read_entries

STANDIN_PIO = Path(__file__).parent / "standin_pio"


@dataclass(frozen=True)
class FakeUsbPort:
    """As pyserial describes a port."""

    device: str
    serial_number: str | None
    vid: int | None = 0x0483
    pid: int | None = 0x374B
    product: str | None = "STM32 STLink"
    location: str | None = None


class FlashedDevice(FakeDevice):
    """A device whose HELLO names what its probe was flashed with; silent before that."""

    def __init__(self, flashed: Path, says: dict[str, str]) -> None:
        super().__init__(protocol=3)
        self._flashed, self._says = flashed, says

    def hello(self) -> bytes:
        built = json.loads(self._flashed.read_text()) | self._says
        found = read_entries(super().hello())
        found[7] = int(built["bundle_hash"][:8], 16).to_bytes(4, "little")
        found[8] = int(built["build_id"], 16).to_bytes(4, "little")
        found[11] = built["board"].encode()
        return entries(*found.items())


class StandInBoard:
    """One board on the desk.

    Args:
        fate: of uploads, a word of the stand-in PlatformIO.
        says: fields of HELLO that differ from what was flashed.
        silent: never answers. vanishes: its port goes when it is asked.
    """

    def __init__(
        self,
        desk: Path,
        serial: str,
        *,
        fate: str = "good",
        says: dict[str, str] | None = None,
        silent: bool = False,
        vanishes: bool = False,
    ) -> None:
        self.serial, self.flashed = serial, desk / f"{serial}.flashed"
        self._silent, self._vanishes = silent, vanishes
        (desk / f"{serial}.probe").write_text(fate)
        self._device = FlashedDevice(self.flashed, says or {})
        self._fd, host = os.openpty()
        tty.setraw(host)
        self.usb = FakeUsbPort(os.ttyname(host), serial)
        self._host: int | None = host  # held open, so that the port outlives those who open it
        self._end, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop, b"x")
        self._thread.join()
        for handle in (self._fd, self._host, self._end, self._stop):
            if handle is not None:
                os.close(handle)

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._end], [], [])
            if self._end in ready:
                return
            data = os.read(self._fd, 4096)
            if self._vanishes:
                os.close(self._fd)
                if self._host is not None:
                    os.close(self._host)
                self._fd, self._host = os.open(os.devnull, os.O_RDWR), None
                return
            if self._silent or not self.flashed.exists():
                continue
            self._device.write(data)
            os.write(self._fd, self._device.read(4096))
