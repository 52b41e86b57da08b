"""semflash doctor: finds what is missing and says how to mend it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from semflash.cli.main import main
from semflash.firmware import doctor


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler, no emulator, no data set."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("SEMFLASH_DATA_DIR", raising=False)
    monkeypatch.setattr(doctor, "_FASHION_MNIST", tmp_path / "no-data")


def test_a_bare_machine_is_not_ready_and_every_gap_has_a_remedy(bare_machine: None) -> None:
    checks = {check.name: check for check in doctor.diagnose()}
    assert not doctor.healthy(list(checks.values()))
    for name in ("ARM compiler", "newlib-nano", "C compiler", "emulator"):
        assert checks[name].state == "missing"
        assert "apt-get install" in checks[name].mend
    assert checks["Fashion-MNIST"].state == "optional"
    assert "dataset-fashion-mnist" in checks["Fashion-MNIST"].mend
    assert all(check.mend for check in checks.values() if check.state != "ok")


def test_a_folder_of_the_users_counts_as_the_data_set(
    bare_machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMFLASH_DATA_DIR", str(tmp_path))
    assert doctor._fashion_mnist().state == "optional"
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"")
    assert doctor._fashion_mnist().found == str(tmp_path)


def test_a_probe_that_may_not_be_opened_brings_the_udev_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakes.desk import FakeUsbPort
    from semflash.firmware.probes import probes
    from semflash.firmware.probes.verdicts import UDEV_RULE

    @dataclass(frozen=True)
    class Port(FakeUsbPort):
        usb_device_path: str = str(tmp_path)

    (tmp_path / "busnum").write_text("1\n")
    (tmp_path / "devnum").write_text("23\n")
    monkeypatch.setattr(doctor, "_USB_NODES", tmp_path / "usb")
    monkeypatch.setattr(probes, "comports", lambda: [Port("/dev/ttyACM0", "066A")])
    check = doctor._probe_access()
    assert check.state == "missing" and str(tmp_path / "usb/001/023") in check.found
    assert UDEV_RULE in check.mend
    (tmp_path / "usb/001").mkdir(parents=True)
    (tmp_path / "usb/001/023").write_bytes(b"")
    assert doctor._probe_access().state == "ok"


def test_without_a_probe_the_udev_rule_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semflash.firmware.probes import probes
    from semflash.firmware.probes.verdicts import UDEV_RULE

    monkeypatch.setattr(probes, "comports", list)
    monkeypatch.setattr(doctor, "_UDEV_FOLDERS", (tmp_path,))
    assert doctor._probe_access().state == "optional"
    (tmp_path / "60-st-link.rules").write_text(f"# ours\n{UDEV_RULE}\n")
    assert doctor._probe_access().state == "ok"


def test_a_missing_optional_package_leaves_the_machine_ready() -> None:
    check = doctor._module("x", ("no_such_package_here",), "optional", "pip install it")
    assert check.state == "optional"
    assert doctor.healthy([check])


def test_a_program_that_fails_to_run_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert doctor._program("compiler", ["cc", "--version"], "mend").state == "missing"


def test_the_verb_prints_json_and_exits_with_1_where_something_is_missing(
    bare_machine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["ready"] is False
    assert {"name", "state", "found", "mend"} == set(shown["checks"][0])


def test_the_table_keeps_square_brackets_of_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = doctor.Check("TensorFlow", "optional", "not installed", 'pip install "semflash[train]"')
    monkeypatch.setattr(doctor, "diagnose", lambda: [check])
    assert main(["doctor"]) == 0
    assert "semflash[train]" in capsys.readouterr().out


def test_a_remedy_is_one_unbroken_line_that_can_be_pasted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    from semflash.firmware.probes.verdicts import UDEV_COMMAND, UDEV_REMEDY, UDEV_RULE

    monkeypatch.setattr(doctor, "diagnose", lambda: [doctor.Check("probes", "optional", "x", UDEV_REMEDY)])
    assert main(["doctor"]) == 0
    assert f"\n  {UDEV_COMMAND}\n" in capsys.readouterr().out
    assert shlex.split(UDEV_COMMAND)[:2] == ["echo", UDEV_RULE]


def test_every_extra_is_listed_with_its_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extras = set(tomllib.loads(text)["project"]["optional-dependencies"])
    assert {name for name, _, _ in doctor.EXTRAS} == extras - {"build", "torch-export", "test", "lock"}
    for extra in doctor.EXTRAS:
        assert doctor._extra(*extra).state == "ok", "the test environment has them all"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, what, modules in doctor.EXTRAS:
        check = doctor._extra(name, what, modules)
        assert (check.state, check.mend) == ("optional", f"pip install 'semflash[{name}]'")


def test_tensorflow_is_looked_for_and_not_imported() -> None:
    import subprocess
    import sys

    code = "import sys; from semflash.firmware import doctor; doctor.diagnose()"
    code += "; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
