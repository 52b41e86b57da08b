"""Result files of the experiments: one JSON a run, kept in ``experiments/results/<experiment>/<run>.json``.

A result is complete when its file exists: it is written in one step.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from semflash import atomic
from semflash.errors import UsageError
from semflash.outputs.metrics import ACCURACY, Finite, Metric

FORMAT = "semflash-experiment"
VERSION = 2
RESULT_MAX_BYTES = 16 << 20

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Row(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One measured value.

    Attributes:
        split: ``val`` or ``test``. images: how many.
        channel: ``bsc`` (bits flip independently), ``gilbert-elliott`` (in bursts), ``frame-loss`` or
            ``deadline`` (as many frames, the last ones of a payload); ``awgn`` (noise on symbols).
        rate: mean bit error rate, or share of frames lost, 0..1; of ``awgn`` the SNR in dB.
        value: in the metric.
        metric: what was measured; left out of the file where it is top-1 accuracy.
        estimate: what the decoder was told of the BER: ``exact``, ``-50%``, ``x10``, ``/10``,
            ``pilots:N`` (estimated from N known bits) ...
        encoder: ``float`` (as trained) or ``int8`` (as on the device).
        burst_bits: mean length of a burst, bits. frame_bytes: payload bytes of a frame.
        framing: ``deliver`` (damaged payloads are decoded), ``drop`` (lost as a whole) or ``retransmit``.
        transmissions: mean number of times a payload was sent.
        undecodable: images that got the class prior's answer because nothing could be decoded.
    """

    split: str
    channel: str
    rate: float
    value: Finite
    images: int
    metric: Metric = ACCURACY
    estimate: str = "exact"
    encoder: str = "float"
    burst_bits: int | None = None
    frame_bytes: int | None = None
    framing: str = "deliver"
    transmissions: float = 1.0
    undecodable: int = 0


class OlderRow(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A row of version 1, always top-1 accuracy; attributes as those of :class:`Row`."""

    split: str
    channel: str
    rate: float
    accuracy: Share
    images: int
    estimate: str = "exact"
    encoder: str = "float"
    burst_bits: int | None = None
    frame_bytes: int | None = None
    framing: str = "deliver"
    transmissions: float = 1.0
    undecodable: int = 0

    def today(self) -> Row:
        """As a row of today."""
        fields = msgspec.structs.asdict(self)
        return Row(value=fields.pop("accuracy"), **fields)


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """What a training was allowed: a short name for tables, and one sentence that says it in full."""

    name: str
    text: str


class RunResult(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finished run.

    Attributes:
        experiment, run: folder and file name of the result.
        method, title, citation: what was measured. kind: ``learned`` or ``classical``.
        variant: what differs from the method's own settings; empty: nothing.
        payload_bytes: the budget in bytes per image. mean_payload_bytes: what was sent on the test split.
        seed, budget, settings: everything that decided the run; fingerprint: digest of the settings.
        rows: measured accuracies.
        history: one record per epoch. figures: further numbers of this run, plain JSON.
        versions: of the packages. seconds: of training and of measuring, one core.
    """

    experiment: str
    run: str
    method: str
    title: str
    kind: str
    payload_bytes: int
    seed: int
    budget: Budget
    settings: dict[str, Any]
    fingerprint: str
    rows: list[Row]
    citation: str = ""
    variant: str = ""
    mean_payload_bytes: float | None = None
    history: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    versions: dict[str, str] = {}
    seconds: dict[str, float] = {}
    format: str = FORMAT
    version: int = VERSION

    @property
    def dataset(self) -> str | None:
        """Name of the data set that was measured; None: the settings do not say."""
        task = self.settings.get("task")
        name = task.get("dataset") if isinstance(task, dict) else None
        return name if isinstance(name, str) else None


class OlderResult(RunResult, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A result of version 1."""

    rows: list[OlderRow]  # type: ignore[assignment]

    def today(self) -> RunResult:
        """As a result of today."""
        fields = msgspec.structs.asdict(self)
        rows = [row.today() for row in self.rows]
        return RunResult(**(fields | {"rows": rows, "version": VERSION}))


class _Envelope(Struct):
    """What says how the rest of a file is read."""

    format: str = ""
    version: int = 0


def write_result(path: Path, result: RunResult) -> None:
    """Write a result in one step.

    Raises:
        OSError: no room, or not allowed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result, order="deterministic"), indent=1)
    atomic.write(path, _one_line_rows(text) + b"\n")


