"""The stage that keeps the tokens of an image that matter, and sends their symbols: an integer transformer.

Its Python twin is ``reference/tokens.py``, its C ``device/stages/tokens.c``; docs/tokens.md works it through.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from semflash.fields import Int8, Int32, Name

#: alpha 1, in steps of a control.
SHARE_MAX = 255
#: Most values of a token, of its perceptron's hidden layer, heads and blocks.
WIDTH_MAX, HIDDEN_MAX, HEADS_MAX, BLOCKS_MAX = 128, 512, 16, 8
#: Values of a normed token have 11 bits behind the point; queries, keys and values 12 bits and a sign.
NORM_BITS, ATTENDED_MAX = 11, 4095
#: Entries of the table of exponentials, and by how many a difference of 1 moves.
EXP_ENTRIES, EXP_STEPS = 256, 16
#: Steps of a sent value: mean power 1/2 is 1/sqrt(2) of 40, and the largest is 127.
VALUE_STEPS, LARGEST = 40, 127
VALUE_STEP = 1.0 / VALUE_STEPS

Int16 = Annotated[int, Meta(ge=-(1 << 15), le=(1 << 15) - 1)]
Multiplier = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
#: Bits that a product with a multiplier is shifted right by, rounded half up.
Shift = Annotated[int, Meta(ge=33, le=62)]


def kept_at_most(tokens: int, share: int, slack: int) -> int:
    """The most of so many tokens that are sent at alpha in 1/255: alpha of them, rounded up, and the slack.

    >>> [kept_at_most(64, share, 8) for share in (1, 51, 128, 255)]
    [9, 21, 41, 64]
    """
    return min(tokens, -(-tokens * share // SHARE_MAX) + slack)


class Product(Struct, frozen=True, forbid_unknown_fields=True):
    """The integers of a linear map of n values to J.

    With sums in int32 and ``>>`` rounding down:

        sum[j]    = bias[j] + sum_i weights[j, i] source[i]
        output[j] = (sum[j] multiplier[j] + 2^(shift - 1)) >> shift

    Attributes:
        weights: J*n integers, int8; ``weights[j * n + i]`` weighs value i in output j.
        bias: J integers.
        multiplier: J integers.
        shift: Of all outputs.
    """

    weights: Annotated[list[Int8], Meta(max_length=1 << 16)]
    bias: Annotated[list[Int32], Meta(max_length=HIDDEN_MAX)]
    multiplier: Annotated[list[Multiplier], Meta(max_length=HIDDEN_MAX)]
    shift: Shift


class TokenGate(Struct, frozen=True, forbid_unknown_fields=True):
    """Two weighted sums of the stream in one scale: a token stays where its own is above the budget token's.

    Attributes:
        gate: An integer for each value of a token.
        gate_bias: Added to each token's sum.
        threshold: An integer for each value of the budget token.
        threshold_bias: Added to its sum.
    """

    gate: Annotated[list[Int16], Meta(max_length=WIDTH_MAX)]
    gate_bias: Int32
    threshold: Annotated[list[Int16], Meta(max_length=WIDTH_MAX)]
    threshold_bias: Int32


class Block(Struct, frozen=True, forbid_unknown_fields=True):
    """A gate and a pre-normed transformer block behind it; the norms' scales and shifts are in the products.

    Attributes:
        gate: Which tokens stay.
        qkv: Of a normed token: queries, keys and values of all heads, one behind the other.
        out: Of the attended values, added to the stream.
        wide: Of a normed token: the hidden layer, before its ReLU.
        narrow: Of the hidden layer, added to the stream.
        score_multiplier: Of a difference of products of query and key, to sixteenths of the exponent ...
        score_shift: ... shifted right by so much.
    """

    gate: TokenGate
    qkv: Product
    out: Product
    wide: Product
    narrow: Product
    score_multiplier: Multiplier
    score_shift: Shift


class SendTokens(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tokens"):
    """Tokens of int8 features: blocks with gates, and the symbols of the tokens that are left.

    The features become the tokens of a stream of int16 values:

        x[n, c] = saturate(((source[n, c] - zero point) multiplier + 2^(shift - 1) >> shift) + places[n, c])

    A budget token, ``(a every + (255 - a) none) / 255`` rounded, with alpha a in 1/255, goes along as the
    last one and is never dropped. ``reference/tokens.py`` has every step in integers.

    Attributes:
        source: The tensor of values (rows, columns, width).
        output: The tensor of codes (rows, columns): 0 for a token that was dropped, else one more than the
            choice of symbols.
        symbols: A tensor of int8 values for each choice, (tokens, 2 c); rows of dropped tokens are 0.
        share: The control that is alpha in 1/255.
        choice: The control that chooses how many symbols a token has.
        heads: Of the attention.
        slack: Tokens beyond alpha of all that may be sent.
        multiplier: Of the features ...
        shift: ... and by how much the product is shifted right.
        places: tokens * width integers.
        every: The budget token of alpha 1.
        none: That of alpha 0.
        exponentials: Round(4095 exp(-i / 16)), the last one 0.
        blocks: In their order.
        encoder: Int8 weights of the symbols' values, as :class:`Product` has them; its first 2 c outputs
            serve every choice, and the power normalisation takes up its scale.
        encoder_bias: Of each.
    """

    source: Name
    output: Name
    symbols: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=7)]
    share: Name
    choice: Name
    heads: Annotated[int, Meta(ge=1, le=HEADS_MAX)]
    slack: Annotated[int, Meta(ge=0, le=64)]
    multiplier: Annotated[int, Meta(ge=1, lt=1 << 22)]
    shift: Annotated[int, Meta(ge=1, le=20)]
    places: Annotated[list[Int16], Meta(max_length=64 * WIDTH_MAX)]
    every: Annotated[list[Int16], Meta(max_length=WIDTH_MAX)]
    none: Annotated[list[Int16], Meta(max_length=WIDTH_MAX)]
    exponentials: Annotated[
        list[Annotated[int, Meta(ge=0, le=4095)]], Meta(min_length=EXP_ENTRIES, max_length=EXP_ENTRIES)
    ]
    blocks: Annotated[tuple[Block, ...], Meta(min_length=1, max_length=BLOCKS_MAX)]
    encoder: Annotated[list[Int8], Meta(max_length=1 << 16)]
    encoder_bias: Annotated[list[Int32], Meta(max_length=WIDTH_MAX)]
