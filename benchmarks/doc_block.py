"""Puts a measured table between its markers in a page of docs/."""

from __future__ import annotations

from pathlib import Path

LINK_PAGE = Path(__file__).resolve().parent.parent / "docs" / "link.md"


def write_block(path: Path, name: str, script: str, block: str) -> None:
    """Replace what stands between ``<!-- NAME: written by benchmarks/SCRIPT -->`` and ``<!-- end NAME -->``.

    Raises:
        SystemExit: the page has no such markers.
    """
    text = path.read_text(encoding="utf-8")
    start, end = f"<!-- {name}: written by benchmarks/{script} -->\n", f"<!-- end {name} -->"
    if start not in text or end not in text.split(start, 1)[1]:
        raise SystemExit(f"{path.name}: no markers for {name}")
    before, rest = text.split(start, 1)
    path.write_text(before + start + block + "\n" + end + rest.split(end, 1)[1], encoding="utf-8")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
