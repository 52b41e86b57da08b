"""Figures of merit: name, unit, direction; a value with its 95 % interval; and how both are written."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta, Struct

from semflash.fields import Name

_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
#: What a value is counted in: a share of 1, which people read in percent; decibels; or a pure number.
Unit = Literal["share", "dB", "1"]
_TITLES = {
    "accuracy": "accuracy",
    "map50": "mAP at IoU 0.5",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "images_right": "images wholly right",
    "object_psnr": "PSNR of the object",
    "object_ssim": "SSIM of the object",
}
#: Names of at most eleven letters for a live view, and what a mean is over.
_SHORT = {"images_right": "images ok"}
_COUNTED = {"accuracy": "labels", "images_right": "images"} | dict.fromkeys(
    ("psnr", "ssim", "object_psnr", "object_ssim"), "pictures"
)
#: The range of a curve, and the same for people.
_PLOTTED = {"share": (0.0, 1.0), "dB": (0.0, 50.0), "1": (0.0, 1.0)}
_PLOTTED_WORDS = {"share": "0 to 100 %", "dB": "0 to 50 dB", "1": "0 to 1"}
_SIGNS = {"share": " %", "dB": " dB", "1": ""}
_WORDS = {"share": "percent", "dB": "dB", "1": ""}


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of merit.

    Attributes:
        name: Lower case; those of this file have a title.
        unit: ``share`` (0 to 1, written in percent), ``dB``, or ``1`` for a pure number.
        better: Whether a good value is high or low.
    """

    name: Name
    unit: Unit
    better: Literal["higher", "lower"] = "higher"

    @property
    def title(self) -> str:
        """The name for people."""
        return _TITLES.get(self.name, self.name)

    @property
    def short(self) -> str:
        """The name for a narrow column."""
        return _SHORT.get(self.name, self.title)

    @property
    def counted(self) -> str:
        """What its mean is over."""
        return _COUNTED.get(self.name, "images")

    @property
    def plotted(self) -> tuple[float, float]:
        """The range of a curve."""
        return _PLOTTED[self.unit]

    @property
    def plotted_words(self) -> str:
        """The range of a curve for people."""
        return _PLOTTED_WORDS[self.unit]

    @property
    def sign(self) -> str:
        """What stands behind a number: `` %``, `` dB`` or nothing."""
        return _SIGNS[self.unit]

    @property
    def unit_words(self) -> str:
        """The unit as a word for captions; empty for a pure number."""
        return _WORDS[self.unit]

    @property
    def scale(self) -> float:
        """What a value is multiplied by before it is written."""
        return 100.0 if self.unit == "share" else 1.0

    @property
    def places(self) -> int:
        """Digits behind the point."""
        return 4 if self.unit == "1" else 2

    def number(self, value: float | None) -> str:
        """A value without its unit; a dash where there is none.

        >>> ACCURACY.number(0.5), PSNR.number(31.256), SSIM.number(0.98765), SSIM.number(None)
        ('50.00', '31.26', '0.9877', '–')
        """
        return "–" if value is None else f"{self.scale * value:.{self.places}f}"

    def text(self, value: float | None, places: int = 2) -> str:
        """A value with its unit, a share with so many places; a minus sign where there is none.

        >>> ACCURACY.text(0.5), PSNR.text(31.256), ACCURACY.text(None)
        ('50.00%', '31.26 dB', '-')
        """
        if value is None:
            return "-"
        return f"{value:.{places}%}" if self.unit == "share" else f"{self.number(value)}{self.sign}"

    def is_better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.better == "higher" else one < other


ACCURACY = Metric("accuracy", "share")
MAP50 = Metric("map50", "share")
PSNR = Metric("psnr", "dB")
SSIM = Metric("ssim", "1")
#: Over the patches of a picture in which the labelled object lies.
OBJECT_PSNR = Metric("object_psnr", "dB")
OBJECT_SSIM = Metric("object_ssim", "1")
#: Of a detector while it runs: images in which all objects and they alone were found.
IMAGES_RIGHT = Metric("images_right", "share")

Finite = Annotated[float, Meta(ge=-1e9, le=1e9)]


class Score(Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a metric with its 95 % interval, low <= value <= high."""

    value: Finite
    low: Finite
    high: Finite


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, after Wilson (1927).

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)
    """
    share, z2 = right / total, _Z_95**2
    centre = share + z2 / (2 * total)
    spread = _Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return (0.0 if right == 0 else max(0.0, low)), (1.0 if right == total else min(1.0, high))


def normal_interval(total: float, squares: float, count: int) -> tuple[float, float]:
    """Mean of ``count`` values minus and plus 1.96 standard errors, from their sum and their squares' sum.

    >>> [round(end, 4) for end in normal_interval(50.0, 1300.0, 2)]
    [15.2002, 34.7998]
    """
    mean = total / count
    spread = max(0.0, squares - total * mean) / (count - 1) if count > 1 else 0.0
    reach = _Z_95 * math.sqrt(spread / count)
    return mean - reach, mean + reach
