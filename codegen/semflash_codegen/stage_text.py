"""The integers of stages as C: tails, projections, power normalisations and orders, and their size in flash.

The structs are those of device/include/semflash/stages.h.
"""

from __future__ import annotations

from semflash.program.patch_stages import Patches, Select
from semflash.program.program import Program
from semflash.program.stages import (
    GdnTail,
    Modulate,
    Normalise,
    Order,
    Project,
    Projection,
    Stage,
    TableTail,
    Tail,
)
from semflash.program.tensors import Codes
from semflash.program.tokens.stages import SendTokens
from semflash_codegen.c_text import array, struct, structs
from semflash_codegen.errors import RequestError
from semflash_codegen.patch_text import patch_table_sizes
from semflash_codegen.token_text import token_table_sizes

#: The table of 1/sqrt in device/stages/normalise.c, which all normalisations share.
ROOTS_BYTES = 2 * 192

Fields = list[tuple[str, str]]
#: Stages that are integers alone.
Integers = Tail | Order | Modulate | Project | Normalise | Select | Patches | SendTokens


def table_bytes(program: Program) -> int:
    """Bytes of the tables of tails, projections and power normalisations in flash."""
    return sum(sum(_table_sizes(stage)) for stage in program.stages) + (
        ROOTS_BYTES if any(isinstance(stage, Normalise) for stage in program.stages) else 0
    )


def _table_sizes(stage: Stage) -> list[int]:
    """Bytes of each of a stage's sets of integers."""
    match stage:
        case Tail():
            return [
                8 * len(table.beta) + 4 * len(table.gamma) + 4 * len(table.threshold)
                if isinstance(table, GdnTail)
                else len(table.table)
                for table in stage.tables
            ]
        case Modulate():
            return [6 * len(table.multiplier) for table in stage.tables]
        case Project():
            return [
                len(t.weights) + 4 * len(t.bias) + 4 * len(t.multiplier) + len(t.shift) for t in stage.tables
            ]
        case Select() | Patches():
            return patch_table_sizes(stage)
        case SendTokens():
            return token_table_sizes(stage)
    return []


def tail_text(stage: Tail, name: str) -> str:
    """The tables of a tail, and its structs: one, or one for each value of the control."""
    text, rows = "", list[Fields]()
    for number, table in enumerate(stage.tables):
        own = name if len(stage.tables) == 1 else f"{name}_{number}"
        parts: tuple[tuple[str, str, list[int]], ...]
        fields = [("channels", str(table.channels)), ("levels", str(table.levels))]
        match table:
            case GdnTail():
                fields.append(("zero_point", str(table.zero_point)))
                parts = (
                    ("beta", "int64_t", table.beta),
                    ("gamma", "int32_t", table.gamma),
                    ("threshold", "int32_t", table.threshold),
                )
            case TableTail():
                parts = (("table", "uint8_t", table.table),)
        text += "".join(array(ctype, f"{own}_{part}", values) for part, ctype, values in parts)
        rows.append([*fields, *((part, f"{own}_{part}") for part, _, _ in parts)])
    ctype = "sf_gdn_t" if isinstance(stage.tables[0], GdnTail) else "sf_table_t"
    return text + structs(ctype, name, rows) + "\n"


def modulate_text(program: Program, stage: Modulate, name: str) -> str:
    """The integers of a modulation, and its structs; offsets hold both zero points and the rounding."""
    before, after = _zero_point(program, stage.source), _zero_point(program, stage.output)
    text, rows = "", list[Fields]()
    for number, table in enumerate(stage.tables):
        own = name if len(stage.tables) == 1 else f"{name}_{number}"
        more = (after << table.shift) + (1 << (table.shift - 1))
        offsets = [o - before * m + more for o, m in zip(table.offset, table.multiplier, strict=True)]
        parts = (("multiplier", "int16_t", table.multiplier), ("offset", "int32_t", offsets))
        text += "".join(array(ctype, f"{own}_{part}", values) for part, ctype, values in parts)
        sizes = [("channels", str(len(offsets))), ("shift", str(table.shift))]
        rows.append([*sizes, *((part, f"{own}_{part}") for part, _, _ in parts)])
    return text + structs("sf_modulate_t", name, rows) + "\n"


def project_text(program: Program, stage: Project, name: str) -> str:
    """The integers of a projection, and its structs: one, or one for each value of the control."""
    channels = program.tensor(stage.source).shape[-1]
    before, after = _zero_point(program, stage.source), _zero_point(program, stage.output)
    text, rows = "", list[Fields]()
    for number, table in enumerate(stage.tables):
        own = name if len(stage.tables) == 1 else f"{name}_{number}"
        parts = (
            ("weights", "int8_t", table.weights),
            ("bias", "int32_t", _biases(table, channels, before)),
            ("multiplier", "int32_t", table.multiplier),
            ("shift", "int8_t", table.shift),
        )
        text += "".join(array(ctype, f"{own}_{part}", values) for part, ctype, values in parts)
        sizes = [("channels", str(channels)), ("outputs", str(len(table.bias)))]
        fields = [*sizes, ("zero_point", str(after)), *((part, f"{own}_{part}") for part, _, _ in parts)]
        rows.append(fields)
    return text + structs("sf_project_t", name, rows) + "\n"


def _biases(table: Projection, channels: int, zero_point: int) -> list[int]:
    """The biases less what the source's zero point gives, so that the device need not subtract it."""
    rows = [table.weights[at : at + channels] for at in range(0, len(table.weights), channels)]
    return [bias - zero_point * sum(row) for bias, row in zip(table.bias, rows, strict=True)]


def normalise_text(program: Program, stage: Normalise, name: str) -> str:
    """The struct of a power normalisation."""
    fields = [
        ("gain", f"{stage.gain}u"),
        ("n", str(program.tensor(stage.output).items)),
        ("zero_point", str(_zero_point(program, stage.source))),
    ]
    return struct("sf_normalise_t", name, fields) + "\n"


def _zero_point(program: Program, name: str) -> int:
    holds = program.tensor(name).holds
    if isinstance(holds, Codes):
        raise RequestError("codes have no zero point", value=name)
    return holds.zero_point


def order_text(program: Program, stage: Order, name: str) -> str:
    """The struct of an order."""
    saliency = program.tensor(stage.saliency)
    fields = [
        ("positions", str(saliency.items)),
        ("channels", str(program.tensor(stage.source).shape[-1])),
        ("levels", str(saliency.holds.levels)),  # type: ignore[union-attr]
        ("step", str(stage.step)),
    ]
    return struct("sf_order_t", name, fields) + "\n"