def _one_line_rows(text: bytes) -> bytes:
    """Innermost objects on one line each: a row or an epoch is a line of a diff."""
    lines: list[bytes] = []
    inner: list[bytes] | None = None
    for line in text.split(b"\n"):
        if line.rstrip().endswith(b"{"):
            lines += inner or []
            inner = [line]
        elif inner is not None:
            inner.append(line)
            if line.lstrip().startswith(b"}"):
                body = b" ".join(part.strip() for part in inner)
                indent = inner[0][: len(inner[0]) - len(inner[0].lstrip())]
                joined = indent + body.replace(b"{ ", b"{").replace(b" }", b"}")
                lines += [joined] if len(joined) < 400 else inner
                inner = None
        else:
            lines.append(line)
    return b"\n".join(lines + (inner or []))


def read_result(path: Path) -> RunResult:
    """Read one result.

    Raises:
        UsageError: unreadable, too large, not a result, or of an unknown version.
    """
    try:
        if path.stat().st_size > RESULT_MAX_BYTES:
            raise UsageError("larger than any result", value=path, remedy="name a result of experiments/")
        data = path.read_bytes()
        said = msgspec.json.decode(data, type=_Envelope)
        if said.format == FORMAT and said.version == 1:
            return msgspec.json.decode(data, type=OlderResult).today()
        result = msgspec.json.decode(data, type=RunResult)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"not a result of an experiment: {error}", value=path, remedy="run experiments/run.py again"
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot read a result: {error.strerror}", value=path, remedy="check the path"
        ) from error
    if (result.format, result.version) != (FORMAT, VERSION):
        raise UsageError(
            f"a result of format {FORMAT} {VERSION} is needed", value=f"{result.format} {result.version}"
        )
    return result


def read_results(places: Iterable[Path]) -> list[RunResult]:
    """Results of files and folders (searched downwards), in the order of their names.

    Raises:
        UsageError: a place that does not exist or holds no result, or a file that is none.
    """
    found: list[RunResult] = []
    for place in places:
        if place.is_dir():
            files = [path for path in sorted(place.rglob("*.json")) if _looks_like_one(path)]
            if not files:
                raise UsageError("no results here", value=place, remedy="python experiments/run.py")
        else:
            files = [place]
        found += [read_result(path) for path in files]
    return found


def _looks_like_one(path: Path) -> bool:
    """Folders may hold JSON of other kinds (the rate table's); temporary names start with a dot."""
    with path.open("rb") as file:
        return not path.name.startswith(".") and FORMAT.encode() in file.read(RESULT_MAX_BYTES)


class ResultStore:
    """The results folder of the experiments.

    Args:
        root: ``experiments/results``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, experiment: str, run: str) -> Path:
        """Where the result of a run lies or will lie."""
        return self.root / experiment / f"{run}.json"

    def get(self, experiment: str, run: str) -> RunResult | None:
        """The result of a run; None: not there yet. UsageError: damaged."""
        path = self.path(experiment, run)
        return read_result(path) if path.is_file() else None

    def put(self, result: RunResult) -> Path:
        """Write a result, in one step."""
        path = self.path(result.experiment, result.run)
        write_result(path, result)
        return path

    def all(self) -> list[RunResult]:
        """Every result, in the order of experiment and run. UsageError: one is damaged."""
        files = sorted(self.root.glob("*/*.json"))
        return read_results([path for path in files if _looks_like_one(path)])


__all__ = [
    "Budget",
    "ResultStore",
    "Row",
    "RunResult",
    "read_result",
    "read_results",
    "write_result",
]
