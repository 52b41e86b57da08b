"""A page as one HTML file that opens without a network, and as Markdown with its charts beside it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from semflash import atomic
from semflash.errors import UsageError
from semflash.report import plots
from semflash.report.answers import pictured, rates
from semflash.report.content import Content
from semflash.report.page import Page, Table
from semflash.report.statistics import Series
from semflash.report.view import BundleView

TEMPLATE = "report.html.j2"
STEM = "report"


def check_target(target: Path) -> Path:
    """The HTML file that ``--report`` means; asked before the measurement, which takes minutes.

    Args:
        target: a ``.html`` file, or a folder (made where it is missing), which gets ``report.html``.

    Raises:
        UsageError: the folder above does not exist, or may not be written.
        ModuleNotFoundError: jinja2 or matplotlib is missing (extra ``report``).
    """
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401

    if target.suffix in (".html", ".htm"):
        if target.is_dir():
            raise UsageError("--report names a folder that looks like a file", value=target)
        return _writable(target.parent) / target.name
    if target.is_file() or target.suffix:
        raise UsageError("a report is a .html file or a folder", value=target, remedy="--report report.html")
    _writable(target.parent)
    target.mkdir(exist_ok=True)
    return _writable(target) / f"{STEM}.html"


def _writable(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError("the folder for the report does not exist", value=folder, remedy="make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError("the folder for the report cannot be written", value=folder, remedy="name another")
    return folder


def html(page: Page) -> str:
    """The page as HTML: charts are inline SVG, styles are inside, nothing is loaded."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("semflash.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    drawn = {
        chart.name: plots.svg(chart.draw(), in_page=True, prefix=f"c{index}-")
        for index, chart in enumerate(page.charts())
    }
    return environment.get_template(TEMPLATE).render(page=page, drawn=drawn)


def markdown(page: Page, folder: str) -> str:
    """The page as Markdown; charts are ``folder/NAME.svg``."""
    parts = [f"# {page.title}", _plain(page.lead)]
    for section in page.sections:
        parts += [f"## {section.title}", *map(_plain, section.text)]
        parts += [
            f"![{_plain(chart.alt)}]({folder}/{chart.name}.svg)\n\n{_plain(chart.caption)}"
            for chart in section.charts
        ]
        parts += [_markdown_table(table) for table in section.tables]
    return "\n\n".join([*parts, page.foot]) + "\n"


def _plain(text: str) -> str:
    """Names and texts come from bundles and results: no HTML, link, picture or second line in Markdown."""
    one_line = " ".join(text.split())
    return re.sub(r"[\\<\[\]]", lambda match: {"<": "&lt;"}.get(match[0], f"\\{match[0]}"), one_line)


def _markdown_table(table: Table) -> str:
    lines = [list(table.head), ["---"] * len(table.head), *table.rows]
    escaped = [[_plain(cell).replace("|", "\\|") for cell in line] for line in lines]
    return f"**{_plain(table.caption)}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def write_report(page: Page, target: Path) -> list[Path]:
    """Write the HTML file, its Markdown twin and the twin's charts; returns the two files."""
    charts = target.with_name(f"{target.stem}-plots")
    twin = target.with_suffix(".md")
    write_plots(page, charts, png=False)
    _write(twin, markdown(page, charts.name).encode())
    _write(target, html(page).encode())
    return [target, twin]


def write_plots(page: Page, folder: Path, *, png: bool = True) -> None:
    """Every chart as SVG, and as PNG, into a folder that is made where it is missing."""
    folder.mkdir(exist_ok=True)
    for chart in page.charts():
        _write(folder / f"{chart.name}.svg", plots.svg(chart.draw(), in_page=False).encode())
        if png:
            _write(folder / f"{chart.name}.png", plots.png(chart.draw()))


def _write(path: Path, content: bytes) -> None:
    atomic.write(path, content, durable=False)


def _answers(view: BundleView) -> dict[str, Any]:
    """Details of the answers, and how importance was found."""
    found = view.details.as_json(view)
    if view.importance is not None:
        how = view.importance
        found["importance"] = {"method": how.method, "steps": how.steps, "reason": how.reason}
    if view.samples:
        found["pictures"] = pictured.as_json(view.samples)
    if view.rates is not None:
        found["rates"] = rates.as_json(view.rates)
    return found


def as_json(content: Content) -> dict[str, Any]:
    """What ``--json`` prints: the evaluations, the means of the experiments and what their budgets are."""
    return {
        "bundles": [
            view.evaluation.as_json()
            | {
                "code_use": [round(float(value), 5) for value in view.use],
                **_answers(view),
                "macs": view.bundle.record.macs,
                "instructions": (view.cost or {}).get("counts_median"),
            }
            for view in content.views
        ],
        "experiments": [
            one.subject._asdict()
            | {"name": one.name(budget=True), "seeds": list(one.seeds), "bytes_at_most": one.at_most}
            | {"points": _points(one)}
            for one in content.others
        ],
        "budgets": [{"name": name, "text": text} for name, text in content.budgets],
        "notes": list(content.notes),
    }


def _points(one: Series) -> list[dict[str, Any]]:
    """Accuracy by condition, how often a payload was sent, and the bytes of an image with all of that."""
    return [
        key._asdict()
        | {"mean": mean.mean, "spread": mean.spread, "count": mean.count}
        | {"transmissions": one.transmissions[key], "bytes_sent": one.sent[key].mean}
        for key, mean in one.means.items()
    ]
