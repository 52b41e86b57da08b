"""Many streaming models in one compilation: a shared library here, or one firmware image for the emulator."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash_codegen.fused.chain import Chain, find_chain
from semflash_codegen.fused.plan import make_plan
from semflash_codegen.fused.stages import Plan
from semflash_codegen.fused.writer import write
from semflash_codegen.tflite_reader import read_model

DEVICE = Path(__file__).parents[3] / "device"
STRICT = (
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wdouble-promotion",
    "-Werror",
)
SOURCES = sorted((DEVICE / "kernels").glob("fused_*.c"))
PER_FILE = 25


@dataclass(frozen=True)
class Streamed:
    """One model and its streaming plan."""

    model: bytes
    chain: Chain
    plan: Plan

    @property
    def latent_bytes(self) -> int:
        out = self.chain.layers[-1].output
        return out.height * out.row_bytes


def streamed(model: bytes, *, small: bool = False) -> Streamed:
    chain = find_chain(read_model(model))
    assert chain.complete, chain.reason
    return Streamed(model, chain, make_plan(chain.layers, small=small))


def write_batch(models: list[Streamed], folder: Path) -> list[Path]:
    """C files with all graphs and the table `test_models`."""
    files, entries = [], []
    for at in range(0, len(models), PER_FILE):
        parts = ['#include "batch.h"\n']
        for index in range(at, min(at + PER_FILE, len(models))):
            item = models[index]
            text = write(item.plan, f"m{index}")
            first = item.chain.layers[0].source
            numbers = (first.height, first.row_bytes, item.chain.layers[-1].output.channels, text.state_bytes)
            entry = ", ".join(f"{number}u" for number in numbers)
            parts.append(text.text)
            parts.append(f"const test_model_t model_{index} = {{{text.reset}, {text.push_row}, {entry}}};\n")
            entries.append(index)
        path = folder / f"models_{at}.c"
        path.write_text("\n".join(parts), encoding="utf-8")
        files.append(path)
    lines = "".join(f"extern const test_model_t model_{i};\n" for i in entries)
    table = ", ".join(f"&model_{i}" for i in entries)
    path = folder / "table.c"
    path.write_text(
        f'#include "batch.h"\n\n{lines}\nconst test_model_t *const test_models[] = {{{table}}};\n',
        encoding="utf-8",
    )
    return [*files, path]


def compile_all(compiler: list[str], sources: list[Path], folder: Path) -> list[str]:
    objects = []
    for source in sources:
        target = folder / f"{source.stem}.o"
        include = [
            f"-I{path}"
            for path in (Path(__file__).parent, DEVICE / "include", DEVICE / "kernels" / "include")
        ]
        command = [*compiler, *STRICT, *include, "-c", str(source), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]
        objects.append(str(target))
    return objects


class HostBatch:
    """The models compiled for this machine with the plain C twins."""

    def __init__(self, models: list[Streamed], folder: Path, flags: tuple[str, ...] = ("-O1",)) -> None:
        self.models = models
        sources = [*write_batch(models, folder), Path(__file__).parent / "batch.c", *SOURCES]
        objects = compile_all(["gcc", "-fPIC", *flags], sources, folder)
        library = folder / "batch.so"
        subprocess.run(["gcc", "-shared", *flags, "-o", str(library), *objects], check=True)
        self.library = ctypes.CDLL(str(library))

    def run(self, index: int, images: NDArray[np.int8]) -> NDArray[np.int8]:
        """Latents, flat, one row per image."""
        item = self.models[index]
        state = np.full(item.plan.state_bytes // 8 + 1, 0x5A5A5A5A5A5A5A5A, np.uint64)
        out = np.zeros((len(images), item.latent_bytes), np.int8)
        for image, latent in zip(images, out, strict=True):
            row = np.ascontiguousarray(image)
            got = self.library.batch_run(
                index,
                state.ctypes.data_as(ctypes.c_void_p),
                row.ctypes.data_as(ctypes.c_void_p),
                latent.ctypes.data_as(ctypes.c_void_p),
            )
            assert got == item.latent_bytes, f"status or size {got}"
        assert state[-1] == 0x5A5A5A5A5A5A5A5A, "the state is larger than announced"
        return out
