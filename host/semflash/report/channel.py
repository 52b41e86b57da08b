"""What a report says of the injected channel, and of what devices were set to at each of its levels."""

from __future__ import annotations

from collections.abc import Sequence

from semflash.channels.on_air import has_symbols
from semflash.edge.following import followed
from semflash.report.content import Content
from semflash.report.page import Table
from semflash.report.view import BundleView


def injected(content: Content) -> str:
    """What was injected, as words that "in the packed payload" can follow."""
    if any(has_symbols(view.bundle.program) for view in content.views):
        return "noise on the symbols"
    return content.quality.injected


def fading(content: Content) -> str:
    """How the channel fades, for a title or within a sentence; empty: it does not."""
    kinds = {view.evaluation.measurement.fading: view.evaluation.fading for view in content.views}
    return "; ".join(one.words for one in kinds.values() if one)


def sentences(content: Content) -> list[str]:
    """What was done beside a level: fading, and states of devices."""
    found = []
    if fading(content):
        found.append(
            f"{fading(content)}: each {content.quality.short} is the mean one, the receiver knows the gains "
            "and divides by them, and decoders are told the mean."
        )
    return found + [_states(view) for view in content.views if view.evaluation.control_names]


def _states(view: BundleView) -> str:
    measured, free = view.evaluation, [one.name for one in followed(view.bundle.program.controls)]
    said = []
    for name in measured.control_names:
        if name in measured.fixed or name not in free:
            said.append(f"{name} is {measured.fixed[name]} at every level")
        elif measured.state_error:
            said.append(f"{name} is wrong by {measured.state_error:+d} at each level, within its range")
        else:
            said.append(
                f"{name} is at each level the one that belongs to it, as a host that knows the level sets it"
            )
    return f"{view.bundle.name}: {'; '.join(said)}. The decoder is told what the device used."


def marks(view: BundleView, level: float) -> str:
    """What the device was set to at a level, short, for a point of a curve; empty: nothing."""
    return " ".join(str(value) for _, value in sorted(view.evaluation.controls.get(level, {}).items()))


def table(content: Content, views: Sequence[BundleView], levels: Sequence[float], size: int) -> list[Table]:
    """What devices were set to, by level; nothing where none was set to anything."""
    rows = []
    for view in views:
        for name in view.evaluation.control_names:
            values = [view.evaluation.controls.get(level, {}).get(name) for level in levels]
            cells = ("–" if value is None else str(value) for value in values)
            rows.append([f"{view.bundle.name}: {name}", *cells])
    head = ["control", *map(content.quality.number, levels)]
    return [Table(f"{size} bytes: what the device was set to", head, rows)] if rows else []
