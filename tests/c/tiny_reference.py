"""The handwritten model of tests/c/tiny_model in numpy and exact integers."""

from __future__ import annotations

import numpy as np

BUNDLE = 0x5EED1234
ROWS, ROW_BYTES, PAYLOAD_BYTES = 28, 28, 18
BETA = (3238926, 2665227, 18441289)
GAMMA = ((7281, 1122, 1), (265, 574, 0), (0, 165, 1251))
THRESHOLD = (
    (-45277581, -12191619, -2366920, 4984, 3509581, 15959533, 60773094),
    (-79407017, -21381448, -4151062, 4984, 3509581, 15959533, 60773094),
    (-27757087, -7473983, -1451022, 4984, 3509581, 15959533, 60773094),
)


def cut(payload: bytes, limit: int) -> tuple[bytes, int]:
    """What the steered model sends with so many bytes at most, and its bits: whole codes of three bits."""
    bits = min(8 * limit // 3, 48) * 3
    size = -(-bits // 8)
    kept = bytearray(payload[:size])
    kept[-1] &= 0xFF << (8 * size - bits) & 0xFF
    return bytes(kept), bits


def latents(image: np.ndarray) -> np.ndarray:
    """Largest, smallest and last pixel of each 7 x 7 block: int8 (28, 28) -> int8 (16, 3)."""
    blocks = image.reshape(4, 7, 4, 7).transpose(0, 2, 1, 3).reshape(16, 49)
    return np.stack([blocks.max(1), blocks.min(1), blocks[:, -1]], axis=1)


def payload(image: np.ndarray) -> bytes:
    """Packed codes of one image, int8 (28, 28)."""
    bits: list[int] = []
    for vector in latents(image).tolist():
        q = [value + 2 for value in vector]
        for c, value in enumerate(q):
            den = BETA[c] + sum(GAMMA[i][c] * x * x for i, x in enumerate(q))
            code = sum(value * abs(value) * 2**40 > t * den for t in THRESHOLD[c])
            bits += [code >> 2 & 1, code >> 1 & 1, code & 1]
    return np.packbits(bits).tobytes()
