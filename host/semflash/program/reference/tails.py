"""The device tail (``device/stages/``): int8 latents to codes.

Written from the formulas, not from the C code; both agree on every code. With q = latent - zero_point:

    den_c  = beta_c + sum_i gamma[i, c] q_i^2                                   (Q16)
    code_c = number of thresholds T_ct with  sign(q_c) q_c^2 2^40 > T_ct den_c  (Q24 x Q16)

which is  y = x / sqrt(beta + gamma x^2),  PReLU,  nearest centre, because PReLU with alpha > 0 and the signed
square are monotone: a midpoint m between centres becomes u = m (m >= 0) or m / alpha (m < 0) before PReLU,
and sign(y) y^2 > sign(u) u^2. On a midpoint the lower code wins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.errors import ProgramError
from semflash.program.stages import GdnTail, TableTail, TailTable

GAMMA_BITS = 16
THRESHOLD_BITS = 24
_POSITIONS_PER_CHUNK = 65_536


def codes(latent: NDArray[np.int8], tail: TailTable) -> NDArray[np.uint8]:
    """Codes of int8 latents.

    Args:
        latent: int8 (N, h, w, C) or any shape that ends with C.
        tail: The integers of the tail.

    Returns:
        uint8, the same shape, 0 to levels - 1.

    Raises:
        ProgramError: The latents have another type or number of channels.
    """
    if latent.dtype != np.int8 or latent.ndim < 1 or latent.shape[-1] != tail.channels:
        raise ProgramError(
            f"latents must be int8 with {tail.channels} channels last", value=f"{latent.dtype} {latent.shape}"
        )
    flat = latent.reshape(-1, tail.channels)
    result = np.empty(flat.shape, np.uint8)
    for start in range(0, len(flat), _POSITIONS_PER_CHUNK):
        part = slice(start, start + _POSITIONS_PER_CHUNK)
        match tail:
            case GdnTail():
                result[part] = _gdn_codes(flat[part], tail)
            case TableTail():
                result[part] = _table_codes(flat[part], tail)
    return result.reshape(latent.shape)


def _gdn_codes(latent: NDArray[np.int8], tail: GdnTail) -> NDArray[np.uint8]:
    q = latent.astype(np.int64) - tail.zero_point
    gamma = np.array(tail.gamma, np.int64).reshape(tail.channels, tail.channels)
    threshold = np.array(tail.threshold, np.int64).reshape(tail.channels, tail.levels - 1)
    den = np.array(tail.beta, np.int64) + (q * q) @ gamma
    signed_square = (np.sign(q) * q * q) << (GAMMA_BITS + THRESHOLD_BITS)
    result = np.zeros(q.shape, np.uint8)
    for step in range(tail.levels - 1):
        result += signed_square > threshold[:, step] * den
    return result


def _table_codes(latent: NDArray[np.int8], tail: TableTail) -> NDArray[np.uint8]:
    table = np.array(tail.table, np.uint8).reshape(tail.channels, 256)
    return table[np.arange(tail.channels), latent.astype(np.int64) + 128]
