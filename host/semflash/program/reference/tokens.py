"""Tokens that matter and their symbols (``device/stages/tokens.c``), from their definition and not from
the C.

Everything is a whole number; ``>>`` and ``//`` round down. docs/tokens.md works one token through.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semflash.program.tokens.stages import (
    ATTENDED_MAX,
    EXP_ENTRIES,
    LARGEST,
    NORM_BITS,
    SHARE_MAX,
    VALUE_STEPS,
    Block,
    Product,
    SendTokens,
    TokenGate,
    kept_at_most,
)

Integers = NDArray[np.int64]
INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
#: Bits that the encoder's values are brought to before they are squared.
VALUE_BITS = 15
#: 40 / sqrt(2) in Q11: a value of mean power 1/2 in steps of what is sent.
GAIN_BITS = 11
GAIN = round(VALUE_STEPS / 2**0.5 * 2**GAIN_BITS)


class Sent(NamedTuple):
    """What is left of an image.

    Attributes:
        places: Numbers of the kept tokens, rising, (k,).
        symbols: int8 (k, 2 c).
    """

    places: Integers
    symbols: NDArray[np.int8]


def rescale(sums: Integers, multiplier: Integers | int, shift: int) -> Integers:
    """``sums * multiplier / 2^shift``, halves up; the sums are of 32 bits."""
    return (sums * multiplier + (1 << (shift - 1))) >> shift


def saturate(values: Integers) -> Integers:
    """To 16 bits."""
    return np.clip(values, INT16_MIN, INT16_MAX)


def inverse_deviation(variance: Integers) -> tuple[Integers, Integers]:
    """R and e, so that 1 / sqrt(variance) is about ``R 2^e / 2^32``; a variance of 0 counts as 1.

    The variance, below 2^32, is shifted left by 2 e so that it has 31 or 32 bits; R is ``(2^32 - 1) //
    root`` of the whole root of that, which has 16 bits.
    """
    sound = np.maximum(variance, 1)
    exponent = (32 - np.frexp(sound.astype(np.float64))[1].astype(np.int64)) // 2
    root = np.floor(np.sqrt((sound << 2 * exponent).astype(np.float64))).astype(np.int64)
    return ((1 << 32) - 1) // root, exponent


def norm(x: Integers) -> Integers:
    """Tokens (n, d) less their mean over their deviation, 11 bits behind the point, of 16 bits."""
    width = x.shape[1]
    centred = x - ((x.sum(axis=1, keepdims=True) + width // 2) // width)
    inverse, exponent = inverse_deviation((centred * centred).sum(axis=1, keepdims=True) // width)
    shift = 32 - NORM_BITS - exponent
    return saturate((centred * inverse + (np.int64(1) << (shift - 1))) >> shift)


def product(x: Integers, table: Product) -> Integers:
    """A linear map (n, values) to (n, outputs)."""
    weights = np.array(table.weights, np.float64).reshape(len(table.bias), x.shape[1])
    # whole numbers below 2^31, which float64 adds up exactly, and much faster than int64
    sums = (x.astype(np.float64) @ weights.T).astype(np.int64) + np.array(table.bias, np.int64)
    return rescale(sums, np.array(table.multiplier, np.int64), table.shift)


def budget(stage: SendTokens, share: int) -> Integers:
    """The budget token (width,) of alpha in 1/255."""
    every, none = np.array(stage.every, np.int64), np.array(stage.none, np.int64)
    return (share * every + (SHARE_MAX - share) * none + SHARE_MAX // 2) // SHARE_MAX


def kept(x: Integers, gate: TokenGate, most: int) -> NDArray[np.bool_]:
    """Which of the tokens before the last one, the budget's, stay, (n - 1,)."""
    gates = x[:-1] @ np.array(gate.gate, np.int64) + gate.gate_bias
    threshold = int(x[-1] @ np.array(gate.threshold, np.int64)) + gate.threshold_bias
    ranks = np.empty(len(gates), np.int64)
    ranks[np.argsort(-gates, kind="stable")] = np.arange(len(gates))
    return np.asarray(((gates > threshold) & (ranks < most)) | (ranks == 0))


