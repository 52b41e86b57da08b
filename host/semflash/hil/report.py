"""The report of a run for people: Markdown or HTML, by the file's ending."""

from __future__ import annotations

import html
from pathlib import Path

from semflash import __version__
from semflash.errors import UsageError
from semflash.firmware.building.project import write_if_changed
from semflash.hil.plan import HilPlan
from semflash.hil.results import CheckResult, HilResult

_COLUMNS = ("check", "result", "verdict", "seconds", "found")
ENDINGS = (".md", ".html")
_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}
_FACTS = (
    ("board", "board"),
    ("bundle", "bundle"),
    ("engine", "engine"),
    ("build_id", "build"),
    ("clock_hz", "clock, Hz"),
    ("images", "images"),
    ("controls", "controls"),
    ("images_per_s", "images/s"),
    ("count_per_image", "count per image"),
    ("counter", "counts"),
    ("stack_bytes", "stack, B"),
    ("flash_bytes", "flash, B"),
)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}"
    ".failed{background:#fdd}.skipped{color:#777}pre{white-space:pre-wrap;margin:0;font:inherit}"
)


def check_ending(path: Path, flag: str = "--report") -> None:
    """Refuse a file whose format is not known.

    Raises:
        UsageError: it ends neither in .md nor in .html.
    """
    if path.suffix not in ENDINGS:
        raise UsageError(f"{flag} writes Markdown or HTML", value=path, remedy="name a file .md or .html")


def write_report(path: Path, plan: HilPlan, result: HilResult) -> None:
    """Write the report; `path` ends in .md or .html."""
    make = _markdown if path.suffix == ".md" else _html
    write_if_changed(path, make(plan, result))


def headline(result: HilResult) -> str:
    """The result in one sentence."""
    boards, checks, failed = len(result.facts), len(result.checks), len(result.failed)
    skipped = sum(check.outcome == "skipped" for check in result.checks)
    text = f"{checks} checks on {boards} board{'s' * (boards != 1)}: "
    text += f"{failed} failed" if failed else "none failed"
    return text + (f", {skipped} skipped" if skipped else "")


def _subject(plan: HilPlan, quote: str = "") -> str:
    bundle = plan.bundle
    return f"Bundle {quote}{bundle.name}{quote} {bundle.hash_hex[:8]}, semflash {__version__}."


def _facts(facts: dict[str, object]) -> list[tuple[str, str]]:
    shown = [(name, facts.get(key)) for key, name in _FACTS]
    return [
        (name, f"{value:,}" if isinstance(value, int | float) else str(value))
        for name, value in shown
        if value is not None
    ]


def _markdown(plan: HilPlan, result: HilResult) -> str:
    lines = [
        "# Hardware in the loop",
        "",
        f"{headline(result)}. {_subject(plan, '`')}",
    ]
    for target, facts in result.facts.items():
        lines += [
            "",
            f"## {target}",
            "",
            "| check | result | verdict | seconds | found |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_row(check) for check in result.of(target)]
        lines += ["", "| | |", "| --- | --- |"]
        lines += [f"| {name} | {_cell(value)} |" for name, value in _facts(facts)]
    return "\n".join(lines) + "\n"


def _row(check: CheckResult) -> str:
    cells = (check.check, _MARKS[check.outcome], check.verdict, f"{check.seconds:.1f}", check.detail)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text that cannot end a cell of a Markdown table."""
    for character in "\\|[`":  # no links and pictures either: boards say what they are called
        text = text.replace(character, f"\\{character}")
    return text.replace("<", "&lt;").replace("\n", "<br>")


def _html(plan: HilPlan, result: HilResult) -> str:
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Hardware in the loop</title>",
        f"<style>{_STYLE}</style><h1>Hardware in the loop</h1>",
        f"<p>{html.escape(headline(result))}. {html.escape(_subject(plan))}</p>",
    ]
    for target, facts in result.facts.items():
        parts.append(f"<h2>{html.escape(target)}</h2><table><tr>")
        parts.append("".join(f"<th>{name}" for name in _COLUMNS))
        for check in result.of(target):
            cells = (check.check, _MARKS[check.outcome], check.verdict, f"{check.seconds:.1f}", check.detail)
            row = "".join(f"<td><pre>{html.escape(cell)}</pre>" for cell in cells)
            parts.append(f"<tr class='{check.outcome}'>{row}")
        parts.append("</table><table>")
        parts += [f"<tr><td>{name}<td>{html.escape(value)}" for name, value in _facts(facts)]
        parts.append("</table>")
    return "\n".join(parts) + "\n"
