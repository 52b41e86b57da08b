"""A channel whose quality changes while images go over it: so many images at one level, then at the next."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from semflash.errors import UsageError
from semflash.program.quality import Ber, Snr

Kind = type[Ber] | type[Snr]
#: How levels of a made trace come one after the other.
Shape = Literal["steady", "walk", "pair", "image"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
#: A walk goes by a step of this standard deviation at each image, as a share of its range.
WALK_STEP = 0.01
STEPS_MAX = 100_000
BYTES_MAX = 4 << 20
_FORM = "lines of a number of images and a level, for instance: 200 15"


@dataclass(frozen=True)
class Trace:
    """Levels by image.

    Attributes:
        steps: So many images (1 or more) at a level, one step behind the other; the last level stays.

    >>> trace = Trace(((2, 15.0), (1, 3.0)))
    >>> [trace.at(number) for number in range(4)]
    [15.0, 15.0, 3.0, 3.0]

    Raises:
        UsageError: No step, or one of no image.
    """

    steps: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        if not self.steps or any(images < 1 for images, _ in self.steps):
            raise UsageError("a trace has steps of an image or more", value=self.steps[:3], remedy=_FORM)
        object.__setattr__(self, "_ends", list(itertools.accumulate(images for images, _ in self.steps)))

    def at(self, number: int) -> float:
        """The level of the image of a number, from 0."""
        ends: list[int] = vars(self)["_ends"]
        return self.steps[min(bisect.bisect_right(ends, number), len(ends) - 1)][1]

    def levels(self, count: int) -> NDArray[np.float64]:
        """The levels of the first images, float64 (count,)."""
        return np.array([self.at(number) for number in range(count)], np.float64)


def read_trace(path: Path, quality: Kind) -> Trace:
    """The trace in a text file; ``#`` begins a comment.

    Args:
        quality: The kind of its levels.

    Raises:
        UsageError: The file cannot be read, is none, or a level is out of range; the line is named.
    """
    try:
        if path.stat().st_size > BYTES_MAX:
            raise UsageError("the trace is larger than 4 MiB", value=path, remedy=_FORM)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the trace: {error}", value=path, remedy=_FORM) from error
    steps = []
    for number, text in enumerate(lines, 1):
        words = text.partition("#")[0].split()
        if words:
            steps.append(_step(words, quality, f"{path.name}, line {number}: {text[:60]!r}"))
    if len(steps) > STEPS_MAX:
        raise UsageError(f"a trace has {STEPS_MAX:,} steps at most", value=len(steps))
    return Trace(tuple(steps))


def _step(words: list[str], quality: Kind, where: str) -> tuple[int, float]:
    low, high = quality.limits
    try:
        images, level = words
        found = int(images), float(level)
    except ValueError:
        raise UsageError("not a step of a trace", value=where, remedy=_FORM) from None
    if not low <= found[1] <= high:
        raise UsageError(f"a level of the trace is no {quality.title}", value=where)
    return found


def make_trace(
    shape: Shape, count: int, low: float, high: float, quality: Kind = Snr, *, seed: int = 0
) -> Trace:
    """A seeded trace between two levels, even in decibels, or in powers of ten of a bit error rate.

    Args:
        shape: ``steady``: one level. ``walk``: a slow random walk, reflected at both ends.
            ``pair``: every second image another level. ``image``: every image another one.
        count: Of images.
        low, high: Of the levels; as rates both above 0.
        quality: The kind of the levels.

    Raises:
        UsageError: No such shape, no image, or a range that is none.
    """
    logarithmic = quality.scale == "ber"
    if shape not in SHAPES:
        raise UsageError("no such trace", value=shape, remedy=f"one of {', '.join(SHAPES)}")
    least, most = quality.limits
    if count < 1 or not least <= low <= high <= most or (logarithmic and not low > 0.0):
        raise UsageError("a trace has images, and levels from low to high", value=(count, low, high))
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    if shape == "steady":
        places, each = rng.uniform(size=1), count
    elif shape == "walk":
        places, each = _reflected(rng.uniform() + np.cumsum(WALK_STEP * rng.standard_normal(count))), 1
    else:
        each = 2 if shape == "pair" else 1
        places = rng.uniform(size=-(-count // each))
    ends = np.log10([low, high]) if logarithmic else np.array([low, high])
    levels = ends[0] + (ends[1] - ends[0]) * places
    return Trace(tuple((each, float(level)) for level in (10.0**levels if logarithmic else levels)))


def _reflected(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places of any size folded into 0..1.

    >>> _reflected(np.array([0.25, 1.25, -0.25, 2.5])).tolist()
    [0.25, 0.75, 0.25, 0.5]
    """
    return 1.0 - np.abs(1.0 - np.mod(places, 2.0))
