"""The device's stage of tokens as integers: scales by calibration, weights in steps of each output.

stream     int16, the largest magnitude of the calibration times 1.2 is 30,000
norm       11 bits behind the point; its scale and shift are in the product behind it
query, key, value    12 bits and a sign each, the largest magnitude times 1.05 is 4,095
hidden     15 bits, the largest magnitude times 1.05 is 32,767
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.device_side import Neutral
from semflash.codecs.token_side import LinearSpec, NormSpec, TokenBlockSpec, TokensStage
from semflash.conversion.graphs import Int8Output
from semflash.conversion.token_formula import Ranges, Real, send
from semflash.errors import ExportError
from semflash.program.tensors import Codes, Tensor, Values
from semflash.program.tokens.stages import (
    ATTENDED_MAX,
    EXP_ENTRIES,
    EXP_STEPS,
    NORM_BITS,
    SHARE_MAX,
    VALUE_STEP,
    Block,
    Product,
    SendTokens,
    TokenGate,
)

LARGEST = 127
STREAM_ROOM, STREAM_MAX = 1.2, 30_000
ROOM, HIDDEN_MAX = 1.05, 32_767
#: The largest bias of a product, and of a gate, whose weights sum to no more than this.
_BIAS_MAX, _GATE_BIAS_MAX, _GATE_SUM = 1 << 28, 150_000_000, 60_000
#: Bits of a multiplier, and the shifts that the device knows.
_MULTIPLIER_BITS, _SHIFT_LOW, _SHIFT_HIGH = 31, 33, 62
_FEATURE_BITS, _FEATURE_SHIFT_HIGH = 22, 20
#: Images of the calibration that the ranges are looked for in, each at another alpha.
CALIBRATION_IMAGES = 200
_REMEDY = "look for a diverged run"


def token_tensors(
    stage: TokensStage, shape: tuple[int, int, int], neutral: Mapping[str, Neutral]
) -> tuple[list[Tensor], Tensor]:
    """The symbols of each choice, and the levels, whose real values are their numbers.

    Args:
        shape: Of the features.
    """
    rows, columns, _ = shape
    holds = Values(VALUE_STEP, 0)
    symbols = [
        Tensor(name, (rows * columns, 2 * each), holds)
        for name, each in zip(stage.symbols, stage.each, strict=True)
    ]
    count = len(stage.each) + 1
    code = neutral.get(stage.output, Neutral())
    levels = Codes(count, tuple(float(level) for level in range(count)), code.code, code.value)
    return symbols, Tensor(stage.output, (rows, columns), levels)


def quantise_tokens(stage: TokensStage, features: Int8Output, real: NDArray[np.floating]) -> SendTokens:
    """The integers of the stage.

    Args:
        features: What the graph before it gives.
        real: Features of calibration images in real numbers, float (N, rows, columns, width).

    Raises:
        ExportError: Shapes that do not fit, or weights that are not finite or out of range.
    """
    _check(stage, features)
    ranges = calibrate(stage, real)
    largest = max(each.found["stream"] for each in ranges)
    step = STREAM_ROOM * _positive(largest, "the stream") / STREAM_MAX
    multiplier, shift = _feature_multiplier(features.scale / step)
    blocks = zip(stage.blocks, ranges, strict=True)
    encoder_step = _positive(float(np.abs(stage.encoder.kernel).max()), "the encoder") / LARGEST
    encoder_bias = np.asarray(stage.encoder.bias, np.float64) / (step * encoder_step)
    return SendTokens(
        source=stage.source,
        output=stage.output,
        symbols=stage.symbols,
        share=stage.share,
        choice=stage.choice,
        heads=stage.heads,
        slack=stage.slack,
        multiplier=multiplier,
        shift=shift,
        places=_int16(np.asarray(stage.places, np.float64) / step),
        every=_int16(np.asarray(stage.every, np.float64) / step),
        none=_int16(np.asarray(stage.none, np.float64) / step),
        exponentials=exponentials(),
        blocks=tuple(_block(block, step, found, stage.heads) for block, found in blocks),
        encoder=[
            int(v) for v in np.rint(np.asarray(stage.encoder.kernel, np.float64).T / encoder_step).ravel()
        ],
        encoder_bias=[int(v) for v in np.clip(np.rint(encoder_bias), -_BIAS_MAX, _BIAS_MAX)],
    )


def exponentials() -> list[int]:
    """Round(4095 exp(-i / 16)), the last one 0."""
    found = [round(ATTENDED_MAX * math.exp(-i / EXP_STEPS)) for i in range(EXP_ENTRIES)]
    return [*found[:-1], 0]


def calibrate(stage: TokensStage, real: NDArray[np.floating]) -> list[Ranges]:
    """The largest magnitudes in each block, of images at alphas from the least to 1."""
    ranges = [Ranges() for _ in stage.blocks]
    images = real[:CALIBRATION_IMAGES]
    for share, image in zip(np.linspace(1, SHARE_MAX, len(images)), images, strict=True):
        send(stage, np.asarray(image, np.float64), round(float(share)), ranges)
    return ranges


def _check(stage: TokensStage, features: Int8Output) -> None:
    rows, columns, width = features.shape
    shapes = [np.shape(stage.places), np.shape(stage.every), np.shape(stage.none)]
    if shapes != [(rows * columns, width), (width,), (width,)]:
        raise ExportError(
            f"tokens of {rows} x {columns} x {width} features need as many places, and two budget tokens",
            value=shapes,
            remedy="look at the codec's device side",
        )
    weights: list[np.ndarray] = [stage.places, stage.every, stage.none, *_arrays(stage.encoder)]
    for block in stage.blocks:
        for part in (block.gate, block.threshold, block.qkv, block.out, block.wide, block.narrow):
            weights += _arrays(part)
        for normed in (block.before, block.between):
            weights += [normed.scale, normed.shift]
    if not all(np.isfinite(each).all() for each in weights):
        raise ExportError("a weight of the tokens' blocks is not finite", value=stage.output, remedy=_REMEDY)


def _arrays(spec: LinearSpec) -> list[np.ndarray]:
    return [spec.kernel, spec.bias]


def _positive(value: float, what: str) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ExportError(f"the values of {what} have no range", value=value, remedy=_REMEDY)
    return value


def _int16(values: Real) -> list[int]:
    found = np.rint(values)
    if np.abs(found).max(initial=0.0) > HIDDEN_MAX:
        raise ExportError(
            "places or budget exceed the stream", value=float(np.abs(found).max()), remedy=_REMEDY
        )
    return [int(v) for v in found.ravel()]


def _feature_multiplier(ratio: float) -> tuple[int, int]:
    """An integer, and its bits behind the point."""
    for shift in range(_FEATURE_SHIFT_HIGH, 0, -1):
        multiplier = round(ratio * 2**shift)
        if 1 <= multiplier < 1 << _FEATURE_BITS:
            return multiplier, shift
    raise ExportError("features have another range than the stream", value=ratio, remedy=_REMEDY)


def _block(block: TokenBlockSpec, step: float, ranges: Ranges, heads: int) -> Block:
    width = block.qkv.kernel.shape[0]
    steps = {
        name: ROOM * _positive(ranges.found[name], name) / ATTENDED_MAX for name in ("query", "key", "value")
    }
    hidden = ROOM * _positive(ranges.found["hidden"], "the hidden layer") / HIDDEN_MAX
    attended = np.repeat([steps["query"], steps["key"], steps["value"]], width)
    score = steps["query"] * steps["key"] / math.sqrt(width // heads) * EXP_STEPS
    (multiplier,), shift = _multipliers(np.array([score]), "the scores")
    narrow = np.full(width, step)
    return Block(
        gate=_gate(block, step),
        qkv=_product(_folded(block.before, block.qkv), 2.0**-NORM_BITS, attended, "queries, keys and values"),
        out=_product(block.out, steps["value"], narrow, "attended values"),
        wide=_product(
            _folded(block.between, block.wide),
            2.0**-NORM_BITS,
            np.full(block.wide.kernel.shape[1], hidden),
            "the hidden layer",
        ),
        narrow=_product(block.narrow, hidden, narrow, "the perceptron"),
        score_multiplier=multiplier,
        score_shift=shift,
    )


def _folded(norm: NormSpec, spec: LinearSpec) -> LinearSpec:
    """A linear map behind a norm with the norm's scale and shift in it."""
    kernel = np.asarray(spec.kernel, np.float64)
    scale, shift = np.asarray(norm.scale, np.float64), np.asarray(norm.shift, np.float64)
    return LinearSpec(kernel * scale[:, None], np.asarray(spec.bias, np.float64) + shift @ kernel)


