"""The sections of the report about answers: features, what matters in them, confusion, objects found."""

from __future__ import annotations

from functools import partial

import numpy as np

from semflash.report import pictures
from semflash.report.content import Content
from semflash.report.gather import DAMAGED_BER, BundleView
from semflash.report.page import Chart, Section, Table
from semflash.report.wording import percent, share

_WORST = 6


def features(content: Content) -> Section:
    """Images, decoded features, importance."""
    charts = [_features(view) for view in content.views if view.importance is not None]
    return Section("features", "Features", "Decoded features and what matters in them", charts=charts)


def _features(view: BundleView) -> Chart:
    name = view.bundle.name
    how = "" if view.importance is None else view.importance.text
    return Chart(
        f"features-{name}",
        f"{name}: image, decoded features (mean over channels) at BER 0 and {percent(DAMAGED_BER)}, and what "
        f"matters in those at BER 0, {how}; bright is high.",
        f"Grid of test images of {name} with their decoded features and importance maps: "
        + "; ".join(pictures.story(example) for example in view.examples),
        partial(pictures.features, view), wide=True,
    )  # fmt: skip


def confusion(content: Content) -> Section:
    """Confusion matrices at 5 %, with the worst pairs as a table; of classifiers."""
    charts, tables = [], []
    for view in content.views:
        if view.confusion is None:
            continue
        name, classes = view.bundle.name, view.bundle.contract.class_names
        charts.append(
            Chart(
                f"confusion-{name}",
                f"{name} at BER {percent(DAMAGED_BER)}: rows are the truth, columns the answer.",
                f"Confusion matrix of {name}; the table lists its largest errors.",
                partial(pictures.confusion, view.bundle, view.confusion),
            )
        )  # fmt: skip
        pairs = sorted(
            ((int(count), a, b) for (a, b), count in np.ndenumerate(view.confusion) if a != b),
            key=lambda pair: (-pair[0], *pair[1:]),
        )  # fmt: skip
        rows = [[classes[a], classes[b], str(count)] for count, a, b in pairs[:_WORST] if count]
        tables.append(Table(f"{name}: most frequent errors", ["truth", "answer", "images"], rows, words=True))
    title = f"Confusion at BER {percent(DAMAGED_BER)}"
    return Section("confusion", "Confusion", title, charts=charts, tables=tables)


def precision(content: Content) -> Section:
    """Average precision by class; of detectors."""
    charts, tables = [], []
    for view in content.views:
        if view.precision is None:
            continue
        name, classes, found = view.bundle.name, view.bundle.contract.class_names, view.precision
        rates, most = list(found.by_ber), pictures.SHOWN_CLASSES
        which = "each class" if len(classes) <= most else f"the {most} classes with most objects"
        charts.append(
            Chart(
                f"precision-{name}", f"{name}: average precision (IoU 0.5) of {which}.",
                f"Bars of average precision by class of {name}; the table has the numbers.",
                partial(pictures.precision, view.bundle, found),
            )
        )  # fmt: skip
        rows = [
            [classes[index], f"{count:,}", *(share(found.by_ber[ber][index]) for ber in rates)]
            for index, count in enumerate(found.objects)
        ]
        rows.append(["all: mAP@0.5", f"{sum(found.objects):,}", *(share(view.accuracy(b)) for b in rates)])
        head = ["class", "objects", *(f"BER {percent(ber)}" for ber in rates)]
        tables.append(Table(f"{name}: average precision (IoU 0.5) by class, in percent", head, rows))
    return Section("precision", "Classes", "Average precision by class", charts=charts, tables=tables)


def scenes(content: Content) -> Section:
    """Scenes with true and found boxes; of detectors."""
    charts = [
        Chart(
            f"scenes-{view.bundle.name}",
            f"{view.bundle.name}: true objects, and those found at BER 0 and {percent(DAMAGED_BER)} with "
            f"their scores ({pictures.SHOWN_TEXT} or more); true boxes are dotted there.",
            f"Scenes of {view.bundle.name}: " + "; ".join(pictures.story(one) for one in view.examples),
            partial(pictures.scenes, view), wide=True,
        )
        for view in content.views
        if view.precision is not None and view.examples
    ]  # fmt: skip
    return Section("scenes", "Scenes", "Scenes and the objects found in them", charts=charts)
