"""Whatever happens on the line, no image gets another image's answer."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.core_driver import core_with, run_core
from fakes.link_device import (
    FakeDevice,
    on_wire,
)
from fakes.toy_session import images, right_codes
from semflash.link.core import Lost


class Chaos:
    """Random faults on every frame of the device, from a seed."""

    def __init__(self, seed: int, rates: dict[str, float], device: FakeDevice) -> None:
        self.random, self.rates, self.device = random.Random(seed), rates, device
        self.late: list[bytes] = []

    def __call__(self, kind: int, raw: bytes) -> list[bytes]:
        wire, pieces = on_wire(raw), []
        if self.late and self.random.random() < 0.3:
            pieces.append(self.late.pop(self.random.randrange(len(self.late))))
        roll = {name: self.random.random() < rate for name, rate in self.rates.items()}
        if roll["drop"]:
            return pieces
        if roll["late"]:
            self.late.append(wire)
            return pieces
        if roll["cut"]:
            wire = wire[: self.random.randrange(len(wire))]  # runs into the next frame
        if roll["noise"]:
            pieces.append(self.random.randbytes(self.random.randrange(1, 40)))
        return [*pieces, wire, wire] if roll["twice"] else [*pieces, wire]

    def hear(self, data: bytes) -> bytes:
        return b"" if self.random.random() < self.rates["deaf"] else data


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {
            name: st.sampled_from([0.0, 0.02, 0.2])
            for name in ("drop", "late", "cut", "noise", "twice", "deaf")
        }
    ),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_no_image_ever_gets_another_images_answer(
    seed: int, rates: dict[str, float], window: int, rows_per_frame: int
) -> None:
    device, pictures = FakeDevice(window=window, rows_per_frame=rows_per_frame), images(15, seed % 1000)
    chaos = Chaos(seed, rates, device)
    device.fault, device.hear = chaos, chaos.hear
    core = core_with()
    outcomes, failure = run_core(core, device, ((i, image.tobytes()) for i, image in enumerate(pictures)))
    received = right_codes(outcomes, pictures)
    lost = [outcome.index for outcome in outcomes if isinstance(outcome, Lost)]
    assert len(lost) == len(set(lost))
    assert not received & set(lost)
    if failure is None:
        assert received | set(lost) == set(range(15))
    if not any(rates.values()):
        assert received == set(range(15))
