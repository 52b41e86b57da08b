"""The sections of the report, out of measured bundles and the results of experiments."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from semflash import __version__
from semflash.edge.report import answers, pictures
from semflash.edge.report.content import Content
from semflash.edge.report.gather import MAIN_BERS
from semflash.edge.report.page import Chart, Page, Section, Table
from semflash.edge.report.wording import percent, share


def page(content: Content) -> Page:
    """The whole report."""
    sections = [
        summary(content), against_ber(content), against_bytes(content), codes(content),
        answers.features(content), answers.confusion(content), answers.precision(content),
        answers.scenes(content), cost(content), training(content), settings(content),
    ]  # fmt: skip
    names = ", ".join(view.bundle.name for view in content.views)
    measured = [view.evaluation.measurement for view in content.views]
    images = dict.fromkeys(
        f"{one.images:,} images of the {one.split} split of {one.dataset}" for one in measured
    )
    lead = (
        f"{names}: int8 encoders as they run on the device (LiteRT reference kernels, equal to the device "
        f"bit for bit), {', '.join(images)}, bits flipped in the packed "
        f"payload (injected, seed {content.seed}); the decoder is told the injected rate. "
        f"{content.words.note}"
    ).rstrip()
    kept = [section for section in sections if section.charts or section.tables]
    return Page("semflash: what arrives", lead, kept, f"Written by semflash {__version__}.")


def summary(content: Content) -> Section:
    """One row a bundle."""
    rows = []
    for view in content.views:
        task, counts = view.evaluation.task_accuracy, (view.cost or {}).get("counts_median")
        rows.append([
            view.bundle.name, str(view.bundle.payload_bytes), share(task),
            *(share(view.accuracy(ber)) for ber in MAIN_BERS), f"{view.bundle.record.macs:,}",
            "–" if counts is None else f"{counts:,}",
        ])  # fmt: skip
    head = ["bundle", "bytes per image", "task network, %", *(f"BER {percent(ber)}" for ber in MAIN_BERS),
            "MACs", "instructions"]  # fmt: skip
    table = Table(f"{content.words.title} in percent, and what an image costs on the device", head, rows)
    return Section("summary", "Summary", "Summary", tables=[table])


def against_ber(content: Content) -> Section:
    """Accuracy (mAP) against BER, one chart for each payload size."""
    charts, tables, words = [], [], content.words
    sizes = sorted({view.bundle.payload_bytes for view in content.views}
                   | {one.subject.payload_bytes for one in content.others})  # fmt: skip
    for size in sizes:
        views = [view for view in content.views if view.bundle.payload_bytes == size]
        others = [one for one in content.others if one.subject.payload_bytes == size]
        rates = sorted({p.ber for view in views for p in view.evaluation.measurement.points}
                       | {c.rate for one in others for c in one.means if c.channel == "bsc"})  # fmt: skip
        rows = [[f"{v.bundle.name} (int8)", *(share(v.accuracy(rate)) for rate in rates)] for v in views]
        for one in others:
            for framing in one.framings():
                means = [one.bsc(rate, framing) for rate in rates]
                rows.append(
                    [one.name(framing, budget=True), *("–" if m is None else m.percent() for m in means)]
                )
        charts.append(
            Chart(
                f"{words.slug}-ber-{size}", f"{size} bytes per image. Bars: {words.interval}"
                + (", standard deviation over seeds of an experiment." if others else "."),
                f"{words.title} falling with the bit error rate at {size} bytes; the table has the numbers.",
                partial(pictures.against_ber, views, others, size, words),
            )
        )  # fmt: skip
        tables.append(
            Table(f"{size} bytes: {words.name} in percent", ["method", *(percent(r) for r in rates)], rows)
        )
    return Section("ber", "Bit errors", f"{words.title} against bit error rate", charts=charts, tables=tables)


def against_bytes(content: Content) -> Section:
    """Accuracy (mAP) against payload bytes at the main rates."""
    words = content.words
    charts = [
        Chart(
            f"{words.slug}-bytes-{100 * ber:g}", f"At a bit error rate of {percent(ber)}; bars as above.",
            f"{words.title} by bytes per image at BER {percent(ber)}; numbers: the tables above.",
            partial(pictures.against_bytes, content.views, content.others, ber, words),
        )
        for ber in MAIN_BERS
    ]  # fmt: skip
    sizes = {view.bundle.payload_bytes for view in content.views}
    sizes |= {one.subject.payload_bytes for one in content.others}
    return Section("bytes", "Bytes", f"{words.title} against bytes", charts=charts if len(sizes) > 1 else ())


def codes(content: Content) -> Section:
    """Centres and how often each is sent."""
    charts, tables = [], []
    for view in content.views:
        name, centres = view.bundle.name, view.bundle.contract.centres
        used = int((view.use > 0.1 / len(centres)).sum())
        charts.append(
            Chart(
                f"codes-{name}", f"{name}: {used} of {len(centres)} centres are used at least a tenth as "
                "often as in an even use (dotted line).",
                f"Bars, one for each centre of {name}: share of codes sent",
                partial(pictures.code_use, view),
            )
        )  # fmt: skip
        rows = [
            ["value", *(f"{c:.3f}" for c in centres)],
            ["share, %", *(f"{100 * u:.1f}" for u in view.use)],
        ]
        tables.append(Table(f"{name}: centres", ["code", *map(str, range(len(centres)))], rows))
    return Section("codes", "Centres", "Centres and their use", charts=charts, tables=tables)


def cost(content: Content) -> Section:
    """Device cost beside accuracy (mAP)."""
    words = content.words
    head = ["bundle", f"{words.name} at BER 1 %, in %", "MACs", "instructions", "per MAC", "RAM, B",
            "flash, B", "engine", "on the front"]  # fmt: skip
    front = pictures.front(content.views)
    rows = []
    for view in content.views:
        found = view.cost
        figures = ["–"] * 5 if found is None else [
            f"{found['counts_median']:,}", f"{found['counts_per_mac']:.2f}", f"{pictures.ram(found):,}",
            f"{found['memory']['encoder_code'] + found['memory']['encoder_tables']:,}", found["engine"],
        ]  # fmt: skip
        dominated = "yes" if view.bundle.name in front else "no"
        rows.append(
            [
                view.bundle.name,
                share(view.accuracy(0.01)),
                f"{view.bundle.record.macs:,}",
                *figures,
                dominated,
            ]
        )
    chart = Chart(
        "cost", "Top left is best. On the front: no other bundle of the same data set is both cheaper and "
        "better.",
        f"{words.title} at BER 1 % against what an image costs on the device; the table has the numbers.",
        partial(pictures.cost, content.views, words),
    )  # fmt: skip
    text = ["RAM is the encoder's state and its deepest stack. A dash: not measured (semflash bench)."]
    table = Table("Cost of an image on the device", head, rows)
    title = f"Device cost beside {words.name}"
    return Section("cost", "Device", title, text=text, charts=[chart], tables=[table])


def training(content: Content) -> Section:
    """Curves of the trainings whose history is in the bundle."""
    charts = [
        Chart(
            f"training-{view.bundle.name}",
            f"{view.bundle.name}: validation {view.words.name} after each epoch.",
            f"Training curves of {view.bundle.name}: "
            + ", ".join(f"{k} ends at {v}" for k, v in view.history[-1].items() if k.startswith("val_")),
            partial(pictures.training, view),
        )
        for view in content.views
        if any(key.startswith("val_") for record in view.history for key in record)
    ]  # fmt: skip
    return Section("training", "Training", "Training", charts=charts)


def settings(content: Content) -> Section:
    """All settings and seeds."""
    tables = []
    for view in content.views:
        record, contract = view.bundle.record, view.bundle.contract
        rows = [["bundle hash", view.bundle.hash_hex], ["semflash", record.semflash_version],
                ["training seed", str(record.seed)], ["payload", f"{contract.payload.symbols} symbols of "
                 f"{contract.payload.bits_per_symbol} bits"]]  # fmt: skip
        rows += [[key, value] for key, value in flat(record.recipe)]
        tables.append(Table(f"{view.bundle.name}", ["setting", "value"], rows, words=True))
    if content.results:
        rows = [[r.experiment, r.run, r.budget.name, str(r.seed), r.fingerprint] for r in content.results]
        head = ["experiment", "run", "budget", "seed", "fingerprint"]
        tables.append(Table("Results of experiments in this report", head, rows, words=True))
        budgets = dict.fromkeys((r.budget.name, r.budget.text) for r in content.results)
        tables.append(
            Table("Budgets", ["budget", "what a training may take"], [list(pair) for pair in budgets])
        )
    return Section("settings", "Settings", "All settings and seeds", tables=tables, folded=True)


def flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and text.

    >>> flat({"a": {"b": 1}, "c": [1, 2]})
    [('a.b', '1'), ('c', '[1, 2]')]
    """
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)))
    return found
