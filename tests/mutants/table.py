"""Writes the measured part of docs/mutants.md."""

from __future__ import annotations

import json
import statistics
import tomllib
from pathlib import Path
from typing import Any

BEGIN = "<!-- mutants: written by tests/mutants/run.py -->"
END = "<!-- end mutants -->"
KILLED = ("killed", "time-out")


def write(page: Path, results: Path, equivalents: Path) -> None:
    """Put the table between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    whole = json.loads(results.read_text(encoding="utf-8"))
    named = tomllib.loads(equivalents.read_text(encoding="utf-8")) if equivalents.exists() else {}
    reasons: dict[str, str] = named.get("equivalent", {})
    page.write_text(f"{before}{BEGIN}\n{tables(whole, reasons)}{END}{after}", encoding="utf-8")


def tables(whole: dict[str, Any], equivalent: dict[str, str]) -> str:
    """Markdown: one row per room, then each mutant that no test kills."""
    mutants: dict[str, dict[str, Any]] = whole["mutants"]
    rooms = list(dict.fromkeys(key.split("/")[0] for key in mutants))
    rows = [
        _row(room, {k: m for k, m in mutants.items() if k.startswith(f"{room}/")}, equivalent)
        for room in rooms
    ]
    rows.append(_row("**all**", mutants, equivalent))
    head = "| room | mutants | killed | of them by time-out | equivalent | survived | killed | median s |\n"
    text = f"Seed {whole['seed']}, {len(mutants)} mutants.\n\n{head}" + "| --- " * 8 + "|\n" + "".join(rows)
    alive = {key: mutant for key, mutant in mutants.items() if mutant["status"] not in KILLED}
    for title, chosen in (
        ("Survivors", {key: m for key, m in alive.items() if key not in equivalent}),
        ("Equivalent", {key: m for key, m in alive.items() if key in equivalent}),
    ):
        if chosen:
            text += f"\n{title}:\n\n" + "".join(
                _line(key, m, equivalent.get(key)) for key, m in chosen.items()
            )
    return text


def _row(name: str, mutants: dict[str, dict[str, Any]], equivalent: dict[str, str]) -> str:
    killed = sum(mutant["status"] in KILLED for mutant in mutants.values())
    timed_out = sum(mutant["status"] == "time-out" for mutant in mutants.values())
    same = sum(key in equivalent and mutant["status"] not in KILLED for key, mutant in mutants.items())
    matter = len(mutants) - same
    seconds = statistics.median(mutant["seconds"] for mutant in mutants.values())
    share = f"{100 * killed / matter:.1f} %" if matter else "-"
    cells = [name, len(mutants), killed, timed_out, same, matter - killed, share, f"{seconds:.1f}"]
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _line(key: str, mutant: dict[str, Any], reason: str | None) -> str:
    old, new = (" ".join(str(mutant[side]).split()) for side in ("old", "new"))
    change = f"`{_short(old)}` to `{_short(new)}`"
    return f"- `{key}` (line {mutant['line']}): {change}" + (f". {reason}\n" if reason else "\n")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
