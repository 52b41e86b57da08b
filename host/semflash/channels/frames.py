"""Lost frames: bytes of a payload that never arrive, injected and seeded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.errors import UsageError


def frame_loss(
    payloads: Sequence[bytes], rate: float, rng: np.random.Generator, *, frame_bytes: int
) -> list[NDArray[np.bool_]]:
    """Bytes that never arrive: payloads go in frames of ``frame_bytes``, each lost with probability ``rate``.

    Raises:
        UsageError: a rate outside 0..1, or frames of no byte.
    """
    if frame_bytes < 1 or not 0.0 <= rate <= 1.0:
        raise UsageError(
            "frames hold a byte or more and are lost at a rate of 0 to 1", value=(frame_bytes, rate)
        )
    masks = []
    for payload in payloads:
        frames = rng.random(-(-len(payload) // frame_bytes)) < rate
        masks.append(np.repeat(frames, frame_bytes)[: len(payload)])
    return masks


def missing_end(mask: NDArray[np.bool_], frame_bytes: int) -> NDArray[np.bool_]:
    """As many lost frames as in ``mask``, all at the end."""
    frames = -(-len(mask) // frame_bytes)
    lost = int(mask[::frame_bytes].sum())
    return np.arange(len(mask)) >= (frames - lost) * frame_bytes
