"""Compiles many generated models into one library, so that a test of many small models is quick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cffi
import numpy as np

from codegen.building import HERE, STRICT, HostModel, host_compiler, includes, run
from codegen.golden import Int8
from semflash_codegen import Generated

_NAMES = ("sf_model", "harness_run", "harness_image_bytes", "harness_latent_bytes", "harness_state_bytes")


def build_batch(folder: Path, models: Sequence[Generated], archive: Path) -> list[HostModel]:
    """Compile the models, warnings as errors, and load them into this process.

    Args:
        archive: kernels, from building.kernel_archive.
    """
    cases = []
    for i, generated in enumerate(models):
        (folder / f"m{i}").mkdir()
        for name, text in generated.files.items():
            (folder / f"m{i}" / name).write_text(text, encoding="utf-8")
        renamed = "".join(f"#define {name} {name}_{i}\n" for name in _NAMES)
        case = folder / f"case{i}.c"
        text = f'{renamed}#include "m{i}/sf_model.c"\n#define collect harness_collect\n'
        text += f'#include "{HERE}/harness.c"\n'
        case.write_text(text, encoding="utf-8")
        cases.append(str(case))
    library = folder / "models.so"
    flags = [*STRICT, *includes(folder / "m0")]
    run([*host_compiler(), *flags, "-shared", "-o", str(library), *cases, str(archive)])
    return [_load(library, i) for i in range(len(models))]


def _load(library: Path, i: int) -> HostModel:
    ffi = cffi.FFI()
    ffi.cdef(
        f"int harness_run_{i}(void *state, const int8_t *image, int8_t *latent);"
        f"int harness_image_bytes_{i}(void); int harness_latent_bytes_{i}(void);"
        f"int harness_state_bytes_{i}(void);"
    )
    lib = ffi.dlopen(str(library))
    call = {name: getattr(lib, f"harness_{name}_{i}") for name in ("run", "image_bytes", "latent_bytes")}
    state = np.full(getattr(lib, f"harness_state_bytes_{i}")() // 8 + 2, 0x5A5A5A5A5A5A5A5A, np.uint64)

    def run_one(image: Int8) -> Int8:
        assert image.size == call["image_bytes"]()
        latent = np.empty(call["latent_bytes"](), np.int8)
        status = call["run"](
            ffi.cast("void *", state.ctypes.data),
            ffi.cast("const int8_t *", image.ctypes.data),
            ffi.cast("int8_t *", latent.ctypes.data),
        )
        assert status == 0, f"the generated graph refused: {status}"
        return latent

    return HostModel(run_one)
