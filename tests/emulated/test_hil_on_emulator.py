"""`semflash hil` on the emulated board passes and writes JUnit; wrong firmware and high costs fail."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest

from semflash.cli.main import main
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator import emulator
from semflash.hil.budget import read_budgets, write_budgets
from semflash.hil.faults import CASES

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
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where builds and budgets of this module are."""
    return tmp_path_factory.mktemp("hil")


def hil(
    work: Path, *flags: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, str], dict[str, str]]:
    """Exit code, verdicts and details by check."""
    budgets = ("--budgets", str(work / "budgets.toml"), "--out", str(work / "build"))
    code = main(["hil", str(TINY), *budgets, "--fault-images", "5", "--json", *flags])
    (board,) = json.loads(capsys.readouterr().out)["boards"]
    assert board["name"] == NAME
    checks = board["checks"]
    return code, {c["check"]: c["verdict"] for c in checks}, {c["check"]: c["detail"] for c in checks}


@pytest.mark.parametrize("images", [150, pytest.param(500, marks=pytest.mark.slow)])
def test_the_emulated_board_passes_and_junit_and_report_say_so(
    work: Path, own_emulators: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], images: int
) -> None:
    files = {"junit": tmp_path / "hil.xml", "report": tmp_path / "hil.md"}
    flags = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    code, verdicts, details = hil(work, "--update-budget", "--images", str(images), *flags, capsys=capsys)
    assert (code, set(verdicts.values())) == (0, {"ok"})
    assert details["codes equal the golden reference"] == f"{images} of {images} payloads equal, bit for bit"
    assert emulator.status(NAME) is None, "it was not running before, so it is stopped"
    suite = ElementTree.parse(files["junit"]).getroot()[0]
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == [str(7 + len(CASES)), "0", "0", "0"]
    assert "none failed" in files["report"].read_text()
    (budget,) = read_budgets(work / "budgets.toml").values()
    assert (budget.board, budget.counter) == (NAME, "instructions")
    assert budget.count_per_image is not None
    assert budget.count_per_image > 10_000


def test_a_budget_that_is_exceeded_by_more_than_3_percent_fails(
    work: Path, own_emulators: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = work / "budgets.toml"
    (measured,) = read_budgets(path).values()
    assert measured.count_per_image is not None
    emulator.start_build(build(TINY, load_board(NAME), out_dir=work / "build" / NAME))
    tight = msgspec.structs.replace(measured, count_per_image=int(measured.count_per_image / 1.035))
    write_budgets(path, [tight])
    code, verdicts, details = hil(work, "--no-flash", "--images", "20", capsys=capsys)
    assert (code, verdicts["cost is within the budget"]) == (1, "over-budget")
    assert "+3.5 %" in details["cost is within the budget"]
    assert verdicts["flash"] == "left-out"
    assert emulator.status(NAME) is not None, "it was running before, so it still is"


def test_other_firmware_on_the_board_is_wrong_firmware(
    work: Path, own_emulators: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.start_build(build(TINY, load_board(NAME), kernels="reference", out_dir=work / "other"))
    code, verdicts, details = hil(work, "--no-flash", "--images", "20", capsys=capsys)
    assert (code, verdicts["hello"]) == (3, "wrong-firmware")
    assert "other firmware than was built for it" in details["hello"]
    assert verdicts["codes equal the golden reference"] == "not-reached"


def test_a_board_that_is_not_there_is_said_so(
    work: Path, own_emulators: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, verdicts, _ = hil(work, "--no-flash", "--images", "20", capsys=capsys)
    assert (code, verdicts["hello"]) == (3, "device")
