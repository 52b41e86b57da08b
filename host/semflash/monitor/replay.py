"""Decodes a raw recording again: the same bytes, errors and labels, or with other assumptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semflash.bundle.reader import Bundle
from semflash.channels.ber_estimate import BerEstimate
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.pilot_estimates import Estimate
from semflash.edge.labeller import Labelled, Labeller
from semflash.edge.pictured import judge_of
from semflash.edge.split import Split
from semflash.errors import BundleError, LinkError, UsageError
from semflash.link import messages
from semflash.link.codes.custody import BadPrefix, Believed, Custody, Misplaced
from semflash.link.codes.fragments import Assembly, CodesFormat, Payload, is_codes, read_codes
from semflash.link.frame import Drop, Dropped, Event, Frame, FrameDecoder, FrameType
from semflash.link.handshake import Expected, check_hello
from semflash.link.outcome import Received
from semflash.link.raw_record import FROM_DEVICE, NOTE, RawReader, RawRecord, parse_note
from semflash.outputs.output import Judge
from semflash.program.quality import Quality

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")
#: More images than that are not read from one file.
IMAGES_MAX = 5_000_000
#: Images of which fragments lack, at most; older ones are forgotten.
_OPEN_MAX = 256


class WrongBundleError(BundleError):
    """A recording of another bundle's codes."""

    kind = "wrong-bundle"


@dataclass(frozen=True)
class Noted:
    """What the run knew of an answer.

    Attributes:
        index: Of its image.
        label: The right one; -1: none.
        level: What was injected.
        predicted: The label that was read; None where the run was killed before it had one.
        told: How many bytes its payload might have; None: nobody said.
    """

    index: int
    label: int
    level: float
    predicted: int | None
    told: int | None = None


@dataclass
class Replay:
    """Sums of a replay.

    Attributes:
        images: answers decoded. correct: right labels. changed: labels other than those of the recorded run.
        strange: codes of no image of the run. misplaced: codes that are not their header's.
        bad_prefix: damaged codes whose prefix is damaged, too. dropped: frames without a usable header, by
            reason.
        fading: of the injected channel, as ``--fading`` names it. controls: how many images came encoded with
            each value of each control, by its name.
        payload_bytes: sum over the images' payloads; payload_bytes_most: of the longest. over_rate: payloads
            longer than their images were told.
        figures: of the pictures beside the labels, by name; empty: no images to compare them with.
        seconds: from the first to the last byte.
    """

    bundle: str
    board: str = ""
    images: int = 0
    correct: int = 0
    changed: int = 0
    damaged: int = 0
    strange: int = 0
    misplaced: int = 0
    bad_prefix: int = 0
    frames: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Drop})
    seconds: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    truncated: bool = False
    estimate: Estimate | BerEstimate | None = None
    fading: str = "none"
    controls: dict[str, dict[int, int]] = field(default_factory=dict)
    payload_bytes: int = 0
    payload_bytes_most: int = 0
    over_rate: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def payload_bytes_mean(self) -> float | None:
        """Of a payload."""
        return self.payload_bytes / self.images if self.images else None

    @property
    def accuracy(self) -> float | None:
        """Share of right labels."""
        return self.correct / self.images if self.images else None


def recorded_name(reader: RawReader) -> str:
    """The name of the recorded bundle; a recording is never followed to a path.

    Raises:
        UsageError: it names none, or a path.
    """
    name = reader.header.get("bundle")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            "the recording does not name a bundle",
            value=ascii(name)[:80],
            remedy="name it with --bundle",
        )
    return name


def check_recording(reader: RawReader, bundle: Bundle) -> None:
    """Refuse a decoder that is not of the recorded codes.

    Raises:
        WrongBundleError: another bundle's hash; both are named.
    """
    recorded = str(reader.header.get("bundle_hash", ""))[:64]
    if recorded != bundle.hash_hex:
        raise WrongBundleError(
            f"the recording is of bundle {recorded[:8]}, not of {bundle.hash_hex[:8]} ({bundle.name})",
            value=str(reader.header.get("bundle", ""))[:80],
            remedy="name the bundle that was recorded with --bundle; another decoder gives nonsense",
        )


def replay(
    bundle: Bundle,
    path: Path,
    *,
    level: float | None = None,
    assumed: float | None = None,
    known: bool = False,
    window: int | None = None,
    fading: Fading | None = None,
    split: Split | None = None,
) -> Replay:
    """Decode the file again.

    Args:
        level: injected instead of the recorded run's; window, fading: None: those of the recorded run. The
            others: as in MonitorOptions.
        split: the images of the recorded run, to compare pictures with; None: pictures are not judged.

    Raises:
        UsageError: no recording, or one of a channel that is none, or of other images than those of `split`.
        WrongBundleError: of another bundle.
    """
    judge = None if split is None or bundle.picture is None else judge_of(bundle, split)
    with RawReader(path) as reader:
        check_recording(reader, bundle)
        header = reader.header
        noted = _notes(reader.records(), bundle.quality)
    seed = header.get("seed", 0)
    faded = Fading.parse(str(header.get("fading", NO_FADING))) if fading is None else fading
    recorded = header.get("window")
    if window is None and isinstance(recorded, int):
        window = recorded
    result = Replay(bundle.name, fading=str(faded))
    with (
        RawReader(path) as reader,
        Labeller(
            bundle,
            None,
            assumed=assumed,
            known=known,
            window=window,
            seed=seed if isinstance(seed, int) and seed >= 0 else 0,
            fading=faded,
        ) as labeller,
    ):
        for received, note in _answers(bundle, reader, noted, result):
            labeller.inject_at(note.level if level is None else level)
            labeller.put(received)
            for labelled in labeller.ready():
                _count(result, labelled, noted, judge)
        for labelled in labeller.finish():
            _count(result, labelled, noted, judge)
        result.figures = {} if judge is None else judge.beside()
        result.estimate = labeller.estimate()
        result.truncated = reader.truncated
    return result


