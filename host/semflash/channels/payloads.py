"""Channels on lists of payloads: bit errors, noise, bursts, lost frames. All of it injected and seeded.

Errors are put into the payload's bits before framing; frame headers and CRCs are not damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semflash.channels.bits import binary_symmetric, channel_rng, check_rates
from semflash.channels.bursts import gilbert_elliott
from semflash.channels.frames import frame_loss, missing_end
from semflash.channels.modulation import bit_error_rate
from semflash.channels.of_quality import SymbolNoise
from semflash.errors import UsageError
from semflash.program.quality import Snr

Kind = Literal["bsc", "awgn", "gilbert-elliott", "frame-loss", "deadline"]
_KINDS = ("bsc", "awgn", "gilbert-elliott", "frame-loss", "deadline")


@dataclass(frozen=True)
class Channel:
    """A channel at one rate.

    Attributes:
        kind: ``bsc``: every bit flips alone; ``awgn``: the bits travel as QPSK symbols through white noise
            (:mod:`semflash.channels.modulation`); ``gilbert-elliott``: in bursts; ``frame-loss``: frames are
            lost; ``deadline``: as many frames are lost, but lost ones are sent again at once in the same air
            time, so that it is the end of the payload that is missing.
        rate: mean bit error rate 0..0.5, or share of frames lost 0..1; of ``awgn`` the SNR in dB.
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
        if self.kind == "awgn":
            SymbolNoise().check(self.rate)
        elif self.flips_bits:
            check_rates(self.rate)
        elif not 0.0 <= self.rate <= 1.0:
            raise UsageError("a share of lost frames is between 0 and 1", value=self.rate, remedy="try 0.1")

    @property
    def flips_bits(self) -> bool:
        """Whether it damages bits (otherwise it loses frames)."""
        return self.kind in ("bsc", "awgn", "gilbert-elliott")

    @property
    def ber(self) -> float:
        """Bit error rate of what arrives."""
        if self.kind == "awgn":
            return 0.0 if self.rate >= Snr.clean else bit_error_rate(self.rate)
        return self.rate if self.flips_bits else 0.0

    def rng(self, seed: int) -> np.random.Generator:
        """The generator of its errors: depends on the seed and the rate only."""
        return SymbolNoise().rng(seed, self.rate) if self.kind == "awgn" else channel_rng(seed, self.rate)

    def pass_on(
        self, payloads: Sequence[bytes], rng: np.random.Generator
    ) -> tuple[list[bytes], list[NDArray[np.bool_]] | None]:
        """Received payloads, and what of them was lost (None: nothing can be)."""
        if self.kind == "bsc":
            return binary_symmetric(payloads, self.rate, rng), None
        if self.kind == "awgn":
            noise = SymbolNoise()
            rows = [np.frombuffer(payload, np.uint8)[None] for payload in payloads]
            return [noise.damage(row, self.rate, rng).tobytes() for row in rows], None
        if self.kind == "gilbert-elliott":
            return gilbert_elliott(payloads, self.rate, rng, burst_bits=self.burst_bits), None
        masks = frame_loss(payloads, self.rate, rng, frame_bytes=self.frame_bytes)
        if self.kind == "deadline":
            masks = [missing_end(mask, self.frame_bytes) for mask in masks]
        return list(payloads), masks
