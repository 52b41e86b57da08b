"""A link core at the fake device: whole runs in a time of their own, which leaps to the next time-out."""

from __future__ import annotations

from collections.abc import Iterable

from fakes.link_device import FakeDevice
from fakes.toy_session import EXPECTED
from semflash.errors import LinkError
from semflash.link.core import Failed, Finished, LinkCore, Lost, Outcome, Received


def core_with(**options: object) -> LinkCore:
    """A core with numbers that are always the same."""
    numbers = {"session": 0x5E55_1001, "first_request": 4_000_000_001, "timeout_s": 0.5, **options}
    return LinkCore(EXPECTED, **numbers)  # type: ignore[arg-type]


def exchange(core: LinkCore, device: FakeDevice) -> None:
    """Write, then read once; where nothing comes, the time goes on to the next time-out."""
    while data := core.data_to_send():
        device.write(data)
    if device.in_waiting:
        core.receive_data(device.read(4096), device.now)
        return
    due_s = core.timeout_at()
    assert due_s is not None, "nothing is waited for, and there is no end"
    device.now = max(device.now, due_s)
    core.handle_timeout(device.now)


def run_core(
    core: LinkCore, device: FakeDevice, images: Iterable[tuple[int, bytes]]
) -> tuple[list[Outcome], LinkError | None]:
    """Outcomes of the images, and how it failed (None: it did not)."""
    source, outcomes = iter(images), list[Outcome]()
    core.start(device.now)
    while True:
        while core.wants_images:
            image = next(source, None)
            if image is None:
                core.finish()
            else:
                core.offer(*image, device.now)
        while (event := core.next_event()) is not None:
            if isinstance(event, Received | Lost):
                outcomes.append(event)
            elif isinstance(event, Finished):
                return outcomes, None
            elif isinstance(event, Failed):
                return outcomes, event.error
        exchange(core, device)
