"""The linker's map: which object file gave which bytes of flash and RAM.

Source: GNU ld, -Map, section "Linker script and memory map": one line a piece,
` .section 0xADDRESS 0xSIZE FILE`, the name on a line of its own where it is long.
"""

from __future__ import annotations

import re
from pathlib import Path

from semflash.errors import BuildError
from semflash.firmware.building.result import MemoryKinds

FILE_NAME = ".pio/firmware.map"
_MAX_BYTES = 64 << 20
_START = "Linker script and memory map"
_PIECE = re.compile(r"^ (\.[^\s*]+|COMMON)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$", re.MULTILINE)
_ENCODER = (
    "/model/",
    "/device/kernels/",
    "/device/src/encoder.",
    "/device/src/head.",
    "/device/src/layout.",
    "/device/src/patch_stages.",
    "/device/src/program.",
    "/device/src/token_stages.",
    "/device/src/values.",
    "/device/stages/",
    "/cmsis/",
)
_OURS = ("/device/",)
_ENCODER_RAM = (".bss.state", ".bss.encoder")
_PAYLOAD_RAM = ".bss.payload"
_TAIL = re.compile(r"\.rodata\.\w*_((tail|modulate|project|normalise|select|patches|tokens)\d+|head)(_\w+)?$")
_LINK_RAM = (".bss.queue", ".bss.receive_buffer", ".bss.device", ".bss.board")


def read(path: Path) -> MemoryKinds:
    """Bytes by kind.

    Raises:
        BuildError: there is no map, or it is not one.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BuildError("the linker's map is too large", value=path, remedy="build again")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BuildError("the linker wrote no map", value=path, remedy="build again") from error
    return kinds(text)


def kinds(text: str) -> MemoryKinds:
    """Bytes by kind of a map's text.

    Raises:
        BuildError: it is no map of GNU ld.
    """
    _, found, body = text.partition(_START)
    if not found:
        raise BuildError("this is no map of GNU ld", value=text[:40], remedy="build again")
    counts = dict.fromkeys(MemoryKinds.__struct_fields__, 0)
    body = re.sub(r"^( \.\S+)\n\s+0x", r"\1 0x", body, flags=re.MULTILINE)
    for name, address, size, file in _PIECE.findall(body):
        length = int(size, 16)
        if int(address, 16) == 0 or length == 0:
            continue  # thrown away, or debug information
        for kind in _kinds_of(name, file):
            counts[kind] += length
    return MemoryKinds(**counts)


def _kinds_of(section: str, file: str) -> tuple[str, ...]:
    """What a piece counts as; initial values count in flash and in RAM."""
    if section.startswith((".bss", ".data", ".noinit", "COMMON")):
        ram = _ram_kind(section)
        return (ram, _flash_kind(".rodata", file)) if section.startswith(".data") else (ram,)
    if section.startswith((".text", ".rodata", ".isr_vector", ".init_array", ".ARM.ex")):
        return (_flash_kind(section, file),)
    return ()


def _ram_kind(section: str) -> str:
    if section.startswith(_ENCODER_RAM):
        return "encoder_ram"
    if section.startswith(_PAYLOAD_RAM):
        return "payload_ram"
    return "link_ram" if section.startswith(_LINK_RAM) else "other_ram"


def _flash_kind(section: str, file: str) -> str:
    place = f"/{file}"
    if "_tflm_model." in place:
        return "model_file"
    if "/model/" in place and _TAIL.match(section):
        return "tail_tables"
    if any(part in place for part in _ENCODER) or "/libtflm.a(" in place:
        return "encoder_code" if section.startswith(".text") else "encoder_tables"
    return "link_flash" if any(part in place for part in _OURS) else "library_flash"
