"""The device's projections and power normalisation as integers, and what they do in real numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.device_side import NormaliseStage, ProjectionStage
from semflash.conversion.graphs import Int8Output
from semflash.errors import ExportError, ModelError
from semflash.program.stages import GAIN_MAX, Normalise, Project, Projection
from semflash.program.value_checks import nominal_gain
from semflash_codegen.quantise import quantise_multiplier

LARGEST = 127
#: The largest bias in the integers of its output; weights that need a larger one add nothing to it.
_BIAS_MAX = float(1 << 24)

Real = NDArray[np.float64]


def check_projection(stage: ProjectionStage, channels: int) -> None:
    """Shapes and finite numbers. ExportError: another shape, or a diverged run."""
    weights, bias = np.asarray(stage.weights), np.asarray(stage.bias)
    if weights.ndim != 3 or weights.shape[2] != channels or bias.shape != weights.shape[:2]:
        raise ExportError(
            f"the projection of {stage.source} needs weights (S, J, {channels}) and biases (S, J)",
            value=(weights.shape, bias.shape),
            remedy="look at the codec's device side",
        )
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ExportError("a projection is not finite", value=stage.output, remedy="look for a diverged run")


def project(stage: ProjectionStage, values: NDArray[np.floating], state: int) -> Real:
    """Real values (N, h, w, C) to real values (N, h, w, J), float64, by one of the sets."""
    weights = np.asarray(stage.weights, np.float64)[state]
    return np.asarray(values, np.float64) @ weights.T + np.asarray(stage.bias, np.float64)[state]


def reach_of(stage: ProjectionStage, values: NDArray[np.floating]) -> float:
    """The largest magnitude that a projection's output must express.

    Args:
        values: Of calibration images, (N, h, w, C); all sets are tried on them.

    Raises:
        ExportError: It is 0 or not finite.
    """
    if stage.reach is not None:
        found = float(stage.reach)
    else:
        states = range(len(stage.weights))
        found = max(float(np.abs(project(stage, values, state)).max()) for state in states)
    return _checked_reach(found, stage.output)


def _checked_reach(reach: float, name: str) -> float:
    if not (np.isfinite(reach) and reach > 0):
        raise ExportError(
            f"the values {name} have no range",
            value=reach,
            remedy="look for weights that are all 0 or diverged, or give a reach",
        )
    return reach


def quantise_projection(stage: ProjectionStage, source: Int8Output, output: Int8Output) -> Project:
    """The integers of a projection, one set for each value of the control.

    Raises:
        ExportError: Weights or scales are out of range.
    """
    check_projection(stage, source.shape[2])
    sets = zip(np.asarray(stage.weights, np.float64), np.asarray(stage.bias, np.float64), strict=True)
    tables = tuple(_integers(weights, bias, source.scale, output.scale) for weights, bias in sets)
    return Project(stage.source, stage.output, tables, stage.chosen_by)


def _integers(weights: Real, bias: Real, scale: float, output_scale: float) -> Projection:
    """One set: weights (J, C), biases (J,)."""
    steps = np.maximum(np.abs(weights).max(axis=1) / LARGEST, np.abs(bias) / (scale * _BIAS_MAX))
    steps = np.where(steps > 0, steps, 1.0)
    try:
        requantised = [quantise_multiplier(float(scale * step / output_scale)) for step in steps]
    except ModelError as error:
        raise ExportError(
            "a projection gives values far beyond its reach", value=error.value, remedy="give a larger reach"
        ) from error
    return Projection(
        weights=[int(w) for w in np.rint(weights / steps[:, None]).ravel()],
        bias=[int(b) for b in np.rint(bias / (scale * steps))],
        multiplier=[multiplier for multiplier, _ in requantised],
        shift=[shift for _, shift in requantised],
    )


def projected(stage: ProjectionStage, source: Int8Output, reach: float) -> Int8Output:
    """What a projection's output is like."""
    height, width, _ = source.shape
    return Int8Output((height, width, len(stage.weights[0])), reach / LARGEST, 0)


def normalised(stage: NormaliseStage, source: Int8Output) -> Int8Output:
    """What normalised values are like."""
    return Int8Output(source.shape, _checked_reach(stage.reach, stage.output) / LARGEST, 0)


def quantise_normalise(stage: NormaliseStage, output: Int8Output) -> Normalise:
    """The gain. ExportError: a reach that is too small for so many values."""
    gain = round(nominal_gain(int(np.prod(output.shape)), output.scale))
    if not 1 <= gain <= GAIN_MAX:
        raise ExportError(
            "the reach of normalised values is out of range",
            value=stage.reach,
            remedy="give one of a few times 0.7",
        )
    return Normalise(stage.source, stage.output, gain)


def normalise(stage: NormaliseStage, values: NDArray[np.floating]) -> Real:
    """Real values (N, ...) to those of power 1/2 each within the reach; zeros where all are zero."""
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    power = np.sqrt(2 * (flat * flat).mean(axis=1, keepdims=True))
    scaled = np.divide(flat, power, out=np.zeros_like(flat), where=power > 0)
    return np.clip(scaled, -stage.reach, stage.reach).reshape(values.shape)


def to_int8(values: NDArray[np.floating], reach: float) -> NDArray[np.int8]:
    """Real values as they are sent: rounded half away from zero, within the reach."""
    q = np.asarray(values, np.float64) * (LARGEST / reach)
    rounded = np.sign(q) * np.floor(np.abs(q) + 0.5)
    return np.clip(rounded, -LARGEST, LARGEST).astype(np.int8)
