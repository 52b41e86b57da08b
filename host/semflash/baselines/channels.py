"""Channels on lists of payloads: independent bit errors, bursts, lost frames. All of it injected and seeded.

Errors are put into the payload's bits before framing; frame headers and CRCs are not damaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semflash.channels.bits import channel_rng, check_rates, flip_bits
from semflash.errors import UsageError

Kind = Literal["bsc", "gilbert-elliott", "frame-loss", "deadline"]
BAD_STATE_BER = 0.5
_KINDS = ("bsc", "gilbert-elliott", "frame-loss", "deadline")


@dataclass(frozen=True)
class Channel:
    """A channel at one rate.

    Attributes:
        kind: ``bsc``: every bit flips alone; ``gilbert-elliott``: in bursts; ``frame-loss``: frames are lost;
            ``deadline``: as many frames are lost, but lost ones are sent again at once in the same air time,
            so that it is the end of the payload that is missing.
        rate: mean bit error rate 0..0.5, or share of frames lost 0..1.
        burst_bits: mean length of a burst (gilbert-elliott).
        frame_bytes: payload bytes of a frame (frame-loss, deadline).

    Raises:
        UsageError: out of range.
    """

    kind: Kind
    rate: float
    burst_bits: int = 16
    frame_bytes: int = 8

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UsageError("no such channel", value=self.kind, remedy=f"use one of {', '.join(_KINDS)}")
        if self.flips_bits:
            check_rates(self.rate)
        elif not 0.0 <= self.rate <= 1.0:
            raise UsageError("a share of lost frames is between 0 and 1", value=self.rate, remedy="try 0.1")

    @property
    def flips_bits(self) -> bool:
        """Whether it damages bits (otherwise it loses frames)."""
        return self.kind in ("bsc", "gilbert-elliott")

    @property
    def ber(self) -> float:
        """Bit error rate of what arrives."""
        return self.rate if self.flips_bits else 0.0

    def rng(self, seed: int) -> np.random.Generator:
        """The generator of its errors: depends on the seed and the rate only."""
        return channel_rng(seed, self.rate)

    def pass_on(
        self, payloads: Sequence[bytes], rng: np.random.Generator
    ) -> tuple[list[bytes], list[NDArray[np.bool_]] | None]:
        """Received payloads, and what of them was lost (None: nothing can be)."""
        if self.kind == "bsc":
            return binary_symmetric(payloads, self.rate, rng), None
        if self.kind == "gilbert-elliott":
            return gilbert_elliott(payloads, self.rate, rng, burst_bits=self.burst_bits), None
        masks = frame_loss(payloads, self.rate, rng, frame_bytes=self.frame_bytes)
        if self.kind == "deadline":
            masks = [_missing_end(mask, self.frame_bytes) for mask in masks]
        return list(payloads), masks


def binary_symmetric(payloads: Sequence[bytes], ber: float, rng: np.random.Generator) -> list[bytes]:
    """Flip every bit with probability ``ber``; payloads of one length meet the errors of
    :func:`semflash.channels.bits.flip_bits`."""
    if len({len(payload) for payload in payloads}) == 1:
        block = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1)
        return [row.tobytes() for row in flip_bits(block, ber, rng)]
    return [flip_bits(np.frombuffer(p, np.uint8)[None], ber, rng).tobytes() for p in payloads]


def gilbert_elliott(
    payloads: Sequence[bytes], ber: float, rng: np.random.Generator, *, burst_bits: int
) -> list[bytes]:  # fmt: skip
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
            "bursts too short for that bit error rate", value=f"{burst_bits} bits at {ber:g}",
            remedy="longer bursts (burst_bits), or a lower rate",
        )  # fmt: skip
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


def frame_loss(
    payloads: Sequence[bytes], rate: float, rng: np.random.Generator, *, frame_bytes: int
) -> list[NDArray[np.bool_]]:  # fmt: skip
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


def _missing_end(mask: NDArray[np.bool_], frame_bytes: int) -> NDArray[np.bool_]:
    """As many lost frames as in ``mask``, all at the end."""
    frames = -(-len(mask) // frame_bytes)
    lost = int(mask[::frame_bytes].sum())
    return np.arange(len(mask)) >= (frames - lost) * frame_bytes
