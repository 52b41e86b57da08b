"""The monitor: test images through a board, codes back, bit errors injected on the way, labels out.

:func:`monitor` is the library function; ``semflash monitor`` is a thin layer over it. Whatever ends a run
(the last image, a link that fails, Ctrl-C), everything received by then is decoded, recorded and summed up.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semflash.bridge.counters import LinkCounters
from semflash.bridge.messages import Hello, LinkStats
from semflash.bridge.port import Port
from semflash.bridge.session import Expected, Lost, Session
from semflash.bundle.preprocess import to_int8
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import DetectionTask
from semflash.edge.evaluate import check_labels
from semflash.edge.judge import Judge
from semflash.edge.labeller import Labelled, Labeller
from semflash.edge.records import FORMAT, VERSION, RecordWriter, check_writable
from semflash.edge.split import Split
from semflash.edge.tally import Tally
from semflash.errors import LinkError, SemflashError, ToolMissingError, UsageError

_REFRESH_S = 0.2
_QUANTISE_BATCH = 256


@dataclass(frozen=True)
class MonitorOptions:
    """What to run.

    Attributes:
        count: the first `count` images of the split.
        ber: bit errors to inject into payloads, 0..0.5; seed: of these.
        assume_ber: what the decoder is told (None: the injected BER).
        record_path: file for the records; None: none.
        check_golden: compare every payload, before injection, with the int8 reference.
        timeout_s: silence after which the session starts over.
    """

    count: int = 200
    ber: float = 0.0
    assume_ber: float | None = None
    seed: int = 0
    record_path: Path | None = None
    check_golden: bool = False
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Progress:
    """What a view shows."""

    bundle: Bundle
    hello: Hello
    options: MonitorOptions
    tally: Tally
    link: LinkCounters


class View(Protocol):
    """Shows a run while it goes on; see :mod:`semflash.edge.live_table`."""

    def update(self, progress: Progress) -> None:
        """Called a few times per second."""

    def close(self) -> None:
        """The run is over."""


@dataclass(frozen=True)
class MonitorResult:
    """A finished or broken-off run; `error` broke it, `device_link` is the device's own count of frames."""

    progress: Progress
    error: BaseException | None
    device_link: LinkStats | None = None

    @property
    def exit_code(self) -> int:
        """0 ok; 1 a payload differs from the reference; 3 images were lost, or the link's own error."""
        if isinstance(self.error, SemflashError):
            return self.error.exit_code
        if self.error is not None:
            return 130
        if self.progress.tally.golden_wrong:
            return 1
        return 3 if self.progress.tally.lost else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        hello, options = self.progress.hello, self.progress.options
        return {
            "bundle": self.progress.bundle.name,
            "bundle_hash": self.progress.bundle.hash_hex,
            "board": hello.board,
            "engine": hello.engine,
            "build_id": f"{hello.build_id:08x}",
            "clock_hz": hello.clock_hz,
            "counter": hello.counter,
            "ber_injected": options.ber,
            "ber_told": options.ber if options.assume_ber is None else options.assume_ber,
            "seed": options.seed,
            **self.progress.tally.as_dict(),
            "link": self.progress.link.as_dict(),
            "device_link": None if self.device_link is None else dataclasses.asdict(self.device_link),
            "ended_by": None if self.error is None else type(self.error).__name__,
        }


def monitor(
    bundle: Bundle, port: Port, split: Split, options: MonitorOptions, view: View | None = None
) -> MonitorResult:
    """Run images through the device at `port`.

    Returns:
        the result. An error of the link, or Ctrl-C, after HELLO is in its `error`, not raised: what was
        received is in the result and in the records.

    Raises:
        UsageError, DatasetError: the options or images do not fit. WrongFirmwareError, LinkError: no HELLO.
    """
    check_run(bundle, split, options)
    session = Session(port, Expected.of(bundle), timeout_s=options.timeout_s)
    images, labels = split.images[: options.count], split.labels[: options.count]
    golden = images if options.check_golden else None
    hello = session.connect()
    tally = Tally(wanted=options.count, payload_bytes=bundle.payload_bytes)
    progress = Progress(bundle, hello, options, tally, session.counters)
    with (
        RecordWriter(options.record_path) as records,
        Labeller(
            bundle, golden, ber=options.ber, assume_ber=options.assume_ber, seed=options.seed
        ) as labeller,
    ):
        judge = Judge(bundle.contract, labels)
        run = _Run(progress, judge, labeller, records, view)
        records.write("session", run.heading())
        error = run.go(session, _quantised(images, bundle))
        tally.figures = judge.figures()
        result = MonitorResult(progress, error, None if error else _device_link(session))
        records.write("end", result.as_dict())
    return result


