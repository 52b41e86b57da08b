"""Random stages of tokens in real numbers, their integers, and programs that hold them. No network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.token_side import LinearSpec, NormSpec, TokenBlockSpec, TokensStage
from semflash.conversion.graphs import Int8Output
from semflash.conversion.tokens import quantise_tokens, token_tensors
from semflash.program.controls import Control
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.program import Program
from semflash.program.quality import Snr
from semflash.program.stages import Graph
from semflash.program.tensors import Tensor, Values
from semflash.program.tokens.stages import SendTokens

#: Scale and zero point of the features.
SCALE, ZERO_POINT = 0.05, 7


@dataclass(frozen=True)
class Sizes:
    """Of a stage: tokens in rows and columns, and the widths of its parts."""

    rows: int = 8
    columns: int = 8
    width: int = 48
    heads: int = 3
    hidden: tuple[int, ...] = (96, 96)
    each: tuple[int, ...] = (2, 4, 8, 24)
    slack: int = 8


SCENES = Sizes()
SMALL = Sizes(rows=3, columns=5, width=16, heads=2, hidden=(24, 8, 32), each=(1, 8), slack=0)
LONE = Sizes(rows=1, columns=1, width=8, heads=1, hidden=(4,), each=(3,), slack=0)


def _linear(rng: np.random.Generator, inputs: int, outputs: int, gain: float = 1.0) -> LinearSpec:
    kernel = rng.standard_normal((inputs, outputs)) * gain / np.sqrt(inputs)
    return LinearSpec(kernel.astype(np.float32), (0.1 * rng.standard_normal(outputs)).astype(np.float32))


def _norm(rng: np.random.Generator, width: int) -> NormSpec:
    scale = 1 + 0.2 * rng.standard_normal(width)
    return NormSpec(scale.astype(np.float32), (0.1 * rng.standard_normal(width)).astype(np.float32))


def _block(rng: np.random.Generator, width: int, hidden: int) -> TokenBlockSpec:
    return TokenBlockSpec(
        gate=LinearSpec(_linear(rng, width, 1).kernel, np.array([0.5], np.float32)),
        threshold=_linear(rng, width, 1),
        before=_norm(rng, width),
        qkv=_linear(rng, width, 3 * width, 1.5),
        out=_linear(rng, width, width, 0.5),
        between=_norm(rng, width),
        wide=_linear(rng, width, hidden, 1.5),
        narrow=_linear(rng, hidden, width, 0.5),
    )


def stage(sizes: Sizes = SCENES, seed: int = 0) -> TokensStage:
    """A stage of random weights."""
    rng = np.random.default_rng(seed)
    tokens, width = sizes.rows * sizes.columns, sizes.width
    return TokensStage(
        source="features",
        output="levels",
        symbols=tuple(f"symbols_{choice}" for choice in range(1, len(sizes.each) + 1)),
        share="alpha",
        choice="symbols",
        each=sizes.each,
        heads=sizes.heads,
        slack=sizes.slack,
        places=(0.3 * rng.standard_normal((tokens, width))).astype(np.float32),
        every=rng.standard_normal(width).astype(np.float32),
        none=rng.standard_normal(width).astype(np.float32),
        blocks=tuple(_block(rng, width, hidden) for hidden in sizes.hidden),
        encoder=_linear(rng, width, 2 * sizes.each[-1]),
    )


def features(sizes: Sizes, count: int, seed: int = 1) -> NDArray[np.int8]:
    """Features of some images, int8 (count, rows, columns, width)."""
    rng = np.random.default_rng(seed)
    real = rng.standard_normal((count, sizes.rows, sizes.columns, sizes.width))
    return np.clip(np.rint(real / SCALE) + ZERO_POINT, -128, 127).astype(np.int8)


def real_features(int8: NDArray[np.int8]) -> NDArray[np.float64]:
    """What they stand for."""
    return SCALE * (int8.astype(np.float64) - ZERO_POINT)


def integers(sizes: Sizes, seed: int = 0) -> SendTokens:
    """The integers of :func:`stage`, calibrated on some features."""
    output = Int8Output((sizes.rows, sizes.columns, sizes.width), SCALE, ZERO_POINT)
    return quantise_tokens(stage(sizes, seed), output, real_features(features(sizes, 40, 2)))


def program(sizes: Sizes, tokens: SendTokens) -> Program:
    """A program whose graph ``stem`` gives the features of an image of 8 pixels for each token."""
    shape = (sizes.rows, sizes.columns, sizes.width)
    symbols, levels = token_tensors(stage(sizes), shape, {})
    image = Tensor("image", (8 * sizes.rows, 8 * sizes.columns, 3), Values(1 / 255, -128))
    last = len(sizes.each) - 1
    regions = tuple(Region(each.name, 8, items=Exactly("levels", n)) for n, each in enumerate(symbols, 1))
    return Program(
        "image",
        (image, Tensor("features", shape, Values(SCALE, ZERO_POINT)), *symbols, levels),
        (Graph("stem", ("image",), ("features",)), tokens),
        Layout(regions, head=Head("levels", (), "protect")),
        Snr(-20.0, 20.0),
        (
            Control("alpha", 1, 1, 255, 51, "share"),
            Control("symbols", 2, 0, last, 0, "entry"),
            Control("protect", 3, 0, 1, 1, "entry"),
        ),
    )
