"""Generated code with CMSIS-NN's DSP kernels on an emulated Cortex-M4F against TFLite-Micro, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.building import DEVICE, HERE, compile_model, kernel_archive, run
from codegen.golden import NAMES, Int8, load, request_for, tflm
from semflash.processes import children
from semflash_codegen import CodegenRequest, generate
from semflash_codegen.tflite_reader import read_model

pytestmark = pytest.mark.emulated

TICKS_PER_INSTRUCTION = 0.168
COMPILER = [
    "arm-none-eabi-gcc",
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfpu=fpv4-sp-d16",
    "-mfloat-abi=hard",
    "-O2",
    "-ffunction-sections",
    "-fdata-sections",
]


def pattern_images(shape: tuple[int, ...]) -> Int8:
    """The images of emulated_main.c: (8, h, w, c)."""
    size = int(np.prod(shape[1:]))
    images = np.zeros((8, size), np.uint8)
    ramp = np.arange(size)
    images[0], images[1] = 0x80, 0x7F
    images[2] = np.where(ramp & 1, 0x7F, 0x80)
    images[3] = (ramp * 37 + 11) & 0xFF
    for t in range(4, 8):
        seed = t
        for i in range(size):
            seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
            images[t, i] = seed >> 24
    return images.view(np.int8).reshape(8, *shape[1:])


@pytest.fixture(scope="session")
def m4_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kernels for the Cortex-M4F."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return kernel_archive(tmp_path_factory.mktemp("m4"), COMPILER)


def run_emulated(folder: Path, request: CodegenRequest, archive: Path) -> tuple[Int8, list[float]]:
    """Latents (8, n) and instructions per image."""
    sources = (HERE / "harness.c", HERE / "emulated_main.c")
    objects = compile_model(folder, generate(request), COMPILER, *sources)
    lines = emulate(folder, objects, archive)
    latents = np.array([np.frombuffer(bytes.fromhex(line[2]), np.int8) for line in lines])
    return latents, [int(line[1], 16) / TICKS_PER_INSTRUCTION for line in lines]


def emulate(folder: Path, objects: list[str], archive: Path) -> list[list[str]]:
    """Link, run, and give the words of each line that emulated_main.c prints."""
    image = folder / "program.elf"
    script = DEVICE / "port" / "stm32f4" / "stm32f4.ld"
    link = ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections", f"-T{script}"]
    run([*COMPILER, *link, *objects, str(archive), "-o", str(image)])
    done = children.run(
        [
            "qemu-system-arm",
            "-M",
            "netduinoplus2",
            "-display",
            "none",
            "-monitor",
            "none",
            "-icount",
            "shift=0",
            "-semihosting-config",
            "enable=on,target=native",
            "-serial",
            "stdio",
            "-kernel",
            str(image),
        ],
        timeout_s=120,
        stderr=subprocess.PIPE,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines and all(line[0] == "T" for line in lines), done.stdout[-500:] + done.stderr[-500:]
    return lines


def check(name: str, kernels: str, folder: Path, archive: Path) -> float:
    """Compare all images; returns instructions per MAC of the last one."""
    encoder = load(name)
    model = read_model(encoder)
    images = pattern_images(model.tensors[model.inputs[0]].shape)
    request = request_for(encoder, kernels)
    latents, instructions = run_emulated(folder, request, archive)
    assert np.array_equal(latents, tflm(encoder, images))
    return instructions[-1] / generate(request).report.macs


@pytest.mark.parametrize("kernels", ["auto", "cmsis-nn"])
@pytest.mark.parametrize("name", NAMES)
def test_fast_kernels_on_the_cortex_m4_give_the_bytes_of_tflite_micro(
    name: str, kernels: str, tmp_path: Path, m4_kernels: Path
) -> None:
    print(f"{name} {kernels}: {check(name, kernels, tmp_path, m4_kernels):.2f} instructions per MAC")


@pytest.mark.parametrize("name", ["enc32", "mobile", "depthwise"])
def test_the_plain_kernels_on_the_cortex_m4_give_the_bytes_of_tflite_micro(
    name: str, tmp_path: Path, m4_kernels: Path
) -> None:
    print(f"{name}: {check(name, 'reference', tmp_path, m4_kernels):.2f} instructions per MAC")
