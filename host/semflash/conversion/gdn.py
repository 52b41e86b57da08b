"""GDN, PReLU and nearest centre: the float definition, and the integers that the device's tail makes of it.

The integers are those of :mod:`semflash.program.reference.tails`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from semflash.errors import ExportError
from semflash.program.checks import check_tail
from semflash.program.reference.tails import GAMMA_BITS, THRESHOLD_BITS
from semflash.program.stages import GdnTail

_INT32_MAX = (1 << 31) - 1


def float_codes(
    x: NDArray[np.floating],
    beta: NDArray[np.floating],
    gamma: NDArray[np.floating],
    alpha: NDArray[np.floating],
    centres: NDArray[np.floating],
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Codes in float64, straight from the definition: GDN, PReLU, nearest centre.

    Args:
        x: Real latents (..., C).
        beta: (C,) > 0.
        gamma: (C, C) >= 0, den_c = beta_c + sum_i x_i^2 gamma[i, c].
        alpha: (C,) > 0.
        centres: (L,) ascending.

    Returns:
        codes uint8 (..., C) and the values before quantisation, float64 (..., C).
    """
    x64 = np.asarray(x, np.float64)
    y = x64 / np.sqrt(np.asarray(beta, np.float64) + (x64 * x64) @ np.asarray(gamma, np.float64))
    y = np.where(y > 0, y, y * np.asarray(alpha, np.float64))
    distance = np.abs(y[..., None] - np.asarray(centres, np.float64))
    return distance.argmin(-1).astype(np.uint8), y


def quantise_tail(
    beta: NDArray[np.floating],
    gamma: NDArray[np.floating],
    alpha: NDArray[np.floating],
    centres: NDArray[np.floating],
    scale: float,
    zero_point: int,
) -> GdnTail:
    """Turn trained GDN, PReLU and centres into the device's integers.

    Args:
        beta: (C,) > 0.
        gamma: (C, C) >= 0, input channel first.
        alpha: (C,) or (1,), > 0.
        centres: (L,) ascending, 2..16 of them.
        scale: Real value of one step of the int8 latent.
        zero_point: Of the int8 latent.

    Raises:
        ExportError: Parameters out of range.
        ProgramError: The integers could overflow on the device.
    """
    beta64, gamma64 = np.asarray(beta, np.float64), np.asarray(gamma, np.float64)
    channels = beta64.size
    alpha64 = np.broadcast_to(np.asarray(alpha, np.float64).ravel(), (channels,))
    centres64 = np.asarray(centres, np.float64)
    _check_parameters(beta64, gamma64, alpha64, centres64)
    if not (math.isfinite(scale) and scale > 0 and -128 <= zero_point <= 127):
        raise ExportError(
            "the latent needs a scale above 0 and an int8 zero point",
            value=(scale, zero_point),
            remedy="look for an encoder whose output is constant",
        )
    middle = (centres64[1:] + centres64[:-1]) / 2
    u = np.where(middle >= 0, middle, middle / alpha64[:, None])  # (C, L-1)
    beta_q = np.maximum(np.rint(beta64 / scale**2 * (1 << GAMMA_BITS)), 1)
    gamma_q = np.rint(gamma64 * (1 << GAMMA_BITS))
    if gamma_q.max(initial=0) > _INT32_MAX:
        raise ExportError(
            "GDN gamma above 32,768", value=gamma64.max(), remedy="train with bounded GDN parameters"
        )
    threshold = np.rint(np.sign(u) * u * u * (1 << THRESHOLD_BITS))
    tail = GdnTail(
        channels=channels,
        levels=centres64.size,
        zero_point=int(zero_point),
        beta=[int(v) for v in beta_q],
        gamma=[int(v) for v in gamma_q.ravel()],
        threshold=[int(v) for v in _clip_unreachable(threshold, beta_q, gamma_q, int(zero_point)).ravel()],
    )
    check_tail(tail)
    return tail


def _check_parameters(
    beta: NDArray[np.float64],
    gamma: NDArray[np.float64],
    alpha: NDArray[np.float64],
    centres: NDArray[np.float64],
) -> None:
    retrain = "retrain, or look for a diverged run"
    if beta.ndim != 1 or gamma.shape != (beta.size, beta.size) or centres.ndim != 1:
        raise ExportError(
            "GDN needs beta (C,), gamma (C, C) and centres (L,)", value=(beta.shape, gamma.shape)
        )
    if not all(np.isfinite(v).all() for v in (beta, gamma, alpha, centres)):
        raise ExportError("GDN, PReLU or centres hold NaN or infinity", remedy=retrain)
    if beta.min() <= 0 or gamma.min() < 0 or alpha.min() <= 0:
        raise ExportError(
            "GDN needs beta > 0, gamma >= 0; PReLU needs alpha > 0",
            value=(float(beta.min()), float(gamma.min()), float(alpha.min())),
            remedy="train with floors under beta and alpha",
        )
    if not 2 <= centres.size <= 16 or (np.diff(centres) <= 0).any():
        raise ExportError("centres must be 2 to 16 ascending numbers", value=centres.tolist(), remedy=retrain)


def _clip_unreachable(
    threshold: NDArray[np.float64], beta: NDArray[np.float64], gamma: NDArray[np.float64], zero_point: int
) -> NDArray[np.float64]:
    """Bring thresholds that no latent can cross into int32 and keep the products in int64.

    y_c^2 is largest when all other channels are 0: at most m^2 / (beta + gamma_cc m^2), m the largest |q|. A
    threshold above 2 y^2 + 1 step can be lowered to it without changing any code.
    """
    largest = float(max(127 - zero_point, zero_point + 128) ** 2)
    reach = largest / (beta / 2**GAMMA_BITS + np.diag(gamma) / 2**GAMMA_BITS * largest)
    bound = np.ceil(2 * reach * 2**THRESHOLD_BITS)[:, None] + 1
    clipped = np.clip(threshold, -bound, bound)
    if np.abs(clipped).max() > _INT32_MAX:
        raise ExportError(
            "a threshold of the device tail does not fit 32 bits",
            value=float(np.abs(clipped).max() / 2**THRESHOLD_BITS),
            remedy="train with centres within +-10 and a floor under PReLU's alpha",
        )
    return clipped
