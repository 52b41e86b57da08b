"""What every kind of output is: how it is read, judged, recorded and shown.

One object stands for the output of a bundle (:func:`semflash.outputs.registry.output_of`). Nobody who works
with it asks which kind it is.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.chance import Chance
from semflash.outputs.level_map import LevelMap
from semflash.outputs.metrics import Metric, Score

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """One image as the edge understands it; every kind of output has its own.

    Attributes:
        words: What it says, for people.
        confidence: How sure it is, 0..1; None: the output does not tell.
    """

    words: str
    confidence: float | None

    @property
    def number(self) -> int | None:
        """What a raw recording notes of it; None: a number cannot hold it."""
        return None


@dataclass(frozen=True)
class Picture:
    """A small picture for a live view: its name, and uint8 (H, W, C)."""

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Verdict:
    """How good the reading of one image is.

    Attributes:
        value: In the judge's running metric.
        right: Whether it is right; None: readings of this kind are better or worse, not right or wrong.
        words: The reading for people. truth: What would be right; empty: nothing that words can tell.
        confidence: As the reading's.
        record: Plain values for the ``image`` line of the records (docs/monitor.md).
        pictures: What a live view can show of it.
        levels: Of its patches; None: there are none.
        note: What people may want to know beside the words; short.
        classes: The right class and the one that was read, in label order; None: readings are no classes.
    """

    value: float
    right: bool | None
    words: str
    truth: str
    confidence: float | None
    record: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    levels: LevelMap | None = None
    note: str = ""
    classes: tuple[int, int] | None = None


class Judge(abc.ABC):
    """Compares readings with the truth of a split.

    Attributes:
        metric: What the mean of the verdicts' values is, shown while images come.
    """

    metric: Metric

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many images the split has."""

    @abc.abstractmethod
    def judge(self, reading: Reading, index: int) -> Verdict:
        """The verdict on the reading of image ``index``; kept where :meth:`figures` needs it."""

    def number(self, index: int) -> int:
        """What a raw recording notes as right for image ``index``; -1: a number cannot hold it."""
        del index
        return -1

    def beside(self) -> dict[str, float]:
        """Further metrics over the images judged so far that cost nothing to say, by name."""
        return {}

    def figures(self) -> dict[str, float]:
        """Further metrics over the images judged so far, by name; empty: there are none.

        Raises:
            ToolMissingError: A package that they need is not installed.
        """
        return {}


class Output(abc.ABC):
    """One kind of output, with the classes it tells apart.

    Attributes:
        kind: ``labels``, ``boxes``, ``anchors`` or ``image``.
        verb: What a bundle with this output does, in the words "the bundle ...".
        noun: Who has this output, in the plural.
        metrics: Figures of merit; the first one is what a report compares.
        class_names: In label order; empty where there are no classes.
        needs_classes: Whether its labels name classes of the bundle.
        counts_in_numbers: Whether a raw recording can hold its readings.
        needs_package: A package that the figures need; empty: none.
    """

    kind: str
    verb: str
    noun: str
    metrics: tuple[Metric, ...]
    needs_classes: bool = True
    counts_in_numbers: bool = False
    needs_package: str = ""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)

    @property
    def metric(self) -> Metric:
        """The first figure of merit."""
        return self.metrics[0]

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the last edge graph's output for one image."""

    @abc.abstractmethod
    def check_labels(self, labels: NDArray[Any]) -> None:
        """Refuse labels of a data set that this output cannot be compared with.

        Raises:
            DatasetError: Labels of another kind, or of classes that the bundle has not.
        """

    @abc.abstractmethod
    def read(self, outputs: Array) -> list[Reading]:
        """A reading for each image, of outputs float32 (N, *shape)."""

    def log_scores(self, outputs: Array) -> Array | None:
        """Log-probabilities float32 (N, entries) of everything that may be answered; None: there are none."""
        del outputs
        return None

    def answered(self, scores: Array) -> NDArray[np.bool_]:
        """Which entries of one image's :meth:`log_scores` are its answer."""
        return np.ones(len(scores), np.bool_)

    @abc.abstractmethod
    def truth(self, images: Any, labels: NDArray[Any]) -> Any:
        """What answers are compared with: the labels, or the images themselves."""

    @abc.abstractmethod
    def answers(self, outputs: Array, truth: Any) -> Any:
        """What :meth:`measure` needs of some images' outputs, one entry an image."""

    @abc.abstractmethod
    def joined(self, parts: Sequence[Any]) -> Any:
        """Answers of several calls of :meth:`answers` as those of one, for all images."""

    @abc.abstractmethod
    def measure(self, answers: Any, truth: Any, *, seed: int = 0) -> tuple[Score, ...]:
        """A score for each of :attr:`metrics`. ``seed``: of resampled intervals."""

    @abc.abstractmethod
    def chance(self, images: Any, labels: NDArray[Any]) -> Chance:
        """What guessing would reach in the first metric."""

    @abc.abstractmethod
    def judge(self, images: Any, labels: NDArray[Any]) -> Judge:
        """Who judges readings of the images of a split, one by one."""
