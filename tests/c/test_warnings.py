"""All device C is formatted and clean under the house's warnings, here and for the Cortex-M4."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, find_compiler

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/c/tiny_model"
#: What includes a header that its test generates; test_tokens.py compiles it under the same warnings.
WITH_GENERATED = frozenset({"tokens_main.c"})
PORTABLE = sorted(
    [
        *ROOT.glob("device/src/*.c"),
        *ROOT.glob("device/stages/*.c"),
        *ROOT.glob("device/kernels/*.c"),
        *(path for path in ROOT.glob("tests/c/**/*.c") if path.name not in WITH_GENERATED),
    ]
)
HOST_ONLY = sorted(ROOT.glob("device/port/native/*.c"))
TARGET_ONLY = sorted(
    [
        *ROOT.glob("device/app/*.c"),
        *ROOT.glob("device/port/common/*.c"),
        *ROOT.glob("device/port/stm32f4/*.c"),
    ]
)
INCLUDES = [
    *(
        ROOT / "device" / name
        for name in ("include", "kernels/include", "port/native", "port/common", "port/stm32f4")
    ),
    ROOT / "tests/c",
    TINY,
]
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
FORMATTED = sorted(
    path
    for pattern in ("include/**/*.h", "src/*", "app/*", "bench/*", "port/**/*.[ch]")
    for path in ROOT.glob(f"device/{pattern}")
    if not path.name.startswith("fused")  # tables in columns, aligned by hand
)


def compile_only(compiler: list[str], source: Path, *options: str) -> None:
    """Compile one file; a warning fails the test with the compiler's words."""
    command = [*compiler, "-std=c11", "-O2", *STRICT_WARNINGS, *options]
    command += [*(f"-I{folder}" for folder in INCLUDES), "-c", str(source), "-o", "/dev/null"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("source", PORTABLE + HOST_ONLY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_compiles_without_a_warning_for_this_computer(source):
    compile_only(find_compiler(), source, "-D_POSIX_C_SOURCE=200809L")


@pytest.mark.parametrize(
    "source",
    [path for path in PORTABLE if path.name != "driver.c"] + TARGET_ONLY,
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_it_compiles_without_a_warning_for_the_cortex_m4(source):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    compile_only([compiler], source, *CORTEX_M4)


@pytest.mark.parametrize(
    "source", ["device/bench/bench.c", "device/app/main.c", "device/kernels/fused_stream.c"]
)
def test_the_layer_clock_compiles_without_a_warning(source):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    compile_only([compiler], ROOT / source, *CORTEX_M4, "-DSF_BENCH", "-DSF_BENCH_LAYERS=3")


@pytest.mark.parametrize("usart", ["1", "2"])
def test_the_port_compiles_for_both_serial_ports(usart):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    options = [f"-DSF_PORT_USART={usart}", "-DSF_PORT_HSE_HZ=8000000", "-DSF_PORT_HSE_BYPASS=1"]
    options += ["-DSF_PORT_CLOCK_HZ=180000000", "-DSF_PORT_BAUD=921600", '-DSF_BOARD_NAME="nucleo_f446re"']
    compile_only([compiler], ROOT / "device/port/stm32f4/port.c", *CORTEX_M4, *options)


def test_the_device_c_is_formatted():
    formatter = shutil.which("clang-format")
    if formatter is None:
        pytest.skip("clang-format is not installed: apt-get install clang-format")
    version = subprocess.run(
        [formatter, "--version"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    if "version 14." not in version:
        pytest.skip(f"formatted with clang-format 14, and versions differ in details: {version.strip()}")
    command = [formatter, "--dry-run", "--Werror", *map(str, FORMATTED)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "source",
    sorted([*ROOT.glob("device/src/*.c"), *ROOT.glob("device/stages/*.c")]),
    ids=lambda path: path.name,
)
def test_the_runtime_has_no_heap_and_no_writable_data_of_its_own(source):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    command = [compiler, *CORTEX_M4, "-std=c11", "-O2", f"-I{INCLUDES[0]}", "-S", str(source), "-o", "-"]
    assembly = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    words = set(assembly.split())
    assert not words & {".bss", ".comm", ".lcomm", "malloc", "calloc", "realloc", "free"}

    assert ".data" not in words


def test_the_sensor_example_of_the_documentation_compiles(tmp_path):
    text = (ROOT / "docs/device.md").read_text(encoding="utf-8")
    [example] = [part.split("```")[0] for part in text.split("```c\n")[1:]]
    prototype = "sf_status_t send_picture(sf_device_t *device, void *camera, uint32_t number)"
    source = tmp_path / "example.c"
    source.write_text(example.replace(prototype, f"{prototype};\n{prototype}"), encoding="utf-8")
    compile_only(find_compiler(), source)


def test_the_headers_can_be_included_from_cpp(tmp_path):
    compiler = shutil.which("g++") or shutil.which("arm-none-eabi-g++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed: apt-get install g++")
    source = tmp_path / "user.cpp"
    source.write_text(
        '#include "semflash/board.h"\n'
        "sf_status_t feed(sf_device_t *device, const uint8_t *bytes, size_t n);\n"
        "sf_status_t feed(sf_device_t *device, const uint8_t *bytes, size_t n) "
        "{ return sf_device_receive(device, bytes, n); }\n",
        encoding="utf-8",
    )
    command = [
        compiler,
        "-std=c++11",
        *STRICT_WARNINGS,
        f"-I{INCLUDES[0]}",
        "-c",
        str(source),
        "-o",
        "/dev/null",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
