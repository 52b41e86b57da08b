"""What the device does with tokens, in real numbers: the formulas that its integers stand for, float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.token_side import LinearSpec, NormSpec, TokenBlockSpec, TokensStage
from semflash.program.tokens.stages import LARGEST, SHARE_MAX, VALUE_STEPS, kept_at_most

Real = NDArray[np.float64]
EPSILON = 1e-5
#: Power of a real value: a complex symbol has I^2 + Q^2 = 1 on average.
VALUE_POWER = 0.5


@dataclass
class Ranges:
    """The largest magnitudes on the way, by name."""

    found: dict[str, float] = field(default_factory=dict)

    def look(self, name: str, values: Real) -> None:
        """Take some values into account."""
        self.found[name] = max(self.found.get(name, 0.0), float(np.abs(values).max(initial=0.0)))


@dataclass(frozen=True)
class SentReal:
    """What is left of an image: numbers of the kept tokens (k,), and the tokens (k, width)."""

    places: NDArray[np.int64]
    tokens: Real


Look = Callable[[str, Real], None]


def linear(x: Real, spec: LinearSpec) -> Real:
    """``x @ kernel + bias``."""
    return x @ np.asarray(spec.kernel, np.float64) + np.asarray(spec.bias, np.float64)


def norm(x: Real, spec: NormSpec) -> Real:
    """Layer normalisation."""
    centred = x - x.mean(axis=1, keepdims=True)
    sound = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPSILON)
    return sound * np.asarray(spec.scale, np.float64) + np.asarray(spec.shift, np.float64)


def kept(x: Real, block: TokenBlockSpec, most: int) -> NDArray[np.bool_]:
    """Which of the tokens before the last one stay."""
    gates = linear(x[:-1], block.gate)[:, 0]
    threshold = float(linear(x[-1:], block.threshold)[0, 0])
    ranks = np.empty(len(gates), np.int64)
    ranks[np.argsort(-gates, kind="stable")] = np.arange(len(gates))
    return np.asarray(((gates > threshold) & (ranks < most)) | (ranks == 0))


def transform(x: Real, block: TokenBlockSpec, heads: int, look: Look) -> Real:
    """Tokens behind a block."""
    width = x.shape[1]
    each = width // heads
    query, key, value = np.split(linear(norm(x, block.before), block.qkv), 3, axis=1)
    for name, part in (("query", query), ("key", key), ("value", value)):
        look(name, part)
    found = np.empty_like(x)
    for first in range(0, width, each):
        span = slice(first, first + each)
        scores = query[:, span] @ key[:, span].T / np.sqrt(each)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        found[:, span] = shares @ value[:, span] / shares.sum(axis=1, keepdims=True)
    x = x + linear(found, block.out)
    look("stream", x)
    hidden = np.maximum(linear(norm(x, block.between), block.wide), 0.0)
    look("hidden", hidden)
    x = x + linear(hidden, block.narrow)
    look("stream", x)
    return x


def budget(stage: TokensStage, share: int) -> Real:
    """The budget token (width,)."""
    alpha = share / SHARE_MAX
    return alpha * np.asarray(stage.every, np.float64) + (1.0 - alpha) * np.asarray(stage.none, np.float64)


def send(stage: TokensStage, features: Real, share: int, ranges: list[Ranges] | None = None) -> SentReal:
    """What is left of one image.

    Args:
        features: (rows, columns, width).
        share: alpha in 1/255.
        ranges: One for each block, to be widened by what is seen; None: nobody looks.
    """
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    tokens = flat + np.asarray(stage.places, np.float64)
    x = np.concatenate([tokens, budget(stage, share)[None]])
    places, most = np.arange(len(tokens)), kept_at_most(len(tokens), share, stage.slack)
    for number, block in enumerate(stage.blocks):
        look = _nobody if ranges is None else ranges[number].look
        look("stream", x)
        left = kept(x, block, most)
        places = places[left]
        x = transform(x[np.append(left, True)], block, stage.heads, look)
    return SentReal(places, x[:-1])


def _nobody(name: str, values: Real) -> None:
    del name, values


def symbols(stage: TokensStage, tokens: Real, count: int) -> NDArray[np.int8]:
    """Steps int8 (k, count) of values of mean power 1/2."""
    values = linear(tokens, stage.encoder)[:, :count]
    power = np.sqrt((values * values).mean(axis=1, keepdims=True) / VALUE_POWER)
    scaled = np.divide(values, power, out=np.zeros_like(values), where=power > 0) * VALUE_STEPS
    return np.clip(np.rint(scaled), -LARGEST, LARGEST).astype(np.int8)


def codes(
    stage: TokensStage, features: NDArray[np.floating], share: int, choice: int
) -> dict[str, NDArray[np.uint8] | NDArray[np.int8]]:
    """Levels and symbols of N images by tensor, as the device's program names them.

    Args:
        features: (N, rows, columns, width).
        share: alpha in 1/255.
        choice: Of symbols, from 0 on.
    """
    images, rows, columns, _ = features.shape
    levels = np.zeros((images, rows * columns), np.uint8)
    values = [np.zeros((images, rows * columns, 2 * each), np.int8) for each in stage.each]
    for number, image in enumerate(features):
        sent = send(stage, image, share)
        levels[number, sent.places] = choice + 1
        values[choice][number, sent.places] = symbols(stage, sent.tokens, 2 * stage.each[choice])
    found: dict[str, NDArray[np.uint8] | NDArray[np.int8]] = {
        stage.output: levels.reshape(images, rows, columns)
    }
    return found | dict(zip(stage.symbols, values, strict=True))
