"""The wheel: built, installed beside nothing of the checkout, and used; and what each verb imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "vectors" / "tiny.semcodec"
HEAVY = ("tensorflow", "keras", "ai_edge_litert", "tflite_micro", "matplotlib", "scipy")


def _run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the checkout on the path."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean | env, capture_output=True, text=True, check=False
    )


def test_an_editable_install_finds_its_resources_in_the_checkout() -> None:
    from semflash.firmware import resources

    assert resources.root() == ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["boards"],
        ["build", "--help"],
        ["flash", "--help"],
        ["monitor", "--help"],
        ["doctor", "--help"],
    ],
)
def test_quick_verbs_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from semflash.cli.main import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as end: status = end.code\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)), status or 0)"
    )
    done = _run(sys.executable, "-c", code, *arguments, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "HEAVY [] 0", done.stdout + done.stderr


def test_top_level_help_imports_no_numpy(tmp_path: Path) -> None:
    code = (
        "import sys; from semflash.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('numpy' in sys.modules)"
    )
    assert _run(sys.executable, "-c", code, cwd=tmp_path).stdout.splitlines()[-1] == "False"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built offline with the hatchling that is installed."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    done = _run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--disable-pip-version-check", "-w", out, ROOT),
        cwd=out,
    )
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("semflash-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel; third-party packages come from this one through a .pth file."""
    import sysconfig

    folder = tmp_path_factory.mktemp("clean") / "venv"
    assert _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent).returncode == 0
    site = next(folder.glob("lib/python*/site-packages"))
    # Not this environment's own .pth files: the editable install must stay invisible.
    (site / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps")
    done = _run(*pip, "--disable-pip-version-check", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "semflash"


def test_the_wheel_holds_device_boards_and_settings_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(archive.read(n).decode() for n in names if n.endswith("entry_points.txt"))
    for name in (
        "semflash/cli/main.py",
        "semflash_codegen/__init__.py",
        "semflash/_resources/platformio.ini",
        "semflash/_resources/device/src/encoder.c",
        "semflash/_resources/device/port/stm32f4/stm32f4.ld",
        "semflash/_resources/boards/qemu-stm32f405.toml",
        "semflash/_resources/boards/platform/platform.json",
    ):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    assert "semflash = semflash.cli.main:main" in entry_points
    licences = {name.rsplit("/", 1)[-1] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_installed_wheel_shows_help_and_boards(installed: Path, tmp_path: Path) -> None:
    python = installed.with_name("python")
    where = _run(python, "-c", "import semflash; print(semflash.__file__)", cwd=tmp_path)
    assert str(installed.parents[1]) in where.stdout
    done = _run(installed, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout
    done = _run(installed, "boards", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "qemu-stm32f405" in done.stdout


def test_the_installed_wheel_builds_for_this_computer(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "build", TINY, "--board", "native", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("build/*-native/libsemflash_device.so"))


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_the_installed_wheel_builds_firmware(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "build", TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("build/*-qemu-stm32f405/.pio/build/*/program.elf"))
