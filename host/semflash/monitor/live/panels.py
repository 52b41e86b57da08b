"""Parts of the live picture: curves, newest labels, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semflash.monitor.live.plot import curve, spark

if TYPE_CHECKING:
    from rich.text import Text

    from semflash.monitor.progress import Progress, Recent

NAMES = 11  # columns of a line's name
_BER_LOW, _BER_HIGH = -4.0, -0.301  # log10 of 0.01 % and 50 %
_PLOT_ROWS = 4
_MIN_PLOT_WIDTH = 24


def line(name: str, value: str | Text) -> Text:
    from rich.text import Text

    return Text.assemble((f"{name:<{NAMES}} ", "dim"), value)


def plots(progress: Progress, width: int, ascii_only: bool) -> list[Text]:
    """Accuracy and bit errors over time, side by side where there is room."""
    from rich.text import Text

    history = progress.history
    both = width >= 2 * _MIN_PLOT_WIDTH + 4
    room = (width - 4) // 2 if both else max(_MIN_PLOT_WIDTH, width - 2)
    room = min(room, 60)
    count = room if ascii_only else 2 * room
    shares, injected, estimated = (
        history.accuracy(count),
        history.injected(count),
        history.estimated(count),
    )
    if ascii_only:
        text = [line("accuracy", spark(shares, room, 0.0, 1.0))]
        return [*text, line("bit errors", spark(injected, room, _BER_LOW, _BER_HIGH))]
    accuracy = curve(shares, room, _PLOT_ROWS, 0.0, 1.0)
    errors = curve(injected, room, _PLOT_ROWS, _BER_LOW, _BER_HIGH)
    inferred = curve(estimated, room, _PLOT_ROWS, _BER_LOW, _BER_HIGH)
    heads = Text("accuracy, 0 to 100 %".ljust(room), "dim")
    if both:
        name = "bit errors, 0.01 to 50 %"
        heads.append("    " + (name + ": injected, estimated" if any(estimated) else name), "dim")
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
    value = Text(f"{item.confidence:6.1%}  {item.predicted:<14} ")
    value.append(good if item.right else f"{bad} is {item.label}", "green" if item.right else "red")
    if item.flips:
        value.append(f"  {item.flips} bits flipped", "dim")
    if item.damaged:
        value.append("  damaged on the link", "yellow")
    return line(f"image {item.index}", value)


def events(progress: Progress, count: int) -> list[Text]:
    """The newest events, newest first."""
    newest = list(progress.events)[::-1][:count]
    return [line(f"{event.seconds:6.1f} s", event.text) for event in newest]
