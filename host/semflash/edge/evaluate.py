"""What a bundle's output is worth at levels of channel quality: int8 encoder, channel, LiteRT decoder.

Damage is put into packed payloads (injected, seeded); the decoder is told the injected level unless another
estimate is given. Controls that follow the channel have the values that belong to the level, unless others
are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Measurement, Point
from semflash.bundle.writer import update_record
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.of_quality import channel_for
from semflash.channels.rate_trace import RateTrace
from semflash.data.lazy import some
from semflash.data.sample import SAMPLE_SEED, balanced
from semflash.edge.following import check_error, settings_at
from semflash.edge.pictured import Measuring
from semflash.edge.route import Route
from semflash.edge.split import Split, cover_of
from semflash.errors import DatasetError, UsageError
from semflash.link.controls import STREAM, check_settings, the_rate
from semflash.outputs import pictured
from semflash.outputs.output import Output
from semflash.program.quality import KINDS, Ber, Snr


@dataclass(frozen=True)
class Evaluation:
    """Outcome of :func:`evaluate`.

    Attributes:
        bundle: Its name.
        hash_hex: Its hash.
        payload_bytes: Per image, the most.
        measurement: Data set, number of images, seed, metrics and their scores at each level.
        task_value: The first metric of the uncompressed task network, from the record; None: not recorded.
        predictions: Level -> answers of the bundle's output (:meth:`Output.answers`), one an image: classes
            int64 (N,), objects float32 (n, 6), or PSNR and SSIM float64 (N, 2).
        indices: Which images of the split they are of, in the same order.
        controls: Level -> values that the device was set to, by the controls' names; empty where nothing was
            set.
        fixed: Values that were set at all levels.
        state_error: What was added to the values that follow the channel.
        sizes: Level -> bytes of a payload, in the mean and of the longest.
        pictures: Level -> figures of the pictures beside the answers, float64 (N, metrics), NaN of an object
            that is not there (:mod:`semflash.outputs.pictured`); empty: the bundle gives none.
        inconsistent: Level -> payloads that could not be believed in what they say of themselves.
        rate_trace: What images were told one by one; None: the controls say it for all.
    """

    bundle: str
    hash_hex: str
    payload_bytes: int
    measurement: Measurement
    task_value: float | None
    predictions: dict[float, Any]
    indices: NDArray[np.intp]
    controls: dict[float, dict[str, int]] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)
    state_error: int = 0
    sizes: dict[float, tuple[float, int]] = field(default_factory=dict)
    pictures: dict[float, pictured.Figures] = field(default_factory=dict)
    inconsistent: dict[float, int] = field(default_factory=dict)
    rate_trace: RateTrace | None = None

    @property
    def varies(self) -> bool:
        """Whether payloads are not all as long as they can be."""
        return any(size != (self.payload_bytes, self.payload_bytes) for size in self.sizes.values())

    @property
    def fading(self) -> Fading:
        """Of the channel."""
        return Fading.parse(self.measurement.fading) if self.measurement.fading else NO_FADING

    @property
    def control_names(self) -> list[str]:
        """Controls that were set, in the same order everywhere."""
        return sorted({name for each in self.controls.values() for name in each})

    def settings(self, bundle: Bundle, level: float) -> dict[str, int]:
        """What the bundle's device is set to at any level, by the same rule."""
        return settings_at(bundle.program.controls, level, self.fixed, self.state_error)

    @property
    def quality(self) -> type[Ber] | type[Snr]:
        """The kind of the levels."""
        return KINDS[self.measurement.quality]

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``--json``: each point has its level and its metrics by their names."""
        measured = self.measurement
        return {
            "bundle": self.bundle,
            "hash": self.hash_hex,
            "payload_bytes": self.payload_bytes,
            "dataset": measured.dataset,
            "split": measured.split,
            "images": measured.images,
            "seed": measured.seed,
            **({} if measured.sample_seed is None else {"sample_seed": measured.sample_seed}),
            "quality": measured.quality,
            "metric": measured.metric.name,
            "metrics": msgspec.to_builtins(measured.metrics),
            "uncompressed": self.task_value,
            **({"fading": measured.fading} if measured.fading else {}),
            **({"state_error": self.state_error} if self.state_error else {}),
            **({} if self.rate_trace is None else {"rate_trace": self.rate_trace.name}),
            "points": [self._plain(point) for point in measured.points],
        }

    def _plain(self, point: Point) -> dict[str, Any]:
        measured = self.measurement
        found: dict[str, Any] = {measured.quality: point.level}
        if controls := self.controls.get(point.level):
            found["controls"] = dict(controls)
        if self.inconsistent.get(point.level):
            found["inconsistent"] = self.inconsistent[point.level]
        if self.varies:
            mean, most = self.sizes[point.level]
            found |= {"payload_bytes_mean": mean, "payload_bytes_most": most}
        return found | _scores(point, measured)


def _scores(point: Point, measured: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric, score in zip(measured.metrics, point.scores, strict=True):
        found[metric.name] = score.value
        found[f"{metric.name}_95"] = [score.low, score.high]
    return found


def evaluate(
    bundle: Bundle,
    dataset: Any,
    levels: Sequence[float] | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    sample_seed: int = SAMPLE_SEED,
    split: str = "test",
    told: float | None = None,
    fading: Fading = NO_FADING,
    controls: Mapping[str, int] | None = None,
    state_error: int = 0,
    rate_trace: RateTrace | None = None,
) -> Evaluation:
    """Measure the metrics of a bundle's output, and of the picture beside it, at levels of channel quality.

    Args:
        bundle: what to measure.
        dataset: with the splits .train, .val, .test and a name.
        levels: to inject, in the bundle's kind of quality: bit error rates 0..0.5, or SNRs in dB; None: those
            that the project reports.
        seed: of the injected damage.
        limit: only so many images of the split, as many of each class; None: all.
        sample_seed: of that sample; the predictions come in its order.
        split: which split.
        told: what the decoder is told instead of the injected level (a wrong estimate).
        fading: of the injected channel; the levels are then mean ratios.
        controls: what the device is set to at all levels; controls that follow the channel and are not among
            them have the values that belong to the levels, others are at their defaults.
        state_error: added to the values that follow (a wrong state).
        rate_trace: bytes that the payload of each image may have, in the order of the sample.

    Raises:
        DatasetError: no images, wrong size, labels that the bundle has no class for.
        UsageError: a level or a control out of range, or fading where none can be. BundleError, ModelError:
            the bundle does not run.
    """
    program, fixed = bundle.program, dict(controls or {})
    quality, output, channel = program.quality, bundle.output, channel_for(program, fading)
    part = getattr(dataset, split)
    indices = balanced(part.labels, limit, sample_seed)
    images, labels = _images(part, output, indices)
    rates = list(quality.reported if levels is None else levels)
    if not rates:
        flag = f"--{quality.name} {','.join(f'{level:g}' for level in quality.main)}"
        raise UsageError(f"no {quality.title} to evaluate at", remedy=flag)
    for level in (*rates, *(() if told is None else (told,))):
        channel.check(level)
    if seed < 0:
        raise UsageError("the seed must not be negative", value=seed, remedy="--seed 0")
    if STREAM in fixed:
        raise UsageError(f"{STREAM} is of the link, and no board takes part", value=fixed[STREAM])
    check_settings(program.controls, fixed)
    check_error(program.controls, fixed, state_error)
    own = _own_rates(bundle, fixed, rate_trace, len(labels))
    cover = cover_of(part, indices)
    way = Measuring(
        bundle, images, output.truth(images, labels), cover, Route(bundle, images, channel, seed, own=own)
    )
    found, used = {}, {}
    for level in rates:
        settings = settings_at(program.controls, level, fixed, state_error)
        used[level] = {name: value for name, value in settings.items() if name not in own}
        found[level] = way.measure(level, used[level], told, seed)
    points = [Point(level, found[level].scores) for level in rates]
    sizes = {level: one.size for level, one in found.items()}
    name = str(getattr(dataset, "name", "unnamed"))
    sampled = sample_seed if len(indices) < len(part.labels) else None
    measurement = Measurement(
        *(name, split, len(labels), seed, quality.name, way.metrics, points, sampled),
        fading=str(fading) if fading else "",
        **_bytes(bundle, sizes),
    )
    return Evaluation(
        bundle.name,
        bundle.hash_hex,
        bundle.payload_bytes,
        measurement,
        bundle.record.task_value,
        {level: one.answers for level, one in found.items()},
        indices,
        used,
        fixed,
        state_error,
        sizes,
        {level: one.figures for level, one in found.items() if one.figures is not None},
        {level: one.inconsistent for level, one in found.items()},
        rate_trace,
    )


def _own_rates(
    bundle: Bundle, fixed: Mapping[str, int], trace: RateTrace | None, count: int
) -> dict[str, NDArray[np.int64]]:
    """What each image is told for itself."""
    if trace is None:
        return {}
    control = the_rate(bundle.program.controls)
    if control.name in fixed:
        raise UsageError("a rate beside a trace of rates", value=fixed[control.name], remedy="one of the two")
    for rate in set(trace.rates):
        check_settings([control], {control.name: rate})
    return {control.name: trace.first(count)}


def _bytes(bundle: Bundle, sizes: Mapping[float, tuple[float, int]]) -> dict[str, Any]:
    """Bytes of payloads for the record; nothing where all are as long as they can be."""
    mean, most = np.mean([mean for mean, _ in sizes.values()]), max(most for _, most in sizes.values())
    same = mean == most == bundle.payload_bytes
    return {} if same else {"bytes_mean": float(mean), "bytes_most": most}


def _images(
    split: Split, output: Output, indices: NDArray[np.intp]
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    count = len(split.images)
    if count == 0 or count != len(split.labels):
        raise DatasetError("the split has no images, or not one label each", value=(count, len(split.labels)))
    output.check_labels(split.labels)
    images, labels = some(split.images, indices), split.labels[indices]
    return images, labels


def record_measurement(bundle: Bundle, evaluation: Evaluation) -> Bundle:
    """Write the measurement into the bundle's record; the bundle hash stays.

    An earlier measurement on the same data set, split and images is replaced.

    Raises:
        BundleError: the bundle on disk changed meanwhile, or has no room for another measurement.
    """
    new = evaluation.measurement

    def same(old: Measurement) -> bool:
        keys = ("dataset", "split", "images", "sample_seed", "quality", "fading")
        return all(getattr(old, key) == getattr(new, key) for key in keys)

    kept = [m for m in bundle.record.measurements if not same(m)]
    return update_record(bundle, msgspec.structs.replace(bundle.record, measurements=[*kept, new]))
