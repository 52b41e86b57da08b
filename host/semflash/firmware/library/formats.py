"""What each build system wants beside the sources: names, manifests, places of examples."""

from __future__ import annotations

import json

from semflash.firmware.library.example import Facts

FORMATS: dict[str, str] = {
    "platformio": "PlatformIO: library.json",
    "cmake": "CMake: CMakeLists.txt with a static library",
    "arduino": "Arduino IDE: library.properties",
    "zephyr": "Zephyr: a module",
}
#: What Kconfig is indented by.
_TAB = "\t"
_SENTENCE = "int8 image encoder made by semflash: {height}x{width}x{channels} pixels to {payload_bytes} bytes"


def manifest(format_name: str, facts: Facts, compiled: list[str]) -> dict[str, str]:
    """The format's own files by path.

    Args:
        compiled: paths of all C files.
    """
    make = {"platformio": _platformio, "cmake": _cmake, "arduino": _arduino, "zephyr": _zephyr}
    return make[format_name](facts, compiled)


def example_path(format_name: str) -> str:
    """Where the example lies; an Arduino sketch is called as its folder."""
    return f"examples/encode/{'encode.ino' if format_name == 'arduino' else 'main.c'}"


def _sentence(facts: Facts) -> str:
    return _SENTENCE.format(
        height=facts.height, width=facts.width, channels=facts.channels, payload_bytes=facts.payload_bytes
    )


def _platformio(facts: Facts, compiled: list[str]) -> dict[str, str]:
    del compiled
    body = {
        "name": facts.identifier,
        "version": facts.version,
        "description": _sentence(facts),
        "keywords": "tinyml, semantic communication, int8",
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": ["sf_model.h", "semflash/encoder.h"],
        "build": {"srcDir": "src", "includeDir": "src"},
        "examples": [{"name": "encode", "base": "examples/encode", "files": ["main.c"]}],
    }
    return {"library.json": json.dumps(body, indent=2) + "\n"}


def _cmake(facts: Facts, compiled: list[str]) -> dict[str, str]:
    listed = "\n    ".join(compiled)
    return {
        "CMakeLists.txt": f"""\
# {facts.identifier}: made by semflash. Link your firmware with the target of this name.
cmake_minimum_required(VERSION 3.16)
project({facts.identifier} VERSION {facts.version} LANGUAGES C)
option(SEMFLASH_EXAMPLE "build examples/encode" OFF)

add_library({facts.identifier} STATIC
    {listed})
target_include_directories({facts.identifier} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}}/src)
target_compile_features({facts.identifier} PUBLIC c_std_11)
target_compile_options({facts.identifier} PRIVATE -O2)

if(SEMFLASH_EXAMPLE)
    add_executable({facts.identifier}_encode examples/encode/main.c)
    target_link_libraries({facts.identifier}_encode PRIVATE {facts.identifier})
endif()
"""
    }


def _arduino(facts: Facts, compiled: list[str]) -> dict[str, str]:
    del compiled
    lines = {
        "name": facts.identifier,
        "version": facts.version,
        "author": "semflash",
        "maintainer": "semflash",
        "sentence": _sentence(facts) + ".",
        "paragraph": "C11, no heap. Rows of int8 pixels in, the payload out, as the host computes it.",
        "category": "Data Processing",
        "url": "https://arxiv.org/abs/2511.11038",
        "architectures": "*",
        "includes": "sf_model.h",
    }
    return {"library.properties": "".join(f"{key}={value}\n" for key, value in lines.items())}


def _zephyr(facts: Facts, compiled: list[str]) -> dict[str, str]:
    symbol = facts.identifier.upper()
    listed = "\n    ".join(f"../{name}" for name in compiled)
    return {
        "zephyr/module.yml": f"""\
name: {facts.identifier}
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
""",
        "zephyr/Kconfig": f"""\
config {symbol}
{_TAB}bool "{_sentence(facts)}"
{_TAB}help
{_TAB}  The encoder of the semflash bundle {facts.bundle}.
""",
        "zephyr/CMakeLists.txt": f"""\
if(CONFIG_{symbol})
  zephyr_include_directories(../src)
  zephyr_library_named({facts.identifier})
  zephyr_library_sources(
    {listed})
endif()
""",
    }