class _Run:
    """One run: the loop that moves outcomes to the labeller and labels to tally, records and view."""

    def __init__(
        self,
        progress: Progress,
        judge: Judge,
        labeller: Labeller,
        records: RecordWriter,
        view: View | None,
    ) -> None:
        self._progress, self._judge = progress, judge
        self._labeller, self._records, self._view = labeller, records, view
        self._shown_s = self._began_s = time.monotonic()

    def heading(self) -> dict[str, Any]:
        """The `session` line of the records."""
        progress = self._progress
        return {
            "format": FORMAT,
            "version": VERSION,
            "bundle": progress.bundle.name,
            "bundle_hash": progress.bundle.hash_hex,
            "board": progress.hello.board,
            "engine": progress.hello.engine,
            "build_id": f"{progress.hello.build_id:08x}",
            "counter": progress.hello.counter,
            "ber_injected": progress.options.ber,
            "seed": progress.options.seed,
            "classes": list(progress.bundle.contract.class_names),
        }

    def go(self, session: Session, images: Iterator[tuple[int, NDArray[np.int8]]]) -> BaseException | None:
        """Until the last image, or the error that ended the run before."""
        error: BaseException | None = None
        self._records.flush()
        self._began_s = time.monotonic()
        try:
            try:
                self._stream(session, images)
            except (SemflashError, KeyboardInterrupt) as caught:
                error = caught
            for labelled in self._labeller.finish():
                self._take(labelled)
            self._records.flush()
            if self._view is not None:
                self._view.update(self._progress)
        finally:
            if self._view is not None:
                self._view.close()
        return error

    def _stream(self, session: Session, images: Iterator[tuple[int, NDArray[np.int8]]]) -> None:
        tally = self._progress.tally
        for outcome in session.stream(images):
            tally.seconds = time.monotonic() - self._began_s
            if isinstance(outcome, Lost):
                tally.lost += 1
                self._records.write("lost", {"index": outcome.index, "attempts": outcome.attempts})
            else:
                tally.received += 1
                tally.damaged += outcome.damaged
                if outcome.ticks is not None and self._progress.hello.counter != "none":
                    tally.add_count(self._progress.hello.count(outcome.ticks))
                    tally.stack_bytes = max(tally.stack_bytes, outcome.stack_bytes or 0)
                self._labeller.put(outcome)
            for labelled in self._labeller.ready():
                self._take(labelled)
            self._refresh()

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._shown_s < _REFRESH_S:
            return
        self._shown_s = now
        if self._labeller.idle:  # a slow board: do not wait for a full batch
            self._labeller.push()
        self._records.flush()
        if self._view is not None:
            self._view.update(self._progress)

    def _take(self, labelled: Labelled) -> None:
        received, tally = labelled.received, self._progress.tally
        right = self._judge.right(labelled.reading, received.index)
        tally.add_label(right=right, flips=labelled.flips)
        if labelled.golden_equal is not None:
            tally.add_golden(received.index, equal=labelled.golden_equal)
        hello = self._progress.hello
        ticks = received.ticks if hello.counter != "none" else None
        record: dict[str, Any] = {
            "index": received.index,
            "request": received.request,
            "attempt": received.attempt,
            **self._judge.record(labelled.reading, received.index),
            "payload": received.payload.hex(),
            "payload_noisy": labelled.noisy.hex(),
            "ber_injected": self._progress.options.ber,
            "flips": labelled.flips,
            "damaged": received.damaged,
            "ticks": ticks,
            "count": hello.count(ticks) if ticks is not None else None,
            "seconds": round(received.seconds, 6),
        }
        if labelled.golden_equal is not None:
            record["golden_equal"] = labelled.golden_equal
        self._records.write("image", record)


def _device_link(session: Session) -> LinkStats | None:
    """The device's own counts; None where it does not tell (every image has its outcome by then)."""
    try:
        return session.link_stats()
    except LinkError:
        return None


def check_run(bundle: Bundle, split: Split, options: MonitorOptions) -> None:
    """Refuse options and images that do not fit, before a board is touched.

    Raises:
        UsageError: an option is out of range, or the record file cannot be written.
        DatasetError: images of another size, or labels that the bundle has no class for.
    """
    for name, value in (("ber", options.ber), ("assume-ber", options.assume_ber)):
        if value is not None and not 0 <= value <= 0.5:
            raise UsageError(f"--{name} must be between 0 and 0.5", value=value)
    if options.seed < 0:
        raise UsageError("--seed must not be negative", value=options.seed)
    if not 0 < options.timeout_s <= 600:
        raise UsageError("--timeout must be more than 0 and at most 600 seconds", value=options.timeout_s)
    if options.count < 1:
        raise UsageError("--count must be at least 1", value=options.count)
    if options.count > len(split.labels):
        raise UsageError(
            f"the split has {len(split.labels):,} images", value=options.count, remedy="a smaller --count"
        )
    to_int8(split.images[:1], bundle.contract)  # wrong size or type: before the board is touched
    check_labels(split.labels[: options.count], bundle.contract)
    if isinstance(bundle.contract.task, DetectionTask) and find_spec("pycocotools") is None:
        raise ToolMissingError(
            "the summary of a detector needs pycocotools", remedy="pip install 'semflash[detect]'"
        )
    if options.record_path is not None:
        check_writable(options.record_path)


def _quantised(images: NDArray[np.uint8], bundle: Bundle) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """(index, int8 image) pairs, quantised in batches."""
    for start in range(0, len(images), _QUANTISE_BATCH):
        part = to_int8(images[start : start + _QUANTISE_BATCH], bundle.contract)
        yield from enumerate(part, start)
