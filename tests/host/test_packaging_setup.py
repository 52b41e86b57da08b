"""Set-up: the script for Debian packages, lock files and Makefile. apt, dpkg and sudo are stand-ins."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "requirements" / "debian_packages.sh"


def _program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def _run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with nothing but `folder` on the path, and bash."""
    for tool in ("bash", "env"):
        if not (folder / tool).exists():
            (folder / tool).symlink_to(f"/usr/bin/{tool}")
    return subprocess.run(
        ["/bin/bash", str(SCRIPT)], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine whose apt-get writes its arguments down and where `installed` lists what is there."""
    _program(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/apt.log')
    found = '[ "$p" = "${@: -1}" ] && printf "install ok installed"'
    _program(tmp_path, "dpkg-query", f"while read -r p; do {found}; done < {tmp_path}/installed")
    _program(tmp_path, "id", "echo 0")
    (tmp_path / "installed").write_text("gcc\nlibc6-dev\npython3-venv\n")
    return tmp_path


def test_only_missing_packages_are_installed(machine: Path) -> None:
    done = _run(machine)
    assert done.returncode == 0, done.stderr
    log = (machine / "apt.log").read_text().splitlines()
    assert log[0].startswith("update")
    installed = log[1].split()
    assert "qemu-system-arm" in installed
    assert "gcc-arm-none-eabi" in installed
    assert "gcc" not in installed


def test_a_complete_machine_is_left_alone_and_nothing_is_said(machine: Path) -> None:
    wanted = re.search(r"packages=\((.*)\)", SCRIPT.read_text())
    assert wanted is not None
    (machine / "installed").write_text("\n".join(wanted.group(1).split()) + "\n")
    done = _run(machine)
    assert (done.returncode, done.stdout) == (0, "")
    assert not (machine / "apt.log").exists()


def test_a_plain_user_goes_through_sudo(machine: Path) -> None:
    _program(machine, "id", "echo 1000")
    _program(machine, "sudo", f'echo "sudo $1" >> {machine}/apt.log; exec "$@"')
    assert _run(machine).returncode == 0
    assert (machine / "apt.log").read_text().startswith("sudo apt-get\nupdate")


def test_a_plain_user_without_sudo_is_told_what_to_do(machine: Path) -> None:
    _program(machine, "id", "echo 1000")
    done = _run(machine)
    assert done.returncode == 1
    assert "as root, apt-get install" in done.stderr


def test_without_apt_it_says_what_to_install_and_goes_on(tmp_path: Path) -> None:
    done = _run(tmp_path)
    assert done.returncode == 0
    assert "no apt here" in done.stdout


@pytest.mark.parametrize("name", ["base.lock", "test.lock", "torch.lock"])
def test_lock_files_pin_every_version_with_hashes_and_name_no_host(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert all(re.match(r"[a-z0-9-]+==\S+", pin) for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_base_lock_has_no_tensorflow_and_agrees_with_the_test_lock() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / name).read_text()
        return {line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z]", line)}

    base, test = pins("base.lock"), pins("test.lock")
    assert base <= test
    assert not [pin for pin in base if pin.startswith(("tensorflow", "keras"))]
    assert [pin for pin in test if pin.startswith("tensorflow==")]


def test_make_help_lists_every_target_that_users_need() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    for target in ("demo", "test", "setup", "lint", "zoo", "lock", "clean", "stop"):
        assert f"make {target} " in done.stdout


def test_ci_runs_make_test() -> None:
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    assert path.read_text().rstrip().endswith("exec make test")