def attend(qkv: Integers, stage: SendTokens, block: Block) -> Integers:
    """What the tokens take from each other, (n, width), of queries, keys and values (n, 3 width)."""
    count, width = len(qkv), qkv.shape[1] // 3
    each = width // stage.heads
    table, found = np.array(stage.exponentials, np.int64), np.empty((count, width), np.int64)
    for head in range(stage.heads):
        query, key, value = (
            qkv[:, part * width + head * each : part * width + (head + 1) * each].astype(np.float64)
            for part in range(3)
        )
        scores = (query @ key.T).astype(np.int64)
        below = scores.max(axis=1, keepdims=True) - scores
        steps = rescale(below, block.score_multiplier, block.score_shift)
        weights = table[np.minimum(steps, EXP_ENTRIES - 1)]
        sums = (weights.astype(np.float64) @ value).astype(np.int64)
        inverse = (1 << 32) // weights.sum(axis=1, keepdims=True)
        found[:, head * each : (head + 1) * each] = rescale(sums, inverse, 32)
    return found


def transform(x: Integers, stage: SendTokens, block: Block) -> Integers:
    """The stream (n, width) behind a block."""
    qkv = np.clip(product(norm(x), block.qkv), -ATTENDED_MAX, ATTENDED_MAX)
    x = saturate(x + product(attend(qkv, stage, block), block.out))
    hidden = np.clip(product(norm(x), block.wide), 0, INT16_MAX)
    return saturate(x + product(hidden, block.narrow))


def symbols(x: Integers, stage: SendTokens, count: int) -> NDArray[np.int8]:
    """Values (k, count) of mean power 1/2 in steps of 1/40, of tokens (k, width); zeros of zeros."""
    weights = np.array(stage.encoder, np.int64).reshape(len(stage.encoder_bias), x.shape[1])[:count]
    sums = x @ weights.T + np.array(stage.encoder_bias[:count], np.int64)
    largest = np.abs(sums).max(axis=1, keepdims=True)
    right = np.frexp(largest.astype(np.float64))[1].astype(np.int64) - VALUE_BITS
    values = (sums << np.maximum(-right, 0)) >> np.maximum(right, 0)
    inverse, exponent = inverse_deviation((values * values).sum(axis=1, keepdims=True) // count)
    shift = 32 + GAIN_BITS - exponent
    steps = (values * (inverse * GAIN) + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(steps, -LARGEST, LARGEST).astype(np.int8)


def send(stage: SendTokens, features: NDArray[np.int8], zero_point: int, share: int, count: int) -> Sent:
    """What is left of one image.

    Args:
        stage: Checked.
        features: (rows, columns, width).
        zero_point: Of the features.
        share: alpha in 1/255.
        count: Values of a token, 2 c.
    """
    width = features.shape[-1]
    values = features.reshape(-1, width).astype(np.int64) - zero_point
    placed = np.array(stage.places, np.int64).reshape(values.shape)
    tokens = saturate(rescale(values, stage.multiplier, stage.shift) + placed)
    x = np.concatenate([tokens, budget(stage, share)[None]])
    places = np.arange(len(tokens))
    most = kept_at_most(len(tokens), share, stage.slack)
    for block in stage.blocks:
        left = kept(x, block.gate, most)
        places = places[left]
        x = transform(x[np.append(left, True)], stage, block)
    return Sent(places, symbols(x[:-1], stage, count))


def run(
    stage: SendTokens,
    features: NDArray[np.int8],
    zero_point: int,
    share: int,
    choice: int,
    widths: tuple[int, ...],
) -> tuple[NDArray[np.uint8], list[NDArray[np.int8]]]:
    """Levels uint8 (N, rows, columns), and the values int8 (N, tokens, width) of each choice, of N images.

    Args:
        features: (N, rows, columns, width).
        choice: Of symbols, from 0 on.
        widths: Values of a token by choice.
    """
    images, rows, columns, _ = features.shape
    levels = np.zeros((images, rows * columns), np.uint8)
    values = [np.zeros((images, rows * columns, width), np.int8) for width in widths]
    for number, image in enumerate(features):
        sent = send(stage, image, zero_point, share, widths[choice])
        levels[number, sent.places] = choice + 1
        values[choice][number, sent.places] = sent.symbols
    return levels.reshape(images, rows, columns), values