def _notes(records: Iterator[RawRecord], quality: Quality) -> dict[int, Noted]:
    """Notes of answers by request; strange ones are passed by."""
    found: dict[int, Noted] = {}
    low, high = quality.limits
    for record in records:
        if record.kind != NOTE or len(found) >= IMAGES_MAX:
            continue
        note = parse_note(record.data) or {}
        numbers = [note.get(name) for name in ("request", "index", "label")]
        predicted = note.get("predicted")
        numbers += [predicted] if "predicted" in note else []
        level = note.get(quality.name)
        whole = all(isinstance(value, int) and -1 <= value < 1 << 32 for value in numbers)
        if whole and isinstance(level, int | float) and low <= level <= high:
            request, index, label = (int(value) for value in numbers[:3] if value is not None)
            told = note.get("bytes_told")
            said = told if isinstance(told, int) and 0 <= told < 1 << 32 else None
            found[request] = Noted(max(index, 0), label, float(level), predicted, said)
    return found


def _answers(
    bundle: Bundle, reader: RawReader, noted: dict[int, Noted], result: Replay
) -> Iterator[tuple[Received, Noted]]:
    """The codes that answered an image, each once."""
    decoder, left = FrameDecoder(), set(noted)
    custody = Custody(bundle.hash32, CodesFormat(8 * bundle.payload_bytes))
    open_images: dict[int, Assembly] = {}
    expected = Expected.of(bundle)
    for record in reader.records():
        result.seconds = record.seconds
        if record.kind != FROM_DEVICE:
            result.bytes_down += len(record.data) if record.kind != NOTE else 0
            continue
        result.bytes_up += len(record.data)
        for event in (e for received in decoder.feed(record.data) for e in _believed(custody, received)):
            if isinstance(event, Dropped):
                result.dropped[event.reason] += 1
                continue
            if isinstance(event, Misplaced):
                result.misplaced += 1
                continue
            if isinstance(event, BadPrefix):
                result.bad_prefix += 1
                continue
            result.frames += 1
            if event.type == FrameType.HELLO and not event.damaged:
                hello = _hello(event, expected)
                if hello is not None:
                    custody.form = CodesFormat(
                        hello.payload_bits, len(hello.controls), hello.pilot_bytes, bool(hello.prefix)
                    )
                    result.board = hello.board
            elif is_codes(event) and event.bundle == bundle.hash32:
                payload = None
                if event.request in left:
                    payload = _payload(event, custody.form, open_images)
                if payload is not None:
                    left.discard(event.request)
                    yield (
                        _received(event.request, payload, bundle, noted[event.request]),
                        noted[event.request],
                    )
                elif event.request not in open_images:
                    result.strange += 1


def _payload(frame: Frame, form: CodesFormat, open_images: dict[int, Assembly]) -> Payload | None:
    """The payload that a frame of codes completes. Images that lack fragments stay in `open_images`."""
    fragment = read_codes(frame, form)
    if fragment is None:
        return None
    assembly = open_images.setdefault(frame.request, Assembly())
    payload = assembly.whole() if assembly.add(fragment) else None
    if payload is not None:
        del open_images[frame.request]
    while len(open_images) > _OPEN_MAX:
        del open_images[next(iter(open_images))]
    return payload


def _believed(custody: Custody, event: Event) -> list[Believed]:
    """As the session of the recording: HELLO settles what waits."""
    if isinstance(event, Frame) and event.type == FrameType.HELLO and not event.damaged:
        return [*custody.hello(event), event]
    return custody.take(event)


def _hello(frame: Frame, expected: Expected) -> messages.Hello | None:
    """What the device said; None: it makes no sense, or is no device of the bundle."""
    try:
        return check_hello(messages.parse_hello(frame.payload), expected)
    except LinkError:
        return None


def _received(request: int, payload: Payload, bundle: Bundle, note: Noted) -> Received:
    names = [control.name for control in bundle.program.controls]
    return Received(
        note.index,
        request,
        1,
        payload.codes,
        bool(payload.damaged),
        0.0,
        pilot_errors=payload.pilot_errors,
        bits=payload.bits,
        controls=dict(zip(names, payload.values, strict=False)),
        damaged_parts=payload.damaged,
    )


def _count(result: Replay, labelled: Labelled, noted: dict[int, Noted], judge: Judge | None) -> None:
    note, size = noted[labelled.received.request], len(labelled.received.payload)
    if judge is not None:
        index = note.index % len(judge)
        if judge.number(index) != note.label:
            raise UsageError(
                "the recording is of other images",
                value=f"image {index}: label {note.label} there, {judge.number(index)} here",
                remedy="name the data set of the run with --dataset",
            )
        judge.judge(labelled.reading, index)
    result.images += 1
    result.payload_bytes += size
    result.payload_bytes_most = max(result.payload_bytes_most, size)
    result.over_rate += note.told is not None and size > note.told
    for name, value in labelled.received.controls.items():
        counts = result.controls.setdefault(name, {})
        counts[value] = counts.get(value, 0) + 1
    result.damaged += labelled.received.damaged
    result.correct += labelled.reading.number == note.label
    result.changed += note.predicted not in (None, labelled.reading.number)


def as_dict(result: Replay) -> dict[str, Any]:
    """Plain values for --json."""
    import dataclasses

    mean = {"payload_bytes_mean": result.payload_bytes_mean}
    return dataclasses.asdict(result) | mean | {"accuracy": result.accuracy} | result.figures
