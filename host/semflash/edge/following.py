"""Controls that follow the channel: which value belongs to a level, and when a host tells a device another.

A control that follows has a level for each of its values (``Control.follows``): the one from which the value
holds. So the value that belongs to a level is that of the largest of these levels which is not above it.

An estimate wavers, and a device that changes at every image gains nothing. So a value stays until the
estimate is a third of a class beyond its edge, and between two changes there are 16 images at least. No
input, no output, no clock: :class:`Following` hears an estimate for each image and says what is to be set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from msgspec import UnsetType

from semflash.errors import UsageError
from semflash.program.controls import Control
from semflash.program.quality import Quality

#: Images between two changes, at least.
CHANGE_EVERY = 16
#: How far beyond the edge of its class an estimate must be, in classes.
HYSTERESIS = 1.0 / 3.0
#: A rate of 0 stands so many powers of ten below the least rate above 0 that a control follows.
_ZERO_BELOW = 1.0


def followed(controls: Sequence[Control]) -> tuple[Control, ...]:
    """Those that follow the channel."""
    return tuple(control for control in controls if levels_of(control))


def levels_of(control: Control) -> tuple[float, ...]:
    """The level from which each value holds, for low to high; empty: it follows nothing."""
    return () if isinstance(control.follows, UnsetType) else control.follows


def value_at(control: Control, level: float) -> int:
    """The value that belongs to a level of the channel's quality.

    >>> state = Control("state", 1, 0, 3, 0, "entry", follows=(-6.0, -3.0, 0.0, 3.0))
    >>> [value_at(state, level) for level in (-20.0, -3.0, -0.1, 0.0, 2.9, 40.0)]
    [0, 1, 1, 2, 2, 3]
    """
    levels = levels_of(control)
    reached = [number for number, from_here in enumerate(levels) if from_here <= level]
    if not reached:
        reached = [levels.index(min(levels))]
    return control.low + max(reached, key=lambda number: levels[number])


def settings_at(
    controls: Sequence[Control], level: float, fixed: Mapping[str, int] | None = None, error: int = 0
) -> dict[str, int]:
    """What belongs to a level, by the controls' names: of each that follows, and of those that are fixed.

    Args:
        fixed: Values that hold at any level.
        error: Added to the values that follow, within their ranges: an experiment with wrong ones.
    """
    found = {one.name: one.clamp(value_at(one, level) + error) for one in followed(controls)}
    return found | dict(fixed or {})


def check_error(controls: Sequence[Control], fixed: Mapping[str, int], error: int) -> None:
    """Refuse an error of what does not follow.

    Raises:
        UsageError: No control is left that follows the channel, or the error is beyond every range.
    """
    if not error:
        return
    free = [one for one in followed(controls) if one.name not in fixed]
    if not free:
        raise UsageError(
            "no control of this bundle follows the channel, so none can be wrong about it",
            value=error,
            remedy="leave --state-error out, or let the control follow: --control NAME=auto",
        )
    widest = max(one.high - one.low for one in free)
    if abs(error) > widest:
        raise UsageError(f"an error of states is -{widest} to {widest}", value=error)


def class_text(control: Control, value: int, quality: Quality) -> str:
    """The levels that a value is for.

    >>> from semflash.program.quality import Snr
    >>> state = Control("state", 1, 0, 2, 0, "entry", follows=(-6.0, -3.0, 0.0))
    >>> [class_text(state, value, Snr(-6.0, 3.0)) for value in range(3)]
    ['below -3 dB', '-3 dB to 0 dB', 'from 0 dB']
    """
    levels = sorted(levels_of(control))
    place = levels.index(levels_of(control)[value - control.low])
    low, high = quality.number(levels[place]), quality.number(levels[(place + 1) % len(levels)])
    if len(levels) == 1:
        return "any"
    if place == 0:
        return f"below {high}"
    return f"from {low}" if place == len(levels) - 1 else f"{low} to {high}"


class Following:
    """What one control is set to while estimates come.

    Args:
        control: One that follows.
        quality: The kind of the estimates.
        error: Added to every value, within the range.

    Attributes:
        value: What the device is to use now.
        changes: How often another value was due.

    >>> from semflash.program.quality import Snr
    >>> state = Control("state", 1, 0, 7, 3, "entry", follows=tuple(float(db) for db in range(-6, 18, 3)))
    >>> following = Following(state, Snr(-6.0, 18.0))
    >>> [following.hear(12.5) for _ in range(17)][-2:]
    [6, None]
    """

    def __init__(self, control: Control, quality: Quality, *, error: int = 0) -> None:
        self.control, self._quality, self._error = control, quality, error
        self._edges = _edges(levels_of(control), quality)
        self.right = control.default
        self.value = control.clamp(control.default + error)
        self.changes = 0
        self._since = 0

    def hear(self, estimate: float | None) -> int | None:
        """One image came; call it once for each.

        Args:
            estimate: Of the channel's quality after it; None: there is none yet.

        Returns:
            The value to set from now on; None: it stays.
        """
        self._since += 1
        if estimate is None or not math.isfinite(estimate) or self._since < CHANGE_EVERY:
            return None
        low, high = self._edges[self.right - self.control.low]
        if low <= _position(estimate, levels_of(self.control), self._quality) < high:
            return None
        self.right = value_at(self.control, estimate)
        value = self.control.clamp(self.right + self._error)
        if value == self.value:
            return None
        self.value = value
        self.changes += 1
        self._since = 0
        return value


def _position(level: float, levels: Sequence[float], quality: Quality) -> float:
    """Where a level stands on the axis of its kind: decibels, or powers of ten."""
    if quality.scale == "linear":
        return level
    least = min((one for one in levels if one > 0.0), default=1.0)
    floor = math.log10(least) - _ZERO_BELOW
    return max(floor, math.log10(level)) if level > 0.0 else floor


def _edges(levels: Sequence[float], quality: Quality) -> list[tuple[float, float]]:
    """For each value, from low to high: the positions between which it stays, hysteresis included."""
    rising = sorted(range(len(levels)), key=lambda number: levels[number])
    places = [_position(levels[number], levels, quality) for number in rising]
    widths = [after - before for before, after in pairwise(places)]
    widths.append(widths[-1] if widths else math.inf)
    found = [(-math.inf, math.inf)] * len(levels)
    for rank, number in enumerate(rising):
        low, high = -math.inf, math.inf
        if rank > 0:
            low = places[rank] - HYSTERESIS * min(widths[rank - 1], widths[rank])
        if rank + 1 < len(rising):
            high = places[rank + 1] + HYSTERESIS * min(widths[rank], widths[rank + 1])
        found[number] = (low, high)
    return found
