"""`semflash library`: what it writes builds outside of semflash, and computes the bundle's payloads."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.edge.golden import GoldenEncoder
from semflash.firmware.building import platformio
from semflash.firmware.library.formats import FORMATS
from semflash_codegen.cmsis_nn import HOST_DEFINES

ROOT = Path(__file__).resolve().parents[2]
#: A bundle without CMSIS-NN, one with PReLU or GDN tables, and one whose kernels are asked for.
BUNDLES = ["mnist-12", "fashion-mnist-limitnet"]
needs_arm = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
CC = ["cc", "-O1", "-shared", "-fPIC"]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
ARM = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]


def made(where: Path, name: str, format_name: str, *flags: str) -> Path:
    out = where / f"{name}-{format_name}"
    assert main(["library", name, "--format", format_name, "--out", str(out), *flags]) == 0
    return out


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_library_is_complete_and_the_same_twice(format_name: str, tmp_path: Path) -> None:
    out = made(tmp_path, "mnist-12", format_name)
    listed = json.loads((out / "semflash-library.json").read_text())
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert found == {*listed["files"], "semflash-library.json"}
    assert listed["hash"] == read_bundle("mnist-12").hash_hex
    assert {"LICENSE", "NOTICE", "README.md", "src/sf_model.h", "src/semflash/encoder.h"} <= found
    again = made(tmp_path / "b", "mnist-12", format_name)
    for name in found:
        assert (out / name).read_bytes() == (again / name).read_bytes()
        assert str(tmp_path).encode() not in (out / name).read_bytes()


@pytest.mark.parametrize("flags", [(), ("--kernels", "reference")], ids=["auto", "reference"])
@pytest.mark.parametrize("name", BUNDLES)
def test_on_this_computer_it_computes_the_bundles_payloads(
    name: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    out = made(tmp_path, name, "cmake", *flags)
    bundle = read_bundle(name)
    source = (out / "examples/encode/main.c").read_text().partition("int main")[0]
    (tmp_path / "own.c").write_text(source)
    image = tmp_path / "own.so"
    compiled = [str(path) for path in sorted((out / "src").rglob("*.c"))]
    subprocess.run(
        [
            "cc",
            "-O1",
            "-shared",
            "-fPIC",
            *STRICT,
            f"-I{out / 'src'}",
            "-o",
            image,
            tmp_path / "own.c",
            *compiled,
        ],
        check=True,
        timeout=240,
    )
    library = ctypes.CDLL(str(image))
    images = np.random.default_rng(1).integers(0, 256, (6, *bundle.image_shape), np.uint8)
    golden = GoldenEncoder(bundle).payloads(images)
    payload = (ctypes.c_uint8 * bundle.payload_bytes).in_dll(library, "payload")
    for picture, wanted in zip(images, golden, strict=True):
        pixels = (picture.astype(np.int16) - 128).astype(np.int8).tobytes()
        assert library.encode(pixels) == 0
        assert bytes(payload) == bytes(wanted)


@needs_arm
@needs_cmake
def test_cmake_builds_it_for_a_cortex_m4(tmp_path: Path) -> None:
    out = made(tmp_path, "mnist-12", "cmake")
    flags = " ".join([*ARM, "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-Wl,--gc-sections"])
    configure = ["cmake", "-S", out, "-B", tmp_path / "b", "-DSEMFLASH_EXAMPLE=ON"]
    configure += ["-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc"]
    configure += [f"-DCMAKE_C_FLAGS={flags}", "-DCMAKE_EXE_LINKER_FLAGS=--specs=nosys.specs"]
    configure += ["-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL, timeout=120)
    subprocess.run(["cmake", "--build", tmp_path / "b"], check=True, stdout=subprocess.DEVNULL, timeout=240)
    symbols = subprocess.run(
        ["arm-none-eabi-nm", tmp_path / "b" / "semflash_mnist_12_encode"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert " sf_encoder_push_row" in symbols and " sf_model" in symbols


PROJECT = """\
[env:qemu]
platform = symlink://{root}/boards/platform
board = qemu-stm32f405
lib_deps = symlink://{library}
build_unflags = -Os -std=gnu11 -std=gnu17
build_flags = -O2 -std=c11 -I{root}/device/port/common -DSF_BOARD_NAME=\\"own\\" -DSF_PORT_USART=1
build_src_filter = +<*> +<{root}/device/port/common/*.c> +<{root}/device/port/stm32f4/*.c>
board_build.ldscript = {root}/device/port/stm32f4/stm32f4.ld
extra_scripts = pre:{root}/boards/scripts/machine_flags.py
custom_machine_flags = -mfpu=fpv4-sp-d16 -mfloat-abi=hard
custom_link_flags = -nostartfiles
"""


@needs_arm
def test_platformio_builds_a_project_that_names_it(tmp_path: Path) -> None:
    out = made(tmp_path, "mnist-12", "platformio")
    manifest = json.loads((out / "library.json").read_text())
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    shutil.copy(out / manifest["examples"][0]["base"] / manifest["examples"][0]["files"][0], project / "src")
    (project / "platformio.ini").write_text(PROJECT.format(root=ROOT, library=out))
    platformio.run(project, "qemu", log=tmp_path / "log")
    log = (tmp_path / "log").read_text()
    assert f"|-- {manifest['name']} @ " in log and "warning:" not in log
    assert list((project / ".pio/build/qemu").glob("*.elf"))


def test_the_arduino_layout_keeps_its_rules(tmp_path: Path) -> None:
    """Rules of the Arduino library specification (1.5 format) that arduino-lint checks."""
    out = made(tmp_path, "mnist-12", "arduino")
    lines = (out / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    for field in ("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"):
        assert properties[field].strip()
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", properties["name"])
    assert not properties["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["sentence"].endswith(".") and properties["architectures"] == "*"
    categories = ("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing")
    assert properties["category"] in (*categories, "Data Storage", "Data Processing", "Other")
    assert (out / "src" / properties["includes"]).is_file()
    sketches = list((out / "examples").rglob("*.ino"))
    assert sketches and all(path.stem == path.parent.name for path in sketches)
    assert not list(out.rglob("*.exe")) and not any(path.is_symlink() for path in out.rglob("*"))
    included = re.findall(r'#include "([^"]+)"', sketches[0].read_text())
    assert included and all((out / "src" / name).is_file() for name in included)


def test_every_include_is_found_from_src_alone_or_beside_the_file(tmp_path: Path) -> None:
    out = made(tmp_path, "fashion-mnist-48", "arduino", "--kernels", "cmsis-nn")
    src = out / "src"
    assert (src / "arm_nnfunctions.h").is_file() and list((src / "cmsis_nn").rglob("*.c"))
    compiler = [
        "cc",
        "-fsyntax-only",
        "-std=c11",
        f"-I{src}",
        *(f"-D{k}={v}" for k, v in HOST_DEFINES.items()),
    ]
    for path in sorted(src.rglob("*.c")):
        subprocess.run([*compiler, path], check=True, timeout=60)


def test_the_zephyr_module_parses(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    out = made(tmp_path, "mnist-12", "zephyr")
    module = yaml.safe_load((out / "zephyr/module.yml").read_text())
    assert set(module) == {"name", "build"} and module["build"]["cmake"] == "zephyr"
    assert (out / module["build"]["kconfig"]).is_file()
    kconfig = (out / "zephyr/Kconfig").read_text()
    (symbol,) = re.findall(r"^config ([A-Z0-9_]+)$", kconfig, re.MULTILINE)
    assert re.search(r'^\tbool "[^"]+"$', kconfig, re.MULTILINE)
    text = (out / "zephyr/CMakeLists.txt").read_text()
    assert f"if(CONFIG_{symbol})" in text and text.rstrip().endswith("endif()")
    named = re.findall(r"\.\./(src/\S+\.c)", text)
    assert sorted(named) == sorted(p.relative_to(out).as_posix() for p in (out / "src").rglob("*.c"))


def test_only_a_library_is_ever_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "precious.c").write_text("x")
    assert main(["library", "mnist-12", "--format", "cmake", "--out", str(own)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in own.iterdir()] == ["precious.c"]
    out = made(tmp_path, "mnist-12", "cmake")
    assert main(["library", "mnist-12", "--format", "zephyr", "--out", str(out)]) == 0
    assert (out / "zephyr/module.yml").is_file() and not (out / "CMakeLists.txt").exists()
    assert main(["library", "mnist-12", "--format", "cmake", "--engine", "tflm", "--out", str(out)]) == 2
    assert main(["library", "mnist-12", "--format", "cmkae"]) == 2
    assert "did you mean cmake?" in capsys.readouterr().err
