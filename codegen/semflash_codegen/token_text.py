"""The stage that sends tokens as C, its size in flash and the memory it works in.

The structs are those of device/include/semflash/tokens.h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semflash.program.program import Program
from semflash.program.tokens.stages import Block, Product, SendTokens
from semflash_codegen.c_text import array, struct, structs

#: Values that one word of weights holds, outputs whose words lie together, and the order of a word's bytes:
#: the device widens those at even places and those at odd ones, each to one pair.
_VALUES, _TOGETHER, _PLACES = 4, 2, (0, 2, 1, 3)
#: Rows behind those of the tokens: the budget token's, and a spare one.
_MORE_ROWS = 2

Fields = list[tuple[str, str]]


def memory_bytes(program: Program, stage: SendTokens) -> int:
    """sf_tokens_memory()."""
    width = program.tensor(stage.source).shape[2]
    tokens = program.tensor(stage.output).items
    rows = tokens + _MORE_ROWS
    numbers = max(rows, 2 * len(stage.encoder_bias))
    halfwords = 4 * rows * width + 2 * width + 2 * _hidden(stage) + rows
    return 4 * numbers + 2 * (halfwords + halfwords % 2) + -(-tokens // 4) * 4


def _hidden(stage: SendTokens) -> int:
    return max(len(block.wide.bias) for block in stage.blocks)


def token_table_sizes(stage: SendTokens) -> list[int]:
    """Bytes of each of the stage's sets of integers."""
    own = 2 * (len(stage.places) + 2 * len(stage.every) + len(stage.exponentials))
    encoder = len(stage.encoder) + 4 * len(stage.encoder_bias)
    return [own + encoder, *(_block_bytes(block) for block in stage.blocks)]


def _block_bytes(block: Block) -> int:
    products = (block.qkv, block.out, block.wide, block.narrow)
    return 4 * len(block.gate.gate) + sum(len(each.weights) + 8 * len(each.bias) for each in products)


def ordered_weights(weights: Sequence[int], outputs: int) -> list[int]:
    """Weights in the order of the device: those of two outputs together, four values of each in turn.

    >>> ordered_weights([1, 2, 3, 4, 5, 6, 7, 8], 2)
    [1, 3, 2, 4, 5, 7, 6, 8]
    """
    inputs = len(weights) // outputs
    rows = [weights[at : at + inputs] for at in range(0, len(weights), inputs)]
    ordered: list[int] = []
    for first in range(0, outputs, _TOGETHER):
        for at in range(0, inputs, _VALUES):
            for row in rows[first : first + _TOGETHER]:
                ordered += [row[at + place] for place in _PLACES]
    return ordered


def tokens_text(
    program: Program,
    stage: SendTokens,
    name: str,
    numbers: Mapping[str, int],
    controls: Mapping[str, int],
) -> str:
    """The tables of the stage, and its struct.

    Args:
        numbers: Of the tensors.
        controls: Numbers of the controls.
    """
    source = program.tensor(stage.source)
    widths = [program.tensor(each).shape[1] for each in stage.symbols]
    blocks = [_block_text(block, f"{name}_{number}") for number, block in enumerate(stage.blocks, 1)]
    encoder, fields_of_encoder = _product_text(f"{name}_encoder", stage.encoder, stage.encoder_bias, None, 0)
    tables: tuple[tuple[str, str, Sequence[int]], ...] = (
        ("outputs", "uint8_t", [numbers[each] for each in stage.symbols]),
        ("values", "uint8_t", widths),
        ("places", "int16_t", stage.places),
        ("every", "int16_t", stage.every),
        ("none", "int16_t", stage.none),
        ("exponentials", "uint16_t", stage.exponentials),
    )
    text = "".join(each for each, _ in blocks) + encoder
    text += "".join(
        array(ctype, f"{name}_{part}", values, alignment=4 if ctype == "int16_t" else 0)
        for part, ctype, values in tables
    )
    text += structs("sf_token_block_t", f"{name}_blocks", [fields for _, fields in blocks])
    fields = [
        ("tokens", str(program.tensor(stage.output).items)),
        ("heads", str(stage.heads)),
        ("slack", str(stage.slack)),
        ("choices", str(len(stage.symbols))),
        ("choice", str(controls[stage.choice])),
        ("n_blocks", str(len(stage.blocks))),
        ("shift", str(stage.shift)),
        ("width", str(source.shape[2])),
        ("hidden", str(_hidden(stage))),
        ("zero_point", str(source.holds.zero_point)),  # type: ignore[union-attr]
        ("multiplier", str(stage.multiplier)),
        *((part, f"{name}_{part}") for part, _, _ in tables),
        ("blocks", f"{name}_blocks"),
        ("encoder", fields_of_encoder),
    ]
    return text + struct("sf_tokens_t", name, fields) + "\n"


def _block_text(block: Block, name: str) -> tuple[str, Fields]:
    """The tables of a block, and the fields of its struct."""
    text, fields = "", list[tuple[str, str]]()
    gate = block.gate
    for part, weights in (("gate", gate.gate), ("threshold", gate.threshold)):
        text += array("int16_t", f"{name}_{part}", weights, alignment=4)
    fields.append(
        (
            "gate",
            f"{{{name}_gate, {name}_threshold, {gate.gate_bias}, {gate.threshold_bias}}}",
        )
    )
    for part, product in _products(block):
        more, given = _product_text(
            f"{name}_{part}", product.weights, product.bias, product.multiplier, product.shift
        )
        text += more
        fields.append((part, given))
    fields += [
        ("score_multiplier", str(block.score_multiplier)),
        ("score_shift", str(block.score_shift)),
    ]
    return text, fields


def _products(block: Block) -> tuple[tuple[str, Product], ...]:
    return ("qkv", block.qkv), ("out", block.out), ("wide", block.wide), ("narrow", block.narrow)


def _product_text(
    name: str, weights: Sequence[int], bias: Sequence[int], multiplier: Sequence[int] | None, shift: int
) -> tuple[str, str]:
    """The tables of a linear map, and its sf_product_t."""
    inputs = len(weights) // len(bias)
    text = array("int8_t", f"{name}_weights", ordered_weights(weights, len(bias)), alignment=4)
    text += array("int32_t", f"{name}_bias", bias)
    if multiplier is not None:
        text += array("int32_t", f"{name}_multiplier", multiplier)
    last = "NULL" if multiplier is None else f"{name}_multiplier"
    return text, f"{{{inputs}, {len(bias)}, {shift}, {name}_weights, {name}_bias, {last}}}"
