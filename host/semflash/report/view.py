"""One measured bundle as the sections of a report see it."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import ReceivedInput
from semflash.edge.evaluate import Evaluation
from semflash.outputs.level_map import LevelMap
from semflash.outputs.metrics import Metric, Score
from semflash.program.quality import Ber, Snr
from semflash.program.tensors import Codes
from semflash.report.importance import Importance
from semflash.report.page import Section
from semflash.report.wording import WORDS, Words


@dataclass(frozen=True)
class Example:
    """One test image on its way to features and an answer.

    Attributes:
        image: uint8 (H, W, C). name: short, for a row.
        story: truth and both answers in words, those over the clean and the damaged channel.
        features_clean, features_damaged: decoded, mean over channels, float32 (h, w).
        importance: of the features over the clean channel, float32 (h', w').
    """

    image: NDArray[np.uint8]
    name: str
    story: str
    features_clean: NDArray[np.float32]
    features_damaged: NDArray[np.float32]
    importance: NDArray[np.float32]


@dataclass(frozen=True)
class Symbols:
    """What some images are as symbols, with one set of controls.

    Attributes:
        controls: In words; empty: none were set.
        points: I and Q of those of values, float64 (N, 2), the nominal power 1.
    """

    controls: str
    points: NDArray[np.float64]

    @property
    def power(self) -> float:
        """Mean of I^2 + Q^2."""
        return float((self.points**2).sum(axis=1).mean()) if len(self.points) else 0.0

    @property
    def peak(self) -> float:
        """Largest I^2 + Q^2 over the mean one, dB."""
        squares = (self.points**2).sum(axis=1)
        return 10 * float(np.log10(squares.max() / squares.mean())) if self.power > 0 else 0.0


@dataclass(frozen=True)
class PicturedSample:
    """One image, and what arrived of it beside the answer.

    Attributes:
        name: For a row.
        original: uint8 (H, W, C).
        received: Level of quality -> picture uint8 (H, W, C); empty: the bundle gives none.
        ratios: Level of quality -> its PSNR in dB.
        levels: Of its patches; None: the bundle has no such map.
        attention: Shares of the patches, float (rows, columns), by who attends; empty: nobody does.
    """

    name: str
    original: NDArray[np.uint8]
    received: dict[float, NDArray[np.uint8]]
    ratios: dict[float, float]
    levels: LevelMap | None
    attention: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


@dataclass(frozen=True)
class RatePoint:
    """What was measured at one rate.

    Attributes:
        rate: Bytes that payloads might have.
        mean: Bytes that they had.
        most: Bytes of the longest.
        scores: One for each metric of the curve.
    """

    rate: int
    mean: float
    most: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class RateCurve:
    """What a bundle is worth by the bytes that its payloads may have.

    Attributes:
        control: That says it, by name.
        level: Of the channel's quality.
        images: How many it was measured on.
        metrics: What the points' scores are of.
        points: By rising rate.
    """

    control: str
    level: float
    images: int
    metrics: tuple[Metric, ...]
    points: Sequence[RatePoint]


class Details(abc.ABC):
    """What a report says of a bundle's answers beyond their score; every kind of output has its own."""

    @abc.abstractmethod
    def sections(self, views: Sequence[BundleView]) -> list[Section]:
        """The sections of this kind of output, out of all bundles of a report, which are of one kind."""

    @abc.abstractmethod
    def as_json(self, view: BundleView) -> dict[str, Any]:
        """Plain values for ``--json``."""


@dataclass(frozen=True)
class BundleView:
    """One bundle in the report.

    Attributes:
        bundle, evaluation: what was measured, and the outcome.
        use: share of each code on the first test images, float64 (K,); empty: the edge reads no codes.
        details: of its kind of output.
        examples: images with their decoded features; empty: not asked for, or there are no features.
        importance: how the examples' maps were made.
        history: records of the training, one an epoch; empty: not in the bundle.
        cost: what `semflash bench` said of this very bundle; None: not measured.
        symbols: what it sends as symbols, for each set of controls; empty: bits alone.
        samples: images with the pictures and levels that arrived; empty: not asked for, or there are none.
        rates: by the bytes that payloads may have; None: not asked for, or no control says it.
    """

    bundle: Bundle
    evaluation: Evaluation
    use: NDArray[np.float64]
    details: Details
    examples: Sequence[Example]
    importance: Importance | None
    history: list[dict[str, Any]]
    cost: dict[str, Any] | None
    symbols: Sequence[Symbols] = ()
    samples: Sequence[PicturedSample] = ()
    rates: RateCurve | None = None

    @property
    def centres(self) -> tuple[float, ...]:
        """The value of each code that :attr:`use` counts."""
        holds = self.bundle.program.tensor(coded(self.bundle)).holds
        return holds.centres if isinstance(holds, Codes) else ()

    @property
    def words(self) -> Words:
        """Of its figure of merit."""
        return WORDS[self.evaluation.measurement.metric.name]

    @property
    def quality(self) -> type[Ber] | type[Snr]:
        """The kind of its levels."""
        return self.evaluation.quality

    @property
    def bytes_text(self) -> str:
        """Bytes of a payload: those of all, or the mean and the most of those that were measured."""
        sizes = self.evaluation.sizes.values()
        if not self.evaluation.varies:
            return str(self.bundle.payload_bytes)
        mean, most = np.mean([mean for mean, _ in sizes]), max(most for _, most in sizes)
        return f"{mean:.1f}, at most {most}"

    def sent(self, level: float) -> float:
        """Bytes of a payload at a level, in the mean."""
        return self.evaluation.sizes.get(level, (float(self.bundle.payload_bytes), 0))[0]

    def value(self, level: float) -> float | None:
        """The figure of merit at a level; None: not measured."""
        point = self.evaluation.measurement.at(level)
        return None if point is None else point.score.value

    def number(self, level: float) -> str:
        """The same as text without its unit; a dash: not measured."""
        return self.words.number(self.value(level))


def coded(bundle: Bundle) -> str:
    """The tensor whose values the first edge graph reads first."""
    given = (i for graph in bundle.contract.edge for i in graph.inputs)
    return next(i.tensor for i in given if isinstance(i, ReceivedInput))
