"""The user's TensorFlow Lite Micro tree: found, checked, and what of it a model needs as a library.

The tree is what TFLM's own create_tflm_tree.py writes with CMSIS-NN kernels (docs/engines.md). Nothing of
it is kept in semflash: the files go into the build folder, under libraries/tflm/.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from semflash.errors import BuildError, ToolMissingError

VARIABLE = "SEMFLASH_TFLM_DIR"
LIBRARY = "semflash-tflm"
MAKE_TREE = (
    "semflash tflm setup; or by hand, in a checkout of tflite-micro: "
    "python3 tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py "
    '--makefile_options="TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp '
    'OPTIMIZED_KERNEL_DIR=cmsis_nn" TREE; '
    f"then set {VARIABLE}=TREE, or [build] tflm_dir in semflash.toml (docs/engines.md)"
)
DEFINES = {
    "TF_LITE_STATIC_MEMORY": "1",
    "TF_LITE_DISABLE_X86_NEON": "1",
    "TF_LITE_STRIP_ERROR_STRINGS": "1",
    "NDEBUG": "1",
    "CMSIS_NN": "1",
    "ARM_NN_ENABLE_F16": "0",
    "ARM_NN_ENABLE_F32": "0",
}
INCLUDES = (
    ".",
    "third_party/flatbuffers/include",
    "third_party/gemmlowp",
    "third_party/ruy",
    "third_party/cmsis",
    "third_party/cmsis/CMSIS/Core/Include",
    "third_party/cmsis_nn",
    "third_party/cmsis_nn/Include",
)
_MICRO = "tensorflow/lite/micro"
_KERNELS = f"{_MICRO}/kernels"
_CMSIS_NN = "third_party/cmsis_nn"
_NEEDED = (
    f"{_MICRO}/micro_interpreter.cc",
    f"{_KERNELS}/cmsis_nn/conv.cc",
    f"{_CMSIS_NN}/Include/arm_nnfunctions.h",
    "third_party/flatbuffers/include/flatbuffers/flatbuffers.h",
    "third_party/cmsis/CMSIS/Core/Include/cmsis_compiler.h",
)
#: Sources every model needs, as patterns; what is only for tests, recording or printing is left out.
_CORE = (
    "tensorflow/compiler/mlir/lite/core/api/*.cc",
    "tensorflow/compiler/mlir/lite/schema/*.cc",
    "tensorflow/lite/core/api/*.cc",
    "tensorflow/lite/core/c/*.cc",
    "tensorflow/lite/kernels/*.cc",
    "tensorflow/lite/kernels/internal/**/*.cc",
    f"{_MICRO}/*.cc",
    f"{_MICRO}/arena_allocator/*.cc",
    f"{_MICRO}/memory_planner/*.cc",
    f"{_MICRO}/tflite_bridge/*.cc",
)
_CORE_KERNELS = ("kernel_util", "micro_tensor_utils")
_LEFT_OUT = ("fake_", "mock_", "test_helper", "recording_", "hexdump", "debug_log", "micro_time")
_MAX_FILES = 4000
_MAX_FILE_BYTES = 4 << 20


@dataclass(frozen=True)
class TflmTree:
    """A checked tree at `root`."""

    root: Path

    def library(self, operators: tuple[str, ...]) -> dict[str, bytes]:
        """Files of the PlatformIO library, by path below its folder: headers, core, kernels of `operators`.

        Raises:
            BuildError: the tree lacks a kernel, or is not what it should be.
        """
        files: dict[str, bytes] = {}
        for path in self._select(operators):
            if len(files) >= _MAX_FILES:
                raise BuildError("the TFLM tree has too many files", value=self.root, remedy=MAKE_TREE)
            if path.stat().st_size > _MAX_FILE_BYTES:
                raise BuildError("a file of the TFLM tree is too large", value=path, remedy=MAKE_TREE)
            files[path.relative_to(self.root).as_posix()] = path.read_bytes()
        files["library.json"] = _manifest()
        return files

    def _select(self, operators: tuple[str, ...]) -> Iterator[Path]:
        from semflash_codegen.tflm import operators as tflm

        for folder in ("tensorflow", "third_party", "signal"):
            yield from _plain(self.root, f"{folder}/**/*.h")
        for pattern in _CORE:
            yield from (p for p in _plain(self.root, pattern) if not p.name.startswith(_LEFT_OUT))
        for stem in (*_CORE_KERNELS, *tflm.kernel_stems(operators)):
            found = [
                self.root / _KERNELS / f"{name}.cc" for name in (stem, f"{stem}_common", f"cmsis_nn/{stem}")
            ]
            found = [path for path in found if path.is_file()]
            if not found:
                raise BuildError(
                    f"the TFLM tree lacks the kernel {stem!r}", value=self.root, remedy=MAKE_TREE
                )
            yield from found
        for name in tflm.cmsis_nn_folders(operators):
            yield from _integer(_plain(self.root, f"{_CMSIS_NN}/Source/{name}/*.c"))


def default_tree() -> Path:
    """Where `semflash tflm setup` puts the tree: below the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "semflash" / "tflm"


def named(path: Path | None) -> Path | None:
    """`path`, else what SEMFLASH_TFLM_DIR names, else what `semflash tflm setup` made, else None."""
    if path is not None:
        return path
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    made = default_tree()
    return made if made.is_dir() else None


def locate(path: Path | None) -> TflmTree:
    """The tree at `path`, else the one of SEMFLASH_TFLM_DIR, else the one of `semflash tflm setup`.

    Raises:
        ToolMissingError: None is named.
        BuildError: It is not such a tree, or has no CMSIS-NN kernels.
    """
    folder = named(path)
    if folder is None:
        raise ToolMissingError(
            "the engine tflm needs a TensorFlow Lite Micro tree, and none is named", remedy=MAKE_TREE
        )
    root = folder.expanduser().resolve()
    missing = next((name for name in _NEEDED if not (root / name).is_file()), None)
    if missing is not None:
        raise BuildError(
            "this is not a TensorFlow Lite Micro tree with CMSIS-NN kernels",
            value=f"{root} has no {missing}",
            remedy=MAKE_TREE,
        )
    return TflmTree(root)


def _plain(root: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(root.glob(pattern)) if path.is_file()]


def _integer(paths: Iterable[Path]) -> Iterator[Path]:
    """Without the floating-point kernels, as TFLM's own makefile leaves them out."""
    return (path for path in paths if not path.stem.endswith(("_f16", "_f32", "_flt")))


def _manifest() -> bytes:
    """library.json. Warnings of code that is not ours are not ours to mend: -w."""
    content = {
        "name": LIBRARY,
        "version": "0.0.0",
        "build": {"srcDir": ".", "includeDir": ".", "srcFilter": ["+<*>"], "flags": ["-w"]},
    }
    return json.dumps(content, indent=1).encode() + b"\n"
