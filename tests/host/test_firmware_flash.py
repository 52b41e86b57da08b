"""Flashing a plugged-in board: what is believed and what is refused. PlatformIO and OpenOCD are stand-ins."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from semflash.errors import DeviceError, UsageError
from semflash.firmware import flash as flashing
from semflash.firmware import platformio
from semflash.firmware.build_result import BuildResult
from semflash.firmware.flash import SerialCandidate, flash

PORT = SerialCandidate("/dev/ttyACM0", "0483:374b", "066AFF")
GOOD = "** Programming Started **\n** Programming Finished **\n** Verify Started **\n** Verified OK **\n"


@pytest.fixture
def built(tmp_path: Path) -> BuildResult:
    """A finished build for the Nucleo; its image is never read here."""
    (tmp_path / "image.elf").write_bytes(b"")
    return BuildResult(
        directory=str(tmp_path),
        board="nucleo_f446re",
        kind="hardware",
        bundle_name="tiny",
        bundle_path="tiny.semcodec",
        bundle_hash="ab" * 32,
        build_id="12345678",
        engine="aot",
        kernels="cmsis-nn",
        image="image.elf",
        sizes=None,
        macs=1,
        state_bytes=1,
        arena_bytes=1,
        constant_bytes=1,
        cmsis_nn="none",
        convolution_symbols=(),
        layers=(),
    )


@pytest.fixture
def one_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashing, "candidates", lambda board: [PORT])


def _pio_prints(monkeypatch: pytest.MonkeyPatch, text: str, returncode: int = 0) -> list[tuple[object, ...]]:
    """Replace the pio call by its output; returns the list of calls."""
    calls: list[tuple[object, ...]] = []

    def run(folder: Path, environment: str, *, target: str, log: Path) -> platformio.PioResult:
        calls.append((folder, environment, target))
        error = platformio.translate(text, returncode, target=target, log=log)
        if error is not None:
            raise error
        return platformio.PioResult(text)

    monkeypatch.setattr(platformio, "run", run)
    return calls


def test_a_verified_upload_gives_the_port(
    built: BuildResult, one_board: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _pio_prints(monkeypatch, GOOD)
    done = flash(built)
    assert (done.port, done.build_id, done.bundle_hash) == ("/dev/ttyACM0", "12345678", "ab" * 32)
    assert calls == [(Path(built.directory), "nucleo_f446re", "upload")]


@pytest.mark.parametrize("text", ["", "** Programming Finished **\n", "** Verified OK **\n"])
def test_a_silent_success_is_not_believed(
    built: BuildResult, one_board: None, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    _pio_prints(monkeypatch, text)
    with pytest.raises(DeviceError, match="without saying that it succeeded"):
        flash(built)


def test_a_missing_probe_is_a_device_error(
    built: BuildResult, one_board: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pio_prints(monkeypatch, "Error: open failed\n** OpenOCD init failed **", 1)
    with pytest.raises(DeviceError, match="no debug probe") as caught:
        flash(built)
    assert caught.value.exit_code == 3


def test_nothing_is_uploaded_while_two_boards_are_plugged_in(
    built: BuildResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SerialCandidate("/dev/ttyACM1", "0483:374b", "066BFF")
    monkeypatch.setattr(flashing, "candidates", lambda board: [PORT, other])
    calls = _pio_prints(monkeypatch, GOOD)
    with pytest.raises(DeviceError, match="2 boards"):
        flash(built)
    assert calls == []


def test_native_needs_no_upload_and_only_hardware_takes_a_port(built: BuildResult) -> None:
    native = msgspec.structs.replace(built, board="native", kind="native")
    assert flash(native).port is None
    for built_for in (native, msgspec.structs.replace(built, board="qemu-stm32f405", kind="emulated")):
        with pytest.raises(UsageError, match="not plugged in"):
            flash(built_for, port="/dev/ttyACM0")
