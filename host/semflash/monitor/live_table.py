"""What a person sees of a monitor run: the live screen or plain lines, and a summary at the end."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from semflash.channels.on_air import has_symbols
from semflash.edge.following import followed
from semflash.monitor.live.keyboard import is_usable
from semflash.monitor.live.picture import estimate_text
from semflash.monitor.progress import Event, View
from semflash.outputs.pictured import PICTURE_METRICS
from semflash.printable import plain

if TYPE_CHECKING:
    from rich.table import Table

    from semflash.monitor.progress import MonitorResult, Progress
    from semflash.monitor.rate import Rate

_PLAIN_EVERY_S = 2.0


def choose_view(stream: TextIO | None = None) -> View:
    """The live screen when `stream` (stdout) is our terminal and can move its cursor, else plain lines."""
    target = stream or sys.stdout
    if os.environ.get("TERM", "") not in ("", "dumb") and is_usable(target):
        from semflash.monitor.live.screen import LiveScreen

        return LiveScreen(target)
    return PlainLines(target)


def rows(progress: Progress) -> list[tuple[str, str]]:
    """The table's lines: (name, value)."""
    tally, link, options, hello = progress.tally, progress.link, progress.options, progress.hello
    injected, quality = "none", progress.bundle.quality
    values = has_symbols(progress.bundle.program)
    if progress.injects or tally.flips:
        injected = (
            f"{quality.short} {plain(progress.level)} (seed {options.seed}), "
            f"{tally.flips:,} of {tally.bits:,} bits {'changed' if values else 'flipped'}"
        )
    if options.fading:
        injected += f", {options.fading.words}"
    if options.trace is not None:
        injected += f", the last of {len(options.trace.steps):,} steps"
    injected_name = f"{quality.damage} injected"
    lines = [
        (
            "images",
            f"{tally.received:,} of {tally.wanted:,}"
            + (f", {tally.lost:,} lost" if tally.lost else "")
            + (f", {tally.inconsistent:,} inconsistent" if tally.inconsistent else ""),
        ),
        _running(progress),
        ("payload", _payload(progress)),
        (injected_name, injected),
        ("rate", "-" if tally.images_per_s is None else f"{tally.images_per_s:.1f} images/s"),
        (hello.counter if hello.counter != "none" else "instructions", _counts(progress)),
        (
            "frames",
            f"{link.frames_ok:,} ok, {link.frames_damaged:,} damaged, {link.frames_lost:,} lost, "
            f"{link.frames_dropped:,} dropped, {link.resyncs:,} resynced",
        ),
    ]
    if progress.sampled_of is not None:
        lines.insert(1, ("sample", _sample(progress)))
    if tally.figures:
        place = lines.index(_running(progress)) + 1
        lines[place:place] = _figures(progress)
    if progress.estimate is not None:
        estimated = estimate_text(progress.estimate, quality)
        lines.insert(_after(lines, injected_name), (f"{quality.damage} estimated", estimated))
    if options.assumed is not None or options.known:
        told = f"{quality.short} {plain(progress.told)}"
        lines.insert(_after(lines, injected_name), ("decoder is told", told))
    place = _after(lines, "payload")
    lines[place:place] = _controls(progress)
    if progress.rate is not None and progress.rate.next is not None:
        lines.insert(place, ("bytes told", _rate(progress.rate)))
    if progress.reconnects:
        times = "once" if progress.reconnects == 1 else f"{progress.reconnects:,} times"
        lines.append(("cable", f"came back {times}; images under way were sent again"))
    if link.images_resent or link.stale_answers or link.refused:
        refused = sum(link.refused.values())
        lines.append(
            (
                "repairs",
                f"{link.images_resent:,} resent, {refused:,} refused, {link.stale_answers:,} stale answers",
            )
        )
    lines += [("unrecorded", failure.in_one_line) for failure in progress.unrecorded]
    if options.check_golden:
        equal = tally.golden_checked - tally.golden_wrong
        lines.append(("equal to golden", f"{equal:,} of {tally.golden_checked:,} payloads, bit for bit"))
    return lines


def _sample(progress: Progress) -> str:
    """Which images they are."""
    each = "as many of each class, " if progress.sampled_evenly else ""
    return f"of {progress.sampled_of:,} test images, {each}seed {progress.options.sample_seed}"


def _payload(progress: Progress) -> str:
    """Bytes of an image as they came, and the controls that were set."""
    controls = progress.options.controls
    said = ", ".join(f"{name}={value}" for name, value in controls.items())
    return f"{progress.tally.payload_text} bytes per image" + (f", {said}" if said else "")


