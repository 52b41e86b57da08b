"""The stage of tokens in C against the golden device: random weights, all alphas, all choices of symbols."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cffi import FFI

pytest.importorskip("tensorflow")

from fakes import token_stages
from fakes.token_stages import LONE, SCENES, SMALL, ZERO_POINT, Sizes
from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, compile_native
from semflash.program.reference import tokens
from semflash.program.tokens.stages import SendTokens
from semflash_codegen.token_text import memory_bytes, tokens_text

ROOT, HERE = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
SOURCES = [HERE / "tokens_main.c", ROOT / "device/stages/tokens.c"]
DECLARED = """int sent_of(const int8_t *features, uint32_t images, uint32_t share, uint32_t choice,
uint8_t *levels, int8_t *symbols); uint32_t memory_needed(void);"""
SIZES = {"scenes": SCENES, "small": SMALL, "lone": LONE}


def widths_of(sizes: Sizes) -> tuple[int, ...]:
    return tuple(2 * each for each in sizes.each)


def generate(sizes: Sizes, stage: SendTokens, folder: Path) -> Path:
    """The folder with the generated constants of a stage."""
    folder.mkdir(parents=True, exist_ok=True)
    program = token_stages.program(sizes, stage)
    numbers = {tensor.name: number for number, tensor in enumerate(program.tensors)}
    text = tokens_text(program, stage, "stage", numbers, {"alpha": 0, "symbols": 1, "protect": 2})
    shared = text.replace("static const sf_tokens_t stage", "const sf_tokens_t stage")
    (folder / "generated_tokens.h").write_text(f'#include "semflash/tokens.h"\n{shared}', encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sizes, SendTokens], Any]:
    """Compiles a stage; gives ffi and library."""

    def compiled(sizes: Sizes, stage: SendTokens) -> Any:
        folder = generate(sizes, stage, tmp_path_factory.mktemp("stage"))
        includes = [ROOT / "device/include", folder]
        out = compile_native(SOURCES, includes, folder / "tokens.so", warnings=STRICT_WARNINGS)
        ffi = FFI()
        ffi.cdef(DECLARED)
        return ffi, ffi.dlopen(str(out))

    return compiled


def on_device(
    library: Any, sizes: Sizes, features: np.ndarray, share: int, choice: int
) -> tuple[np.ndarray, np.ndarray]:
    """Levels and symbols of the choice, as the reference gives them; rows that are not sent are 0."""
    ffi, lib = library
    count, places = len(features), sizes.rows * sizes.columns
    levels = np.full((count, places), 77, np.uint8)
    symbols = np.zeros((count, places, 2 * sizes.each[choice]), np.int8)
    given = np.ascontiguousarray(features)
    pointers = [
        ffi.cast(kind, array.ctypes.data)
        for kind, array in (("int8_t *", given), ("uint8_t *", levels), ("int8_t *", symbols))
    ]
    assert lib.sent_of(pointers[0], count, share, choice, *pointers[1:]) == 0
    return levels.reshape(count, sizes.rows, sizes.columns), symbols


@pytest.mark.parametrize("name", SIZES)
def test_every_alpha_and_choice_gives_what_the_reference_gives(name: str, device: Any) -> None:
    sizes = SIZES[name]
    stage = token_stages.integers(sizes)
    library = device(sizes, stage)
    features, kept = token_stages.features(sizes, 3), set()
    for share in (1, 2, 13, 51, 102, 128, 200, 254, 255):
        for choice in range(len(sizes.each)):
            found = on_device(library, sizes, features, share, choice)
            levels, values = tokens.run(stage, features, ZERO_POINT, share, choice, widths_of(sizes))
            assert np.array_equal(found[0], levels) and np.array_equal(found[1], values[choice])
            kept |= set((levels > 0).sum(axis=(1, 2)).tolist())
    assert min(kept) >= 1 and (name != "scenes" or len(kept) > 6)


def test_extreme_features_and_gates_that_are_all_equal(device: Any) -> None:
    """Nothing, the largest and the smallest value, one token that differs, values at random."""
    sizes = SCENES
    rng = np.random.default_rng(4)
    shape = (sizes.rows, sizes.columns, sizes.width)
    lone = np.full(shape, ZERO_POINT, np.int8)
    lone[3, 4] = 127
    extremes = [np.full(shape, value, np.int8) for value in (ZERO_POINT, 127, -128)]
    features = np.stack([*extremes, lone, rng.integers(-128, 128, shape).astype(np.int8)])
    stage = token_stages.integers(sizes)
    even, replace = [0] * sizes.width, msgspec.structs.replace
    gateless = replace(
        stage,
        places=[0] * len(stage.places),
        blocks=tuple(
            replace(block, gate=replace(block.gate, gate=even, threshold=even, gate_bias=bias))
            for block, bias in zip(stage.blocks, (1 << 30, -(1 << 30)), strict=True)
        ),
    )
    for each in (stage, gateless):
        library = device(sizes, each)
        for share in (26, 255):
            found = on_device(library, sizes, features, share, 3)
            levels, values = tokens.run(each, features, ZERO_POINT, share, 3, widths_of(sizes))
            assert np.array_equal(found[0], levels) and np.array_equal(found[1], values[3])
    # all gates of the last block are equal and below its threshold: the first token stays
    assert (levels > 0).sum(axis=(1, 2)).tolist() == [1] * len(features) and (levels[:, 0, 0] > 0).all()


@pytest.mark.parametrize("name", SIZES)
def test_the_memory_is_what_the_generator_takes(name: str, device: Any) -> None:
    sizes = SIZES[name]
    stage = token_stages.integers(sizes)
    _, lib = device(sizes, stage)
    assert lib.memory_needed() == memory_bytes(token_stages.program(sizes, stage), stage)


def test_no_undefined_behaviour(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitisers, images at every third alpha."""
    sizes = SMALL
    stage = token_stages.integers(sizes)
    folder = generate(sizes, stage, tmp_path / "stage")
    includes = [ROOT / "device/include", folder]
    program = compile_native(
        SOURCES, includes, folder / "tokens", defines={"TOKENS_MAIN": "1"}, sanitize=True, executable=True
    )
    features = token_stages.features(sizes, 85, 6)
    done = subprocess.run([str(program)], input=features.tobytes(), capture_output=True, check=True)
    assert done.stderr == b""
    size = sizes.rows * sizes.columns
    rows = np.frombuffer(done.stdout, np.int8).reshape(85, -1)
    for number, share in enumerate(range(1, 256, 3)):
        levels, values = tokens.run(
            stage, features[number : number + 1], ZERO_POINT, share, 1, widths_of(sizes)
        )
        assert np.array_equal(rows[number, :size].view(np.uint8), levels.ravel())
        assert np.array_equal(rows[number, size:], values[1].ravel())
