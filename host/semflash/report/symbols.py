"""The section on values that are sent as symbols: their power, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.on_air import stretches, to_symbols
from semflash.edge.golden import GoldenEncoder
from semflash.report import plots
from semflash.report.page import Chart, Section, Table
from semflash.report.view import BundleView, Symbols

#: Symbols in a chart.
SHOWN = 500


def measured(
    bundle: Bundle, images: NDArray[np.uint8], settings: Sequence[Mapping[str, int]]
) -> tuple[Symbols, ...]:
    """The symbols of images uint8 (N, H, W, C), once for each different set of controls."""
    encoder, found = GoldenEncoder(bundle), []
    for one in {tuple(sorted(each.items())): each for each in settings}.values():
        sent = encoder.sent(images, one)
        points = []
        for which, parts in stretches(bundle.program, sent.payloads, sent.bits):
            values = [part for part in parts if part.holds is not None]
            bits = np.unpackbits(sent.payloads[which], axis=1)
            points.append(to_symbols(bits, values).reshape(-1, 2))
        words = ", ".join(f"{name} {value}" for name, value in sorted(one.items()))
        found.append(Symbols(words, np.concatenate([np.zeros((0, 2)), *points])))
    return tuple(found)


def section(views: Sequence[BundleView]) -> Section:
    """Power and place of the symbols of all bundles that send any."""
    with_symbols = [view for view in views if view.symbols]
    charts = [_chart(view) for view in with_symbols]
    return Section("symbols", "Symbols", "Symbols", charts=charts, tables=[_table(v) for v in with_symbols])


def _chart(view: BundleView) -> Chart:
    first, last, name = view.symbols[0], view.symbols[-1], view.bundle.name
    shown = [first] if first is last else [first, last]
    which = " and ".join(one.controls or "as sent" for one in shown)
    return Chart(
        f"symbols-{name}",
        f"{name}: {SHOWN} symbols of test images, {which}; the nominal power is 1.",
        f"Symbols of {name} in the plane of I and Q; the table has their power.",
        partial(_draw, name, shown),
    )


def _draw(name: str, shown: Sequence[Symbols]) -> object:
    clouds = []
    for one in shown:
        step = max(1, len(one.points) // SHOWN)
        x, y = one.points[::step][:SHOWN].T
        clouds.append(plots.Line(one.controls or "as sent", x.tolist(), y.tolist()))
    return plots.cloud_chart(clouds, plots.Axes(name, "I", "Q"))


def _table(view: BundleView) -> Table:
    rows = [
        [one.controls or "as sent", f"{len(one.points):,}", f"{one.power:.3f}", f"{one.peak:.1f}"]
        for one in view.symbols
    ]
    head = ["device", "symbols", "mean power", "peak over mean, dB"]
    return Table(f"{view.bundle.name}: symbols before the channel", head, rows)
