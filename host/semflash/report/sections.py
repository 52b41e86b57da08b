"""The sections of the report, out of measured bundles and the results of experiments."""

from __future__ import annotations

from functools import partial

from semflash import __version__
from semflash.report import channel, curves, pictures, provenance, symbols
from semflash.report.answers import features, pictured, rates
from semflash.report.content import Content
from semflash.report.page import Chart, Page, Section, Table


def page(content: Content) -> Page:
    """The whole report."""
    sections = [
        summary(content),
        curves.against_quality(content),
        curves.against_bytes(content),
        codes(content),
        symbols.section(content.views),
        features.section(content.views),
        pictured.section(content.views),
        rates.section(content.views),
        *content.views[0].details.sections(content.views),
        cost(content),
        training(content),
        provenance.settings(content),
    ]
    names = ", ".join(view.bundle.name for view in content.views)
    measured = [view.evaluation.measurement for view in content.views]
    images = dict.fromkeys(
        f"{one.images:,} images of the {one.split} split of {one.dataset}"
        + ("" if one.sample_seed is None else f" (a sample, as many of each class, seed {one.sample_seed})")
        for one in measured
    )
    faded = f", {channel.fading(content)}" if channel.fading(content) else ""
    lead = (
        f"{names}: int8 encoders as they run on the device (LiteRT reference kernels, equal to the device "
        f"bit for bit), {', '.join(images)}, {channel.injected(content)} in the packed "
        f"payload (injected, seed {content.seed}{faded}); the decoder is told the injected "
        f"{content.quality.level}. {content.words.note}"
    ).rstrip()
    kept = [section for section in sections if section.charts or section.tables]
    return Page("semflash: what arrives", lead, kept, f"Written by semflash {__version__}.")


def summary(content: Content) -> Section:
    """One row a bundle."""
    rows, words, quality = [], content.words, content.quality
    for view in content.views:
        task, counts = view.evaluation.task_value, (view.cost or {}).get("counts_median")
        rows.append(
            [
                view.bundle.name,
                view.bytes_text,
                words.number(task),
                *(view.number(level) for level in quality.main),
                f"{view.bundle.record.macs:,}",
                "–" if counts is None else f"{counts:,}",
            ]
        )
    sign = f",{words.metric.sign}" if words.metric.sign else ""
    head = [
        "bundle",
        "bytes per image",
        f"task network{sign}",
        *map(quality.text, quality.main),
        "MACs",
        "instructions",
    ]
    table = Table(f"{words.title}{words.counted_in}, and what an image costs on the device", head, rows)
    return Section("summary", "Summary", "Summary", tables=[table])


def codes(content: Content) -> Section:
    """Centres and how often each is sent."""
    charts, tables = [], []
    for view in content.views:
        name, centres = view.bundle.name, view.centres
        if not centres:
            continue
        used = int((view.use > 0.1 / len(centres)).sum())
        charts.append(
            Chart(
                f"codes-{name}",
                f"{name}: {used} of {len(centres)} centres are used at least a tenth as "
                "often as in an even use (dotted line).",
                f"Bars, one for each centre of {name}: share of codes sent",
                partial(pictures.code_use, view),
            )
        )
        rows = [
            ["value", *(f"{c:.3f}" for c in centres)],
            ["share, %", *(f"{100 * u:.1f}" for u in view.use)],
        ]
        tables.append(Table(f"{name}: centres", ["code", *map(str, range(len(centres)))], rows))
    return Section("codes", "Centres", "Centres and their use", charts=charts, tables=tables)


def cost(content: Content) -> Section:
    """Device cost beside the figure of merit."""
    words, quality = content.words, content.quality
    compared = quality.text(quality.compared)
    unit = f", in{words.metric.sign}" if words.metric.sign else ""
    head = [
        "bundle",
        f"{words.name} at {compared}{unit}",
        "MACs",
        "instructions",
        "per MAC",
        "RAM, B",
        "flash, B",
        "engine",
        "on the front",
    ]
    front = pictures.front(content.views)
    rows = []
    for view in content.views:
        found = view.cost
        figures = (
            ["–"] * 5
            if found is None
            else [
                f"{found['counts_median']:,}",
                f"{found['counts_per_mac']:.2f}",
                f"{pictures.ram(found):,}",
                f"{found['memory']['encoder_code'] + found['memory']['encoder_tables']:,}",
                found["engine"],
            ]
        )
        place = "yes" if view.bundle.name in front else "no"
        place = "–" if pictures.merit(view) is None else place
        rows.append(
            [
                view.bundle.name,
                view.number(quality.compared),
                f"{view.bundle.record.macs:,}",
                *figures,
                place,
            ]
        )
    chart = Chart(
        "cost",
        "Top left is best. On the front: no other bundle of the same data set is both cheaper and better.",
        f"{words.title} at {compared} against what an image costs on the device; the table has the numbers.",
        partial(pictures.cost, content.views, words),
    )
    text = [
        "RAM is the encoder's state and its deepest stack. A dash: not measured (semflash bench; of "
        f"{words.name} and front: at {compared})."
    ]
    table = Table("Cost of an image on the device", head, rows)
    title = f"Device cost beside {words.name}"
    charts = [chart] if any(pictures.merit(view) is not None for view in content.views) else []
    return Section("cost", "Device", title, text=text, charts=charts, tables=[table])


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
    ]
    return Section("training", "Training", "Training", charts=charts)
