"""The figures that were asked for, beside what was found; whether a goal is met is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from experiments.markdown import table
from experiments.tosc.cost_blocks import apart, epochs, share_of_views
from experiments.tosc.names import MEAN_OF, SNRS
from experiments.tosc.paired import Paired, paired, probability_text
from experiments.tosc.reading import Curve, Material, cell, few, less, mean, over, points
from semflash.report.statistics import above

UNKNOWN = "not measured yet"
#: What TOSC is compared with over symbols and over bits, and up to which level.
RIVALS = {
    "symbols": ("deep jscc", "semanticnn", "bottlenetpp", "adjscc"),
    "bits": ("semanticnn", "bottlenetpp", "adjscc", "jpeg"),
}
LEVELS = {"symbols": (-6.0, 0.0, 3.0, 6.0), "bits": (2.5e-3, 1e-2, 2.5e-2, 5e-2)}


@dataclass(frozen=True)
class Goal:
    """A row: what, the goal, what was found, and whether it is met (None: not measured)."""

    what: str
    goal: str
    found: str = "–"
    met: bool | None = None

    def row(self) -> list[str]:
        """Of the table."""
        word = UNKNOWN if self.met is None else "yes" if self.met else "**no**"
        return [self.what, self.goal, self.found, word]


def goals(material: Material) -> str:
    """The table of all goals."""
    makers: tuple[Callable[[Material], Goal], ...] = (
        distilled,
        at_best,
        at_worst,
        half,
        adaptation,
        wrong_state,
        bottleneck,
        stored,
        smaller,
        faster,
        rivals_symbols,
        rivals_bits,
    )
    return table(["what", "goal", "found", "met"], [make(material).row() for make in makers])


def gain(
    material: Material,
    one: str = "distilled",
    other: str = "undistilled",
    levels: Sequence[float] = MEAN_OF,
    group: str = "stamps",
) -> Paired | None:
    """One variant of a group against another, image by image; None: no seed has both."""
    first, second = (material.counts(group, variant, levels) for variant in (one, other))
    return paired(first, second, len(levels) * material.repeats(group, one))


def distilled(material: Material) -> Goal:
    """The teacher's worth: at least 1.3 points, and more than chance over images."""
    what = "stamps, mean over -6, 0, 6, 12, 18 dB: distilled less undistilled"
    goal = "1.3 points or more, by a paired test"
    difference = less(*(over(material.curve("stamps", v), MEAN_OF) for v in ("distilled", "undistilled")))
    found, test = mean(difference), gain(material)
    if found is None or test is None:
        return Goal(what, goal)
    text = (
        f"{_points(difference)}; over images {100 * test.low:+.2f} to {100 * test.high:+.2f}, "
        f"sign test p {probability_text(test.probability)}"
    )
    return Goal(what, goal, text, found.mean >= 0.013 and test.low > 0 and test.probability < 0.05)


def at_best(material: Material) -> Goal:
    """At 18 dB."""
    return _at(material, 18.0, 0.66)


def at_worst(material: Material) -> Goal:
    """At -6 dB."""
    return _at(material, -6.0, 0.45)


def _at(material: Material, level: float, least: float) -> Goal:
    values = material.curve("stamps", "distilled").get(level, {})
    found = mean(values)
    what, goal = f"stamps at {level:g} dB, distilled", f"{100 * least:.0f} % or more"
    return (
        Goal(what, goal)
        if found is None
        else Goal(what, goal, cell(values) + few(values), found.mean >= least)
    )


def half(material: Material) -> Goal:
    """Half of the data with the teacher against all of it without: level, or above."""
    what = "half of the data with the teacher less all of it without, the same mean"
    goal = "level or above"
    one, other = (
        over(material.curve("stamps", variant), MEAN_OF) for variant in ("half of the data", "undistilled")
    )
    mine, theirs = mean(one), mean(other)
    if mine is None or theirs is None:
        return Goal(what, goal)
    level = mine.mean >= theirs.mean or above(theirs, mine) is False
    return Goal(what, goal, _points(less(one, other)), level)


def adaptation(material: Material) -> Goal:
    """On against off at every ratio."""
    what = "adaptation on less off, at -6 and at 18 dB"
    goal = "never lower by more than the spread, better at both ends"
    on, off = (material.curve("stamps", variant) for variant in ("distilled", "no adaptation"))
    if not all(level in on and level in off for level in SNRS):
        return Goal(what, goal)
    ends = [less(on[level], off[level]) for level in (-6.0, 18.0)]
    lower = [level for level in SNRS if _is_above(off[level], on[level])]
    better = all((found := mean(end)) is not None and found.mean > 0 for end in ends)
    text = "; ".join(_points(end) for end in ends)
    if not all(_enough(on[level], off[level]) for level in SNRS):
        return Goal(what, goal, text)
    text += f"; lower by more than the spread at {_levels(lower)}" if lower else "; nowhere lower by more"
    return Goal(what, goal, text, better and not lower)


def _points(difference: Mapping[int, float]) -> str:
    """A difference, and of which seeds it is where some are missing."""
    return points(difference) + few(difference)


