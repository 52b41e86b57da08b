"""The sections on accuracy (mAP) against bit error rate and against bytes: bundles and results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from semflash.report import pictures, retransmission
from semflash.report.content import Content
from semflash.report.gather import MAIN_BERS, BundleView
from semflash.report.page import Chart, Section, Table
from semflash.report.statistics import Series, over_bsc
from semflash.report.wording import Words, percent, share

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


def against_ber(content: Content) -> Section:
    """Accuracy (mAP) against BER, one chart for each payload size."""
    charts, tables, words = [], [], content.words
    sizes = sorted({view.bundle.payload_bytes for view in content.views}
                   | {one.subject.payload_bytes for one in content.others})  # fmt: skip
    for size in sizes:
        views = [view for view in content.views if view.bundle.payload_bytes == size]
        others = [one for one in content.others if one.subject.payload_bytes == size]
        charts.append(
            Chart(
                f"{words.slug}-ber-{size}", f"{size} bytes per image. Bars: {words.interval}"
                + (", standard deviation over seeds of an experiment." if others else "."),
                f"{words.title} falling with the bit error rate at {size} bytes; the table has the numbers.",
                partial(pictures.against_ber, views, others, size, words),
            )
        )  # fmt: skip
        tables += _ber_tables(views, others, size, words)
    text = budgets(content)
    if retransmission.resent(content.others):
        text.append(retransmission.NOTE)
    title = f"{words.title} against bit error rate"
    return Section("ber", "Bit errors", title, text=text, charts=charts, tables=tables)


def _ber_tables(
    views: Sequence[BundleView], others: Sequence[Series], size: int, words: Words
) -> list[Table]:  # fmt: skip
    """Accuracy by rate, and, where payloads were sent again, the bytes that this took."""
    rates = sorted({p.ber for view in views for p in view.evaluation.measurement.points}
                   | {c.rate for one in others for c in one.means if c.channel == "bsc"})  # fmt: skip
    rows = [[f"{v.bundle.name} (int8)", *(share(v.accuracy(rate)) for rate in rates)] for v in views]
    for one in others:
        for framing in one.framings():
            means = [one.bsc(rate, framing) for rate in rates]
            cells = ("–" if mean is None else mean.percent() for mean in means)
            rows.append([one.name(framing, budget=True), *cells])
    head = ["method", *(percent(rate) for rate in rates)]
    tables = [Table(f"{size} bytes: {words.name} in percent", head, rows)]
    again_at = over_bsc(rates, retransmission.RETRANSMIT)
    again = [
        [one.name(retransmission.RETRANSMIT, budget=True), *retransmission.cells(one, again_at)]
        for one in retransmission.resent(others)
    ]
    caption = f"{size} bytes: {retransmission.TITLE.lower()}, by bit error rate"
    return [*tables, Table(caption, head, again)] if again else tables


def against_bytes(content: Content) -> Section:
    """Accuracy (mAP) against the bytes really sent, at the main rates; empty where all send the same."""
    words, others = content.words, content.others
    sizes = {float(view.bundle.payload_bytes) for view in content.views}
    sizes |= {round(mean.mean, 1) for one in others for key, mean in one.sent.items() if key.channel == "bsc"}
    if len(sizes) < 2:
        return Section("bytes", "Bytes", "")
    charts = [
        Chart(
            f"{words.slug}-bytes-{100 * ber:g}", f"At a bit error rate of {percent(ber)}; bars as above.",
            f"{words.title} by bytes sent per image at BER {percent(ber)}; the table has the numbers.",
            partial(pictures.against_bytes, content.views, others, ber, words),
        )
        for ber in MAIN_BERS
    ]  # fmt: skip
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
    """Bytes sent and accuracy (mAP) at each main rate."""
    words = content.words
    head = ["method", "payload, bytes"]
    for ber in MAIN_BERS:
        head += [f"{percent(ber)}: bytes sent", f"{percent(ber)}: {words.name}, %"]
    rows = []
    for view in sorted(content.views, key=lambda view: view.bundle.payload_bytes):
        size = str(view.bundle.payload_bytes)
        rows.append([f"{view.bundle.name} (int8)", size])
        for ber in MAIN_BERS:
            rows[-1] += [size, share(view.accuracy(ber))]
    for one in sorted(content.others, key=lambda one: one.subject.payload_bytes):
        for framing in one.framings():
            rows.append([one.name(framing, budget=True), str(one.subject.payload_bytes)])
            for ber in MAIN_BERS:
                mean = one.bsc(ber, framing)
                accuracy = "–" if mean is None else mean.percent()
                rows[-1] += [one.bytes_text(over_bsc([ber], framing)), accuracy]
    caption = f"Bytes sent for an image, and {words.name} in percent, by bit error rate"
    return Table(caption, head, rows)
