"""Real firmware in the emulator whose state follows the channel: every payload equals the reference."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.steered import STEERED, blocks, symbols
from semflash.channels.fading import Fading
from semflash.channels.trace import Trace
from semflash.edge.attach import attach
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.monitor.monitor import MonitorOptions, monitor
from semflash.monitor.replay import replay

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"),
]
BOARD = load_board("qemu-stm32f405")
COUNT = 200


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(STEERED, BOARD, out_dir=tmp_path_factory.mktemp("firmware"))


@pytest.fixture
def board(built: BuildResult, own_emulators: Path) -> Iterator[str]:
    """A running board of this test's own; its serial port."""
    state = emulator.start(BOARD, built.image_path, bundle_hash=built.bundle_hash, build_id=built.build_id)
    yield state.port


@pytest.mark.usefixtures("board")
def test_the_state_follows_a_fading_channel_and_every_payload_is_the_references(tmp_path: Path) -> None:
    bundle, raw = symbols(), tmp_path / "run.sfraw"
    trace = Trace(((60, 15.0), (80, -5.0), (60, 6.0)))
    options = MonitorOptions(
        count=COUNT, trace=trace, fading=Fading("rayleigh"), window=256, check_golden=True, raw_path=raw
    )
    with attach(BOARD) as port:
        result = monitor(bundle, port, blocks(COUNT), options)
    tally = result.progress.tally
    assert (tally.received, tally.golden_checked, tally.golden_wrong) == (COUNT, COUNT, 0)
    assert result.progress.adaptation.following["state"].changes >= 2 and len(tally.controls["state"]) >= 3
    assert result.progress.link.controls_missed == 0
    again = replay(bundle, raw)
    assert (again.images, again.changed, again.controls) == (COUNT, 0, tally.controls)
