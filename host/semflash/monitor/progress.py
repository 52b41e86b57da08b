"""What a monitor run is asked, what it shows while it goes on, and what it leaves."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from semflash.bundle.reader import Bundle
from semflash.channels.ber_estimate import BerEstimate
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.pilot_estimates import Estimate
from semflash.channels.rate_trace import RateTrace
from semflash.channels.trace import Trace
from semflash.data.sample import SAMPLE_SEED
from semflash.edge.adaptation import Adaptation
from semflash.errors import SemflashError, StorageError
from semflash.link.counters import LinkCounters
from semflash.link.messages import Hello, LinkStats
from semflash.monitor.live.controls import Controls
from semflash.monitor.live.history import History
from semflash.monitor.rate import Rate
from semflash.monitor.tally import Tally
from semflash.outputs.output import Verdict
from semflash.processes.orderly_end import Terminated

State = Literal["streaming", "paused", "silent", "cable out", "done"]
_KEPT_LABELS = 12
_KEPT_EVENTS = 50
_KEPT_STEPS = 1_000


@dataclass(frozen=True)
class MonitorOptions:
    """What to run.

    Attributes:
        count: so many images of the split, as many of each class; sample_seed: which ones.
        loop: begin again after the last, until told to stop.
        level: damage to inject into payloads, in the bundle's kind of quality (a bit error rate 0..0.5, or an
            SNR in dB); None: none. seed: of the damage.
        assumed: the level that the decoder is told; None: the estimate from the pilots, or the injected level
            where the firmware has none. known: the injected level in any case. window: pilot bits that are
            remembered; None: as many as the kind of quality takes.
        record_path: file for the records; raw_path: for the raw bytes of the line with their times; None:
            none.
        check_golden: compare every payload, before injection, with the int8 reference.
        timeout_s: silence after which the session starts over.
        reconnect_s: how long to wait for a port that vanished; 0: not at all.
        controls: what images are encoded with, by the controls' names; controls that follow the channel and
            are not among them are set to what belongs to the estimate. state_error: added to these.
        fading: of the injected channel; `level` is then the mean ratio.
        trace: levels by image instead of `level`; None: it stays.
        rate_trace: bytes by image, of the control that is in bytes; None: `controls` say them.
    """

    count: int = 200
    sample_seed: int = SAMPLE_SEED
    level: float | None = None
    assumed: float | None = None
    known: bool = False
    window: int | None = None
    seed: int = 0
    record_path: Path | None = None
    raw_path: Path | None = None
    check_golden: bool = False
    timeout_s: float = 10.0
    loop: bool = False
    reconnect_s: float = 0.0
    controls: Mapping[str, int] = field(default_factory=dict)
    state_error: int = 0
    fading: Fading = NO_FADING
    trace: Trace | None = None
    rate_trace: RateTrace | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened beside images: `kind` and `values` as in the records, `text` for people.

    seconds: since the run began.
    """

    kind: str
    text: str
    seconds: float
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recent:
    """An image for the screen.

    Attributes:
        index: Of the image.
        verdict: What was read and how good it is.
        flips: Bits that injection changed.
        damaged: The payload came damaged over the link.
    """

    index: int
    verdict: Verdict
    flips: int
    damaged: bool


