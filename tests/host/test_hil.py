"""The hardware-in-the-loop suite on board native: verdicts, results, JUnit, reports, budgets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BuildError, UsageError
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.probes import probes
from semflash.hil import desk as desk_module
from semflash.hil.budget import Budget, excess, read_budgets, write_budgets
from semflash.hil.faults import CASES
from semflash.hil.images import made_images
from semflash.hil.measure import Measured
from semflash.hil.plan import HilPlan, Target
from semflash.hil.report import headline, write_report
from semflash.hil.results import CheckResult, HilResult
from semflash.hil.run import run_hil
from semflash.link.counters import LinkCounters
from semflash.link.frame import Frame, FrameDecoder, FrameType
from semflash.link.messages import Hello
from semflash.link.raw_record import FROM_DEVICE, RawReader

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
NATIVE = Target("in-process", load_board("native"))
PROBE = probes.Probe("/dev/ttyACM0", "0483:374b", "066A", "STM32 STLink")
#: For programs in other folders: this checkout, whatever is installed.
HERE = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(TINY.parents[2] / part) for part in ("host", "codegen")),
}
STEPS = 7 + len(CASES)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> HilPlan:
    folder = tmp_path_factory.mktemp("hil")
    return HilPlan(
        (NATIVE,), read_bundle(TINY), folder / "build", folder / "budgets.toml", images=60, fault_images=6
    )


def verdicts(result: HilResult, target: str = NATIVE.name) -> dict[str, str]:
    return {check.check: check.verdict for check in result.of(target)}


def test_a_good_board_passes_every_check_and_junit_says_so(plan: HilPlan, tmp_path: Path) -> None:
    told: list[CheckResult] = []
    result = run_hil(plan, junit_path=tmp_path / "hil.xml", tell=told.append)
    assert (result.exit_code, result.failed) == (0, [])
    assert told == result.checks
    assert len(told) == STEPS
    found = verdicts(result)
    assert found.pop("cost is within the budget") == "no-budget"
    assert set(found.values()) == {"ok"}
    assert "60 of 60 payloads equal" in next(c.detail for c in told if c.check.startswith("codes"))
    suite = ElementTree.parse(tmp_path / "hil.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("0", "0", str(STEPS))
    for case in suite:
        assert "in-process" in case.attrib["name"]
        properties = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        assert properties["verdict"] in ("ok", "no-budget")


def test_one_wrong_bit_in_one_payload_is_output_mismatch(
    plan: HilPlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = GoldenEncoder.payloads

    def wrong(self: GoldenEncoder, images: np.ndarray) -> np.ndarray:
        payloads = right(self, images)
        payloads[37, 5] ^= 0x10
        return payloads

    monkeypatch.setattr(GoldenEncoder, "payloads", wrong)
    result = run_hil(plan, junit_path=tmp_path / "hil.xml")
    (failed,) = result.failed
    assert (failed.verdict, failed.exit_code, result.exit_code) == ("output-mismatch", 1, 1)
    assert "1 of 60 payloads differ from the reference (got: images 37)" in failed.detail
    later = [check for check in result.checks if check.check not in ("build", "flash", "hello", failed.check)]
    assert {check.verdict for check in later} == {"not-reached"}
    assert {check.detail for check in later} == {"codes failed"}
    suite = ElementTree.parse(tmp_path / "hil.xml").getroot()[0]
    assert suite.get("failures") == "1"
    (failure,) = suite.iter("failure")
    assert failure.attrib["message"].startswith("Failed: output-mismatch: 1 of 60 payloads")


def test_a_board_that_fails_does_not_stop_the_others(plan: HilPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Target("absent", msgspec.structs.replace(load_board("nucleo_f446re"), name="nucleo_f446re"))
    build = desk_module.build_bundle

    def build_for(bundle: object, board: object, options: object) -> object:
        return build(bundle, NATIVE.board, options)  # type: ignore[arg-type]

    monkeypatch.setattr(desk_module, "build_bundle", build_for)
    monkeypatch.setattr(probes, "candidates", lambda board, ports=None: ())
    result = run_hil(replace(plan, targets=(absent, NATIVE)))
    assert verdicts(result, "absent")["flash"] == "no-probe"
    assert verdicts(result, "absent")["hello"] == "not-reached"
    assert verdicts(result)["codes equal the golden reference"] == "ok"
    assert result.exit_code == 3
    assert list(result.facts) == ["absent", NATIVE.name]


def test_a_build_that_fails_is_exit_code_1(plan: HilPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> object:
        raise BuildError("it does not fit")

    monkeypatch.setattr(desk_module, "build_bundle", fail)
    result = run_hil(plan)
    assert (verdicts(result)["build"], result.exit_code) == ("build-failed", 1)


def test_a_bug_in_a_check_is_a_failure_with_its_traceback(
    plan: HilPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "made_images", lambda *shape: 1 / 0)
    result = run_hil(plan)
    (failed,) = result.failed
    assert (failed.verdict, failed.exit_code) == ("error", 1)
    assert "ZeroDivisionError" in failed.detail


def test_ctrl_c_gives_the_board_back(plan: HilPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    def interrupt(*shape: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(desk_module, "made_images", interrupt)
    close = desk_module.Desk.close
    monkeypatch.setattr(
        desk_module.Desk, "close", lambda self: (closed.append(self.target.name), close(self))
    )
    with pytest.raises(KeyboardInterrupt):
        run_hil(plan)
    assert closed == [NATIVE.name]


def test_the_users_own_pytest_settings_do_not_reach_the_suite(
    plan: HilPlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-flag\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not yours')\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing --no-such-flag")
    write_budgets(tmp_path / "budgets.toml", [Budget("native", "tiny", "aot/fused", "0", "none")])
    result = run_hil(replace(plan, budget_path=tmp_path / "budgets.toml"))
    assert result.exit_code == 0
    assert verdicts(result)["cost is within the budget"] == "ok"


def test_made_images_repeat_and_hold_every_value() -> None:
    images = made_images(40, (28, 28, 1), seed=3)
    assert (images.dtype, images.shape) == (np.uint8, (40, 28, 28, 1))
    assert np.array_equal(images, made_images(40, (28, 28, 1), seed=3))
    assert not np.array_equal(images, made_images(40, (28, 28, 1), seed=4))
    assert len(np.unique(images)) == 256
    assert (images[0].max(), images[1].min()) == (0, 255)


BUDGET = Budget("b", "c", "aot/fused", "01234567", "cycles", count_per_image=10_000, flash_bytes=2_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count_per_image": 10_300}, []),
        ({"count_per_image": 10_301}, ["10,301 cycles per image, budget 10,000: +3.0 %"]),
        ({"flash_bytes": 2_061}, ["2,061 bytes of flash, budget 2,000: +3.0 %"]),
        ({"count_per_image": 5, "flash_bytes": 5, "stack_bytes": 9_999}, []),
        ({"count_per_image": None}, ["cycles per image is not measured any more, budget 10,000"]),
    ],
    ids=str,
)
def test_growth_over_3_percent_is_over_budget(change: dict[str, int], words: list[str]) -> None:
    assert excess(msgspec.structs.replace(BUDGET, **change), BUDGET) == words


def test_budgets_are_kept_per_board_bundle_and_engine(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    assert read_budgets(path) == {}
    other = msgspec.structs.replace(BUDGET, board='odd "name"\n', stack_bytes=7)
    write_budgets(path, [BUDGET, other])
    slower = msgspec.structs.replace(BUDGET, count_per_image=10_500)
    write_budgets(path, [slower])
    assert read_budgets(path) == {slower.key: slower, other.key: other}
    assert "count_per_image = 10_500" in path.read_text()


@pytest.mark.parametrize("text", ["[[budget]]\nboard = 1", "x = 1", "\x00", "[[budget]]\n" + "a" * 2_000_000])
def test_a_malformed_budget_file_is_refused_before_a_board_is_touched(
    plan: HilPlan, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    told: list[CheckResult] = []
    with pytest.raises(UsageError, match="budget file is malformed"):
        run_hil(replace(plan, budget_path=path), tell=told.append)
    assert told == []


RESULT = HilResult(
    [
        CheckResult("desk|1", "build", "passed", "ok", "5 B <flash>", 1.25),
        CheckResult("desk|1", "codes", "failed", "output-mismatch", "a|b\n  try: <c>", 2.0, 1),
        CheckResult("desk|1", "cost", "skipped", "not-reached", "![codes](//failed)", 0.0),
    ],
    {"desk|1": {"board": "nucleo_f446re", "clock_hz": 180_000_000}},
)


@pytest.mark.parametrize("ending", ["md", "html"])
def test_reports_hold_every_check_and_cannot_be_broken_by_its_text(
    plan: HilPlan, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"hil.{ending}"
    write_report(path, plan, RESULT)
    text = path.read_text()
    assert headline(RESULT) == "3 checks on 1 board: 1 failed, 1 skipped"
    for words in (headline(RESULT), "output-mismatch", "not-reached", "180,000,000", "5 B &lt;flash"):
        assert words in text
    assert "<c>" not in text
    if ending == "md":
        assert "a\\|b<br>  try: &lt;c>" in text and "!\\[codes](//failed)" in text


def test_the_rate_of_a_board_that_tells_no_clock_is_judged_by_its_line(plan: HilPlan) -> None:
    desk = desk_module.Desk(Target("desk", load_board("nucleo_f446re")), plan)
    desk.measured = Measured(received=10, counts=[1000] * 10, seconds=0.1, link=LinkCounters(bytes_sent=8000))
    desk.hello = replace(_HELLO, clock_hz=0)
    assert "100.0 images/s" in desk.throughput()


_HELLO = Hello(
    protocol=3,
    counter="cycles",
    window=4,
    rows_payload=788,
    rows=28,
    row_bytes=28,
    payload_bits=384,
    bundle=1,
    build_id=1,
    clock_hz=180_000_000,
    counter_scale=65536,
    reset_cause="pin",
    board="b",
    engine="e",
)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--images", "0"], "--images must be"),
        (["--fault-images", "-3"], "--fault-images must be"),
        (["--seed", "-1"], "--seed must not"),
        (["--report", "x.pdf"], "Markdown or HTML"),
        (["--report", "no/x.md"], "the folder for --report does not exist"),
        (["--junit", "no/x.xml"], "the folder for --junit does not exist"),
        (["--board", "nobody"], "the map has no such board"),
        (["--map", "missing.toml"], "map"),
    ],
    ids=" ".join,
)
def test_bad_flags_are_refused_before_anything_is_built(
    flags: list[str], words: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hil", str(TINY), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not list(in_folder.iterdir())


def test_the_results_are_plain_values() -> None:
    found = json.loads(json.dumps(RESULT.as_dict()))
    assert (found["failed"], found["exit_code"]) == (1, 1)
    assert [check["verdict"] for check in found["boards"][0]["checks"]] == [
        "ok",
        "output-mismatch",
        "not-reached",
    ]


@pytest.fixture
def desk_map(tmp_path: Path) -> Path:
    path = tmp_path / "desk.toml"
    path.write_text(
        '[[board]]\nname = "left"\nboard = "native"\n\n[[board]]\nname = "right"\nboard = "native"\n'
    )
    return path


def test_the_boards_of_a_map_are_checked_and_budgets_lie_beside_it(
    desk_map: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--map", str(desk_map), "--board", "right", "--images", "8", "--fault-images", "2", "--json"]
    assert main(["hil", str(TINY), *flags, "--update-budget", "--record", "raw"]) == 0
    (board,) = json.loads(capsys.readouterr().out)["boards"]
    assert (board["name"], board["facts"]["board"]) == ("right", "native")
    assert board["checks"][-1]["detail"] == "not counted, written to budgets.toml"
    assert [budget.board for budget in read_budgets(desk_map.with_name("budgets.toml")).values()] == [
        "native"
    ]
    assert (in_folder / "build" / "hil" / "right" / "build.json").is_file()
    recording = RawReader(in_folder / "raw" / "right.sfraw")
    assert recording.header["bundle_hash"] == read_bundle(TINY).hash_hex
    decoder = FrameDecoder()
    frames = [f for r in recording.records() if r.kind == FROM_DEVICE for f in decoder.feed(r.data)]
    codes = [frame for frame in frames if isinstance(frame, Frame) and frame.type == FrameType.CODES]
    assert len(codes) >= 8
    assert not recording.truncated


def test_an_empty_map_and_an_unfinished_one_are_usage_errors(
    desk_map: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk_map.write_text("")
    assert main(["hil", str(TINY), "--map", str(desk_map)]) == 2
    assert "the hardware map is empty" in capsys.readouterr().err
    desk_map.write_text('[[board]]\nname = "new"\nboard = "unknown"\nprobe = "066A"\n')
    assert main(["hil", str(TINY), "--map", str(desk_map)]) == 2
    assert "does not say which board" in capsys.readouterr().err


def test_a_board_that_another_job_uses_is_left_alone(plan: HilPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    nucleo = load_board("nucleo_f446re")
    monkeypatch.setattr(probes, "candidates", lambda board, ports=None: (PROBE,))
    build = desk_module.build_bundle
    monkeypatch.setattr(
        desk_module, "build_bundle", lambda bundle, board, options: build(bundle, NATIVE.board, options)
    )
    name = board_lock.key(nucleo, PROBE.serial)
    program = (
        "from semflash.firmware.boards.lock import hold\n"
        f"with hold({name!r}, what='a night job'):\n    print('held', flush=True)\n    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        result = run_hil(replace(plan, targets=(Target("nucleo", nucleo),)))
        other.communicate("\n", timeout=20)
    assert (verdicts(result, "nucleo")["flash"], result.exit_code) == ("board-busy", 3)
    assert "a night job" in next(check.detail for check in result.checks if check.check == "flash")


def test_tests_of_ones_own_get_the_boards_of_the_map(desk_map: Path, in_folder: Path) -> None:
    (in_folder / "test_mine.py").write_text(
        "def test_it_answers(desk):\n"
        "    desk.build()\n    desk.flash()\n"
        "    assert desk.session().connect().board == 'native'\n"
    )
    flags = ["--hil-bundle", str(TINY), "--hil-map", str(desk_map), "--hil-board", "left", "-v"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "semflash.hil.plugin", *flags, "test_mine.py"],
        env=HERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_it_answers[left] PASSED" in done.stdout
    assert "1 passed" in done.stdout


def test_without_pytest_the_verb_says_how_to_get_it(in_folder: Path) -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        f"from semflash.cli.main import main; sys.exit(main(['hil', {str(TINY)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=HERE, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'semflash[hil]'" in done.stderr
