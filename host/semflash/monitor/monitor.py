"""The monitor: test images through a board, codes back, damage injected on the way, readings out.

:func:`monitor` is the library function; ``semflash monitor`` is a thin layer over it. Whatever ends a run
(the last image, a link that fails, Ctrl-C), everything received by then is decoded, recorded and summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.of_quality import channel_for
from semflash.data.sample import balanced, by_class
from semflash.edge.adaptation import Adaptation
from semflash.edge.connection import Connection
from semflash.edge.following import check_error
from semflash.edge.labeller import Labeller, window_of
from semflash.edge.pictured import judge_of
from semflash.edge.preprocess import to_int8
from semflash.edge.records import RecordWriter, check_writable
from semflash.edge.split import Split
from semflash.errors import ToolMissingError, UsageError
from semflash.link.controls import check_settings, the_rate
from semflash.link.port import Port
from semflash.link.raw_record import RawRecorder, RecordingPort
from semflash.link.session import Expected
from semflash.monitor.progress import MonitorOptions, MonitorResult, Progress, View
from semflash.monitor.rate import Rate
from semflash.monitor.run import MonitorRun
from semflash.monitor.tally import Tally
from semflash.program.program import Program

__all__ = ["MonitorOptions", "MonitorResult", "Progress", "View", "check_run", "monitor"]

_QUANTISE_BATCH = 256


def monitor(
    bundle: Bundle,
    port: Port,
    split: Split,
    options: MonitorOptions,
    view: View | None = None,
    *,
    reopen: Callable[[], Port] | None = None,
    stream: TextIO | None = None,
) -> MonitorResult:
    """Run images through the device at `port`.

    Args:
        reopen: opens the port of the same board after it vanished; None: that ends the run.
        stream: gets every record as well, as it is written.

    Returns:
        the result. An error of the link, or Ctrl-C, after HELLO is in its `error`, not raised: what was
        received is in the result and in the records.

    Raises:
        UsageError, DatasetError: the options or images do not fit. WrongFirmwareError, LinkError: no HELLO.
    """
    check_run(bundle, split, options)
    if options.raw_path is None:
        return _monitor(bundle, port, split, options, view, None, reopen, stream)
    with RawRecorder(options.raw_path, _raw_header(bundle, options)) as raw:
        again = None if reopen is None else _recorded(reopen, raw)
        result = _monitor(bundle, RecordingPort(port, raw), split, options, view, raw, again, stream)
    if raw.failure is not None and raw.failure not in result.progress.unrecorded:
        result.progress.unrecorded.append(raw.failure)
    return result


def _recorded(reopen: Callable[[], Port], raw: RawRecorder) -> Callable[[], Port]:
    """`reopen`, whose port goes on recording."""
    return lambda: RecordingPort(reopen(), raw)


def _raw_header(bundle: Bundle, options: MonitorOptions) -> dict[str, Any]:
    """What a raw recording says about itself."""
    return {
        "bundle": bundle.name,
        "bundle_hash": bundle.hash_hex,
        f"{bundle.quality.name}_injected": bundle.quality.clean if options.level is None else options.level,
        "seed": options.seed,
        "window": window_of(bundle.quality, options.window),
        **({"fading": str(options.fading)} if options.fading else {}),
    }


def _monitor(
    bundle: Bundle,
    port: Port,
    split: Split,
    options: MonitorOptions,
    view: View | None,
    raw: RawRecorder | None,
    reopen: Callable[[], Port] | None,
    stream: TextIO | None,
) -> MonitorResult:
    """:func:`monitor` with checked options."""
    adaptation = Adaptation(bundle.program, options.controls, options.state_error)
    rate = Rate.of(bundle.program, adaptation, options.rate_trace)
    connection = Connection(
        port,
        Expected.of(bundle),
        timeout_s=options.timeout_s,
        reopen=reopen,
        reconnect_s=options.reconnect_s,
        controls=adaptation.settings,
    )
    chosen = balanced(split.labels, options.count, options.sample_seed)
    images = _Chosen(split.images, chosen)
    golden = split.images if options.check_golden else None
    hello = connection.connect()
    judge = judge_of(bundle, split)
    wanted = 0 if options.loop else options.count
    tally = Tally(wanted, bundle.payload_bytes, judge.metric)
    progress = Progress(
        *(bundle, hello, options, tally, connection.counters, adaptation),
        rate=rate,
        sampled_of=_sampled_of(split, chosen),
        sampled_evenly=by_class(split.labels),
    )
    try:
        with (
            RecordWriter(options.record_path, stream) as records,
            Labeller(
                bundle,
                golden,
                level=progress.level,
                assumed=options.assumed,
                known=options.known,
                window=options.window,
                seed=options.seed,
                fading=options.fading,
            ) as labeller,
        ):
            run = MonitorRun(progress, connection, labeller, judge, records, view, raw=raw)
            pairs = _looped(images, bundle, tally) if options.loop else _quantised(images, bundle)
            error = run.go(_steered(pairs, rate))
            device_link = None if error or run.stopped else connection.link_stats()
            tally.figures = judge.figures()
            result = MonitorResult(progress, error, device_link, run.stopped)
            records.write("end", result.as_dict())
            records.flush()
        run.note_unrecorded()
    finally:
        connection.close()
    return result


def check_run(bundle: Bundle, split: Split, options: MonitorOptions) -> None:
    """Refuse options and images that do not fit, before a board is touched.

    Raises:
        UsageError: an option is out of range, or the record file cannot be written.
        DatasetError: images of another size, or labels that the bundle has no class for.
    """
    quality, output, program = bundle.quality, bundle.output, bundle.program
    low, high = quality.limits
    for name, value in ((quality.name, options.level), (f"assume-{quality.name}", options.assumed)):
        if value is not None and not low <= value <= high:
            raise UsageError(f"--{name} must be between {low:g} and {high:g}", value=value)
    channel_for(program, options.fading).estimator(window_of(quality, options.window))
    check_settings(program.controls, options.controls)
    check_error(program.controls, options.controls, options.state_error)
    _check_rate(program, options)
    if options.trace is not None and options.level is not None:
        raise UsageError("a level beside a trace of levels", value=options.level, remedy="one of the two")
    if options.seed < 0:
        raise UsageError("--seed must not be negative", value=options.seed)
    if not 0 < options.timeout_s <= 600:
        raise UsageError("--timeout must be more than 0 and at most 600 seconds", value=options.timeout_s)
    if not 0 <= options.reconnect_s <= 86_400:
        raise UsageError("--reconnect must be between 0 and 86400 seconds", value=options.reconnect_s)
    if options.count < 1:
        raise UsageError("--count must be at least 1", value=options.count)
    if options.count > len(split.labels):
        raise UsageError(
            f"the split has {len(split.labels):,} images", value=options.count, remedy="a smaller --count"
        )
    to_int8(split.images[:1], bundle.image_shape)  # wrong size or type: before the board is touched
    output.check_labels(split.labels)
    if not output.counts_in_numbers and options.raw_path is not None:
        raise UsageError(
            "a raw recording keeps classes, nothing else",
            value=f"the bundle {output.verb}",
            remedy=f"record {output.noun} with --record",
        )
    if output.needs_package and find_spec(output.needs_package) is None:
        raise ToolMissingError(
            f"the summary of {output.noun} needs {output.needs_package}",
            remedy="pip install 'semflash[detect]'",
        )
    if options.record_path is not None:
        check_writable(options.record_path)
    if options.raw_path is not None:
        check_writable(options.raw_path, "--record-raw")


def _check_rate(program: Program, options: MonitorOptions) -> None:
    """A trace of rates needs a control of its own, with all rates in its range."""
    if options.rate_trace is None:
        return
    control = the_rate(program.controls)
    if control.name in options.controls:
        raise UsageError("a rate beside a trace of rates", value=control.name, remedy="one of the two")
    for rate in set(options.rate_trace.rates):
        check_settings(program.controls, {control.name: rate})


@dataclass(frozen=True)
class _Chosen:
    """Some images of a split; each keeps its index in the split.

    images: uint8 (N, H, W, C), an array or LazyImages. indices: which, in the order of sending.
    """

    images: Any
    indices: NDArray[np.intp]


def _sampled_of(split: Split, chosen: NDArray[np.intp]) -> int | None:
    """How many images the sample is taken from; None: it is all of them."""
    return len(split.labels) if len(chosen) < len(split.labels) else None


def _quantised(chosen: _Chosen, bundle: Bundle) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """(index in the split, int8 image) pairs, quantised in batches."""
    for start in range(0, len(chosen.indices), _QUANTISE_BATCH):
        part = chosen.indices[start : start + _QUANTISE_BATCH]
        yield from zip(part.tolist(), to_int8(chosen.images[part], bundle.image_shape), strict=True)


def _steered(
    images: Iterator[tuple[int, NDArray[np.int8]]], rate: Rate | None
) -> Iterator[tuple[int, NDArray[np.int8], dict[str, int]]]:
    """The same with controls of their own: the rate of the moment at which each is handed to the link."""
    for index, image in images:
        yield index, image, {} if rate is None else rate.hand_out(index)


def _looped(chosen: _Chosen, bundle: Bundle, tally: Tally) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """The same over and over; a round counts from where the indices of the one before end, and `tally` wants
    one more image for each."""
    start = 0
    while True:
        for index, image in _quantised(chosen, bundle):
            tally.wanted += 1
            yield start + index, image
        start += len(chosen.images)
