"""Errors in bursts: the two-state channel of Gilbert (1960) and Elliott (1963), injected and seeded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.channels.bits import check_rates
from semflash.errors import UsageError

BAD_STATE_BER = 0.5


def gilbert_elliott(
    payloads: Sequence[bytes], ber: float, rng: np.random.Generator, *, burst_bits: int
) -> list[bytes]:
    """Bursts (Gilbert 1960, Elliott 1963): no errors in the good state, half of the bits in the bad one.

    The bad state lasts ``burst_bits`` bits in the mean (geometric) and is taken ``2 ber`` of the time, so
    that the mean error rate is ``ber``. The states go on from payload to payload, as bytes on a line do.

    Raises:
        UsageError: a rate outside 0..0.5, or bursts that short cannot take that much of the time.
    """
    check_rates(ber)
    share_bad = ber / BAD_STATE_BER
    if burst_bits < 1 or (share_bad < 1 and share_bad > (1 - share_bad) * burst_bits):
        raise UsageError(
            "bursts too short for that bit error rate",
            value=f"{burst_bits} bits at {ber:g}",
            remedy="longer bursts (burst_bits), or a lower rate",
        )
    sizes = [len(payload) for payload in payloads]
    bad = _bad_bits(8 * sum(sizes), share_bad, burst_bits, rng)
    flips = np.packbits(bad & (rng.random(len(bad)) < BAD_STATE_BER))
    damaged = (np.frombuffer(b"".join(payloads), np.uint8) ^ flips).tobytes()
    ends = np.cumsum([0, *sizes])
    return [damaged[start:end] for start, end in itertools.pairwise(ends)]


def _bad_bits(bits: int, share: float, burst_bits: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which bits meet the bad state, bool (bits,); the first state is drawn from the stationary shares."""
    if share <= 0.0 or share >= 1.0:
        return np.full(bits, share >= 1.0)
    leave = {True: 1.0 / burst_bits, False: share / ((1.0 - share) * burst_bits)}
    first = bool(rng.random() < share)
    pieces, total = [], 0
    while total < bits:
        count = max(16, int(1.2 * (bits - total) / (1 / leave[True] + 1 / leave[False])))
        stays = np.stack([rng.geometric(leave[first], count), rng.geometric(leave[not first], count)], 1)
        states = np.tile([first, not first], count)
        pieces.append(np.repeat(states, stays.ravel()))
        total += len(pieces[-1])
    return np.concatenate(pieces)[:bits]
