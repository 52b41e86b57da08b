"""The device's own C as a monitor steers it: states from image to image, bad lines, resets, the desk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobs import cobs

from fakes import steered
from fakes.idx_files import write_blocks
from fakes.link_device import CONTROL
from fakes.steered import blocks
from semflash.bundle import Bundle
from semflash.channels.fading import Fading
from semflash.channels.trace import Trace
from semflash.cli.main import main
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator.native import NativePort
from semflash.hil.desk import Desk
from semflash.hil.measure import check_steered, measure_controls, values_of
from semflash.hil.plan import HilPlan, Target
from semflash.hil.verdict import CONTROL_UNHEEDED, CheckFailed
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.outcome import Received
from semflash.link.port import READ_TIMEOUT_S, Port
from semflash.link.session import Expected, Session
from semflash.monitor.monitor import MonitorOptions, MonitorResult, monitor
from semflash.monitor.replay import replay

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
COUNT = 200
DATA = blocks(COUNT, seed=8)


@dataclass(frozen=True)
class Built:
    bundle: Bundle
    folder: Path
    library: str

    @property
    def port(self) -> NativePort:
        return NativePort(self.library, timeout=READ_TIMEOUT_S)


@pytest.fixture(scope="module", params=["symbols", "bits"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp(request.param)
    bundle = steered.symbols() if request.param == "symbols" else steered.bits(folder)
    made = build(bundle.path, load_board("native"), out_dir=folder / "build")
    return Built(bundle, folder / "build", str(made.image_path))


def sent_by_state(bundle: Bundle) -> np.ndarray:
    """Payloads (8, N, P) of the reference."""
    golden = GoldenEncoder(bundle)
    return np.stack([golden.payloads(DATA.images, {"state": state}) for state in range(8)])


def test_labels_of_200_images_equal_the_reference_while_the_state_changes(built: Built) -> None:
    bundle, states = built.bundle, np.random.default_rng(1).choice([0, 3, 7], COUNT)
    pixels = to_int8(DATA.images, bundle.image_shape)
    with built.port as port:
        session = Session(port, Expected.of(bundle))
        handed = ((n, pixels[n], {"state": int(states[n])}) for n in range(COUNT))
        found = {one.index: one for one in session.stream(handed) if isinstance(one, Received)}
    assert len(found) == COUNT and session.counters.controls_missed == 0
    assert [found[n].controls["state"] for n in range(COUNT)] == states.tolist()
    expected = sent_by_state(bundle)[states, np.arange(COUNT)]
    came = np.stack([np.frombuffer(found[n].payload, np.uint8) for n in range(COUNT)])
    np.testing.assert_array_equal(came, expected)
    decoder, level = EdgeDecoder(bundle), bundle.quality.told(bundle.quality.clean)
    labels = decoder.logits(came, level, controls={"state": states}).argmax(1)
    right = decoder.logits(expected, level, controls={"state": states}).argmax(1)
    np.testing.assert_array_equal(labels, right)
    assert len(np.unique(labels)) > 3


def trace_of(bundle: Bundle) -> Trace:
    """Good, bad, good again."""
    good, bad = (15.0, -5.0) if bundle.quality.name == "snr" else (0.0, 0.1)
    return Trace(((60, good), (80, bad), (60, good)))


def run(built: Built, port: Port, **options: Any) -> MonitorResult:
    given: dict[str, Any] = {
        "count": COUNT,
        "trace": trace_of(built.bundle),
        "window": 256,
        "check_golden": True,
    }
    return monitor(built.bundle, port, DATA, MonitorOptions(**(given | options)))


def test_a_run_over_a_changing_channel_adapts_and_its_recording_says_the_same(
    built: Built, tmp_path: Path
) -> None:
    fading = Fading("rayleigh") if built.bundle.quality.name == "snr" else Fading()
    raw = tmp_path / "run.sfraw"
    with built.port as port:
        result = run(built, port, fading=fading, raw_path=raw)
    tally = result.progress.tally
    assert (tally.received, tally.golden_checked, tally.golden_wrong) == (COUNT, COUNT, 0)
    assert result.progress.adaptation.following["state"].changes >= 2
    assert len(tally.controls["state"]) >= 3
    again = replay(built.bundle, raw)
    assert (again.images, again.changed, again.controls) == (COUNT, 0, tally.controls)


@pytest.mark.parametrize(
    "spec",
    [
        "down.lose=0.05;seed=2",
        "down.flip=2e-5,up.flip=2e-5;seed=3",
        "lose=0.02,duplicate=0.05,split;seed=4",
        "reset=0.004;seed=5",
    ],
)
def test_over_bad_lines_every_payload_is_that_of_the_state_it_names(
    built: Built, spec: str, tmp_path: Path
) -> None:
    records = tmp_path / "run.jsonl"
    with built.port as port:
        line = FaultyPort(port, FaultSpec.parse(spec), reset=port.reset)
        result = run(built, line, timeout_s=0.5, record_path=records)
        assert line.log.total > 0
    tally, link = result.progress.tally, result.progress.link
    assert result.error is None and tally.golden_wrong == 0 and tally.golden_checked > 150
    assert tally.received + tally.lost == COUNT
    if "reset" in spec:
        assert link.restarts >= 1
    kinds = [json.loads(text) for text in records.read_text().splitlines()]
    settled = [one["controls"]["state"] for one in kinds if one["kind"] == "control"]
    used = [one["controls"]["state"] for one in kinds if one["kind"] == "image"]
    assert set(used) <= {4, *settled} and used[-1] == settled[-1]


class Deaf:
    """A port on which the device hears no CONTROL frame."""

    def __init__(self, port: Port) -> None:
        self._port = port

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        return self._port.read(size)

    def write(self, data: bytes, /) -> int | None:
        for piece in data.split(b"\0")[:-1]:
            if not piece or cobs.decode(piece)[1] != CONTROL:
                self._port.write(piece + b"\0")
        return len(data)

    def close(self) -> None:
        self._port.close()


def test_the_desk_checks_that_every_value_is_used_and_told(built: Built) -> None:
    bundle = built.bundle
    with built.port as port:
        found = measure_controls(Session(port, Expected.of(bundle)), DATA.images[:8], bundle)
    check_steered(found)
    assert (found.images, found.wrong, found.lost, found.unheeded) == (16, [], [], 0)
    assert values_of(bundle.program.controls[0]) == list(range(8))
    with built.port as port:
        session = Session(Deaf(port), Expected.of(bundle), timeout_s=0.3)
        deaf = measure_controls(session, DATA.images[:8], bundle)
    assert deaf.wrong == [] and deaf.unheeded > 0
    assert len(deaf.lost) == 14, "those that were to have another state than the default"
    with pytest.raises(CheckFailed, match="other controls than it was told") as caught:
        check_steered(deaf)
    assert caught.value.verdict == CONTROL_UNHEEDED


def test_the_desk_says_in_its_report_which_controls_were_checked(tmp_path: Path) -> None:
    target = Target("in-process", load_board("native"))
    plan = HilPlan((target,), steered.symbols(), tmp_path / "build", tmp_path / "budgets.toml", images=16)
    desk = Desk(target, plan)
    try:
        for step in (desk.build, desk.flash, desk.greet, desk.codes):
            step()
        assert desk.controls() == "16 images, each with values of its own of state: all used and told"
        assert desk.facts["controls"] == "state"
    finally:
        desk.close()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)


@pytest.fixture
def flags(built: Built, data_dir: Path) -> Iterator[list[str]]:
    yield [
        *("monitor", str(built.bundle.path), "--board", "native", "--out", str(built.folder)),
        *("--data-dir", str(data_dir), "--count", "60", "--json"),
    ]


def test_the_verb_follows_a_trace_and_passes_flags_on(
    built: Built, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, other = ("snr", "ber") if built.bundle.quality.name == "snr" else ("ber", "snr")
    good, bad = (15.0, -5.0) if kind == "snr" else (0.0, 0.1)
    steps = tmp_path / "steps.txt"
    steps.write_text(f"20 {good}\n40 {bad}\n")
    assert main([*flags, f"--{kind}-trace", str(steps), f"--{kind}-window", "128"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["trace"] == [[20, good], [40, bad]] and found[f"{kind}_injected"] == bad
    assert found["controls"]["state"]["set"] == "auto" and found["controls"]["state"]["changes"] >= 1
    assert main([*flags, "--state", "2", f"--{kind}", str(bad)]) == 0
    assert json.loads(capsys.readouterr().out)["controls"]["state"] == {"set": 2, "used": {"2": 60}}
    assert main([*flags, f"--{other}-trace", str(steps)]) == 2
    assert "says nothing to it" in "".join(capsys.readouterr())
    assert main([*flags, f"--{kind}-trace", str(steps), f"--{kind}", str(bad)]) == 2
    assert "one level, or a trace" in "".join(capsys.readouterr())


def test_the_verb_takes_fading_for_symbols_alone(
    built: Built, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*flags, "--fading", "rayleigh:8"])
    shown = capsys.readouterr()
    if built.bundle.quality.name == "snr":
        assert code == 0 and json.loads(shown.out)["fading"] == "rayleigh:8"
    else:
        assert code == 2 and "does not fade" in shown.out
