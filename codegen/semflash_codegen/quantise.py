"""Fixed-point numbers exactly as TensorFlow Lite computes them.

Source: tensorflow/lite/kernels/internal/quantization_util.cc (QuantizeMultiplier) and kernel_util.cc
(CalculateActivationRangeQuantized).
"""

from __future__ import annotations

from math import floor, frexp, isfinite

import numpy as np

from semflash_codegen.errors import UnsupportedModelError
from semflash_codegen.ir import Tensor
from semflash_codegen.schema import Activation

INT8_MIN, INT8_MAX = -128, 127
INT32_MAX = (1 << 31) - 1
_REMEDY = "export the model again"


def quantise_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift): real = multiplier / 2^31 * 2^shift.

    The multiplier lies in [2^30, 2^31); numbers below 2^-32 become (0, 0), as in TFLite.

    Raises:
        UnsupportedModelError: the number is 2^30 or more.
    """
    if real == 0.0:
        return 0, 0
    if not isfinite(real):
        raise UnsupportedModelError("a requantisation factor is not finite", value=real, remedy=_REMEDY)
    fraction, shift = frexp(real)
    multiplier = floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise UnsupportedModelError("a requantisation factor is too large", value=real, remedy=_REMEDY)
    return multiplier, shift


def activation_range(activation: Activation, output: Tensor, layer: str) -> tuple[int, int]:
    """Smallest and largest int8 output that a fused activation allows."""
    if activation is Activation.NONE:
        return INT8_MIN, INT8_MAX
    bounds = {
        Activation.RELU: (0.0, None),
        Activation.RELU6: (0.0, 6.0),
        Activation.RELU_N1_TO_1: (-1.0, 1.0),
    }
    if activation not in bounds:
        raise UnsupportedModelError(
            f"{layer}: fused activation {activation.name} is not supported",
            remedy="use none, RELU, RELU6 or RELU_N1_TO_1",
        )
    low, high = bounds[activation]
    act_min = max(INT8_MIN, quantise_real(low, output))
    act_max = INT8_MAX if high is None else min(INT8_MAX, quantise_real(high, output))
    if act_min > act_max:
        raise UnsupportedModelError(
            f"{layer}: the activation range is empty",
            value=(act_min, act_max),
            remedy=_REMEDY,
        )
    return act_min, act_max


def quantise_real(real: float | None, tensor: Tensor) -> int:
    """A real number in a tensor's integers, unclamped; single-precision division, halves away from 0."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(real or 0.0) / np.float32(tensor.scale))
    quotient = min(max(quotient, -float(INT32_MAX)), float(INT32_MAX))
    return tensor.zero_point + (floor(quotient + 0.5) if quotient >= 0 else -floor(-quotient + 0.5))
