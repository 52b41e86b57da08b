"""Compiles generated code for these tests: for this process, sanitized, or for an emulated Cortex-M4."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cffi
import numpy as np
import pytest

from codegen.golden import Int8
from semflash_codegen import Generated, cmsis_nn

HERE = Path(__file__).parent
DEVICE = HERE.parents[1] / "device"
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


def host_compiler() -> list[str]:
    """A C compiler for this machine, with what CMSIS-NN needs on hosts."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    return [compiler, "-O1", "-fPIC", *(f"-D{k}={v}" for k, v in cmsis_nn.HOST_DEFINES.items())]


def includes(folder: Path) -> list[str]:
    """Include flags: generated code, runtime, kernels, and CMSIS-NN as a system's."""
    own = [f"-I{path}" for path in (folder, HERE, DEVICE / "include", DEVICE / "kernels" / "include")]
    return own + [item for path in cmsis_nn.locate().include_dirs for item in ("-isystem", str(path))]


def kernel_archive(folder: Path, compiler: list[str]) -> Path:
    """All own kernels (warnings as errors) and CMSIS-NN, compiled once into an archive."""
    objects = []
    for source in (*sorted((DEVICE / "kernels").glob("*.c")), *cmsis_nn.locate().source_files):
        target = folder / f"{source.stem}.o"
        flags = STRICT if source.parent.parent == DEVICE else ("-std=gnu11", "-w")
        run([*compiler, *flags, *includes(folder), "-c", str(source), "-o", str(target)])
        objects.append(str(target))
    archive = folder / "libkernels.a"
    run(
        [
            "gcc-ar" if "arm-none-eabi" not in compiler[0] else "arm-none-eabi-ar",
            "rcs",
            str(archive),
            *objects,
        ]
    )
    return archive


def compile_model(folder: Path, generated: Generated, compiler: list[str], *sources: Path) -> list[str]:
    """Compile generated code and test sources, warnings as errors; returns the objects."""
    for name, text in generated.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    objects = []
    for source in (folder / "sf_model.c", *sources):
        target = folder / f"{source.stem}.o"
        run([*compiler, *STRICT, *includes(folder), "-c", str(source), "-o", str(target)])
        objects.append(str(target))
    return objects


def run(command: list[str]) -> None:
    """Run a tool; its messages are in the failure."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stderr[-4000:]}"


@dataclass
class HostModel:
    """Generated code as a shared library in this process."""

    run_one: Callable[[Int8], Int8]

    def run(self, images: Int8) -> Int8:
        """Latents, one row per image."""
        return np.array([self.run_one(np.ascontiguousarray(image)) for image in images], np.int8)


def load_host_model(library: Path) -> HostModel:
    """dlopen a library made of harness.c and a model."""
    ffi = cffi.FFI()
    ffi.cdef(
        "int harness_run(void *state, const int8_t *image, int8_t *latent); int harness_image_bytes(void);"
        "int harness_latent_bytes(void); int harness_state_bytes(void);"
    )
    lib = ffi.dlopen(str(library))
    state = np.full(lib.harness_state_bytes() // 8 + 2, 0x5A5A5A5A5A5A5A5A, np.uint64)

    def run_one(image: Int8) -> Int8:
        assert image.size == lib.harness_image_bytes()
        latent = np.empty(lib.harness_latent_bytes(), np.int8)
        status = lib.harness_run(
            ffi.cast("void *", state.ctypes.data),
            ffi.cast("const int8_t *", image.ctypes.data),
            ffi.cast("int8_t *", latent.ctypes.data),
        )
        assert status == 0, f"the generated graph refused: {status}"
        return latent

    return HostModel(run_one)


def build_host_model(folder: Path, generated: Generated, archive: Path) -> HostModel:
    """Compile generated code for this process, warnings as errors."""
    folder.mkdir(exist_ok=True)
    compiler = host_compiler()
    objects = compile_model(folder, generated, compiler, HERE / "harness.c")
    library = folder / "model.so"
    run([compiler[0], "-shared", "-o", str(library), *objects, str(archive)])
    return load_host_model(library)
