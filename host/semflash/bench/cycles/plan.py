"""What the plugin is told about a firmware: instructions, functions to watch, flash memories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from semflash.bench.cycles.flash import FlashModel
from semflash.bench.cycles.instructions import instructions
from semflash.errors import BuildError
from semflash.firmware.boards.descriptions import Flash

#: Of semflash's firmware. An image begins with the first; both are counted.
IMAGE, COUNTED = "sf_encoder_begin", ("sf_encoder_push_row",)
#: Of a firmware with the layer clock (device/bench/bench.c).
LAYER_BEGINS, LAYER_ENDS = ("sf_bench_enter", "sf_bench_enter_next"), "sf_bench_leave"
LAYER_CALLS = "sf_bench_calls"
MODELS_MAX = 4
_STACK_AND_RESET = 2


def plan_text(
    image: Path,
    flash: Flash,
    models: Sequence[FlashModel],
    *,
    begins: str = IMAGE,
    counted: Sequence[str] = COUNTED,
) -> str:
    """The plan of a firmware, in the lines that device/emulator/cycles.c describes.

    Args:
        begins: The function with which an image begins.
        counted: Further functions that belong to it.

    Raises:
        BuildError: No such function in the image, or no ELF file.
        ToolMissingError: As :func:`instructions`.
    """
    if not 0 < len(models) <= MODELS_MAX:
        raise ValueError(f"{len(models)} flash memories; 1 to {MODELS_MAX} go")
    symbols, vectors = _read(image)
    missing = [name for name in (begins, *counted) if name not in symbols]
    if missing:
        raise BuildError(
            "the image lacks functions to count in", value=", ".join(missing), remedy="semflash build again"
        )
    lines = [f"m {flash.origin:x} {flash.origin + flash.size_bytes:x}"]
    lines += [f"f {_numbers(model)}" for model in models]
    lines += [f"i {i.address:x} {i.kind} {i.words:x} {i.flow}" for i in instructions(image)]
    lines += [f"h {address:x}" for address in sorted(vectors)]
    lines += [f"n {symbols[begins][0]:x}", *(f"c {symbols[name][0]:x}" for name in counted)]
    if LAYER_CALLS in symbols:
        lines += [f"b {symbols[name][0]:x}" for name in LAYER_BEGINS if name in symbols]
        lines.append(f"e {symbols[LAYER_ENDS][0]:x}")
        address, size = symbols[LAYER_CALLS]
        lines.append(f"s {address:x} {size // 4:x}")
    return "\n".join(lines) + "\n"


def _numbers(model: FlashModel) -> str:
    fields: Iterable[int] = (
        model.lines,
        model.line_bytes,
        model.data_lines,
        model.data_line_bytes,
        model.wait_states,
        int(model.prefetch),
    )
    return " ".join(f"{value:x}" for value in fields)


def _read(image: Path) -> tuple[dict[str, tuple[int, int]], set[int]]:
    """Symbols by name, (address, bytes); and where interrupts lead to, but reset."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with image.open("rb") as file:
            elf: Any = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            found = {
                symbol.name: (symbol["st_value"] & ~1, symbol["st_size"])
                for symbol in (table.iter_symbols() if table is not None else ())
                if symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT")
            }
            section = elf.get_section_by_name(".isr_vector")
            data = b"" if section is None else section.data()
    except (ELFError, OSError) as error:
        raise BuildError("the image cannot be read", value=image, remedy="semflash build again") from error
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) - 3, 4)]
    return found, {word & ~1 for word in words[_STACK_AND_RESET:] if word & 1}
