"""Examples with their decoded features and what matters in them, and the section that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.channels.of_quality import channel_for
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.route import Route
from semflash.outputs.output import Verdict
from semflash.report import pictures
from semflash.report.answers.material import Material
from semflash.report.importance import Importance, as_map, importance
from semflash.report.page import Chart, Section
from semflash.report.view import BundleView, Example

Names = Callable[[int, Verdict], str]
#: What it takes to show some images: the examples, their importance, readings over both channels by row.
Shown = tuple[list[Example], Importance | None, list[tuple[Any, Any]]]


def examples(material: Material, which: NDArray[np.intp], name: Names, found: str) -> Shown:
    """Some images with what the decoder makes of them; none where no graph stands behind features.

    Args:
        material: Of the bundle.
        which: Indices of the images.
        name: Gives an example's name for its index and the verdict on its clean answer.
        found: Word between the truth and the answers.
    """
    bundle, quality = material.bundle, material.bundle.quality
    decoder = EdgeDecoder(bundle)
    if not decoder.chains or not len(which):
        return [], None, []
    measured, worst, best = material.evaluation, quality.damaged, quality.main[0]
    channel = channel_for(bundle.program, measured.fading)
    route = Route(bundle, material.images[which], channel, material.seed, decoder)
    features = [route.features(level, measured.settings(bundle, level)) for level in (best, worst)]
    readings = [bundle.output.read(decoder.classify(values)) for values in features]
    maps = importance(bundle, decoder, features[0], material.labels[which])
    judge = bundle.output.judge(material.images, material.labels)
    made = []
    for row, index in enumerate(which):
        clean, bad = (judge.judge(each[row], int(index)) for each in readings)
        title = name(int(index), clean)
        truth = clean.truth if title == clean.truth else f"{title} with {clean.truth}"
        answers = f"{clean.words} at {quality.text(best)} and {bad.words} at {quality.text(worst)}"
        story = f"{truth}, {found} {answers}"
        made.append(
            Example(
                material.images[index],
                title,
                story,
                as_map(features[0][row]).mean(-1),
                as_map(features[1][row]).mean(-1),
                maps.maps[row],
            )
        )
    return made, maps, list(zip(*readings, strict=True))


def section(views: Sequence[BundleView]) -> Section:
    """Images, decoded features, importance."""
    charts = [_features(view) for view in views if view.importance is not None]
    return Section("features", "Features", "Decoded features and what matters in them", charts=charts)


def _features(view: BundleView) -> Chart:
    name, quality = view.bundle.name, view.quality
    how = "" if view.importance is None else view.importance.text
    clean = quality.text(quality.main[0])
    return Chart(
        f"features-{name}",
        f"{name}: image, decoded features (mean over channels) at {clean} and "
        f"{quality.number(quality.damaged)}, and what matters in those at {clean}, {how}; bright is high.",
        f"Grid of test images of {name} with their decoded features and importance maps: "
        + "; ".join(example.story for example in view.examples),
        partial(pictures.features, view),
        wide=True,
    )
