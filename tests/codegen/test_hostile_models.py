"""Thousands of damaged and forged models: a clean error or exact code, in bounded time and memory."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.batch import build_batch
from codegen.golden import make_images, tflm
from codegen.hostile import SECONDS, compile_mutant, seeds
from codegen.mutation import mutate
from semflash_codegen import CodegenError, Generated
from semflash_codegen.passes import make_plan
from semflash_codegen.tflite_reader import read_model

HERE = Path(__file__).parent
_STATE_MAX = 1 << 20


def run_hostile(count: int, seed: int, keep: Path) -> dict[str, Any]:
    """The summary of tests/codegen/hostile.py in a process of its own, which limits its memory."""
    path = os.pathsep.join(str(HERE.parents[1] / room) for room in ("tests", "codegen", "host"))
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "codegen.hostile", "--count", str(count), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--keep", str(keep)], capture_output=True, text=True, env=environment, timeout=280
    )
    assert done.stdout.startswith("{"), f"the process died: {done.returncode}\n{done.stderr[-2000:]}"
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@pytest.mark.parametrize("seed", [1, 2])
def test_every_mutant_ends_in_a_clean_error_or_in_code(seed: int, tmp_path: Path) -> None:
    summary = run_hostile(750, seed, tmp_path)
    assert summary["failures"] == []
    assert summary["slowest_s"] < SECONDS
    assert set(summary["outcomes"]) >= {"code", "MalformedModelError", "UnsupportedModelError"}


@pytest.mark.slow
def test_ten_thousand_mutants_end_in_a_clean_error_or_in_code(tmp_path: Path) -> None:
    assert run_hostile(10_000, 3, tmp_path)["failures"] == []


def survivors(count: int) -> list[tuple[str, bytes, Generated]]:
    """Mutants that still give code, small enough to run."""
    models, number = seeds(), 0
    found: list[tuple[str, bytes, Generated]] = []
    while len(found) < count:
        rng = random.Random(f"survivor/{number}")
        name, data = models[number % len(models)]
        mutant, how = mutate(data, rng)
        number += 1
        try:
            generated = compile_mutant(mutant, "reference")
        except CodegenError:
            continue
        if mutant != data and generated.report.state_bytes < _STATE_MAX:
            found.append((f"{name} {how} {number - 1}", mutant, generated))
    return found


def test_the_code_of_a_mutant_that_tflite_micro_runs_gives_its_bytes(
    tmp_path: Path, host_kernels: Path
) -> None:
    mutants = survivors(30)
    runners = build_batch(tmp_path, [generated for _, _, generated in mutants], host_kernels)
    compared = 0
    for (name, mutant, _), runner in zip(mutants, runners, strict=True):
        model = make_plan(read_model(mutant), "reference").model
        images = make_images(model.tensors[model.inputs[0]].shape, 6)
        try:
            golden = tflm(mutant, images)
        except (RuntimeError, ValueError, struct.error):
            continue  # TFLite-Micro refuses it
        assert np.array_equal(runner.run(images), golden), name
        compared += 1
    assert compared > 15


def test_the_seed_corpus_is_small_and_every_seed_is_a_model_that_compiles() -> None:
    corpus = sorted((HERE / "corpus").glob("*.tflite"))
    assert len(corpus) >= 9
    assert sum(path.stat().st_size for path in corpus) < 100_000
    for path in corpus:
        assert compile_mutant(path.read_bytes(), "reference").files
