"""SOFTMAX over 512 values and more, where TFLite-Micro and LiteRT's reference stop: held against float64.

The kernel sums exponentials that are rounded to multiples of 2^-19, so the sum of `depth` of them is off by
at most depth 2^-20; everything else is far below. A result is right when it is the nearest of 1/256 to a
share that lies within that error of the true one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from codegen.batch import build_batch
from codegen.building import HERE, compile_model, run
from codegen.golden import Int8, tflm
from codegen.graph_builder import GraphBuilder
from codegen.hostile import compile_mutant

DEPTHS = (512, 513, 700, 1000, 1001, 2048, 4095)
SCALES = (1e-4, 0.004, 0.02, 0.11, 1.5)


def softmax(depth: int, scale: float) -> bytes:
    """One row of `depth` values."""
    graph = GraphBuilder((1, depth), (float(np.float32(scale)), 5))
    output = graph.activation((1, depth), (1.0 / 256.0, -128))
    return graph.finish(graph.operator("SOFTMAX", [graph.source], output, "Softmax", beta=1.0))


def rows(depth: int) -> Int8:
    """Equal values, one that stands out, a ramp, two levels, random ones."""
    rng = np.random.default_rng(depth)
    values = rng.integers(-128, 128, (8, depth)).astype(np.int8)
    values[0] = 7
    values[1] = -128
    values[1, depth // 3] = 127
    values[2] = (np.arange(depth) * 37 % 256 - 128).astype(np.int8)
    values[3] = np.where(np.arange(depth) < 511, 100, -100)
    values[4] = np.where(np.arange(depth) < 512, 100, -128)
    values[5] = rng.integers(90, 93, depth)
    return values


def shares(values: Int8, scale: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """256 softmax in float64, and by how much the kernel's sum may move it; each (rows, depth)."""
    real = values.astype(np.float64) * float(np.float32(scale))
    powers = np.exp(real - real.max(-1, keepdims=True))
    total = powers.sum(-1, keepdims=True)
    share = 256.0 * powers / total
    return share, share * values.shape[-1] * 2.0**-20 / total + 1e-4


def test_results_are_the_nearest_to_the_true_shares(tmp_path: Path, host_kernels: Path) -> None:
    cases = [(depth, scale) for depth in DEPTHS for scale in SCALES]
    generated = [compile_mutant(softmax(*case), "auto") for case in cases]
    kinds = set()
    for (depth, scale), runner in zip(cases, build_batch(tmp_path, generated, host_kernels), strict=True):
        values = rows(depth)
        got = runner.run(values).astype(np.int32) + 128
        share, error = shares(values, scale)
        wrong = np.abs(got - np.minimum(share, 255)) > 0.5 + error
        assert not wrong.any(), (depth, scale, np.argwhere(wrong)[0])
        kinds |= {(bool(row.max() == 0), bool(row.max() > 100)) for row in got}
    assert kinds == {(True, False), (False, False), (False, True)}, "flat, middling and steep rows are met"


@pytest.mark.parametrize("depth", [512, 1000, 4095])
def test_equal_values_have_no_share_of_half_a_step(depth: int, tmp_path: Path, host_kernels: Path) -> None:
    """The case that shifted an int32 by 32: sums of 512 and more."""
    (runner,) = build_batch(tmp_path, [compile_mutant(softmax(depth, 0.02), "auto")], host_kernels)
    assert (runner.run(np.zeros((1, depth), np.int8)) == -128).all()


def test_up_to_511_values_the_bytes_are_tflite_micros(tmp_path: Path, host_kernels: Path) -> None:
    cases = [(depth, scale) for depth in (255, 256, 257, 510, 511) for scale in SCALES]
    models = [softmax(*case) for case in cases]
    runners = build_batch(tmp_path, [compile_mutant(model, "auto") for model in models], host_kernels)
    for (depth, _), model, runner in zip(cases, models, runners, strict=True):
        values = rows(depth)
        assert np.array_equal(runner.run(values), tflm(model, values)), depth


@pytest.mark.parametrize("depth", [512, 4095])
def test_no_undefined_behaviour_and_the_same_bytes_under_sanitizers(
    depth: int, tmp_path: Path, host_kernels: Path, sanitizing_compiler: list[str], sanitized_kernels: Path
) -> None:
    generated = compile_mutant(softmax(depth, 0.004), "auto")
    (runner,) = build_batch(tmp_path, [generated], host_kernels)
    (tmp_path / "sanitized").mkdir()
    sources = (HERE / "harness.c", HERE / "sanitized_main.c")
    objects = compile_model(tmp_path / "sanitized", generated, sanitizing_compiler, *sources)
    program, images, latents = tmp_path / "program", tmp_path / "images", tmp_path / "latents"
    run([*sanitizing_compiler, *objects, str(sanitized_kernels), "-o", str(program)])
    images.write_bytes(rows(depth).tobytes())
    run([str(program), str(images), str(latents)])
    assert latents.read_bytes() == runner.run(rows(depth)).tobytes()
