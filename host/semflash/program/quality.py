"""The quality of a channel as a codec is trained for it and its decoder is told: a bit error rate or SNR.

Each kind has a name, a unit and a scale, says how a level of it is written, and which levels are measured
where nobody names others. What makes a channel of some level is in :mod:`semflash.channels.of_quality`.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from semflash import fields

Decibels = Annotated[float, Meta(ge=-100.0, le=100.0)]
#: How levels are laid out on an axis: 0 and then by powers of ten, or evenly.
Scale = Literal["ber", "linear"]


class Ber(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ber"):
    """The share of bits that arrive flipped; the codec is trained for 0 and for ``low`` to ``high``.

    Attributes:
        low: The least rate of the training beside 0.
        high: The largest one.
        name: In names of flags and fields.
        title: For axes.
        short: For tables.
        damage: What a channel of this kind does, for a narrow column.
        injected: The same as words that "in the payload" can follow.
        level: What one level is called within a sentence.
        unit: What a written level is counted in.
        scale: Of an axis.
        limits: The least and the largest level there is.
        clean: The level at which nothing is injected.
        reported: Levels that ``evaluate`` measures, the best first.
        main: Levels of a report's tables.
        damaged: The level whose answers a report shows beside the clean ones.
        compared: The level at which a report compares the cost.
        steps: Levels that the keys of the live view step through, the best first.
        plotted: The range of the live view's curve, as :meth:`plotted_at` gives values.
        plotted_words: The same for people.
        window_bits: After so many newer pilot bits one weighs 1/e in an estimate, unless somebody says
            otherwise: as many as tell a rate of a thousandth, or a ratio to a fifth of a decibel.
    """

    low: fields.Ber
    high: fields.Ber

    name: ClassVar[Literal["ber"]] = "ber"
    title: ClassVar[str] = "bit error rate"
    short: ClassVar[str] = "BER"
    damage: ClassVar[str] = "bit errors"
    injected: ClassVar[str] = "bits flipped"
    level: ClassVar[str] = "rate"
    unit: ClassVar[str] = "%"
    scale: ClassVar[Scale] = "ber"
    limits: ClassVar[tuple[float, float]] = (0.0, 0.5)
    clean: ClassVar[float] = 0.0
    reported: ClassVar[tuple[float, ...]] = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2)
    main: ClassVar[tuple[float, ...]] = (0.0, 0.01, 0.05)
    damaged: ClassVar[float] = 0.05
    compared: ClassVar[float] = 0.01
    steps: ClassVar[tuple[float, ...]] = (
        *(0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3),
        *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    )
    plotted: ClassVar[tuple[float, float]] = (-4.0, -0.301)
    plotted_words: ClassVar[str] = "0.01 to 50 %"
    window_bits: ClassVar[int] = 8192

    def told(self, value: float) -> float:
        """The nearest rate that a decoder may be told, 0 to 0.5."""
        return min(max(value, 0.0), 0.5)

    @staticmethod
    def worse(one: float, other: float) -> bool:
        """Whether a channel of one level damages more than one of another."""
        return one > other

    @staticmethod
    def shown(value: float) -> float:
        """A level in the unit that people read."""
        return 100.0 * value

    @staticmethod
    def number(value: float) -> str:
        """A level with its unit.

        >>> Ber.number(0.0025)
        '0.25 %'
        """
        return f"{100 * value:g} %"

    @staticmethod
    def text(value: float) -> str:
        """A level with the name of the kind.

        >>> Ber.text(0.0025)
        'BER 0.25 %'
        """
        return f"BER {100 * value:g} %"

    @staticmethod
    def plotted_at(value: float | None) -> float | None:
        """Where a level stands on the live view's curve: its logarithm; None: at no errors nowhere."""
        return math.log10(value) if value else None


class Snr(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="snr"):
    """The ratio of signal to noise power per complex symbol in dB, trained from ``low`` to ``high``.

    Attributes:
        low: The least ratio of the training.
        high: The largest one.
        clean: The ratio that stands for a channel without noise.
        others: As those of :class:`Ber`.
    """

    low: Decibels
    high: Decibels

    name: ClassVar[Literal["snr"]] = "snr"
    title: ClassVar[str] = "signal-to-noise ratio"
    short: ClassVar[str] = "SNR"
    damage: ClassVar[str] = "noise"
    injected: ClassVar[str] = "noise on the symbols of the bits"
    level: ClassVar[str] = "ratio"
    unit: ClassVar[str] = "dB"
    scale: ClassVar[Scale] = "linear"
    limits: ClassVar[tuple[float, float]] = (-100.0, 100.0)
    clean: ClassVar[float] = 100.0
    reported: ClassVar[tuple[float, ...]] = (20.0, 15.0, 10.0, 5.0, 0.0)
    main: ClassVar[tuple[float, ...]] = (20.0, 10.0, 0.0)
    damaged: ClassVar[float] = 0.0
    compared: ClassVar[float] = 10.0
    steps: ClassVar[tuple[float, ...]] = (100.0, 20.0, 16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0, 0.0, -4.0)
    plotted: ClassVar[tuple[float, float]] = (-5.0, 25.0)
    plotted_words: ClassVar[str] = "-5 to 25 dB"
    window_bits: ClassVar[int] = 512

    def told(self, value: float) -> float:
        """The nearest ratio that the decoder was trained for."""
        return min(max(value, self.low), self.high)

    @staticmethod
    def worse(one: float, other: float) -> bool:
        """Whether a channel of one level damages more than one of another."""
        return one < other

    @staticmethod
    def shown(value: float) -> float:
        """A level in the unit that people read."""
        return value

    @staticmethod
    def number(value: float) -> str:
        """A level with its unit.

        >>> Snr.number(-6.0)
        '-6 dB'
        """
        return f"{value:g} dB"

    @staticmethod
    def text(value: float) -> str:
        """A level with the name of the kind.

        >>> Snr.text(-6.0)
        'SNR -6 dB'
        """
        return f"SNR {value:g} dB"

    @staticmethod
    def plotted_at(value: float | None) -> float | None:
        """Where a level stands on the live view's curve; None: without noise nowhere."""
        return None if value is None or value >= Snr.clean else value


Quality = Ber | Snr
#: The kinds by name, for what was recorded.
KINDS: dict[str, type[Ber] | type[Snr]] = {Ber.name: Ber, Snr.name: Snr}
