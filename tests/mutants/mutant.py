"""One small change of one source file, and the name it keeps while other files and lines move."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Change:
    """A change that a rule proposes.

    Attributes:
        start, end: byte offsets of what is replaced.
        line: number of the line that the change begins in, from 1.
        scope: the function around it, dotted; empty at module level.
        rule: name of the rule.
        old, new: text before and after, short enough for a table.
    """

    start: int
    end: int
    line: int
    scope: str
    rule: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A change of a file of a room.

    Attributes:
        room: name of the room.
        path: the file, from the repository's root.
        change: what changes.
        anchor: the changed line's name, without its number: file name, function, text.
        key: name of the mutant; it does not hold the folder, so that it survives a move of the file.
    """

    room: str
    path: str
    change: Change
    anchor: str
    key: str

    def apply(self, source: bytes) -> bytes:
        """The mutated source."""
        return source[: self.change.start] + self.change.new.encode() + source[self.change.end :]


def digest(*parts: str) -> str:
    """A number in hexadecimal that stands for these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def named(room: str, path: str, source: bytes, changes: list[Change]) -> list[Mutant]:
    """Mutants of one file; equal changes of equal lines are told apart by their order."""
    lines = source.decode("utf-8").splitlines()
    name = PurePosixPath(path).name
    seen: dict[str, int] = {}
    mutants = []
    for change in sorted(changes, key=lambda item: (item.start, item.end, item.new)):
        text = lines[change.line - 1].strip()
        anchor = f"{room}/{name}:{change.scope or 'module'}:{text}"
        raw = digest(anchor, change.rule, change.old, change.new)
        seen[raw] = seen.get(raw, 0) + 1
        if seen[raw] > 1:
            raw = digest(raw, str(seen[raw]))
        key = f"{room}/{name}:{change.scope or 'module'}:{raw[:8]}"
        mutants.append(Mutant(room, path, change, anchor, key))
    return mutants
