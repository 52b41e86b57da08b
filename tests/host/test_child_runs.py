"""Interpreters in children: whatever happens to the child, the parent gets words for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codegen.graph_builder import GraphBuilder
from semflash.bench.reference import golden_payloads
from semflash.bench.run import read_subject
from semflash.errors import ModelError
from semflash.runtime.child import run_child
from semflash.runtime.reference_run import BUILTIN_REF, TFLM, Ends, Engine, run_reference

TESTS = Path(__file__).resolve().parents[1]
CHILD = "fakes.dying_child"
ENDS = Ends(0.02, 0), Ends(1 / 256, -128)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child finds the modules that this process has."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def test_a_child_answers_and_what_it_prints_is_no_answer() -> None:
    for wish in (b"well", b"print"):
        outcome = run_child(CHILD, wish, 60.0)
        assert (outcome.result, outcome.cause) == (b"fine\n" * 3, "")
        assert outcome.stage == wish.decode()


@pytest.mark.parametrize(
    ("wish", "cause"),
    [
        ("abort", "it stopped with SIGABRT: assertion failed: it was asked for"),
        ("memory", "it ended with code 1: MemoryError"),
        ("processor", "it used more processor time than it may"),
        ("code", "it ended with code 7"),
    ],
)
def test_a_child_that_dies_is_told_by_its_cause_and_last_stage(wish: str, cause: str) -> None:
    outcome = run_child(CHILD, wish.encode(), 120.0)
    assert outcome.result is None
    assert (outcome.stage, outcome.cause) == (wish, cause)


def test_a_child_that_hangs_is_killed() -> None:
    begun = time.monotonic()
    outcome = run_child(CHILD, b"sleep", 5.0)
    assert outcome.result is None and outcome.cause == "it took more than 5 s"
    assert time.monotonic() - begun < 30


def test_a_child_dies_with_its_parent() -> None:
    """The parent is killed as hard as can be while the child sleeps."""
    program = f"from semflash.runtime.child import run_child; run_child({CHILD!r}, b'sleep', 100.0)"
    parent = subprocess.Popen([sys.executable, "-c", program])
    child = _child_of(parent.pid)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def _child_of(pid: int) -> int:
    """The child, once it has bounded itself (its core limit is 0)."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if children and "Max cpu time              2" in Path(f"/proc/{children[0]}/limits").read_text(
            "ascii"
        ):
            time.sleep(0.5)
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("the child did not start")


def test_a_child_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a stranger's bundle may hold anything."""
    (tmp_path / "msgspec.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p))
    values = np.zeros((1, 100), np.int8)
    assert run_reference(BUILTIN_REF, softmax(100), values, ENDS, 1 << 20).shape == (1, 100)


def softmax(depth: int) -> bytes:
    graph = GraphBuilder((1, depth), (0.02, 0))
    output = graph.activation((1, depth), (1.0 / 256.0, -128))
    return graph.finish(graph.operator("SOFTMAX", [graph.source], output, "Softmax", beta=1.0))


def custom() -> bytes:
    graph = GraphBuilder((1, 4), (0.02, 0))
    return graph.finish(graph.operator("CUSTOM", [graph.source], graph.activation((1, 4), (0.02, 0))))


@pytest.mark.parametrize("engine", [TFLM, BUILTIN_REF])
def test_a_reference_that_aborts_is_an_error_that_says_so(engine: Engine) -> None:
    with pytest.raises(ModelError, match="nothing to compare") as caught:
        run_reference(engine, softmax(1000), np.zeros((1, 1000), np.int8), ENDS, 1 << 20)
    assert "SIGABRT" in str(caught.value.value)


@pytest.mark.parametrize("model", [custom(), b"TFL3", b"\x18\0\0\0TFL3" + bytes(64)])
@pytest.mark.parametrize("engine", [TFLM, BUILTIN_REF])
def test_a_model_that_the_reference_does_not_take_is_an_error(engine: Engine, model: bytes) -> None:
    with pytest.raises(ModelError, match="nothing to compare"):
        run_reference(engine, model, np.zeros((1, 4), np.int8), ENDS, 1 << 20)


def test_both_references_give_the_bytes_of_a_softmax_that_they_survive() -> None:
    values = np.random.default_rng(0).integers(-128, 128, (3, 100)).astype(np.int8)
    found = [run_reference(engine, softmax(100), values, ENDS, 1 << 20) for engine in (TFLM, BUILTIN_REF)]
    assert np.array_equal(found[0], found[1]) and found[0].shape == (3, 100)
    assert run_reference(TFLM, softmax(100), values[:0], ENDS, 1 << 20).size == 0


def test_bench_names_the_reference_that_stops(tmp_path: Path) -> None:
    (tmp_path / "softmax.tflite").write_bytes(softmax(1000))
    bundle = read_subject(str(tmp_path / "softmax.tflite"))
    with pytest.raises(ModelError, match="does not run the model") as caught:
        golden_payloads(bundle, np.full((2, *bundle.image_shape), 128, np.uint8))
    assert "SIGABRT" in str(caught.value.value) and caught.value.remedy
