"""What must be true of the stage that sends tokens, so that no sum on the device leaves its type.

Each function raises ProgramError with what, value and remedy, and returns nothing.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec import UnsetType

from semflash.program.held import codes_held
from semflash.program.layout import Exactly
from semflash.program.patch_stages import PATCHES_MAX
from semflash.program.program import Program
from semflash.program.tensors import Tensor, Values
from semflash.program.tokens.stages import (
    ATTENDED_MAX,
    HIDDEN_MAX,
    SHARE_MAX,
    VALUE_STEP,
    WIDTH_MAX,
    Block,
    Product,
    SendTokens,
    TokenGate,
)
from semflash.program.value_checks import INT32_MAX, check_choice, refuse

_INT16 = 1 << 15
#: Widest head: a difference of two scores of 64 products stays below 2^31.
EACH_MAX = 32
_WORD = 4


def check_tokens(program: Program, stage: SendTokens) -> None:
    """Shapes, controls, the payload's map, and every sum."""
    source, output = program.tensor(stage.source), program.tensor(stage.output)
    if not isinstance(source.holds, Values) or source.live is not None or len(source.shape) != 3:
        raise refuse("tokens are made of int8 features (rows, columns, values)", source.name)
    width, tokens = source.shape[2], source.items // source.shape[2]
    if tokens > PATCHES_MAX or width > WIDTH_MAX or width % _WORD:
        raise refuse(
            f"an image has at most {PATCHES_MAX} tokens of at most {WIDTH_MAX} values, a multiple of {_WORD}",
            source.shape,
        )
    if width % stage.heads or width // stage.heads > EACH_MAX or width // stage.heads % _WORD:
        raise refuse(f"a head has at most {EACH_MAX} values, a multiple of {_WORD}", (width, stage.heads))
    if output.shape != source.shape[:2] or output.live is not None:
        raise refuse("there is a level for each token", output.shape)
    _check_controls(program, stage)
    widths = _check_symbols(program, stage, tokens)
    found = (
        len(stage.places),
        len(stage.every),
        len(stage.none),
        len(stage.encoder),
        len(stage.encoder_bias),
    )
    expected = (tokens * width, width, width, width * widths[-1], widths[-1])
    if found != expected:
        raise refuse(
            "places, budget or encoder of the tokens have the wrong lengths", f"{found}, not {expected}"
        )
    _check_table(stage)
    for block in stage.blocks:
        _check_block(block, width)
    _check_sums("the symbols", stage.encoder, stage.encoder_bias, width, _INT16)


def _check_controls(program: Program, stage: SendTokens) -> None:
    share = program.control(stage.share)
    if share.low < 1 or share.high > SHARE_MAX or share.unit != "share":
        raise refuse(
            f"control {share.name} must be alpha in 1/{SHARE_MAX}, from 1 on",
            f"{share.low}..{share.high} {share.unit}",
        )
    check_choice(program, "the tokens", len(stage.symbols), stage.choice)


def _check_symbols(program: Program, stage: SendTokens, tokens: int) -> tuple[int, ...]:
    """Values of a token by choice, of which the payload sends the kept ones."""
    head = program.payload.head
    if isinstance(head, UnsetType) or head.map != stage.output:
        raise refuse("the levels of tokens must be the map in the payload's head", stage.output)
    if codes_held(program.tensor(stage.output)).levels != len(stage.symbols) + 1:
        raise refuse("there is a level for each choice of symbols", len(stage.symbols))
    widths = tuple(_width_of(program.tensor(name), tokens) for name in stage.symbols)
    if any(a >= b for a, b in pairwise(widths)):
        raise refuse("the symbols of the choices rise", widths)
    for level, name in enumerate(stage.symbols, 1):
        for region in program.payload.regions:
            if region.source == name and region.items != Exactly(stage.output, level):
                raise refuse(f"only tokens of level {level} have its symbols", name)
    return widths


def _width_of(tensor: Tensor, tokens: int) -> int:
    sound = isinstance(tensor.holds, Values) and len(tensor.shape) == 2 and tensor.live is None
    if not sound or tensor.shape[0] != tokens or tensor.shape[1] % 2 or tensor.shape[1] > WIDTH_MAX:
        raise refuse("symbols are int8 values (tokens, pairs of I and Q)", (tensor.name, tensor.shape))
    assert isinstance(tensor.holds, Values)
    if tensor.holds.zero_point != 0 or abs(tensor.holds.scale - VALUE_STEP) > 1e-6:
        raise refuse(f"a step of a symbol is {VALUE_STEP}, and its zero point 0", tensor.holds.scale)
    return tensor.shape[1]


def _check_table(stage: SendTokens) -> None:
    """One weight is always the largest, so that no sum of weights is 0."""
    table = stage.exponentials
    if table[0] != ATTENDED_MAX or table[-1] != 0 or any(a < b for a, b in pairwise(table)):
        raise refuse("the exponentials fall from 4095 to 0", (table[0], table[-1]))


def _check_block(block: Block, width: int) -> None:
    hidden = len(block.wide.bias)
    if hidden > HIDDEN_MAX or hidden % _WORD or hidden == 0:
        raise refuse(f"a hidden layer has at most {HIDDEN_MAX} values, a multiple of {_WORD}", hidden)
    _check_gate(block.gate, width)
    _check_product("queries, keys and values", block.qkv, width, 3 * width, _INT16)
    _check_product("attended values", block.out, width, width, ATTENDED_MAX)
    _check_product("the hidden layer", block.wide, width, hidden, _INT16)
    _check_product("the perceptron", block.narrow, hidden, width, _INT16)


def _check_gate(gate: TokenGate, width: int) -> None:
    for weights, bias in ((gate.gate, gate.gate_bias), (gate.threshold, gate.threshold_bias)):
        if len(weights) != width:
            raise refuse(f"a gate weighs {width} values", len(weights))
        _check_sums("a gate", weights, [bias], width, _INT16)


def _check_product(what: str, table: Product, inputs: int, outputs: int, largest: int) -> None:
    found = (len(table.weights), len(table.bias), len(table.multiplier))
    if found != (inputs * outputs, outputs, outputs):
        raise refuse(f"weights, bias, multiplier of {what} have the wrong lengths", found)
    _check_sums(what, table.weights, table.bias, inputs, largest)


def _check_sums(what: str, weights: list[int], bias: list[int], inputs: int, largest: int) -> None:
    """No sum, in any order, leaves int32."""
    for output, offset in enumerate(bias):
        row = weights[output * inputs : (output + 1) * inputs]
        most = abs(offset) + largest * sum(map(abs, row))
        if most > INT32_MAX:
            raise refuse(f"output {output} of {what} can leave int32", f"2^{most.bit_length()}")
