"""What a bundle is worth over a channel that changes while images run, and how well its controls follow.

The run of a monitor without a board, image by image: the level of each image injects noise and meets the
pilots of its frame, the running estimate tells the decoder and the controls, and what is set takes effect a
few images later, since those are on their way already. Seeds give what a monitor's run with the same seed
gives over a line without faults.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.of_quality import QualityChannel, channel_for
from semflash.channels.trace import Trace
from semflash.data.lazy import some
from semflash.data.sample import SAMPLE_SEED, balanced
from semflash.edge.adaptation import Adaptation
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.following import followed, settings_at
from semflash.edge.golden import GoldenEncoder
from semflash.edge.labeller import inject, window_of
from semflash.errors import UsageError
from semflash.outputs.metrics import Score

#: ``auto``: controls follow the estimate, and the decoder is told it. ``genie``: both know each image's level
#: beforehand. A number: the controls that follow stay at it, and the decoder is told the estimate.
Mode = Literal["auto", "genie"] | int
_BATCH = 512


@dataclass(frozen=True)
class Line:
    """The line between device and edge.

    Attributes:
        pilot_bytes: In the frame of an image.
        window: Pilot bits that the estimate remembers; None: as many as the kind of quality takes.
        delay: So many images are on their way when a control is set: it takes effect behind them.
        fading: Of the injected channel.
        seed: Of the injected damage.
    """

    pilot_bytes: int = 4
    window: float | None = None
    delay: int = 1
    fading: Fading = NO_FADING
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pilot_bytes < 1 or not 0 <= self.delay <= 10_000 or self.seed < 0:
            value = (self.pilot_bytes, self.delay, self.seed)
            raise UsageError("a line has pilots, a delay of 0 images or more and a seed", value=value)


@dataclass(frozen=True)
class TraceResult:
    """One way to set controls over one trace.

    Attributes:
        mode: The way.
        score: Of the output's first metric.
        answers: Of the bundle's output, one for each image, in the order of sending.
        used: For each control that follows, what each image was encoded with, int64 (N,).
        right: The same by the images' true levels.
        told: What the decoder was told, float64 (N,).
    """

    mode: Mode
    score: Score
    answers: Any
    used: dict[str, NDArray[np.int64]]
    right: dict[str, NDArray[np.int64]]
    told: NDArray[np.float64]

    def as_json(self) -> dict[str, Any]:
        """Plain values: score, changes, and how often a control was so many steps off."""
        off = {name: Counter((self.used[name] - self.right[name]).tolist()) for name in self.used}
        return {
            "mode": self.mode,
            "value": self.score.value,
            "value_95": [self.score.low, self.score.high],
            "changes": {name: int((np.diff(values) != 0).sum()) for name, values in self.used.items()},
            "off_by": {name: {str(k): n for k, n in sorted(each.items())} for name, each in off.items()},
        }


def evaluate_trace(
    bundle: Bundle,
    dataset: Any,
    trace: Trace,
    modes: Sequence[Mode] = ("auto", "genie"),
    *,
    line: Line = Line(),
    count: int | None = None,
    sample_seed: int = SAMPLE_SEED,
    split: str = "test",
) -> list[TraceResult]:
    """Run images over a trace once for each way to set controls; all meet the same noise.

    Args:
        dataset: with the splits .train, .val, .test.
        trace: levels by image, in the bundle's kind of quality.
        modes: how controls are set.
        count, sample_seed, split: as ``limit`` and so on of :func:`semflash.edge.evaluate.evaluate`.

    Raises:
        DatasetError: labels that the bundle has no class for. UsageError: a level out of range, no control
            that follows the channel, or a value that none of them has. BundleError, ModelError: the bundle
            does not run.
    """
    program, output = bundle.program, bundle.output
    if not followed(program.controls):
        raise UsageError("no control of this bundle follows the channel", value=bundle.name)
    part = getattr(dataset, split)
    output.check_labels(part.labels)
    indices = balanced(part.labels, count, sample_seed)
    images, labels = some(part.images, indices), part.labels[indices]
    channel = channel_for(program, line.fading)
    levels = channel.check(trace.levels(len(images)), len(images))
    truth = output.truth(images, labels)
    way = _Way(bundle, images, indices, levels, channel, line)
    results = []
    for mode in modes:
        settings, told = _course(bundle, mode, levels, indices, channel, line)
        answers = way.answers(settings, told, truth)
        score = output.measure(answers, truth, seed=line.seed)[0]
        names = [control.name for control in followed(program.controls)]
        right = [settings_at(program.controls, float(level)) for level in levels]
        used, by_level = (
            {name: np.array([each[name] for each in rows]) for name in names} for rows in (settings, right)
        )
        results.append(TraceResult(mode, score, answers, used, by_level, told))
    return results


def _course(
    bundle: Bundle,
    mode: Mode,
    levels: NDArray[np.float64],
    indices: NDArray[np.intp],
    channel: QualityChannel,
    line: Line,
) -> tuple[list[dict[str, int]], NDArray[np.float64]]:
    """What each image is encoded with, and what the decoder is told for it."""
    program, quality = bundle.program, bundle.quality
    if mode == "genie":
        settings = [settings_at(program.controls, float(level)) for level in levels]
        return settings, np.array([quality.told(float(level)) for level in levels])
    fixed = {}
    if mode != "auto":
        fixed = {control.name: mode for control in followed(program.controls)}
        for control in followed(program.controls):
            if not control.low <= mode <= control.high:
                raise UsageError(f"control {control.name} takes {control.low} to {control.high}", value=mode)
    adaptation = Adaptation(program, fixed)
    estimator = channel.estimator(window_of(quality, line.window))
    on_their_way = deque([adaptation.settings] * (line.delay + 1))
    settings, told = [], np.empty(len(levels))
    for number, (level, index) in enumerate(zip(levels.tolist(), indices.tolist(), strict=True)):
        settings.append(on_their_way.popleft())
        gain = channel.gain(line.seed, level, index)
        estimator.add(bytes(line.pilot_bytes), level, channel.pilot_rng(line.seed, level, index), gain)
        estimate = estimator.value
        assert estimate is not None  # there are pilots
        told[number] = quality.told(estimate)
        adaptation.hear(estimate)
        on_their_way.append(adaptation.settings)
    return settings, told


class _Way:
    """Images through encoder, channel and decoder, each with its own level and controls."""

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8],
        indices: NDArray[np.intp],
        levels: NDArray[np.float64],
        channel: QualityChannel,
        line: Line,
    ) -> None:
        self._output, self._size, self._images, self._indices = (
            bundle.output,
            bundle.payload_bytes,
            images,
            indices,
        )
        self._levels, self._channel, self._seed = levels, channel, line.seed
        self._encoder, self._decoder = GoldenEncoder(bundle), EdgeDecoder(bundle)

    def answers(self, settings: Sequence[dict[str, int]], told: NDArray[np.float64], truth: Any) -> Any:
        """Answers of the output, one for each image."""
        payloads, bits = self._arrived(settings)
        names, parts = list(settings[0]), []
        controls = {name: np.array([each[name] for each in settings]) for name in names}
        for start in range(0, len(payloads), _BATCH):
            some_of = slice(start, start + _BATCH)
            found = self._decoder.logits(
                payloads[some_of],
                told[some_of],
                bits=bits[some_of],
                controls={name: values[some_of] for name, values in controls.items()},
            )
            parts.append(self._output.answers(found, truth[some_of]))
        return self._output.joined(parts)

    def _arrived(self, settings: Sequence[dict[str, int]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Payloads as they arrive, zeros behind shorter ones, and their lengths."""
        payloads = np.zeros((len(settings), self._size), np.uint8)
        bits = np.zeros(len(settings), np.int64)
        keys = [tuple(sorted(each.items())) for each in settings]
        for key in dict.fromkeys(keys):
            which = [number for number, each in enumerate(keys) if each == key]
            sent = self._encoder.sent(self._images[which], dict(key))
            bits[which] = sent.bits
            for number, payload, length in zip(which, sent, sent.bits.tolist(), strict=True):
                level, index = float(self._levels[number]), int(self._indices[number])
                noisy, _ = inject(self._channel, payload, level, self._seed, index, length)
                payloads[number, : len(noisy)] = np.frombuffer(noisy, np.uint8)
        return payloads, bits
