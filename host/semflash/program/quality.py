"""The quality of a channel as a codec is trained for it and its decoder is told: a bit error rate or SNR."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from semflash import fields

Decibels = Annotated[float, Meta(ge=-100.0, le=100.0)]


class Ber(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ber"):
    """The share of bits that arrive flipped; the codec is trained for 0 and for ``low`` to ``high``."""

    low: fields.Ber
    high: fields.Ber

    def clamp(self, value: float) -> float:
        """The nearest rate that the decoder may be told; the channel without errors always is one."""
        return min(max(value, 0.0), self.high)

    @staticmethod
    def text(value: float) -> str:
        """The rate for people.

        >>> Ber.text(0.0025)
        'BER 0.25 %'
        """
        return f"BER {100 * value:g} %"


class Snr(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="snr"):
    """The ratio of signal to noise power per complex symbol in dB, trained from ``low`` to ``high``."""

    low: Decibels
    high: Decibels

    def clamp(self, value: float) -> float:
        """The nearest ratio that the decoder may be told."""
        return min(max(value, self.low), self.high)

    @staticmethod
    def text(value: float) -> str:
        """The ratio for people.

        >>> Snr.text(-6.0)
        'SNR -6 dB'
        """
        return f"SNR {value:g} dB"


Quality = Ber | Snr