def _product(spec: LinearSpec, step: float, out_steps: Real, what: str) -> Product:
    """Int8 weights with a step of their own for each output."""
    kernel, bias = np.asarray(spec.kernel, np.float64), np.asarray(spec.bias, np.float64)
    steps = np.maximum(np.abs(kernel).max(axis=0) / LARGEST, np.abs(bias) / (step * _BIAS_MAX))
    steps = np.where(steps > 0, steps, 1e-12)
    multipliers, shift = _multipliers(step * steps / out_steps, what)
    return Product(
        weights=[int(v) for v in np.rint(kernel / steps).T.ravel()],
        bias=[int(v) for v in np.rint(bias / (step * steps))],
        multiplier=multipliers,
        shift=shift,
    )


def _multipliers(ratios: Real, what: str) -> tuple[list[int], int]:
    """Integers below 2^31 with one shift for all."""
    largest = float(ratios.max())
    shift = min(_MULTIPLIER_BITS - math.frexp(largest)[1], _SHIFT_HIGH)
    if shift < _SHIFT_LOW or not np.isfinite(largest):
        raise ExportError(f"the scale of {what} is out of range", value=largest, remedy=_REMEDY)
    most = (1 << _MULTIPLIER_BITS) - 1
    return [min(round(float(ratio) * 2**shift), most) for ratio in ratios], shift


def _gate(block: TokenBlockSpec, step: float) -> TokenGate:
    """Both sums in one scale, as fine as 32 bits allow."""
    gate, threshold = (np.asarray(s.kernel, np.float64)[:, 0] for s in (block.gate, block.threshold))
    biases = float(block.gate.bias[0]), float(block.threshold.bias[0])
    own = max(
        np.abs(gate).sum() / _GATE_SUM,
        np.abs(threshold).sum() / _GATE_SUM,
        max(np.abs(gate).max(), np.abs(threshold).max()) / HIDDEN_MAX,
        max(map(abs, biases)) / (step * _GATE_BIAS_MAX),
    )
    own = _positive(float(own), "a gate")
    weights = [[int(v) for v in np.rint(each / own)] for each in (gate, threshold)]
    gate_bias, threshold_bias = (round(each / (step * own)) for each in biases)
    return TokenGate(weights[0], gate_bias, weights[1], threshold_bias)
