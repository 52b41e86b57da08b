"""Flashing and finding on a desk of stand-in boards: each failure has its verdict, none is guessed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fakes.desk import STANDIN_PIO
from fakes.flash_desk import F401, F446, Plug, write_map
from semflash.cli import link_options
from semflash.cli.main import main
from semflash.errors import DeviceError, UsageError
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.boards.hardware_map import FILE_NAME, read_map, update_map
from semflash.firmware.building import platformio
from semflash.firmware.building.result import BuildResult
from semflash.firmware.probes import probes
from semflash.firmware.probes.flash import flash
from semflash.firmware.probes.verdicts import TEXTS, UDEV_RULE, Verdict, VerdictError
from semflash.link.port import open_port


def verdict_of(built: BuildResult, **options: object) -> VerdictError:
    with pytest.raises(VerdictError) as caught:
        flash(built, timeout_s=0.1, **options)  # type: ignore[arg-type]
    error = caught.value
    assert error.kind == str(error.verdict) and error.remedy
    return error


def test_a_flashed_board_says_that_it_runs_what_it_was_given(plug: Plug, built: BuildResult) -> None:
    board = plug("066AFF")
    done = flash(built)
    assert (done.port, done.probe, done.build_id) == (board.usb.device, "066AFF", "12345678")
    assert done.hello is not None and done.hello.board == F446


@pytest.mark.parametrize(
    ("fate", "verdict", "words"),
    [
        ("no-permission", Verdict.NO_PERMISSION, "may not open it"),
        ("no-target", Verdict.FLASH_FAILED, "the microcontroller does not"),
        ("programming-failed", Verdict.FLASH_FAILED, "could not be written"),
        ("verify-failed", Verdict.VERIFY_FAILED, "differs from the image"),
        ("unverified", Verdict.VERIFY_FAILED, "without saying that it succeeded"),
    ],
)
def test_openocds_words_become_verdicts(
    plug: Plug, built: BuildResult, fate: str, verdict: Verdict, words: str
) -> None:
    plug("066AFF", fate=fate)
    error = verdict_of(built)
    assert (error.verdict, error.exit_code) == (verdict, 3)
    assert words in error.what


def test_no_permission_brings_the_udev_rule(plug: Plug, built: BuildResult) -> None:
    plug("066AFF", fate="no-permission")
    assert UDEV_RULE in verdict_of(built).remedy


def test_the_udev_rule_is_the_one_of_the_documentation() -> None:
    assert UDEV_RULE in (Path(__file__).parents[2] / "docs" / "boards.md").read_text()


def test_no_probe_is_said_with_an_empty_desk_and_when_openocd_finds_none(
    desk: Path, plug: Plug, built: BuildResult
) -> None:
    assert verdict_of(built).verdict is Verdict.NO_PROBE
    plug("066AFF")
    (desk / "066AFF.probe").unlink()  # its serial port is there, its debug interface is not
    assert verdict_of(built).verdict is Verdict.NO_PROBE
    assert verdict_of(built, probe="066BFF").verdict is Verdict.NO_PROBE


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"silent": True}, Verdict.NO_HELLO),
        ({"vanishes": True}, Verdict.LINK_TIMEOUT),
        ({"says": {"board": F401}}, Verdict.WRONG_BOARD),
        ({"says": {"build_id": "87654321"}}, Verdict.WRONG_FIRMWARE),
        ({"says": {"bundle_hash": "cd" * 32}}, Verdict.WRONG_FIRMWARE),
    ],
)
def test_what_the_board_says_afterwards_decides(
    plug: Plug, built: BuildResult, options: dict[str, object], verdict: Verdict
) -> None:
    plug("066AFF", **options)
    error = verdict_of(built)
    assert (error.verdict, error.exit_code) == (verdict, 3)


def test_an_unknown_upload_protocol_is_no_success(desk: Path, plug: Plug, built: BuildResult) -> None:
    plug("066AFF")
    (desk / "protocol").write_text("unknown")
    error = verdict_of(built)
    assert error.verdict is Verdict.FLASH_FAILED and "upload protocol" in error.what


def test_a_copy_to_the_probes_drive_is_no_success_and_fail_txt_is_read(
    desk: Path, plug: Plug, built: BuildResult
) -> None:
    plug("066AFF")
    (desk / "protocol").write_text("mbed")
    (desk / "drive").mkdir()
    assert "copied to a drive" in verdict_of(built).what
    (desk / "drive" / "FAIL.TXT").write_text("The file is too large.\r\n")
    assert verdict_of(built).value == "FAIL.TXT: The file is too large."


def test_every_verdict_has_its_text_remedy_and_exit_code() -> None:
    assert set(TEXTS) == set(Verdict)
    codes = {verdict: VerdictError(verdict).exit_code for verdict in Verdict}
    assert codes.pop(Verdict.OUTPUT_MISMATCH) == 1 and codes.pop(Verdict.RATE_EXCEEDED) == 1
    assert set(codes.values()) == {3}
    assert len({text for text, _ in TEXTS.values()}) == len(Verdict)


def test_between_two_boards_nothing_is_guessed_and_nothing_is_flashed(plug: Plug, built: BuildResult) -> None:
    one, two = plug("066AFF"), plug("066BFF")
    for options in ({}, {"port": "/dev/nowhere"}):
        with pytest.raises(DeviceError) as caught:
            flash(built, **options)  # type: ignore[arg-type]
        for board in (one, two):
            assert board.serial in str(caught.value) and board.usb.device in str(caught.value)
        assert caught.value.exit_code == 3
    assert not one.flashed.exists() and not two.flashed.exists()


@pytest.mark.parametrize("right", ["066AFF", "066BFF"])
@pytest.mark.parametrize("named", ["probe", "port"])
def test_of_two_boards_the_named_one_is_flashed(
    plug: Plug, built: BuildResult, right: str, named: str
) -> None:
    boards = {serial: plug(serial) for serial in ("066AFF", "066BFF")}
    board = boards.pop(right)
    done = flash(built, **{named: right if named == "probe" else board.usb.device})  # type: ignore[arg-type]
    assert (done.probe, done.port) == (right, board.usb.device)
    assert board.flashed.exists() and not boards.popitem()[1].flashed.exists()


def test_probe_and_port_of_different_boards_are_refused(plug: Plug, built: BuildResult) -> None:
    one, two = plug("066AFF"), plug("066BFF")
    assert verdict_of(built, probe="066AFF", port=two.usb.device).verdict is Verdict.WRONG_BOARD
    assert not one.flashed.exists() and not two.flashed.exists()


def test_the_map_tells_two_boards_apart(desk: Path, plug: Plug, built: BuildResult) -> None:
    wrong, right = plug("066AFF"), plug("066BFF")
    path = write_map(desk, ("left", F401, "066AFF"), ("right", F446, "066BFF"))
    assert flash(built).probe == "066BFF"
    assert right.flashed.exists() and not wrong.flashed.exists()
    assert flash(built, entry=read_map(path).get("right")).probe == "066BFF"
    assert verdict_of(built, probe="066AFF").verdict is Verdict.WRONG_BOARD
    assert verdict_of(built, entry=read_map(path).get("left")).verdict is Verdict.WRONG_BOARD
    assert not wrong.flashed.exists()


def test_two_boards_of_the_same_kind_in_the_map_are_still_not_guessed(
    desk: Path, plug: Plug, built: BuildResult
) -> None:
    boards = plug("066AFF"), plug("066BFF")
    write_map(desk, ("left", F446, "066AFF"), ("right", F446, "066BFF"))
    with pytest.raises(DeviceError, match="2 boards"):
        flash(built)
    assert not any(board.flashed.exists() for board in boards)


def test_the_only_board_is_refused_where_the_map_says_it_is_another(
    desk: Path, plug: Plug, built: BuildResult
) -> None:
    board = plug("066AFF")
    write_map(desk, ("left", F401, "066AFF"))
    assert verdict_of(built).verdict is Verdict.NO_PROBE
    assert not board.flashed.exists()


def test_a_probe_without_number_beside_another_is_refused(
    plug: Plug, built: BuildResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = plug("066AFF"), plug("066BFF")
    ports = [msgspec.structs.replace(p, serial="") for p in probes.scan()]
    monkeypatch.setattr(probes, "candidates", lambda board, ports_=None: tuple(ports))
    assert verdict_of(built, port=one.usb.device).verdict is Verdict.NO_PROBE
    assert not one.flashed.exists() and not two.flashed.exists()


def test_native_needs_no_upload(desk: Path, built: BuildResult) -> None:
    done = flash(msgspec.structs.replace(built, board="native", kind="native"))
    assert (done.port, done.hello) == (None, None)
    assert not (desk / "calls").exists()


def test_only_hardware_takes_a_probe(desk: Path, built: BuildResult) -> None:
    for board, kind in (("native", "native"), ("qemu-stm32f405", "emulated")):
        other = msgspec.structs.replace(built, board=board, kind=kind)
        for options in ({"port": "/dev/ttyACM0"}, {"probe": "066AFF"}):
            with pytest.raises(UsageError, match="not plugged in"):
                flash(other, **options)  # type: ignore[arg-type]


def test_a_serial_number_that_openocd_would_read_as_a_command_is_refused(
    plug: Plug, built: BuildResult
) -> None:
    board = plug('1"; shutdown')
    with pytest.raises(UsageError, match="no probe's serial number"):
        flash(built)
    assert not board.flashed.exists()


def test_the_command_line_says_the_verdict_and_exits_with_3(
    plug: Plug, built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    plug("066AFF", says={"build_id": "00000001"})
    arguments = ["flash", "--out", built.directory, "--board", F446, "--json"]
    assert main(arguments) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["kind"], error["exit_code"]) == ("wrong-firmware", 3)
    assert "12345678" in error["value"] and "00000001" in error["value"]


def test_the_command_line_flashes_the_entry_of_a_map(
    desk: Path, plug: Plug, built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    plug("066AFF"), plug("066BFF")
    write_map(desk, ("left", F401, "066AFF"), ("right", F446, "066BFF"))
    assert main(["flash", "--out", built.directory, "--entry", "right", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["probe"] == "066BFF"
    assert main(["flash", "--out", built.directory, "--entry", "middle"]) == 2


def test_a_scan_writes_the_map_that_flash_uses(
    desk: Path, plug: Plug, built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    plug("066AFF")
    two = plug("066BFF")
    assert main(["boards", "--scan"]) == 0
    assert "to complete by hand" in capsys.readouterr().out
    path = desk / FILE_NAME
    text = path.read_text().replace(
        'board = "unknown"\nprobe = "066BFF"', f'board = "{F446}" # mine\nprobe = "066BFF"'
    )
    path.write_text(text)
    assert flash(built).probe == "066BFF"
    assert update_map(path, probes.scan()).present == ("board-1", "board-2")
    assert path.read_text() == text, "nothing changed, so nothing is written"
    assert two.flashed.exists()


def test_two_probes_with_one_number_are_not_flashed_even_by_port(
    desk: Path, plug: Plug, built: BuildResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = plug("066AFF")
    ours = replace(board.usb, location="1-1:1.2")
    twin = replace(board.usb, device="/dev/ttyACM77", location="1-2:1.2")
    monkeypatch.setattr(probes, "comports", lambda: [ours, twin])
    error = verdict_of(built, port=ours.device)  # OpenOCD takes a number, no port
    assert error.verdict is Verdict.NO_PROBE and "the same serial number" in error.what
    assert not board.flashed.exists()
    monkeypatch.setattr(probes, "comports", lambda: [ours, replace(twin, location="1-1:1.4")])
    assert flash(built, port=ours.device).probe == "066AFF", "one probe with two ports"


def test_a_board_is_flashed_by_a_link_to_its_port(plug: Plug, built: BuildResult, tmp_path: Path) -> None:
    plug("066AFF")
    board, link = plug("066BFF"), tmp_path / "usb-STM_066BFF-if02"
    link.symlink_to(board.usb.device)
    done = flash(built, port=str(link))
    assert (done.port, done.probe) == (board.usb.device, "066BFF")


# Ctrl-C, and what else may happen under way.


def test_ctrl_c_ends_the_upload_and_frees_probe_port_and_lock(
    desk: Path, plug: Plug, built: BuildResult
) -> None:
    board = plug("066AFF", fate="hang")
    code = (
        "import sys\nfrom fakes.desk import FakeUsbPort\nfrom semflash.cli.main import main\n"
        "from semflash.firmware.probes import probes\n"
        "probes.comports = lambda: [FakeUsbPort(sys.argv[1], '066AFF')]\n"
        "sys.exit(main(sys.argv[2:]))"
    )
    path = os.pathsep.join(sys.path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(STANDIN_PIO), path])}
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", board.usb.device]
    command += ["flash", "--out", built.directory, "--board", F446]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        hanging = desk / "hanging"
        deadline = time.monotonic() + 20
        while not (hanging.exists() and hanging.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        pio = int(hanging.read_text())
        group = os.getpgid(pio)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    (desk / "066AFF.probe").write_text("good")
    with open_port(board.usb.device):
        pass  # nobody holds it
    assert flash(built).probe == "066AFF"


def test_a_map_that_is_named_tells_two_boards_apart(plug: Plug, built: BuildResult, tmp_path: Path) -> None:
    plug("066AFF"), plug("066BFF")
    path = tmp_path / "other.toml"
    path.write_text(
        "".join(
            f'[[board]]\nname = "{name}"\nboard = "{board}"\nprobe = "{probe}"\n'
            for name, board, probe in (("left", F401, "066AFF"), ("right", F446, "066BFF"))
        )
    )
    assert flash(built, user=board_lock.BoardUser(map_path=path)).probe == "066BFF"


def test_the_port_that_is_told_is_the_one_after_the_reset(
    plug: Plug, built: BuildResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("066AFF")
    monkeypatch.setattr(
        probes, "same_probe", lambda probe, kind: probes.Probe("/dev/moved", "", probe.serial)
    )
    assert flash(built, confirmed=False).port == "/dev/moved"


def test_an_upload_that_does_not_end_is_flash_failed(
    plug: Plug, built: BuildResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("066AFF")

    def endless(command: list[str], env: dict[str, str], timeout_s: float) -> None:
        raise subprocess.TimeoutExpired(command, timeout_s)

    monkeypatch.setattr(platformio.children, "run", endless)
    error = verdict_of(built)
    assert error.verdict is Verdict.FLASH_FAILED and "did not come to an end" in error.what


def test_the_monitor_finds_the_board_of_a_probe_and_of_an_entry(plug: Plug, desk: Path) -> None:
    one, two = plug("066AFF"), plug("066BFF")
    board = load_board(F446)
    by_probe = argparse.Namespace(probe="066BFF", map=None)
    assert link_options.find_port(board, by_probe, None, None) == two.usb.device
    path = write_map(desk, ("left", F446, "066AFF"), ("right", F446, "066BFF"))
    by_entry = argparse.Namespace(probe=None, map=path)
    assert link_options.find_port(board, by_entry, None, read_map(path).get("left")) == one.usb.device
    with pytest.raises(UsageError, match="no debug probe"):
        link_options.find_port(load_board("native"), by_probe, None, None)
