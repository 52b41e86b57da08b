"""What was to be reached, and what was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.multires import names
from experiments.multires.lines import NOTHING, Results, head, line, mean, of, over, rows_of, share, spread
from experiments.multires.results import Result

#: What, goal, found, whether it was met; None: only shown.
Goal = tuple[str, str, str, bool]
LOWEST = names.RATES[:2]
#: Of the attention: as the paper has it, and as the student learns it.
LAST, LEARNT = "last block, smoothed 0", "both ways round, rollout, smoothed 0.8"
SHOWN = ((LEARNT, "what the student learns"), (LAST, "the last block's row CLS, as it is"))
RIVALS = (
    names.VARIANCE,
    names.ONE_BIT,
    names.CHANCE,
    names.QUANTISED,
    *names.FORMATS,
    *names.COMPARED,
)


def goals(found: Results) -> str:
    """A line for each goal whose figures are there."""
    if not of(found, "codec"):
        return NOTHING
    rows: list[Goal] = []
    for part in (_teacher, _student, _gains, _rivals, _device, _channel, _another):
        rows += part(found)
    lines = head("what", "goal", "found", "met")
    return "\n".join([*lines, *(line((*cells, "yes" if met else "**no**")) for *cells, met in rows)])


def _teacher(found: Results) -> Iterator[Goal]:
    for result in of(found, "teacher"):
        test = result.figures["test"]
        yield "transformer: accuracy", "75 % or more", share(test["accuracy"]), test["accuracy"] >= 0.75
        for key, title in (("pointing", "pointing game"), ("auc", "AUC")):
            for name, what in (
                (LEARNT, "what the student learns"),
                (LAST, "the last block's row CLS, as it is"),
            ):
                if name in test:
                    value = test[name][key]
                    yield f"{title} of {what}", "0.85 or more", f"{value:.3f}", value >= 0.85


def _student(found: Results) -> Iterator[Goal]:
    figures = [result.figures["student"] for result in of(found, "codec")]
    for key, title, goal in (
        ("spearman", "Spearman", 0.75),
        ("best_in_common", "8 best in common", 0.70),
    ):
        value = float(np.mean([one[key] for one in figures]))
        yield f"student: {title}", f"{goal:.2f} or more", f"{value:.3f}", value >= goal
    for result in of(found, "int8"):
        both = result.figures["scores"]
        apart = abs(both["int8"]["spearman"] - both["float"]["spearman"])
        yield "student in int8: Spearman as in float", "within 0.01", f"{apart:.4f} apart", apart <= 0.01


def _gains(found: Results) -> Iterator[Goal]:
    codecs = of(found, "codec")
    for arm, goal in ((names.STUDENT_VARIANCE, 15.0), (names.STUDENT, 10.0)):
        more = [100 * over(codecs, arm, names.SINGLE, rate) for rate in LOWEST]
        shown = ", ".join(f"{each:+.1f}" for each in more)
        title = f"{names.TITLES[arm]} over a single resolution at 64 and 128 bytes"
        yield title, f"{goal:+.0f} points", shown, min(more) >= goal
    lower = min(100 * over(codecs, names.STUDENT_VARIANCE, names.SINGLE, rate) for rate in names.RATES)
    yield "the same at any rate", "never lower by more than 1", f"{lower:+.1f} at the least", lower >= -1
    missing = 100 * over(codecs, names.ORACLE, names.STUDENT_VARIANCE, LOWEST[0])
    yield "to the mask of the object at 64 bytes", "6 points or less", f"{missing:.1f}", missing <= 6
    errors = [
        float(np.mean([row.object_mse for row in rows_of(codecs, arm, LOWEST[1])]))
        for arm in (names.STUDENT_VARIANCE, names.SINGLE)
    ]
    ratio = errors[0] / errors[1]
    yield "error over the object at 128 bytes, of a single resolution's", "half", f"{ratio:.2f}", ratio <= 0.5


def _rivals(found: Results) -> Iterator[Goal]:
    """Each baseline at the two lowest rates."""
    codecs = of(found, "codec")
    for rival in RIVALS:
        theirs = [each for each in found if any(row.arm == rival for row in each.rows)]
        theirs = [each for each in theirs if each.variant in ("codec", "formats") or rival in names.COMPARED]
        more = [_beside(codecs, theirs, rival, rate) for rate in LOWEST]
        if all(each is not None for each in more):
            pairs = [each for each in more if each is not None]
            shown = ", ".join(f"{points:+.1f} (spread {apart:.1f})" for points, apart in pairs)
            met = all(points > apart for points, apart in pairs)
            yield f"above {names.TITLES[rival]} at 64 and 128 bytes", "by more than the spread", shown, met


def _beside(
    codecs: Sequence[Result], theirs: Sequence[Result], rival: str, rate: int
) -> tuple[float, float] | None:
    """Points above, and the larger spread between seeds of the two."""
    own, other = mean(codecs, names.STUDENT_VARIANCE, rate), mean(theirs, rival, rate)
    if own is None or other is None:
        return None
    apart = max(spread(codecs, names.STUDENT_VARIANCE, rate), spread(theirs, rival, rate))
    return 100 * (own - other), 100 * apart


def _device(found: Results) -> Iterator[Goal]:
    for result in of(found, "board"):
        one = result.figures
        over_rate = f"{one['over_rate']} of {result.settings['images']:,} images"
        where = f"`{result.settings['board']}`"
        yield (
            f"rate changing with every image on {where}: above the rate",
            "never",
            over_rate,
            (one["over_rate"] == 0),
        )
        apart = 100 * abs(one["accuracy"] - one["offline_accuracy"])
        shown = f"{share(one['accuracy'])} and {share(one['offline_accuracy'])}"
        yield "the same: accuracy on the board and offline", "within 1 point", shown, apart <= 1


def _channel(found: Results) -> Iterator[Goal]:
    for result in of(found, "errors"):
        known = {row.ber: row for row in result.rows if row.protected}
        if {0.0, 0.0025} <= set(known):
            less = 100 * (known[0.0].accuracy - known[0.0025].accuracy)
            yield (
                "bit errors, 0.25 %, protected map: accuracy",
                "at most 3 less",
                f"{less:.1f} less",
                less <= 3,
            )


def _another(found: Results) -> Iterator[Goal]:
    results = of(found, "another classifier")
    if results:
        more = [100 * over(results, names.STUDENT_VARIANCE, names.SINGLE, rate) for rate in LOWEST]
        shown = ", ".join(f"{each:+.1f}" for each in more)
        yield "another classifier over a single resolution at 64 and 128 bytes", "holds", shown, min(more) > 0
