"""Sizes and symbols of a linked ELF image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semflash.errors import BuildError
from semflash.firmware.building.result import ImageSizes

_ALLOC, _EXEC = 0x2, 0x4


def sizes(image: Path, flash_origin: int, flash_bytes: int) -> ImageSizes:
    """Bytes by kind, from section headers and symbol sizes (not from PlatformIO, which leaves vectors out).

    Args:
        image: ELF file.
        flash_origin: The first address of the board's flash; what lies there is flash, all else is RAM.
        flash_bytes: The size of the board's flash.
    """
    sections: dict[str, int] = {}
    flash = ram = 0
    with image.open("rb") as file:
        elf = _open(file, image)
        for section in elf.iter_sections():
            if not section["sh_flags"] & _ALLOC or not section["sh_size"]:
                continue
            size, in_flash = (
                section["sh_size"],
                flash_origin <= section["sh_addr"] < flash_origin + flash_bytes,
            )
            sections[section.name] = size
            if in_flash:
                flash += size
            else:
                ram += size
                if section["sh_type"] == "SHT_PROGBITS":  # initial values are stored in flash as well
                    flash += size
        kinds = {"STT_FUNC": 0, "STT_OBJECT": 0}
        for (_, kind), size in _sized_symbols(elf, flash_origin, flash_bytes).items():
            kinds[kind] += size
    code, tables = kinds["STT_FUNC"], kinds["STT_OBJECT"]
    return ImageSizes(flash, code, tables, flash - code - tables, ram, sections)


def symbols(image: Path) -> set[str]:
    """Names of all functions and objects defined in the image."""
    with image.open("rb") as file:
        found = set()
        for name in (".symtab", ".dynsym"):
            table = _open(file, image).get_section_by_name(name)
            if table is not None:
                found |= {s.name for s in table.iter_symbols() if s["st_shndx"] != "SHN_UNDEF" and s.name}
        return found


def _open(file: Any, image: Path) -> Any:
    """An ELFFile, or a BuildError for a file that is none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        return ELFFile(file)
    except ELFError as error:
        raise BuildError("the linked image is not an ELF file", value=image, remedy="build again") from error


def _sized_symbols(elf: Any, origin: int, length: int) -> dict[tuple[int, str], int]:
    """(address, type) -> size of the functions and objects in flash; aliases of one address count once."""
    table = elf.get_section_by_name(".symtab")
    found: dict[tuple[int, str], int] = {}
    for symbol in table.iter_symbols() if table is not None else ():
        kind, address = symbol["st_info"]["type"], symbol["st_value"] & ~1  # bit 0 marks Thumb
        if kind in ("STT_FUNC", "STT_OBJECT") and origin <= address < origin + length:
            found[address, kind] = max(found.get((address, kind), 0), symbol["st_size"])
    return found
