"""The stages of patches and the payload's head as C, and their size in flash.

The structs are those of device/include/semflash/patches.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import UnsetType

from semflash.program.held import code_bits
from semflash.program.patch_stages import Coder, Falls, Patches, Select
from semflash.program.program import Program
from semflash_codegen.c_text import array, struct, structs

#: Values that one word holds, and coefficients whose words lie together.
_VALUES, _TOGETHER = 4, 4
_CHANNELS_MAX = 3
#: In device/src/head.c: the bits of ranks, and the rows of the Golay code.
HEAD_BYTES = 1089 + 2 * 12

Fields = list[tuple[str, str]]


def head_names(program: Program) -> tuple[str, ...]:
    """The tensors of the payload's head; none where it has no head."""
    head = program.payload.head
    return () if isinstance(head, UnsetType) else (head.map, *head.also)


def pairs_bytes(program: Program, stage: Patches) -> int:
    """Memory that a stage of patches works in: the values of one patch as halfwords."""
    return 2 * _padded(_values(program, stage))


def _values(program: Program, stage: Patches) -> int:
    """Values of a patch."""
    return stage.side * stage.side * program.tensor(stage.image).shape[2]


def _padded(values: int) -> int:
    """Values of a patch, filled to whole words."""
    return -(-values // _VALUES) * _VALUES


def patch_table_sizes(stage: Select | Patches) -> list[int]:
    """Bytes of each of a stage's sets of integers."""
    if isinstance(stage, Select):
        falls = 0 if isinstance(stage.falls, UnsetType) else _falls_bytes(stage.falls)
        return [2 * len(stage.table) + 2 * len(stage.gains) + HEAD_BYTES + falls]
    background = 0 if isinstance(stage.background, UnsetType) else 4 * _CHANNELS_MAX
    return [
        len(coder.bits) * (1 + background + _padded(len(coder.weights) // len(coder.bits)))
        + 4 * len(coder.thresholds)
        for coder in stage.coders
    ]


def _falls_bytes(falls: Falls) -> int:
    picks = sum(len(level) for level in falls.picks)
    return picks + 2 * sum(len(level) for level in falls.centres) + 2 * len(falls.scales)


def select_bytes(program: Program, stage: Select) -> int:
    """Memory that a selection works in: slopes of all patches and the values of one, where it has falls."""
    if isinstance(stage.falls, UnsetType):
        return 0
    slopes = 4 * program.tensor(stage.output).items * len(stage.gains)
    values = stage.side * stage.side * program.tensor(stage.image).shape[2]
    return slopes + 2 * _padded(values)


def select_text(program: Program, stage: Select, name: str, numbers: Mapping[str, int], coders: str) -> str:
    """The tables of a selection, and its struct.

    Args:
        coders: C name of the coders that encode by its levels; it stands before this text.
    """
    rows, columns = program.tensor(stage.output).shape
    fields = [
        ("rows", str(rows)),
        ("columns", str(columns)),
        ("side", str(stage.side)),
        ("channels", str(program.tensor(stage.image).shape[2])),
        ("contrast", str(int(stage.contrast))),
        ("background", str(numbers[stage.background])),
        ("table", f"{name}_table"),
        ("gains", f"{name}_gains"),
    ]
    fields += [("absolute", "1")] if stage.absolute is True else []
    tables = array("uint16_t", f"{name}_table", stage.table) + array("uint16_t", f"{name}_gains", stage.gains)
    if not isinstance(stage.falls, UnsetType):
        tables += _falls_text(stage.falls, f"{name}_falls", coders)
        fields.append(("falls", f"&{name}_falls"))
    return tables + struct("sf_select_t", name, fields) + "\n"


def _falls_text(falls: Falls, name: str, coders: str) -> str:
    """The tables of falls, levels one behind the other, and their struct."""
    picks = [pick for level in falls.picks for pick in level]
    centres = [centre for level in falls.centres for centre in level]
    fields = [
        ("coders", coders),
        ("picks", f"{name}_picks"),
        ("centres", f"{name}_centres"),
        ("scales", f"{name}_scales"),
    ]
    return (
        array("uint8_t", f"{name}_picks", picks)
        + array("int16_t", f"{name}_centres", centres)
        + array("uint16_t", f"{name}_scales", falls.scales)
        + struct("sf_falls_t", name, fields)
    )


def coders_name(name: str) -> str:
    """Of the C table with the coders of a stage of patches."""
    return f"{name}_coders"


def patches_text(program: Program, stage: Patches, name: str, numbers: Mapping[str, int]) -> str:
    """The tables of each coder, and the structs of coders and stage."""
    rows, columns = program.tensor(stage.levels).shape
    text, coders = "", list[Fields]()
    for number, (output, coder) in enumerate(zip(stage.outputs, stage.coders, strict=True), 1):
        own = f"{name}_{number}"
        parts = (
            ("bits", "uint8_t", coder.bits),
            ("weights", "int8_t", ordered_weights(coder)),
            ("thresholds", "int32_t", coder.thresholds),
        )
        text += "".join(
            array(ctype, f"{own}_{part}", values, alignment=4 if part == "weights" else 0)
            for part, ctype, values in parts
        )
        sizes = [
            ("coefficients", str(len(coder.bits))),
            ("bytes", str(sum(coder.bits) // 8)),
            ("output", str(numbers[output])),
        ]
        row = [*sizes, *((part, f"{own}_{part}") for part, _, _ in parts)]
        if not isinstance(stage.background, UnsetType):
            sums = channel_sums(coder, program.tensor(stage.image).shape[2])
            text += array("int32_t", f"{own}_channels", sums)
            row.append(("channels", f"{own}_channels"))
        coders.append(row)
    fields = [
        ("rows", str(rows)),
        ("columns", str(columns)),
        ("side", str(stage.side)),
        ("levels", str(len(stage.coders) + 1)),
        ("channels", str(program.tensor(stage.image).shape[2])),
        ("coders", coders_name(name)),
    ]
    if not isinstance(stage.background, UnsetType):
        fields.append(("background", str(numbers[stage.background])))
    return (
        text + structs("sf_coder_t", coders_name(name), coders) + struct("sf_patches_t", name, fields) + "\n"
    )


def channel_sums(coder: Coder, channels: int) -> list[int]:
    """Of each coefficient the sum of its weights of each channel."""
    values = len(coder.weights) // len(coder.bits)
    rows = [coder.weights[at : at + values] for at in range(0, len(coder.weights), values)]
    return [sum(row[channel::channels]) for row in rows for channel in range(channels)]


def ordered_weights(coder: Coder) -> list[int]:
    """Weights in the order of the device: those of four coefficients together, what is left row by row."""
    values = len(coder.weights) // len(coder.bits)
    fill = [0] * (_padded(values) - values)
    rows = [[*coder.weights[at : at + values], *fill] for at in range(0, len(coder.weights), values)]
    whole = len(rows) - len(rows) % _TOGETHER
    ordered: list[int] = []
    for first in range(0, whole, _TOGETHER):
        for at in range(0, _padded(values), _VALUES):
            for row in rows[first : first + _TOGETHER]:
                ordered += row[at : at + _VALUES]
    return ordered + [weight for row in rows[whole:] for weight in row]


def head_text(
    program: Program, name: str, numbers: Mapping[str, int], control: Callable[[str | None], str]
) -> str:
    """The struct of the payload's head; nothing where there is none.

    Args:
        control: The number of a control, by name or None.
    """
    head = program.payload.head
    if isinstance(head, UnsetType):
        return ""
    sizes = program.map_sizes
    also: list[Fields] = [
        [
            ("tensor", str(numbers[each])),
            ("items", str(program.tensor(each).items)),
            ("bits", str(code_bits(program.tensor(each)))),
        ]
        for each in head.also
    ]
    fields = [
        ("map", str(numbers[head.map])),
        ("places", str(sizes.places)),
        ("levels", str(len(sizes.levels))),
        ("protect", control(head.protect)),
        ("n_also", str(len(also))),
        ("fixed_bits", str(sizes.fixed)),
        ("level_bits", f"{name}_levels"),
        ("also", f"{name}_also" if also else "NULL"),
        ("ops", "&sf_head_of_map"),
    ]
    text = array("uint16_t", f"{name}_levels", sizes.levels)
    text += structs("sf_also_t", f"{name}_also", also) if also else ""
    return text + struct("sf_head_t", name, fields)
