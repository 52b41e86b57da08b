"""Markdown tables, and blocks of a document between markers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

MARKER = "written by experiments/tables.py"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a vertical bar in a cell is escaped.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [list(head), ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_blocks(text: str, blocks: dict[str, str], marker: str = MARKER) -> str:
    """The text with each block between its markers; what stands around them stays.

    Args:
        marker: what the markers say of who writes between them.

    Raises:
        SystemExit: a block without its markers, or markers without a block.
    """
    for name, block in blocks.items():
        start, end = f"<!-- {name}: {marker} -->\n", f"<!-- end {name} -->"
        if start not in text or end not in text.split(start, 1)[1]:
            raise SystemExit(f"no markers for {name}")
        before, rest = text.split(start, 1)
        text = before + start + block.rstrip("\n") + "\n" + end + rest.split(end, 1)[1]
    for line in text.splitlines():
        name = line.removeprefix("<!-- ").split(":", 1)[0]
        if line.endswith(f"{marker} -->") and name not in blocks:
            raise SystemExit(f"markers of {name}, which nothing writes")
    return text


def write(path: Path, text: str) -> None:
    """Write under a temporary name, then rename; nothing where it says so already."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