def _levels(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels) + " dB"


def _is_above(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Whether one is above the other by more than the spread; with one seed that cannot be said."""
    a, b = mean(one), mean(other)
    return a is not None and b is not None and above(a, b) is True


def _enough(*curves: Mapping[int, float]) -> bool:
    """Whether each has a spread: two seeds or more."""
    return all(len(curve) > 1 for curve in curves)


def wrong_state(material: Material) -> Goal:
    """What an encoder's state that is off by one costs, the worse direction."""
    what, goal = "state wrong by one class, the same mean, the worse direction", "less than 0.5 points lost"
    right = over(material.curve("states", "distilled"), MEAN_OF)
    lost = [
        less(right, over(material.curve("states", "distilled", state_error=error), MEAN_OF))
        for error in (-1, 1)
    ]
    means = [found for each in lost if (found := mean(each)) is not None]
    if len(means) < 2:
        return Goal(what, goal)
    worse = max(lost, key=lambda each: sum(each.values()) / len(each))
    text = _points({seed: -value for seed, value in worse.items()})
    return Goal(what, goal, text, max(found.mean for found in means) < 0.005)


def bottleneck(material: Material) -> Goal:
    """On against off, the mean over ratios."""
    what, goal = "bottleneck on less off, the same mean", "within the spread"
    on, off = (over(material.curve("stamps", v), MEAN_OF) for v in ("distilled", "no bottleneck"))
    if not on or not off:
        return Goal(what, goal)
    text, apart = _points(less(on, off)), _is_above(on, off) or _is_above(off, on)
    return Goal(what, goal, text, not apart if _enough(on, off) else None)


def stored(material: Material) -> Goal:
    """Stored answers against asking the teacher."""
    what = "stored against live teacher: time of an epoch, losses, store's bytes of the views'"
    goal = "3x shorter, the same, 1.1 % or less"
    live = material.figures("live", "stored or live").get(0)
    cost = material.figures("costs", "distilled").get(0)
    if live is None or cost is None:
        return Goal(what, goal)
    ratio, difference, share = epochs(live), apart(live), share_of_views(cost)
    text = f"{ratio:.1f}x; losses {100 * difference:.3f} % apart; {100 * share:.2f} %"
    return Goal(what, goal, text, ratio >= 3.0 and difference < 0.001 and share <= 0.011)


def smaller(material: Material) -> Goal:
    """Bytes of the student's encoder, with its tables, against the teacher's weights."""
    what, goal = "encoder's bytes with its tables against the teacher's weights", "96.4 % smaller or more"
    cost = material.figures("costs", "distilled").get(0)
    if cost is None:
        return Goal(what, goal)
    own = cost["encoder_bytes"] + cost["projection_bytes"]
    share = 1.0 - own / cost["teacher_bytes"]
    text = f"{100 * share:.2f} %: {own:,} of {cost['teacher_bytes']:,} bytes"
    return Goal(what, goal, text, share >= 0.964)


def faster(material: Material) -> Goal:
    """Time of an image on the host."""
    what, goal = "time of an image on the host, the student's whole path", "80.7 % less or more"
    cost = material.figures("costs", "distilled").get(0)
    if cost is None:
        return Goal(what, goal)
    share = 1.0 - cost["student_ms"] / cost["teacher_ms"]
    text = f"{100 * share:.1f} %: {cost['student_ms']:.2f} of {cost['teacher_ms']:.2f} ms"
    return Goal(what, goal, text, share >= 0.807)


def rivals_symbols(material: Material) -> Goal:
    """Against the others in as many channel uses."""
    return _rivals(material, "symbols", "16 symbols, SNR of 6 dB and less")


def rivals_bits(material: Material) -> Goal:
    """Against the others in as many bytes."""
    return _rivals(material, "bits", "12 bytes, bit error rate of 0.25 % and more")


def _rivals(material: Material, group: str, where: str) -> Goal:
    what = f"{where}: TOSC above the others"
    goal = "above each by more than the spread"
    own = material.curve(group, "distilled")
    there = [name for name in RIVALS[group] if material.curve(group, name)]
    if not own or not there:
        return Goal(what, goal)
    if not all(_enough(*curve.values()) for curve in (own, *(material.curve(group, name) for name in there))):
        return Goal(what, goal, "one seed: not to be said")
    failing = [name for name in there if not is_above_at(own, material.curve(group, name), LEVELS[group])]
    lacking = [name for name in RIVALS[group] if name not in there]
    text = f"above {len(there) - len(failing)} of {len(there)}"
    text += f"; not above {', '.join(failing)}" if failing else ""
    text += f"; {', '.join(lacking)} {UNKNOWN}" if lacking else ""
    return Goal(what, goal, text, False if failing else None if lacking else True)


def is_above_at(one: Curve, other: Curve, levels: Sequence[float]) -> bool:
    """Whether a curve is above another by more than the spread at each level that both have."""
    both = [level for level in levels if level in one and level in other]
    return bool(both) and all(_is_above(one[level], other[level]) for level in both)
