"""Tables of accuracies, each made of results alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.markdown import table
from experiments.tosc.goals import RIVALS, gain
from experiments.tosc.names import BERS, KEPT, MEAN_OF, SNRS
from experiments.tosc.paired import Paired, probability_text
from experiments.tosc.reading import (
    Curve,
    Material,
    cell,
    few,
    known,
    less,
    level_text,
    missing,
    over,
    points,
    seeds,
)

TITLES = {
    "distilled": "TOSC, distilled",
    "undistilled": "TOSC, undistilled",
    "deep jscc": "deep JSCC, then a task network",
    "semanticnn": "SemanticNN",
    "bottlenetpp": "BottleNet++-style",
    "adjscc": "ADJSCC-style",
    "jpeg": "JPEG, damaged ones dropped",
}
STAMPS = (
    "distilled",
    "undistilled",
    "views, undistilled",
    "no adaptation",
    "no bottleneck",
    "noisy estimates",
)
DATA = tuple(
    f"{part}{how}"
    for part, how in (
        ("distilled", ""),
        ("undistilled", ""),
        *(
            (f"{part} of the data", how)
            for part in ("half", "quarter", "tenth")
            for how in ("", ", undistilled")
        ),
    )
)

#: What is compared image by image beside distilled and undistilled.
PAIRS = (
    ("distilled", "views, undistilled"),
    ("half of the data", "half of the data, undistilled"),
    ("quarter of the data", "quarter of the data, undistilled"),
    ("tenth of the data", "tenth of the data, undistilled"),
    ("half of the data", "undistilled"),
    ("distilled", "no adaptation"),
    ("distilled", "no bottleneck"),
)


def by_level(
    material: Material, group: str, variants: Sequence[str], levels: Sequence[float], globs: Sequence[str]
) -> str:
    """Variant by level, in percent; with symbols the mean over ratios, too."""
    there = known(variants, {result.variant for result in material.of(group)})
    if not there:
        return missing(*globs)
    with_mean = set(MEAN_OF) <= set(levels)
    rows = []
    for variant in there:
        curve = material.curve(group, variant)
        last = [cell(over(curve, MEAN_OF))] if with_mean else []
        rows.append(
            [TITLES.get(variant, variant), seeds(curve), *(cell(curve.get(level)) for level in levels), *last]
        )
    unit = "SNR, dB" if with_mean else "bit error rate"
    heads = [level_text(level) if with_mean else f"{100 * level:g} %" for level in levels]
    head = [f"{unit}:", "seeds", *heads, *(["mean"] if with_mean else [])]
    lacking = [TITLES.get(name, name) for name in variants if name not in there]
    text = table(head, rows)
    return f"{text}\n\nNot measured yet: {', '.join(lacking)}." if lacking else text


def stamps(material: Material) -> str:
    """The main table."""
    return by_level(material, "stamps", STAMPS, SNRS, ["stamps-*"])


def distillation(material: Material) -> str:
    """Distilled less undistilled by ratio, then with the same views and with parts of the data."""
    by_ratio = [
        compared(material, "distilled", "undistilled", title, levels)
        for title, levels in (("mean", MEAN_OF), *((f"{level:g} dB", (level,)) for level in SNRS))
    ]
    others = [compared(material, one, other, f"{one} less {other}", MEAN_OF) for one, other in PAIRS]
    parts = []
    for head, rows in (("distilled less undistilled, SNR", by_ratio), ("the mean, others", others)):
        there = [row for row in rows if row]
        if there:
            columns = ["points", "seed by seed", "over images", "images better : worse", "sign test, p"]
            parts.append(table([head, *columns], there))
    return "\n\n".join(parts) or missing("stamps-distilled-*", "stamps-undistilled-*")


def compared(
    material: Material, one: str, other: str, title: str, levels: Sequence[float]
) -> list[str] | None:
    """A row: one variant less another over some ratios; None: no seed has both."""
    difference = less(*(over(material.curve("stamps", variant), levels) for variant in (one, other)))
    test = gain(material, one, other, levels)
    if not difference or test is None:
        return None
    each = ", ".join(f"{100 * value:+.2f}" for value in difference.values())
    return [title, points(difference), each, *tested(test)]


def tested(test: Paired) -> list[str]:
    """Interval over images, images better and worse, and the sign test."""
    return [
        f"{100 * test.low:+.2f} to {100 * test.high:+.2f}",
        f"{test.better:,} : {test.worse:,}",
        probability_text(test.probability),
    ]


def data(material: Material) -> str:
    """All and half of the data, with and without the teacher."""
    return by_level(material, "stamps", DATA, SNRS, ["stamps-half-*"])


def places(material: Material) -> str:
    """Values of the whole image against values of a place each."""
    return by_level(material, "stamps", ("distilled", "local"), SNRS, ["stamps-local-*"])


def bits(material: Material) -> str:
    """Over bits, 12 bytes."""
    names = ("distilled", "undistilled", *RIVALS["bits"])
    return by_level(material, "bits", names, BERS, ["bits-*"]) + teachers_worth(material, "bits", BERS)


def symbols(material: Material) -> str:
    """Over 16 symbols."""
    names = ("distilled", "undistilled", *RIVALS["symbols"])
    text = by_level(material, "symbols", names, SNRS, ["symbols-*"])
    return text + teachers_worth(material, "symbols", MEAN_OF)


def teachers_worth(material: Material, group: str, levels: Sequence[float]) -> str:
    """A sentence on distilled against undistilled over some levels; empty: not measured."""
    curves = [material.curve(group, variant) for variant in ("distilled", "undistilled")]
    difference = less(*(over(curve, levels) for curve in curves))
    test = gain(material, levels=levels, group=group)
    if not difference or test is None:
        return ""
    interval, images, probability = tested(test)
    return (
        f"\n\nDistilled less undistilled, mean over {', '.join(level_text(level) for level in levels)}: "
        f"{points(difference)} points{few(difference)}; over images {interval}, better : worse {images}, "
        f"sign test p {probability}."
    )


def states(material: Material) -> str:
    """What a wrong state or a wrong estimate costs."""
    right = material.curve("states", "distilled")
    if not right:
        return missing("states-*")
    rows = [["all right", seeds(right), *_cells(right)]]
    cases: list[tuple[str, dict[str, Any]]] = []
    for error in (-2, -1, 1, 2):
        cases.append((f"encoder's state {error:+d}, decoder told it", {"state_error": error}))
    for error in (-1, 1):
        cases.append((f"decoder told a state {error:+d} of the one used", {"decoder_error": error}))
    for told in (-3.0, 3.0):
        cases.append((f"decoder told {told:+g} dB", {"told_error": told}))
        both = {"told_error": told, "state_error": round(told / 3)}
        cases.append((f"both: decoder told {told:+g} dB, state {round(told / 3):+d}", both))
    for title, conditions in cases:
        curve = material.curve("states", "distilled", **conditions)
        rows.append([title, seeds(curve), *_differences(curve, right)])
    return table(["SNR, dB; below the first row the change in points:", *_heads()], rows)


def kept(material: Material) -> str:
    """Accuracy with fewer values sent, and what the values tell."""
    rows = []
    for variant in ("distilled", "no bottleneck"):
        for count in KEPT:
            curve = material.curve("kept", variant, kept=count)
            if curve:
                rows.append([f"{variant}, {count} values", seeds(curve), *_cells(curve)])
        nats = [f["nats"] for f in material.figures("kept", variant).values()]
        if nats:
            for title, key in (
                ("nats of a value, mean", "mean_nats"),
                ("values below 0.01 nats", "below_0.01"),
            ):
                found = [
                    f"{sum(one[level_text(level)][key] for one in nats) / len(nats):.2f}" for level in SNRS
                ]
                rows.append([f"{variant}: {title}", str(len(nats)), *found, "–"])
    return table(["SNR, dB; values sent:", *_heads()], rows) if rows else missing("kept-*")


def fading(material: Material) -> str:
    """Rayleigh fading, by what a codec was trained for."""
    rows = []
    for variant, title in (("rayleigh", "trained with fading"), ("distilled", "trained with noise alone")):
        curve = material.curve("fading", variant)
        if curve:
            rows.append([title, seeds(curve), *_cells(curve)])
    return table(["over Rayleigh fading, mean SNR, dB:", *_heads()], rows) if rows else missing("fading-*")


def _heads() -> list[str]:
    return ["seeds", *(level_text(level) for level in SNRS), "mean"]


def _cells(curve: Curve) -> list[str]:
    return [*(cell(curve.get(level)) for level in SNRS), cell(over(curve, MEAN_OF))]


def _differences(curve: Curve, right: Curve) -> list[str]:
    each = [points(less(curve.get(level, {}), right.get(level, {}))) for level in SNRS]
    return [*each, points(less(over(curve, MEAN_OF), over(right, MEAN_OF)))]


def trained(material: Material) -> str:
    """Passes, images and seconds of every group of trainings, and the teacher's record."""
    rows = []
    for group, variant in dict.fromkeys((r.group, r.variant) for r in material.results.values()):
        found = material.of(group, variant)
        recipe = found[0].settings.get("recipe")
        if group not in ("stamps", "bits", "symbols"):
            continue
        about = found[0].settings if recipe is None else recipe
        images = about.get("train_images") or about.get("images") or 20_000
        passes = about.get("task_epochs") or about.get("passes")
        took = sum(one.seconds["training"] for one in found) / len(found)
        title = TITLES.get(variant, variant)
        which = ", ".join(str(one.seed) for one in found)
        rows.append([group, title, which, f"{images:,}", str(passes), f"{took:.0f}"])
    if not rows:
        return missing("*")
    head = ["group", "what", "seeds", "images", "passes", "seconds of training, mean"]
    return f"{table(head, rows)}\n\n{teachers(material)}".rstrip()


def teachers(material: Material) -> str:
    """Whose answers were learnt from; empty: nobody's."""
    records: dict[str, dict[str, Any]] = {}
    for result in material.results.values():
        if "teacher" in result.figures:
            record = result.figures["teacher"]
            records.setdefault(record["digest"], record)
    lines = [
        f"Teacher {one['name']} (store {digest[:16]}, {one['views']} views): test accuracy "
        f"{100 * one['test_accuracy']:.2f} %, {one['weights_bytes']:,} bytes of weights."
        for digest, one in sorted(records.items(), key=lambda pair: pair[1]["name"])
        if one.get("test_accuracy") is not None
    ]
    return "  \n".join(lines)
