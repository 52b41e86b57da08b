"""Draws mutants: one seed draws the same ones again, and a change of one file leaves the others' alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from mutants import c_rules, python_rules
from mutants.mutant import Mutant, digest, named
from mutants.rooms import ROOMS, Room, files


@cache
def mutants_of(room: Room, root: Path) -> list[Mutant]:
    """All mutants of a room's files."""
    found = []
    for path in files(room.sources, root):
        source = (root / path).read_bytes()
        rules = c_rules if path.endswith(".c") else python_rules
        found += named(room.name, path, source, rules.changes(source))
    # Two files of one name may hold the same line; one of them is enough.
    found = list({mutant.key: mutant for mutant in found}.values())
    if not found:
        raise SystemExit(f"room {room.name} has no source to mutate: {room.sources}\n  try: correct rooms.py")
    return found


def draw(
    count: int, seed: int, root: Path, usable: Callable[[Mutant], bool], only: str | None = None
) -> list[Mutant]:
    """A sample over all rooms, in proportion to the square root of their lines that can be mutated.

    In proportion to the lines themselves, half the sample would be codegen's and nine mutants the
    edge's. Lines are ranked by a hash of seed and line, and each gives at most one mutant, so that a
    line with many operators weighs no more than another.

    Args:
        usable: refuses mutants that do not compile or compile to the same code; the next one of the
            line, then the next line takes its place.
        only: the part of the sample that is this room's.
    """
    lines: dict[str, dict[str, list[Mutant]]] = {}
    for room in ROOMS:
        by_line = lines.setdefault(room.name, {})
        for mutant in mutants_of(room, root):
            by_line.setdefault(mutant.anchor, []).append(mutant)
    shares = _shares(count, {name: len(by_line) ** 0.5 for name, by_line in lines.items()})
    return [
        mutant
        for name, share in shares.items()
        if only in (None, name)
        for mutant in _draw_room(lines[name], share, seed, usable)
    ]


def _draw_room(
    by_line: dict[str, list[Mutant]], share: int, seed: int, usable: Callable[[Mutant], bool]
) -> list[Mutant]:
    drawn: list[Mutant] = []
    for anchor in sorted(by_line, key=lambda name: digest(str(seed), name)):
        if len(drawn) == share:
            break
        ranked = sorted(by_line[anchor], key=lambda mutant: digest(str(seed), mutant.key))
        drawn += [mutant for mutant in ranked if usable(mutant)][:1]
    return drawn


def _shares(count: int, weights: dict[str, float]) -> dict[str, int]:
    """Whole numbers with the sum `count`, in proportion to the weights (largest remainders)."""
    total = sum(weights.values())
    exact = {name: count * weight / total for name, weight in weights.items()}
    shares = {name: int(value) for name, value in exact.items()}
    rest = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in rest[: count - sum(shares.values())]:
        shares[name] += 1
    return shares
