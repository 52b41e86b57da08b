"""The PlatformIO driver: private, offline, failures in plain words (texts as OpenOCD and pio print them)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from semflash.errors import BuildError, DeviceError, SemflashError, ToolMissingError
from semflash.firmware import resources
from semflash.firmware.building import platformio


@pytest.fixture
def private_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEMFLASH_PLATFORMIO_DIR", str(tmp_path / "core"))
    return tmp_path / "core"


def test_bootstrap_writes_a_package_that_platformio_takes_for_its_own(private_core: Path) -> None:
    folder = platformio.bootstrap()
    code = (
        "import sys; from platformio.package.manager.tool import ToolPackageManager as M;"
        "from platformio.dependencies import get_core_dependencies as d;"
        "from platformio.package.meta import PackageSpec as S;"
        "spec = S(owner='platformio', name='tool-scons', requirements=d()['tool-scons']);"
        "print(M().get_package(spec).path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=platformio.environment(), capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == folder


def test_bootstrap_twice_changes_nothing(private_core: Path) -> None:
    folder = platformio.bootstrap()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    platformio.bootstrap()
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_callers_platformio_variables_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORMIO_UPLOAD_FLAGS", "--evil")
    environment = platformio.environment()
    assert "PLATFORMIO_UPLOAD_FLAGS" not in environment
    assert environment["PLATFORMIO_DISABLE_UPGRADE_CHECK"] == "true"
    assert environment["PLATFORMIO_SETTING_ENABLE_TELEMETRY"] == "no"


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed", "may not open it"),
        ("Error: open failed\n** OpenOCD init failed **", "no debug probe"),
        ("Error: init mode failed (unable to connect to the target)", "microcontroller does not"),
        ("Warning! Unknown upload protocol foo", "upload protocol"),
    ],
)
def test_upload_failures_are_translated_whatever_the_exit_code(output: str, says: str) -> None:
    for returncode in (0, 1):
        error = platformio.translate(output, returncode, target="upload", log=None)
        assert isinstance(error, DeviceError)
        assert says in str(error)


def test_a_missing_network_is_named() -> None:
    error = platformio.translate("HTTPClientError: ", 1, target=None, log=None)
    assert isinstance(error, BuildError)
    assert "registry" in str(error)


def test_a_missing_compiler_is_named() -> None:
    error = platformio.translate("sh: 1: arm-none-eabi-gcc: not found", 127, target=None, log=None)
    assert isinstance(error, ToolMissingError)
    assert "apt-get install gcc-arm-none-eabi" in error.remedy


def test_an_overflowing_region_says_by_how_much() -> None:
    error = platformio.translate(
        "ld: region `FLASH' overflowed by 123456 bytes\n*** [program.elf] Error 1", 1, target=None, log=None
    )
    assert error is not None
    assert "FLASH" in error.what
    assert "123,456" in str(error.value)


def test_a_good_run_is_no_error() -> None:
    assert (
        platformio.translate("** Programming Finished **\n** Verified OK **", 0, target="upload", log=None)
        is None
    )


def test_the_config_pins_platform_script_float_flags_and_probe_for_the_nucleo() -> None:
    code = (
        "import json; from platformio.project.config import ProjectConfig as P; c = P('platformio.ini');"
        "print(json.dumps({e: c.items(env=e, as_dict=True) for e in c.envs()}, default=str));"
        "print(c.warnings)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=resources.root(),
        env=platformio.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    environments = json.loads(lines[0])
    assert lines[1] == "[]"
    nucleo = environments["nucleo_f446re"]
    for name in ("nucleo_f446re", "nucleo_f401re", "nucleo_l476rg", "nucleo_h743zi"):
        board = environments[name]
        assert board["platform"] == "platformio/ststm32@19.6.0"
        assert board["upload_protocol"] == "stlink"
        assert "platformio/toolchain-gccarmnoneeabi@~1.120301.0" in board["platform_packages"]
        assert "-mfloat-abi=hard" in board["custom_machine_flags"]
        assert board["extra_scripts"] == ["pre:boards/scripts/machine_flags.py"]
    assert environments["nucleo_l476rg"]["framework"] == ["stm32cube"]
    assert environments["nucleo_h743zi"]["custom_machine_flags"].startswith("-mfpu=fpv5-d16")
    assert "-nostartfiles" not in environments["nucleo_h743zi"]["custom_link_flags"]
    assert nucleo["platform"] == "platformio/ststm32@19.6.0"
    assert nucleo["upload_protocol"] == "stlink"
    assert nucleo["board_build.ldscript"] == "device/port/stm32f4/stm32f4.ld"
    assert "-mfloat-abi=hard" in nucleo["custom_machine_flags"]
    assert nucleo["extra_scripts"] == ["pre:boards/scripts/machine_flags.py"]
    assert environments["qemu-stm32f405"]["platform"].startswith("symlink://")


@pytest.mark.parametrize("kind", [DeviceError, ToolMissingError])
def test_an_error_of_our_own_upload_command_comes_through_whole(kind: type[SemflashError]) -> None:
    line = platformio.error_line(kind("what", value=Path("a b"), remedy="mend\nit"))
    found = platformio.translate(f"Uploading\n{line}\n*** [upload] Error 1\n", 1, target="upload", log=None)
    assert found is not None and type(found) is kind
    assert (found.what, found.value, found.remedy) == ("what", "a b", "mend\nit")


def test_the_probes_serial_number_reaches_openocd_as_two_arguments() -> None:
    code = (
        "import json; from platformio.project.config import ProjectConfig as P; c = P('platformio.ini');"
        "print(json.dumps(c.get('env:nucleo_f446re', 'upload_flags')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=resources.root(),
        env=platformio.environment("066AFF48"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == ["-c", "adapter serial 066AFF48"]
