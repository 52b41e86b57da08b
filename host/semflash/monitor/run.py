"""One monitor run: the loop that moves outcomes to the labeller, and readings to tally, records and view."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from semflash.edge.connection import Connection
from semflash.edge.labeller import Labelled, Labeller
from semflash.edge.records import RecordWriter
from semflash.errors import SemflashError, StorageError
from semflash.link.faults.kinds import parse_fault
from semflash.link.outcome import Lost, Outcome, Received
from semflash.link.pixels import Image
from semflash.link.raw_record import RawRecorder
from semflash.monitor.live.controls import Controls
from semflash.monitor.progress import Event, Progress, Recent, State, View
from semflash.monitor.rate import RateKeys
from semflash.monitor.record_lines import heading, image_record, summary_line
from semflash.outputs.output import Judge

REFRESH_S = 0.2
_TICK_S = 0.05
_PROGRESS_EVERY_S = 1.0
_SILENT_S = 1.5
_NAP_S = 0.02
_CRASHES_MAX = 10  # told per run: a board that crashes all the time, or lies, does not fill the record


class Stopped(Exception):
    """A person ended the run."""


class MonitorRun:
    """One run over one connection that has said HELLO.

    Args:
        judge: knows what is right; an image's index counts modulo its number of images.
        controls: what a person asks for; the view's keys change it.
        raw: the raw recording, which gets a note of each image.
    """

    def __init__(
        self,
        progress: Progress,
        connection: Connection,
        labeller: Labeller,
        judge: Judge,
        records: RecordWriter,
        view: View | None = None,
        controls: Controls | None = None,
        *,
        raw: RawRecorder | None = None,
    ) -> None:
        self._progress, self._connection, self._labeller = progress, connection, labeller
        self._judge, self._records, self._view = judge, records, view or View()
        self._raw = raw
        rate = progress.rate
        rates = ((), None) if rate is None else (rate.steps, rate.next)
        self._controls = controls or Controls.of(progress.bundle.quality, progress.level, *rates)
        self._began_s = self._shown_s = self._ticked_s = self._told_s = time.monotonic()
        self._left_s = self._halted_s = 0.0  # when the cable went; time paused or without a cable
        self._bytes = (0, 0)
        self._rate_keys = RateKeys(rate, self._controls)
        self.stopped = False
        self._crashes: list[bytes] = []  # reports that were told
        progress.where = connection.where
        connection.watch(self._tick, self._report)
        records.write("session", heading(progress))
        records.flush()

    def go(self, images: Iterable[Image]) -> BaseException | None:
        """Until the last image, the end a person asks for, or the error that ends the run before."""
        error: BaseException | None = None
        self._began_s = time.monotonic()
        try:
            try:
                self._stream(images)
            except Stopped:
                self.stopped = True
            except (SemflashError, KeyboardInterrupt) as caught:
                error = caught
            for labelled in self._labeller.finish():
                self._take(labelled)
            self._tell_crash()
            self._progress.state = "done"
            self._progress.estimate = self._labeller.estimate()
            self._records.flush()
            self._tell_unrecorded()
            self._progress.beside = self._judge.beside()
            self._show()
        finally:
            self._view.close()
        return error

    def _tick(self) -> None:
        """Called by the connection many times per second, also while nothing comes.

        Raises:
            Stopped: the person wants to quit.
        """
        now = time.monotonic()
        if now - self._ticked_s < _TICK_S:
            return
        self._ticked_s = now
        self._tell_crash()
        self._tell_unrecorded()
        self._follow_controls()
        if now - self._shown_s >= REFRESH_S:
            self._refresh(now)

    def _report(self, kind: str, text: str, values: dict[str, object]) -> None:
        """An event, for records and view."""
        now = time.monotonic()
        event = Event(kind, text, now - self._began_s, dict(values))
        self._progress.events.append(event)
        self._records.write(kind, {"seconds": round(event.seconds, 3), **event.values})
        if kind == "disconnected":
            self._left_s = now
        elif kind == "reconnected":
            self._halted_s += now - self._left_s
            self._progress.where = self._connection.where
            self._progress.reconnects = self._connection.reconnects
            assert self._connection.hello is not None
            self._progress.hello = self._connection.hello
        self._view.event(self._progress, event)

    def _tell_crash(self) -> None:
        """Say what a board reports of a crash before its last reset; each report once."""
        said = self._connection.session.fault_report
        if said is None or said in self._crashes or len(self._crashes) >= _CRASHES_MAX:
            return
        self._crashes.append(said)
        report = parse_fault(said)
        if report is not None:
            values = {**dataclasses.asdict(report), "cause": report.cause}
            self._report("crash", f"the board crashed before its last reset: {report}", values)

    def note_unrecorded(self) -> list[StorageError]:
        """Recordings that ended since the last look, for lack of room; the run goes on without them."""
        failures = [*self._records.failures]
        if self._raw is not None and self._raw.failure is not None:
            failures.append(self._raw.failure)
        found = [failure for failure in failures if failure not in self._progress.unrecorded]
        self._progress.unrecorded += found
        return found

    def _tell_unrecorded(self) -> None:
        for failure in self.note_unrecorded():
            values: dict[str, object] = {"what": failure.what, "path": str(failure.value or "")}
            self._report("unrecorded", failure.in_one_line, values)

    def _stream(self, images: Iterable[Image]) -> None:
        for outcome in self._connection.stream(images):
            self._outcome(outcome)
            for labelled in self._labeller.ready():
                self._take(labelled)
            self._tick()
            self._pause()

    def _outcome(self, outcome: Outcome) -> None:
        tally, hello = self._progress.tally, self._progress.hello
        tally.seconds = time.monotonic() - self._began_s - self._halted_s
        if isinstance(outcome, Lost):
            tally.lost += 1
            if self._progress.rate is not None:
                self._progress.rate.forget(outcome.index)
            self._records.write(
                "lost", {"index": outcome.index % len(self._judge), "attempts": outcome.attempts}
            )
            return
        self._follow_trace()
        if self._raw is not None:
            self._raw.note(self._known(outcome))
        tally.received += 1
        tally.damaged += outcome.damaged
        if outcome.ticks is not None and hello.counter != "none":
            tally.add_count(hello.count(outcome.ticks))
            tally.stack_bytes = max(tally.stack_bytes, outcome.stack_bytes or 0)
        tally.add_controls(outcome.controls)
        if self._progress.rate is not None:
            self._progress.rate.came(outcome)
        self._labeller.put(outcome)
        self._adapt()

    def _follow_trace(self) -> None:
        """The level of the next image, where a trace changes it; in between the keys hold."""
        trace, number = self._progress.options.trace, self._progress.tally.received
        if trace is not None and number and trace.at(number) != trace.at(number - 1):
            self._inject(trace.at(number))

    def _inject(self, level: float) -> None:
        """The level of injected damage from the next image on."""
        self._progress.level = self._controls.level = level
        self._labeller.inject_at(level)

    def _adapt(self) -> None:
        """After each image: tell the device what belongs to the channel as it is estimated now."""
        progress, estimated = self._progress, self._labeller.channel_level
        changed = progress.adaptation.hear(estimated, self._labeller.channel_interval)
        if not changed:
            return
        self._connection.set_controls(changed)
        fields = {"controls": changed, f"{progress.bundle.quality.name}_estimated": estimated}
        seconds = time.monotonic() - self._began_s
        self._records.write(
            "control", {"seconds": round(seconds, 3), "received": progress.tally.received} | fields
        )

    def _known(self, outcome: Received) -> dict[str, object]:
        """What a raw recording notes of an answer when it comes: with that, a replay can decode it."""
        rate = self._progress.rate
        told = None if rate is None else rate.told(outcome.index)
        return {
            "request": outcome.request,
            "index": outcome.index,
            "label": self._judge.number(outcome.index % len(self._judge)),
            self._progress.bundle.quality.name: self._progress.level,
            **({} if told is None else {"bytes_told": told}),
        }

    def _pause(self) -> None:
        """While paused: keys and screen only, until a step or the end of the pause."""
        began = time.monotonic()
        while not self._controls.may_go_on():
            self._labeller.push()
            for labelled in self._labeller.ready():
                self._take(labelled)
            self._tick()
            time.sleep(_NAP_S)
        self._halted_s += time.monotonic() - began

    def _follow_controls(self) -> None:
        progress, controls = self._progress, self._controls
        self._view.poll(controls)
        if controls.quit:
            raise Stopped
        progress.help = controls.help
        progress.paused = controls.paused
        if controls.level != progress.level:
            self._inject(controls.level)
            quality, level = progress.bundle.quality, controls.level
            text = f"injected {quality.short} is {level:g} now"
            self._report(quality.name, text, {f"{quality.name}_injected": level})
        if (asked := self._rate_keys.asked()) is not None:
            self._report("rate", asked, {"bytes_told": controls.rate})

    def _refresh(self, now: float) -> None:
        progress, port = self._progress, self._connection.port
        seconds = now - self._shown_s
        self._shown_s = now
        if self._labeller.idle:  # a slow board: do not wait for a full batch
            self._labeller.push()
        progress.silent_s = now - port.heard_s
        up, down = port.bytes_up, port.bytes_down
        weight = min(1.0, seconds)  # about the last second
        progress.bytes_up += weight * (max(0, up - self._bytes[0]) / seconds - progress.bytes_up)
        progress.bytes_down += weight * (max(0, down - self._bytes[1]) / seconds - progress.bytes_down)
        self._bytes = (up, down)
        progress.state = self._state()
        progress.estimate = self._labeller.estimate()
        estimated = progress.estimate.value if progress.estimate is not None else None
        progress.beside = self._judge.beside()
        progress.history.tick(now, progress.level, estimated)
        if self._records.streams and now - self._told_s >= _PROGRESS_EVERY_S:
            self._told_s = now
            self._records.write("progress", summary_line(progress), to_file=False)
        self._records.flush()
        self._show()

    def _state(self) -> State:
        if self._connection.away:
            return "cable out"
        if self._controls.paused:
            return "paused"
        return "silent" if self._progress.silent_s > _SILENT_S else "streaming"

    def _show(self) -> None:
        self._progress.link = self._connection.counters
        self._view.update(self._progress)

    def _take(self, labelled: Labelled) -> None:
        progress = self._progress
        received, tally, hello = labelled.received, progress.tally, progress.hello
        judge = self._judge
        index = received.index % len(judge)
        verdict = judge.judge(labelled.reading, index)
        size = len(received.payload)
        tally.inconsistent += not labelled.consistent
        tally.add(verdict.value, right=verdict.right, flips=labelled.flips, payload_bytes=size)
        progress.history.add(verdict.value)
        if verdict.classes is not None:
            progress.confusion[verdict.classes] += 1
        progress.recent.append(Recent(index, verdict, labelled.flips, received.damaged))
        if labelled.golden_equal is not None:
            tally.add_golden(index, equal=labelled.golden_equal)
        ticks = received.ticks if hello.counter != "none" else None
        count = hello.count(ticks) if ticks is not None else None
        quality = progress.bundle.quality.name
        record = image_record(labelled, index, verdict.record, ticks, count, quality)
        if progress.rate is not None:
            record["bytes_told"] = progress.rate.told(received.index)
        if progress.options.loop:
            record["round"] = received.index // len(judge)
        self._records.write("image", record)
        if self._raw is not None:
            known = {quality: labelled.level, "predicted": labelled.reading.number}
            self._raw.note(self._known(received) | known)
        if progress.rate is not None:
            progress.rate.forget(received.index)
