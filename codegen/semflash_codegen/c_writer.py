"""The generated files: header with the sizes, source with graphs and program."""

from __future__ import annotations

from collections.abc import Sequence

from semflash_codegen.c_text import comment, define
from semflash_codegen.graph import CompiledGraph
from semflash_codegen.program import RUNTIME_API, Memory, program_text
from semflash_codegen.request import CodegenRequest, Report


def header(graphs: Sequence[CompiledGraph], request: CodegenRequest, report: Report) -> str:
    """Text of sf_model.h: sizes, version guard, static asserts against the board."""
    first, regions = graphs[0], request.program.payload.regions
    macro = request.macro
    constants = (
        ("ROWS", first.rows),
        ("ROW_BYTES", first.row_bytes),
        ("LATENT_POSITIONS", first.positions),
        ("LATENT_CHANNELS", first.channels),
        ("BITS_PER_SYMBOL", regions[0].bits),
        ("PAYLOAD_BYTES", request.program.payload_bytes_max),
        ("STATE_BYTES", report.state_bytes),
        ("FLASH_BYTES", f"{report.constant_bytes} /* weights and tables */"),
        ("MACS", report.macs),
        ("BUNDLE_HASH", f"{request.bundle_hash32:#010x}u"),
    )
    parts = [
        banner(request, f"{request.prefix}.h"),
        f'#ifndef {macro}_H\n#define {macro}_H\n\n#include "semflash/encoder.h"\n\n',
        f"#if SF_RUNTIME_API != {RUNTIME_API}\n"
        f'#error "generated for semflash runtime API {RUNTIME_API}: generate it again"\n#endif\n\n',
        "".join(define(f"{macro}_{name}", value) for name, value in constants),
        "\n",
        _board_asserts(request),
        f"extern const sf_program_t {request.prefix};\n\n#endif\n",
    ]
    return "".join(parts)


def source(
    graphs: Sequence[CompiledGraph], memory: Memory, request: CodegenRequest, report: Report, include: str
) -> str:
    """Text of sf_model.c: graphs and program; `include`: lines with what the graphs' C needs."""
    return "".join(
        [
            banner(request, f"{request.prefix}.c"),
            f'#include "{request.prefix}.h"\n\n{include}',
            *(graph.text() for graph in graphs),
            program_text(request.program, graphs, memory, request.prefix, report.engine),
        ]
    )


def banner(request: CodegenRequest, name: str) -> str:
    """The comment that every generated file begins with."""
    return (
        f"/* {name}: made by semflash from bundle {comment(request.model_name)}. Do not edit.\n"
        f" * bundle hash {request.bundle_hash} */\n"
    )


def _board_asserts(request: CodegenRequest) -> str:
    text = ""
    for what, limit in (("FLASH", request.flash_bytes), ("STATE", request.ram_bytes)):
        if limit is not None:
            room = {"FLASH": "flash", "STATE": "RAM"}[what]
            text += (
                f"_Static_assert({request.macro}_{what}_BYTES <= {limit}, "
                f'"the model does not fit into the {limit} bytes of the board\'s {room}");\n'
            )
    return text + "\n" if text else ""
