"""The picture of a run for a given size: what matters most first, lines that fit, no terminal involved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semflash.channels.on_air import has_symbols
from semflash.monitor.live.confusion import GAP, confusion, side_by_side
from semflash.monitor.live.controls import keys as keys_of
from semflash.monitor.live.panels import (
    NAMES,
    beside,
    controls,
    events,
    labels,
    levels,
    line,
    plots,
    rate,
    thumbnails,
)
from semflash.printable import plain

if TYPE_CHECKING:
    from rich.text import Text

    from semflash.channels.ber_estimate import BerEstimate
    from semflash.channels.pilot_estimates import Estimate
    from semflash.monitor.progress import Progress
    from semflash.program.quality import Quality

_STATE_STYLES = {
    "streaming": "bold green",
    "paused": "bold yellow",
    "silent": "bold yellow",
    "cable out": "bold red",
    "done": "bold",
}
_MIN_KEYS_WIDTH = 52
#: Columns from which on there is room for two things beside each other.
_WIDE = 100


@dataclass(frozen=True)
class Section:
    """Lines that appear together or not at all; the lowest `rank` stays longest."""

    rank: int
    lines: Sequence[Text]


def lines(
    progress: Progress, width: int, height: int, *, keys: bool = True, ascii_only: bool = False
) -> list[Text]:
    """At most `height` lines of at most `width` columns.

    Args:
        keys: keys work, so they are named. ascii_only: no braille, no marks.
    """
    sections = [
        Section(0, [_title(progress), _connection(progress, ascii_only)]),
        Section(1, [line("", "")]),
        Section(0, [_images(progress, width, ascii_only), _value(progress), _damage(progress)]),
        Section(1, beside(progress)),
        Section(1, rate(progress)),
        Section(1, controls(progress)),
        Section(1, [_rate(progress), _frames(progress)]),
        Section(2, _more_facts(progress)),
    ]
    if progress.help and keys:
        sections.append(Section(1, [line(key, text) for key, text in keys_of(rate=_sets_rate(progress))]))
    sections += [
        Section(4, plots(progress, width, ascii_only)),
        _pictures(progress, width, ascii_only),
        Section(2, levels(progress, ascii_only)),
        Section(3, labels(progress, 3, ascii_only)),
        Section(5, labels(progress, 8, ascii_only)[4:]),
        Section(3, events(progress, 1)),
        Section(6, events(progress, 4)[1:]),
    ]
    if keys:
        sections.append(Section(0, [_keys(progress, width, ascii_only)]))
    shown = _fitting(sections, height)
    for text in shown:
        text.no_wrap = True
        text.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return shown


def _pictures(progress: Progress, width: int, ascii_only: bool) -> Section:
    """What was sent and came; on a wide screen what was taken for what beside it, or alone."""
    pictures = thumbnails(progress, width, ascii_only)
    room = width - max((text.cell_len for text in pictures), default=0) - GAP
    mistaken = confusion(progress, room) if width >= _WIDE else []
    return Section(2 if pictures else 4, side_by_side(pictures, mistaken, width))


def _fitting(sections: Sequence[Section], height: int) -> list[Text]:
    """The lines of the sections that fit, lowest ranks first, in their order."""
    taken: set[int] = set()
    room = height
    for number, section in sorted(enumerate(sections), key=lambda pair: pair[1].rank):
        if len(section.lines) <= room:
            taken.add(number)
            room -= len(section.lines)
    return [text for number, section in enumerate(sections) if number in taken for text in section.lines][
        :height
    ]


def _title(progress: Progress) -> Text:
    from rich.text import Text

    hello = progress.hello
    return Text.assemble(
        (progress.bundle.name, "bold"),
        " on ",
        (hello.board, "bold"),
        (f"  {hello.engine}, build {hello.build_id:08x}", "dim"),
    )


def _connection(progress: Progress, ascii_only: bool) -> Text:
    from rich.text import Text

    state = "paused" if progress.paused and progress.state == "streaming" else progress.state
    text = f"{'*' if ascii_only else '●'} {state}"
    if state == "silent":
        text += f" for {progress.silent_s:.0f} s"
    parts: list[str | tuple[str, str]] = [(text, _STATE_STYLES[state]), f"  {progress.where}"]
    minutes, seconds = divmod(int(progress.tally.seconds), 60)
    parts.append((f"  {minutes}:{seconds:02d}", "dim"))
    if progress.reconnects:
        times = "once" if progress.reconnects == 1 else f"{progress.reconnects} times"
        parts.append((f"  reconnected {times}", "yellow"))
    return Text.assemble(*parts)


def _images(progress: Progress, width: int, ascii_only: bool) -> Text:
    from rich.text import Text

    tally = progress.tally
    value = Text(f"{tally.received:,} of {tally.wanted:,}")
    if tally.lost:
        value.append(f", {tally.lost:,} lost", "red")
    if tally.inconsistent:
        value.append(f", {tally.inconsistent:,} inconsistent", "yellow")
    room = min(30, width - NAMES - len(value) - 4)
    if room >= 10 and not progress.options.loop:
        done = round(room * (tally.received + tally.lost) / tally.wanted)
        full, empty = ("#", ".") if ascii_only else ("━", "─")
        value.append("  ")
        value.append(full * done, "green")
        value.append(empty * (room - done), "dim")
    return line("images", value)


def _value(progress: Progress) -> Text:
    from rich.text import Text

    tally, metric = progress.tally, progress.tally.metric
    if tally.value is None or tally.interval is None:
        return line(metric.short, "-")
    low, high = (metric.text(end, 1) for end in tally.interval)
    value = Text.assemble((metric.text(tally.value, 1), "bold"), f"  95 % {low} to {high}")
    latest = progress.history.values(1)[-1]
    if latest is not None:
        value.append(f"  lately {metric.text(latest, 0)}")
    return line(metric.short, value)


def _damage(progress: Progress) -> Text:
    from rich.text import Text

    quality = progress.bundle.quality
    value = Text.assemble(("injected ", ""), (level_text(progress.level, quality), "bold"))
    if progress.estimate is not None:
        value.append("  estimated ")
        value.append(estimate_text(progress.estimate, quality))
    if progress.options.assumed is not None or progress.options.known:
        value.append(f"  told {level_text(progress.told, quality)}")
    flipped = progress.tally.flipped_share
    if progress.injects and flipped is not None and not has_symbols(progress.bundle.program):
        value.append(f"  flipped so far {plain(100 * flipped, 3)} %", "dim")
    if progress.options.fading:
        value.append(f"  {progress.options.fading.words}", "dim")
    return line(quality.damage, value)


def level_text(level: float, quality: Quality) -> str:
    """A level of channel quality for people.

    >>> from semflash.program.quality import Ber, Snr
    >>> [level_text(level, Ber(0.0, 0.1)) for level in (0.0, 0.01, 0.00012345)]
    ['none', '1 %', '0.0123 %']
    >>> level_text(7.5, Snr(0.0, 20.0))
    '7.5 dB'
    """
    return "none" if level == quality.clean else f"{plain(quality.shown(level), 3)} {quality.unit}"


def estimate_text(estimate: Estimate | BerEstimate, quality: Quality) -> str:
    """An estimated level with its interval."""
    low, high = quality.shown(estimate.low), quality.shown(estimate.high)
    value = plain(quality.shown(estimate.value), 3)
    return f"{value} {quality.unit} [{plain(low, 3)}, {plain(high, 3)}]"


def _rate(progress: Progress) -> Text:
    tally = progress.tally
    if tally.images_per_s is None:
        return line("rate", "-")
    return line(
        "rate",
        f"{tally.images_per_s:.1f} images/s of {tally.payload_text} B"
        f"  link up {_size(progress.bytes_up)}/s, down {_size(progress.bytes_down)}/s",
    )


def _frames(progress: Progress) -> Text:
    from rich.text import Text

    link = progress.link
    value = Text(f"{link.frames_ok:,} ok")
    for count, name in (
        (link.frames_damaged, "damaged"),
        (link.frames_lost, "lost"),
        (link.frames_dropped, "dropped"),
        (link.resyncs, "resyncs"),
    ):
        value.append(f", {count:,} {name}", "yellow" if count else "dim")
    return line("frames", value)


def _more_facts(progress: Progress) -> list[Text]:
    """Repairs where there were any, cost, golden."""
    link, tally, hello = progress.link, progress.tally, progress.hello
    found = []
    refused = sum(link.refused.values())
    repairs = (
        (link.images_resent, "sent again"),
        (refused, "refused"),
        (link.stale_answers, "stale answers"),
        (link.frames_duplicate, "doubled"),
        (link.frames_reordered, "out of order"),
        (link.frames_misplaced, "misplaced"),
        (link.frames_bad_prefix, "prefix damaged"),
        (link.controls_missed, "controls missed"),
        (link.foreign + link.unexpected + link.frames_useless, "useless"),
        (link.restarts, "board restarts"),
        (link.faults, "crash reports"),
    )
    if any(count for count, _ in repairs):
        found.append(line("repairs", ", ".join(f"{count:,} {name}" for count, name in repairs if count)))
    if tally.count_mean is not None:
        stack = f", stack {tally.stack_bytes:,} B" if tally.stack_bytes else ""
        found.append(line("cost", f"{tally.count_mean:,.0f} {hello.counter} per image{stack}"))
    if progress.options.check_golden:
        equal = tally.golden_checked - tally.golden_wrong
        found.append(line("golden", f"{equal:,} of {tally.golden_checked:,} payloads equal, bit for bit"))
        if tally.golden_wrong:
            found[-1].stylize("red")
    return found


def _keys(progress: Progress, width: int, ascii_only: bool) -> Text:
    from rich.text import Text

    steps = [f"+/- {progress.bundle.quality.damage}"]
    if _sets_rate(progress):
        steps = ["+/- bytes", f">/< {progress.bundle.quality.damage}"]
    if width < _MIN_KEYS_WIDTH + 12 * (len(steps) - 1):
        return Text("+ - > < p s q ?" if _sets_rate(progress) else "+ - p s q ?", "dim")
    gap = "  " if ascii_only else " · "
    return Text(gap.join((*steps, "p pause", "s step", "q quit", "? help")), "dim")


def _sets_rate(progress: Progress) -> bool:
    """Whether + and - change the rate."""
    return progress.rate is not None and progress.rate.next is not None


def _size(count: float) -> str:
    """Bytes for people.

    >>> _size(999), _size(33_100)
    ('999 B', '33.1 kB')
    """
    return f"{count:.0f} B" if count < 1000 else f"{count / 1000:.1f} kB"
