"""Flashing the emulated board as a user does: through PlatformIO's upload, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from semflash.bench.bench import bench
from semflash.bundle.reader import read_bundle
from semflash.cli.main import main
from semflash.errors import DeviceError, ToolMissingError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.firmware.probes.flash import flash

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="qemu-system-arm or arm-none-eabi-gcc is not installed",
    ),
]
TINY = Path(__file__).resolve().parents[1] / "vectors" / "tiny.semcodec"
NAME = "qemu-stm32f405"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(TINY, load_board(NAME), out_dir=tmp_path_factory.mktemp("flash") / "tiny")


def test_a_flashed_board_stays_up_and_encodes_bit_for_bit(own_emulators: Path, built: BuildResult) -> None:
    done = flash(built)
    state = emulator.status(NAME)
    assert state is not None
    assert (done.port, done.build_id) == (state.port, built.build_id)
    for _ in range(2):  # attach, detach, attach again
        result = bench(read_bundle(TINY), built, count=5)
        assert (result.codes_checked, result.codes_wrong) == (5, 0)
        assert result.counter == "instructions"
        assert result.counts_median is not None
        assert result.counts_median > result.macs
        assert result.stack_bytes is not None
        assert 0 < result.stack_bytes < 4096
    assert emulator.status(NAME) == state


def test_a_missing_emulator_is_said_so(
    own_emulators: Path, built: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = Path(shutil.which("arm-none-eabi-gcc") or "")
    for program in (Path("/bin/sh"), Path("/usr/bin/env"), *compiler.parent.glob("arm-none-eabi-*")):
        (tmp_path / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="the emulator is not installed") as caught:
        flash(built)
    assert caught.value.remedy == "apt-get install qemu-system-arm"


def test_flashing_again_replaces_the_process(own_emulators: Path, built: BuildResult) -> None:
    flash(built)
    first = emulator.status(NAME)
    flash(built)
    second = emulator.status(NAME)
    assert first is not None
    assert second is not None
    assert first.pid != second.pid


def test_instruction_counts_repeat(own_emulators: Path, built: BuildResult) -> None:
    medians = []
    for _ in range(2):
        flash(built)
        medians.append(bench(read_bundle(TINY), built, count=9).counts_median)
    assert medians[0] == pytest.approx(medians[1], rel=0.01)


def test_bench_refuses_a_board_that_runs_another_build(
    own_emulators: Path, built: BuildResult, tmp_path: Path
) -> None:
    other = build(TINY, load_board(NAME), kernels="reference", out_dir=tmp_path / "other")
    flash(other)
    with pytest.raises(DeviceError, match="another build"):
        bench(read_bundle(TINY), built, count=1)


def test_bench_without_a_running_board_is_an_error(own_emulators: Path, built: BuildResult) -> None:
    with pytest.raises(DeviceError, match="does not run"):
        bench(read_bundle(TINY), built, count=1)


def test_the_command_line_builds_flashes_lists_and_stops(
    own_emulators: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["flash", str(TINY)]) == 1  # nothing was built yet
    assert "semflash build" in capsys.readouterr().err
    assert main(["build", str(TINY), "--json"]) == 0
    capsys.readouterr()
    Path("semflash.toml").write_text('[link]\nport = "/dev/ttyACM7"\n')  # of a real board: not meant here
    assert main(["flash", str(TINY), "--json"]) == 0
    port = json.loads(capsys.readouterr().out)["port"]
    assert main(["boards", "--json"]) == 0
    boards = {board["name"]: board for board in json.loads(capsys.readouterr().out)["boards"]}
    assert boards[NAME]["ports"] == [port]
    assert boards[NAME]["bundle_hash"] == read_bundle(TINY).hash_hex
    assert main(["flash", "--stop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": [NAME]}
    assert emulator.status(NAME) is None


def test_the_bench_verb_reports_and_leaves_a_running_board_alone(
    own_emulators: Path,
    built: BuildResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    flash(built)
    before = emulator.status(NAME)
    assert main(["bench", str(TINY), "--images", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["codes_wrong"] == 0
    assert result["counts_per_mac"] == pytest.approx(result["counts_median"] / result["macs"])
    assert result["sizes"]["flash"] < 1 << 20
    assert emulator.status(NAME) == before
    assert emulator.stop_all() == [NAME]
    assert not list(own_emulators.glob("bench-*"))
