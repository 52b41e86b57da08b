"""Builds of the device C for these tests: a cffi library, a sanitised driver, a native device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI

from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, compile_native

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
INCLUDES = [ROOT / "device/include", ROOT / "device/port/native", HERE, HERE / "tiny_model"]
HARNESS = [HERE / "harness.c", HERE / "harness_layout.c", HERE / "harness_patches.c"]
POSIX = {"_POSIX_C_SOURCE": "200809L"}


def runtime_sources() -> list[Path]:
    """The device runtime with the handwritten model and the native port."""
    return [
        *sorted((ROOT / "device/src").glob("*.c")),
        *sorted((ROOT / "device/stages").glob("*.c")),
        ROOT / "device/port/native/native.c",
        HERE / "tiny_model/sf_model.c",
    ]


@dataclass(frozen=True)
class Harness:
    """tests/c/harness.h through cffi."""

    ffi: Any
    lib: Any


def _declarations() -> str:
    """The declarations of harness.h, without what cffi does not parse."""
    lines = (HERE / "harness.h").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.replace("HARNESS_EXPORT ", "") for line in lines if not line.startswith("#"))


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """The runtime behind harness.h, compiled with all warnings."""
    out = tmp_path_factory.mktemp("harness") / "harness.so"
    compile_native([*runtime_sources(), *HARNESS], INCLUDES, out, warnings=STRICT_WARNINGS)
    ffi = FFI()
    ffi.cdef(_declarations())
    return Harness(ffi, ffi.dlopen(str(out)))


@pytest.fixture(scope="session")
def tiny_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Board native with the handwritten model."""
    out = tmp_path_factory.mktemp("native") / "device.so"
    return compile_native(runtime_sources(), INCLUDES, out, defines={"SF_BUILD_ID": "0xC0FFEEu"})


@pytest.fixture(scope="session")
def steered_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Board native with the handwritten model that has controls, fragments of 7 bytes, and an identity."""
    out = tmp_path_factory.mktemp("steered") / "device.so"
    defines = {"SF_TINY_STEERED": "1", "SF_LINK_FRAGMENT_BYTES": "7", "SF_DEVICE_ID": "0xDE,0x01,0x02"}
    return compile_native(runtime_sources(), INCLUDES, out, defines=defines, warnings=STRICT_WARNINGS)


@pytest.fixture(scope="session")
def sanitised_steered_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/c/driver.c of that model."""
    out = tmp_path_factory.mktemp("steered-driver") / "driver"
    sources = [*runtime_sources(), *HARNESS, HERE / "driver.c"]
    defines = POSIX | {"SF_TINY_STEERED": "1", "SF_LINK_FRAGMENT_BYTES": "7"}
    return compile_native(sources, INCLUDES, out, defines=defines, sanitize=True, executable=True)


@pytest.fixture(scope="session")
def sanitised_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/c/driver.c with AddressSanitizer and UndefinedBehaviorSanitizer."""
    out = tmp_path_factory.mktemp("driver") / "driver"
    sources = [*runtime_sources(), *HARNESS, HERE / "driver.c"]
    return compile_native(sources, INCLUDES, out, defines=POSIX, sanitize=True, executable=True)
