"""Runs streaming models on an emulated Cortex-M4: values, instruction counts, stack."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.fused.batch import SOURCES, Streamed, compile_all, write_batch
from semflash.processes import children

HERE = Path(__file__).parent
CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
TICKS_PER_INSTRUCTION = 0.168  # SysTick at 168 MHz, one instruction per nanosecond (-icount shift=0)


@dataclass(frozen=True)
class Measured:
    """One run: latent bytes (flat), instructions of all push_row calls, stack bytes below the caller."""

    latent: NDArray[np.int8]
    instructions: float
    stack_bytes: int


def build(models: list[Streamed], folder: Path, *, patterns: int, flags: tuple[str, ...] = ()) -> Path:
    """One firmware image with all models."""
    state = max(item.plan.state_bytes for item in models)
    row = max(item.chain.layers[0].source.row_bytes for item in models)
    numbers = {"STATE_BYTES": state, "ROW_BYTES": row, "MODELS": len(models), "PATTERNS": patterns}
    compiler = [
        "arm-none-eabi-gcc",
        *CPU,
        "-O2",
        "-ffunction-sections",
        "-fdata-sections",
        *flags,
        *(f"-DTEST_{name}={value}" for name, value in numbers.items()),
    ]
    objects = compile_all(compiler, [*write_batch(models, folder), HERE / "firmware.c", *SOURCES], folder)
    image = folder / "firmware.elf"
    subprocess.run(
        [
            *compiler,
            "-nostartfiles",
            "--specs=nano.specs",
            "--specs=nosys.specs",
            "-T",
            str(HERE / "firmware.ld"),
            "-Wl,--gc-sections",
            "-o",
            str(image),
            *objects,
        ],
        check=True,
    )
    return image


def run(image: Path, timeout_s: float = 120) -> dict[tuple[int, int], Measured]:
    """Results by (model, pattern)."""
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
        timeout_s=timeout_s,
    )
    assert "DONE" in done.stdout, done.stdout[-500:]
    results = {}
    for line in done.stdout.splitlines():
        if not line.startswith("M "):
            continue
        head, values, counts = (
            line[2:].split(" : ")[0],
            line.split(" : ")[1].split(" ; ")[0],
            line.split(" ; ")[1],
        )
        index, pattern = (int(word) for word in head.split())
        ticks, stack = (int(word) for word in counts.split())
        latent = np.frombuffer(bytes.fromhex(values.strip()), np.int8)
        results[index, pattern] = Measured(latent, ticks / TICKS_PER_INSTRUCTION, stack)
    return results


def firmware_images(shape: tuple[int, int, int], patterns: int) -> NDArray[np.int8]:
    """The images that firmware.c makes: noise, all -128, all 127, extremes, more noise."""
    h, w, c = shape
    images = np.zeros((patterns, h * w * c), np.uint8)
    for pattern in range(patterns):
        value = pattern
        noise = np.zeros(h * w * c, np.uint8)
        for i in range(noise.size):
            value = (value * 1664525 + 1013904223) & 0xFFFFFFFF
            noise[i] = value >> 24
        images[pattern] = {
            1: np.full_like(noise, 0x80),
            2: np.full_like(noise, 0x7F),
            3: 0x7F + (noise & 1),
        }.get(pattern, noise)
    return images.view(np.int8).reshape(patterns, h, w, c)


def flash_bytes(image: Path, folder: Path) -> tuple[int, int]:
    """(code, tables) of the engine and the models in an image, and C library functions they call."""
    names = set()
    for item in sorted(folder.glob("*.o")):
        if item.stem.startswith(("fused_", "models_")):
            names |= {line.split()[-1] for line in _nm(item) if " U " not in line}
    names |= _called(image, names)
    code = tables = 0
    for line in _nm(image):
        fields = line.split()
        if len(fields) == 4 and fields[3] in names:
            if fields[2] in "tTwW":
                code += int(fields[1], 16)
            else:
                tables += int(fields[1], 16)
    return code, tables


def _called(image: Path, callers: set[str]) -> set[str]:
    """Functions that the callers branch to."""
    text = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(image)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found, inside = set(), False
    for line in text.splitlines():
        if line.endswith(">:"):
            inside = line.split("<")[1].removesuffix(">:") in callers
        elif inside and "\tb" in line and "<" in line:
            found.add(line.split("<")[1].split(">")[0].split("+")[0])
    return found


def _nm(path: Path) -> list[str]:
    done = subprocess.run(["arm-none-eabi-nm", "-S", str(path)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