def _controls(progress: Progress) -> list[tuple[str, str]]:
    """Each control that can follow the channel: whether it did, and what images were encoded with."""
    found, adaptation = [], progress.adaptation
    for control in followed(progress.bundle.program.controls):
        name, following = control.name, adaptation.following.get(control.name)
        how = f"{adaptation.said().get(name)} throughout"
        if following is not None:
            times = "once" if following.changes == 1 else f"{following.changes:,} times"
            how = f"followed the channel, changed {times}"
            how += f", wrong by {adaptation.error:+d}" if adaptation.error else ""
        used = sorted(progress.tally.controls.get(name, {}).items())
        images = ", ".join(f"{value}: {count:,}" for value, count in used)
        found.append((name, f"{how}; images by value {images or '-'}"))
    return found


def _rate(rate: Rate) -> str:
    """What images were told, and whether they kept to it."""
    trace = f", {rate.trace.name}" if rate.trace is not None else ""
    return f"{rate.use.words}{trace}"


def _after(lines: list[tuple[str, str]], name: str) -> int:
    """Where the line behind `name` goes."""
    return next(place for place, (found, _) in enumerate(lines, 1) if found == name)


def title(progress: Progress) -> str:
    """Bundle and board in one line."""
    hello = progress.hello
    device = f", device {hello.device_id}" if hello.device_id else ""
    return f"{progress.bundle.name} on {hello.board} ({hello.engine}, build {hello.build_id:08x}{device})"


def print_summary(result: MonitorResult, stream: TextIO | None = None) -> None:
    """The final table."""
    from semflash.console import console as make_console

    progress = result.progress
    console = make_console(stream, highlight=False)
    console.print(_table(progress))
    wrong = progress.tally.golden_wrong_images
    if wrong:
        shown = ", ".join(map(str, wrong))
        console.print(f"payloads that differ from the golden reference: images {shown}", style="red")
    device = result.device_link
    if device is not None and (device.overruns or device.bad_header_crc or device.broken_cobs):
        console.print(
            f"the device counts since its reset: {device.broken_cobs} broken frames, "
            f"{device.bad_header_crc} bad headers, {device.overruns} bytes overrun"
        )


class PlainLines(View):
    """A line every two seconds and one for each event, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s = time.monotonic() + _PLAIN_EVERY_S

    def update(self, progress: Progress) -> None:
        """Print a line when it is time."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _PLAIN_EVERY_S
        tally, link, metric = progress.tally, progress.link, progress.tally.metric
        rate = "-" if tally.images_per_s is None else f"{tally.images_per_s:.1f}"
        frames = f"frames {link.frames_ok} ok {link.frames_damaged} damaged {link.frames_lost} lost"
        print(
            f"{tally.received}/{tally.wanted} images, {metric.short} {metric.text(tally.value)}, "
            f"{rate} images/s, {frames} {link.resyncs} resynced{_used(progress)}",
            file=self._stream,
            flush=True,
        )

    def event(self, progress: Progress, event: Event) -> None:
        """Print it at once."""
        print(f"{event.kind}: {event.text}", file=self._stream, flush=True)


def _used(progress: Progress) -> str:
    """What the last image was encoded with, of controls that follow the channel, and its bytes."""
    following, used, rate = progress.adaptation.following, progress.tally.used, progress.rate
    said = "".join(f", {name} {used[name]}" for name in following if name in used)
    if rate is None or rate.next is None or rate.last is None:
        return said
    return f"{said}, {rate.last[1]} of {rate.last[0]} bytes"


def _table(progress: Progress) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # Text, not str: what a device says of itself is no markup.
    table = Table(title=Text(title(progress)), title_justify="left", show_header=False, box=box.SIMPLE)
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows(progress):
        table.add_row(*map(Text, row))
    return table


def _counts(progress: Progress) -> str:
    """Instructions or cycles per image."""
    tally, hello = progress.tally, progress.hello
    if hello.counter == "none":
        return "not counted on this board"
    if tally.count_mean is None:
        return "-"
    stack = f", stack {tally.stack_bytes:,} B" if tally.stack_bytes else ""
    return f"{tally.count_mean:,.0f} per image (device counter){stack}"


def _running(progress: Progress) -> tuple[str, str]:
    tally, metric = progress.tally, progress.tally.metric
    return metric.title, f"{metric.text(tally.value)} of {tally.labelled:,} {metric.counted}"


def _figures(progress: Progress) -> list[tuple[str, str]]:
    """The further metrics at the end, and behind the first of them whatever else was counted."""
    metrics, figures = (*progress.bundle.output.metrics, *PICTURE_METRICS), progress.tally.figures
    metrics = tuple(dict.fromkeys(metrics))
    found = [(one.title, one.text(figures[one.name])) for one in metrics if one.name in figures]
    names = {one.name for one in metrics}
    counts = [f"{value:,} {name.replace('_', ' ')}" for name, value in figures.items() if name not in names]
    if found and counts:
        found[0] = found[0][0], f"{found[0][1]} ({', '.join(counts)})"
    return found
