"""Parts of the live picture: curves, newest readings with their pictures, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semflash.edge.following import class_text, levels_of
from semflash.monitor.live.plot import curve, spark
from semflash.monitor.live.thumbnail import beside as beside_each
from semflash.monitor.live.thumbnail import shades
from semflash.outputs.output import Picture
from semflash.outputs.pictured import LEVELS, PICTURE_METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.text import Text

    from semflash.edge.adaptation import Adaptation
    from semflash.monitor.progress import Progress, Recent
    from semflash.program.quality import Quality

NAMES = 11  # columns of a line's name
_PLOT_ROWS = 4
_THUMBNAIL_COLUMNS = 24
_MIN_PLOT_WIDTH = 24


def line(name: str, value: str | Text) -> Text:
    from rich.text import Text

    return Text.assemble((f"{name:<{NAMES}} ", "dim"), value)


def controls(progress: Progress) -> list[Text]:
    """Each control that was set or follows the channel: what the last image used, and what it follows."""
    adaptation, quality = progress.adaptation, progress.bundle.quality
    rate = None if progress.rate is None or progress.rate.next is None else progress.rate.control.name
    texts = control_texts(adaptation, progress.tally.used, quality)
    return [line(name, text) for name, text in texts if name != rate]


def rate(progress: Progress) -> list[Text]:
    """How many bytes the last image might have and had, and what the next one is told."""
    from rich.text import Text

    rate = progress.rate
    if rate is None or rate.next is None:
        return []
    value = Text("-" if rate.last is None else f"{rate.last[1]} sent of {rate.last[0]} told")
    value.append(f"  next {rate.next}", "bold")
    value.append(f"  {rate.trace.name}" if rate.trace is not None else "", "dim")
    if rate.use.exceeded:
        value.append(f"  {rate.use.exceeded:,} above what was told", "red")
    return [line("bytes", value)]


def beside(progress: Progress) -> list[Text]:
    """Further metrics of the output so far, in one line."""
    names = {metric.name: metric for metric in PICTURE_METRICS}
    found = [(names[name], value) for name, value in progress.beside.items() if name in names]
    if not found:
        return []
    return [line("picture", ", ".join(f"{metric.title} {metric.text(value)}" for metric, value in found))]


def levels(progress: Progress, ascii_only: bool) -> list[Text]:
    """The newest image's levels: a cell for each patch, and how many patches have which."""
    from rich.text import Text

    found = progress.recent[-1].verdict.levels if progress.recent else None
    if found is None:
        return []
    if ascii_only or len(found.levels) % 2:
        rows = [Text(row) for row in found.text]
    else:
        rows = beside_each([Picture("", found.pixels)], found.levels.shape[1])[1:]
    words = [found.words, *[""] * len(rows)]
    return [
        Text.assemble(line("levels" if not number else "", row), "  ", (text, "dim"))
        for number, (row, text) in enumerate(zip(rows, words, strict=False))
    ]


def control_texts(adaptation: Adaptation, used: Mapping[str, int], quality: Quality) -> list[tuple[str, str]]:
    """The same as names and plain words.

    Args:
        used: Values of the last image that came, by name.
    """
    found = []
    for control in adaptation.controls:
        name, following = control.name, adaptation.following.get(control.name)
        value = used.get(name)
        words = "-" if value is None else str(value)
        if value is not None and levels_of(control) and control.low <= value <= control.high:
            words += f" used ({class_text(control, value, quality)})"
        if following is None:
            words += "  fixed" if name in adaptation.said() else "  default"
        else:
            words += f"  {following.right} by the estimate"
            words += f", set to {following.value}" if following.value != following.right else ""
            words += f"  {following.changes} change{'s' * (following.changes != 1)}"
        found.append((name, words))
    return found


def plots(progress: Progress, width: int, ascii_only: bool) -> list[Text]:
    """Accuracy and bit errors over time, side by side where there is room."""
    from rich.text import Text

    history, quality, metric = progress.history, progress.bundle.quality, progress.tally.metric
    both = width >= 2 * _MIN_PLOT_WIDTH + 4
    room = (width - 4) // 2 if both else max(_MIN_PLOT_WIDTH, width - 2)
    room = min(room, 60)
    count = room if ascii_only else 2 * room
    values, injected, estimated = (
        history.values(count),
        [quality.plotted_at(level) for level in history.injected(count)],
        [quality.plotted_at(level) for level in history.estimated(count)],
    )
    if ascii_only:
        text = [line(metric.short, spark(values, room, *metric.plotted))]
        return [*text, line(quality.damage, spark(injected, room, *quality.plotted))]
    accuracy = curve(values, room, _PLOT_ROWS, *metric.plotted)
    errors = curve(injected, room, _PLOT_ROWS, *quality.plotted)
    inferred = curve(estimated, room, _PLOT_ROWS, *quality.plotted)
    heads = Text(f"{metric.short}, {metric.plotted_words}".ljust(room), "dim")
    if both:
        name = f"{quality.damage}, {quality.plotted_words}"
        told = any(level is not None for level in estimated)
        heads.append("    " + (name + ": injected, estimated" if told else name), "dim")
    shown = [heads]
    for row in range(_PLOT_ROWS):
        both_curves = Text(accuracy[row], "green")
        if both:
            both_curves.append("    ")
            both_curves.append(_over(errors[row], inferred[row]))
        shown.append(both_curves)
    return shown


def _over(below: str, above: str) -> Text:
    """Two curves in one line: red and cyan, both where they meet."""
    from rich.text import Text

    text = Text()
    for first, second in zip(below, above, strict=True):
        mark = chr(ord(first) | ord(second))
        text.append(mark, "cyan" if ord(second) > 0x2800 else "red")
    return text


def labels(progress: Progress, count: int, ascii_only: bool) -> list[Text]:
    """The newest labels, newest first, under a heading."""
    recent = list(progress.recent)[::-1][:count]
    if not recent:
        return []
    return [line("", ""), *(_label(item, ascii_only) for item in recent)]


def _label(item: Recent, ascii_only: bool) -> Text:
    from rich.text import Text

    good, bad = ("ok", "no") if ascii_only else ("✓", "✗")
    verdict = item.verdict
    sure = "" if verdict.confidence is None else f"{verdict.confidence:6.1%}  "
    value = Text(f"{sure}{verdict.words:<14} ")
    if verdict.right is not None:
        mark = good if verdict.right else f"{bad} is {verdict.truth}"
        value.append(mark, "green" if verdict.right else "red")
    if verdict.note:
        value.append(f"  {verdict.note}", "dim")
    if item.flips:
        value.append(f"  {item.flips} bits flipped", "dim")
    if item.damaged:
        value.append("  damaged on the link", "yellow")
    return line(f"image {item.index}", value)


def thumbnails(progress: Progress, width: int, ascii_only: bool) -> list[Text]:
    """The pictures of the newest reading side by side; nothing where it has none."""
    from rich.text import Text

    pictures = progress.recent[-1].verdict.pictures if progress.recent else ()
    if ascii_only:  # a map over its image says nothing in grey; its digits do (see levels)
        pictures = tuple(one for one in pictures if one.name != LEVELS)
    if not pictures:
        return []
    room = max(8, min(_THUMBNAIL_COLUMNS, (width - 2 * len(pictures)) // len(pictures)))
    if ascii_only:
        return [Text(text) for text in shades(pictures, room)]
    return beside_each(pictures, room)


def events(progress: Progress, count: int) -> list[Text]:
    """The newest events, newest first."""
    newest = list(progress.events)[::-1][:count]
    return [line(f"{event.seconds:6.1f} s", event.text) for event in newest]
