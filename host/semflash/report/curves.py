"""The sections on the figure of merit against channel quality and against bytes: bundles and results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from semflash.report import channel, pictures, retransmission
from semflash.report.content import Content
from semflash.report.page import Chart, Section, Table
from semflash.report.statistics import Series, over_bsc
from semflash.report.view import BundleView

#: The budget in which a method is trained as long as its own recipe says.
FULL = "full"


def budgets(content: Content) -> list[str]:
    """What the budgets in brackets are, and what a gap to a bundle means; empty: no results."""
    if not content.budgets:
        return []
    meant = "; ".join(f"[{name}]: {text}" for name, text in content.budgets)
    shorter = list(dict.fromkeys(f"[{name}]" for name, _ in content.budgets if name != FULL))
    gap = f": a gap between a bundle and a result of {' or '.join(shorter)} may be partly the budget"
    return [
        f"Results of experiments carry their training budget in brackets. {meant}. The bundles were trained "
        f"as their settings say, not under these budgets{gap if shorter else ''}."
    ]


def against_quality(content: Content) -> Section:
    """The figure of merit against the channel's quality, one chart for each payload size."""
    charts, tables, words, quality = [], [], content.words, content.quality
    faded = channel.fading(content)
    sizes = sorted(
        {view.bundle.payload_bytes for view in content.views}
        | {one.subject.payload_bytes for one in content.others}
    )
    for size in sizes:
        views = [view for view in content.views if view.bundle.payload_bytes == size]
        others = [one for one in content.others if one.subject.payload_bytes == size]
        charts.append(
            Chart(
                f"{words.slug}-{quality.name}-{size}",
                f"{size} bytes per image. Bars: {words.interval}"
                + (", standard deviation over seeds of an experiment." if others else ".")
                + (" Small figures: what the device was set to." if _set(views) else "")
                + (f" {faded}." if faded else ""),
                f"{words.title} by {quality.title} at {size} bytes; the table has the numbers.",
                partial(pictures.against_quality, views, others, size, words, quality),
            )
        )
        tables += _quality_tables(content, views, others, size)
    text = budgets(content) + channel.sentences(content)
    if retransmission.resent(content.others):
        text.append(retransmission.NOTE)
    title, short = f"{words.title} against {quality.title}", quality.damage.capitalize()
    title += f", {faded}" if faded else ""
    return Section(quality.name, short, title, text=text, charts=charts, tables=tables)


def _set(views: Sequence[BundleView]) -> bool:
    """Whether a device was set to anything."""
    return any(view.evaluation.control_names for view in views)


def _quality_tables(
    content: Content, views: Sequence[BundleView], others: Sequence[Series], size: int
) -> list[Table]:
    """The figure of merit by level, and, where payloads were sent again, the bytes that this took."""
    words, quality = content.words, content.quality
    levels = sorted(
        {p.level for view in views for p in view.evaluation.measurement.points}
        | {c.rate for one in others for c in one.means if c.channel == "bsc"}
    )
    rows = [[f"{v.bundle.name} (int8)", *(v.number(level) for level in levels)] for v in views]
    for one in others:
        for framing in one.framings():
            means = [one.bsc(level, framing) for level in levels]
            cells = ("–" if mean is None else mean.percent() for mean in means)
            rows.append([one.name(framing, budget=True), *cells])
    head = ["method", *map(quality.number, levels)]
    tables = [Table(f"{size} bytes: {words.name}{words.counted_in}", head, rows)]
    tables += channel.table(content, views, levels, size)
    again_at = over_bsc(levels, retransmission.RETRANSMIT)
    again = [
        [one.name(retransmission.RETRANSMIT, budget=True), *retransmission.cells(one, again_at)]
        for one in retransmission.resent(others)
    ]
    caption = f"{size} bytes: {retransmission.TITLE.lower()}, by {quality.title}"
    return [*tables, Table(caption, head, again)] if again else tables


def against_bytes(content: Content) -> Section:
    """The figure of merit against the bytes really sent; empty where all send the same."""
    words, others, quality = content.words, content.others, content.quality
    sizes = {round(view.sent(level), 1) for view in content.views for level in quality.main}
    sizes |= {round(mean.mean, 1) for one in others for key, mean in one.sent.items() if key.channel == "bsc"}
    if len(sizes) < 2:
        return Section("bytes", "Bytes", "")
    charts = [
        Chart(
            f"{words.slug}-bytes-{quality.shown(level):g}",
            f"At a {quality.title} of {quality.number(level)}; bars as above.",
            f"{words.title} by bytes sent per image at {quality.text(level)}; the table has the numbers.",
            partial(pictures.against_bytes, content.views, others, level, words, quality),
        )
        for level in quality.main
    ]
    text = budgets(content)
    if others:
        text.append(_bytes_text(others))
    title = f"{words.title} against bytes"
    return Section("bytes", "Bytes", title, text=text, charts=charts, tables=[_bytes_table(content)])


def _bytes_text(others: Sequence[Series]) -> str:
    """What the bytes of results are."""
    text = "Bytes are those really sent for an image, in the mean over the test images"
    if retransmission.resent(others):
        text += (
            ", all transmissions of a payload together (mean bytes times mean transmissions, a little low "
            "where payloads differ in length)"
        )
    silent = list(dict.fromkeys(one.name(budget=True) for one in others if one.at_most))
    if silent:
        text += f". Where results do not say them, the payload's limit stands for them: {', '.join(silent)}"
    return f"{text}."


def _bytes_table(content: Content) -> Table:
    """Bytes sent and the figure of merit at each main level."""
    words, quality = content.words, content.quality
    head = ["method", "payload, bytes"]
    for level in quality.main:
        head += [f"{quality.number(level)}: bytes sent", f"{quality.number(level)}: {words.axis}"]
    rows = []
    for view in sorted(content.views, key=lambda view: view.bundle.payload_bytes):
        rows.append([f"{view.bundle.name} (int8)", str(view.bundle.payload_bytes)])
        for level in quality.main:
            rows[-1] += [f"{view.sent(level):.4g}", view.number(level)]
    for one in sorted(content.others, key=lambda one: one.subject.payload_bytes):
        for framing in one.framings():
            rows.append([one.name(framing, budget=True), str(one.subject.payload_bytes)])
            for level in quality.main:
                mean = one.bsc(level, framing)
                value = "–" if mean is None else mean.percent()
                rows[-1] += [one.bytes_text(over_bsc([level], framing)), value]
    caption = f"Bytes sent for an image, and {words.name}{words.counted_in}, by {quality.title}"
    return Table(caption, head, rows)
