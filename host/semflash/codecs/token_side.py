"""Tokens of features, of which only those that matter are sent: a stage of the device in real numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LinearSpec:
    """A linear map ``x @ kernel + bias``.

    Attributes:
        kernel: float32 (n, J).
        bias: float32 (J,).
    """

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class NormSpec:
    """What follows a normed token: ``y * scale + shift``.

    Attributes:
        scale: float32 (n,).
        shift: float32 (n,).
    """

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class TokenBlockSpec:
    """A gate, and a pre-normed transformer block behind it.

    Attributes:
        gate: Of a token, to one number; it stays where that is above the threshold.
        threshold: Of the budget token, to one number.
        before: Of the norm before the attention.
        qkv: To queries, keys and values of all heads, one behind the other.
        out: Of the attended values.
        between: Of the norm before the perceptron.
        wide: To the hidden layer, which a ReLU follows.
        narrow: Of the hidden layer.
    """

    gate: LinearSpec
    threshold: LinearSpec
    before: NormSpec
    qkv: LinearSpec
    out: LinearSpec
    between: NormSpec
    wide: LinearSpec
    narrow: LinearSpec


@dataclass(frozen=True)
class TokensStage:
    """Turns features into tokens, drops those that do not matter, and sends symbols of those that are left.

    Attributes:
        source: The tensor of values (rows, columns, n) that a graph writes.
        output: The tensor of codes (rows, columns): 0 for a dropped token, else one more than the choice.
        symbols: A tensor of values for each choice, (rows * columns, 2 c), of power 1/2 each.
        share: The control that is alpha in 1/255.
        choice: The control that chooses how many symbols a token has.
        each: c of each choice, rising.
        heads: Of the attention.
        slack: Tokens beyond alpha of all that may be sent.
        places: float32 (tokens, n), added to the features.
        every: float32 (n,), the budget token of alpha 1.
        none: float32 (n,), that of alpha 0.
        blocks: In their order.
        encoder: To the values of the most symbols.
    """

    source: str
    output: str
    symbols: tuple[str, ...]
    share: str
    choice: str
    each: tuple[int, ...]
    heads: int
    slack: int
    places: np.ndarray
    every: np.ndarray
    none: np.ndarray
    blocks: tuple[TokenBlockSpec, ...]
    encoder: LinearSpec