@dataclass
class Progress:
    """A run as it is now; views read it, only the run writes it.

    Attributes:
        sampled_of: how many images the sample is taken from; None: it is all of them. sampled_evenly: it
            has as many of each class.
        link: counters of all connections so far. where: port; reconnects: times it came back.
        adaptation: the controls of the run. rate: how many bytes images may have; None: no control says it.
        beside: further metrics of the output so far, by name. confusion: images so far by right class and
            class that was read.
        level: injected now. estimate: of the channel's quality; None: the link gives none.
        bytes_up, bytes_down: per second, to and from the device, over about the last second.
        silent_s: since the last byte came.
        unrecorded: why recordings ended before the run.
    """

    bundle: Bundle
    hello: Hello
    options: MonitorOptions
    tally: Tally
    link: LinkCounters
    adaptation: Adaptation
    rate: Rate | None = None
    beside: dict[str, float] = field(default_factory=dict)
    confusion: Counter[tuple[int, int]] = field(default_factory=Counter)
    sampled_of: int | None = None
    sampled_evenly: bool = False
    level: float = 0.0
    where: str = ""
    state: State = "streaming"
    paused: bool = False
    reconnects: int = 0
    silent_s: float = 0.0
    bytes_up: float = 0.0
    bytes_down: float = 0.0
    estimate: Estimate | BerEstimate | None = None
    help: bool = False
    history: History = field(default_factory=History)
    recent: deque[Recent] = field(default_factory=lambda: deque(maxlen=_KEPT_LABELS))
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=_KEPT_EVENTS))
    unrecorded: list[StorageError] = field(default_factory=list)

    def __post_init__(self) -> None:
        level, clean, trace = self.options.level, self.bundle.quality.clean, self.options.trace
        self.level = trace.at(0) if trace is not None else clean if level is None else level

    @property
    def injects(self) -> bool:
        """Whether damage is injected now."""
        return self.level != self.bundle.quality.clean

    @property
    def sample(self) -> dict[str, int] | None:
        """Plain values for the records: how many images of how many, and the seed; None: all of them."""
        if self.sampled_of is None:
            return None
        return {
            "images": self.options.count,
            "of": self.sampled_of,
            "seed": self.options.sample_seed,
        }

    @property
    def channel(self) -> dict[str, Any]:
        """Plain values for the records: what the injected channel is beside a level."""
        options = self.options
        found: dict[str, Any] = {"fading": str(options.fading)} if options.fading else {}
        if options.trace is not None:
            found["trace"] = [list(step) for step in options.trace.steps[:_KEPT_STEPS]]
        if options.rate_trace is not None:
            found["rate_trace"] = options.rate_trace.name
        return found | ({"state_error": options.state_error} if options.state_error else {})

    @property
    def told(self) -> float:
        """The level that the decoder is told now."""
        if self.options.assumed is not None:
            return self.options.assumed
        estimated = None if self.options.known or self.estimate is None else self.estimate.value
        return self.bundle.quality.told(self.level if estimated is None else estimated)


class View:
    """Shows a run while it goes on; this one shows nothing.

    See :mod:`semflash.monitor.live_table` and :mod:`semflash.monitor.live.screen`.
    """

    def update(self, progress: Progress) -> None:
        """Called a few times per second."""

    def event(self, progress: Progress, event: Event) -> None:
        """Something happened beside images."""

    def poll(self, controls: Controls) -> None:
        """Called about twenty times per second: put what keys ask for into `controls`."""

    def close(self) -> None:
        """The run is over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class MonitorResult:
    """A finished or broken-off run; `error` broke it, `device_link` is the device's own count of frames.

    stopped: a person ended it.
    """

    progress: Progress
    error: BaseException | None
    device_link: LinkStats | None = None
    stopped: bool = False

    @property
    def exit_code(self) -> int:
        """0 ok; 1 a payload differs from the reference or is longer than its image was told, or a recording
        ended early; 3 images were lost.

        Of a run that an error broke off: the error's own.
        """
        if isinstance(self.error, SemflashError):
            return self.error.exit_code
        if isinstance(self.error, Terminated):
            return self.error.exit_code
        if self.error is not None:
            return 130
        if self.progress.tally.golden_wrong or self.progress.unrecorded or self.rate_exceeded:
            return 1
        return 3 if self.progress.tally.lost else 0

    @property
    def rate_exceeded(self) -> int:
        """Payloads longer than their images were told."""
        return 0 if self.progress.rate is None else self.progress.rate.use.exceeded

    @property
    def ended_by(self) -> str | None:
        """Name of the error, "quit" after the key, None after the last image."""
        if self.error is not None:
            return type(self.error).__name__
        return "quit" if self.stopped else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        progress = self.progress
        hello, options, quality = progress.hello, progress.options, progress.bundle.quality.name
        estimate = None if progress.estimate is None else progress.estimate.as_dict()
        return {
            "bundle": progress.bundle.name,
            "bundle_hash": progress.bundle.hash_hex,
            "board": hello.board,
            "engine": hello.engine,
            "build_id": f"{hello.build_id:08x}",
            "clock_hz": hello.clock_hz,
            "counter": hello.counter,
            f"{quality}_injected": progress.level,
            f"{quality}_told": progress.told,
            f"{quality}_estimate": estimate,
            **progress.channel,
            "seed": options.seed,
            "sample": progress.sample,
            **progress.tally.as_dict(),
            "controls": progress.adaptation.as_dict(progress.tally.controls),
            **({} if progress.rate is None else {"rate": progress.rate.as_dict()}),
            "link": progress.link.as_dict(),
            "reconnects": progress.reconnects,
            "device_link": None if self.device_link is None else dataclasses.asdict(self.device_link),
            "unrecorded": [str(failure) for failure in progress.unrecorded],
            "ended_by": self.ended_by,
        }
