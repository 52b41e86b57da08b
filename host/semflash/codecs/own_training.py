"""How a family trains that needs no task network: it says its stages, and the training runs them.

A family registers a class of :class:`OwnTraining` beside its codec
(:class:`semflash.codecs.registry.Family`). The training makes it with a :class:`Bench`, turns its stages into
those of the resumable loop, and writes what it measured. Everything random comes from the generators that the
loop hands over, so that a stopped run repeats itself when it goes on.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from semflash.data.dataset import Dataset, Split

#: Runs the quantised device on uint8 images (N, H, W, C), once for each of some values of its controls: the
#: numbers that are sent, (settings, N, *code_shape), uint8.
RunDevice = Callable[[np.ndarray, Sequence[Mapping[str, int]]], np.ndarray]
#: (x, y) of each step of an epoch.
Batches = Callable[[np.random.Generator], Iterable[tuple[Any, Any]]]


class Answers(Protocol):
    """Answers of a teacher to views of the training images: stored logits (:mod:`semflash.teachers`), or a
    detector's maps (:mod:`semflash.training.alone.detector`)."""

    @property
    def views(self) -> int:
        """How many views of each image there are; view 0 is the image itself."""

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Of one answer: (classes,), or the maps (h, w, classes + 4) of a detector."""

    def record(self) -> dict[str, Any]:
        """What is recorded of the teacher and its store, plain values."""

    def logits(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Float32 (n, *answer_shape) of views (n,) of training images (n,)."""

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each view the number of the training image that is mixed into it, int64 (n,), and the share of
        the image itself, float32 (n,), 1 where nothing is mixed in."""

    def view_images(
        self, images: np.ndarray, indices: np.ndarray, views: np.ndarray, others: np.ndarray | None = None
    ) -> np.ndarray:
        """The views themselves, uint8 (n, H, W, C), of the training images with these numbers.

        Args:
            others: the images that are mixed into them; None: views that are no mixtures.
        """


class Attention(Protocol):
    """Stored attention of a teacher (:mod:`semflash.teachers.attention_store`): maps float32 (images, rows,
    columns) of both splits, each summing to 1."""

    @property
    def train(self) -> np.ndarray: ...
    @property
    def val(self) -> np.ndarray: ...


class TaskParts(Protocol):
    """A trained task network as two Keras models, of which the second takes what the first gives."""

    @property
    def head(self) -> Any: ...
    @property
    def tail(self) -> Any: ...


@dataclass(frozen=True)
class Bench:
    """What a family's own training works with.

    Attributes:
        codec: Untrained, of the family.
        recipe: The recipe of the run, :class:`semflash.training.recipes.recipe.CodecRecipe`.
        data: All splits; the test split is never looked at.
        train: The part of the train split that is learnt from.
        answers: Of a teacher; None: the recipe names none.
        device: The device as the export would make it now, for stages behind those that train the encoder; it
            is quantised when it is first asked for.
        out: The folder of the run.
        say: Shows a line.
        task: The task network that the recipe names, for families that learn from more than its answers;
            None: it names none.
        attention: Of a teacher to the images; None: the recipe names none.
    """

    codec: Any
    recipe: Any
    data: Dataset
    train: Split
    answers: Answers | None
    device: RunDevice
    out: Path
    say: Callable[[str], None]
    task: TaskParts | None = None
    attention: Attention | None = None


@dataclass(frozen=True)
class OwnStage:
    """One stage of a family's own training.

    Attributes:
        name: Unique within the run.
        model: Keras model with ``compute_loss``.
        epochs: Passes; 0: the stage is left out.
        peak: The highest learning rate.
        batches: Gives the batches of an epoch, ``steps`` of them.
        steps: Batches of an epoch.
        validate: Figures of an epoch, the averaged weights in place.
        frozen: Parts of the codec that are not trained from here on.
        on_device: Whether it learns from what the quantised device sends, which then must be the one that is
            exported.
    """

    name: str
    model: Any
    epochs: int
    peak: float
    batches: Batches
    steps: int
    validate: Callable[[], dict[str, float]]
    frozen: tuple[Any, ...] = ()
    on_device: bool = False


class OwnTraining(abc.ABC):
    """The stages of a family, and what is measured when they are done.

    Args:
        bench: What it works with.

    Attributes:
        unused: Fields of the recipe that this training does not read; a recipe that sets one is refused.
        starts: Whether it reads the recipe's ``start``, weights to begin with.
        attends: Whether the recipe's ``teacher`` is one whose attention was stored, not its answers.
    """

    unused: ClassVar[tuple[str, ...]] = ()
    starts: ClassVar[bool] = False
    attends: ClassVar[bool] = False

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @abc.abstractmethod
    def check(self) -> None:
        """Find out before the first stage whether recipe, data and teacher fit the family.

        Raises:
            UsageError: They do not.
        """

    @abc.abstractmethod
    def stages(self) -> tuple[OwnStage, ...]:
        """In the order of training."""

    @abc.abstractmethod
    def results(self) -> dict[str, Any]:
        """Plain JSON figures of the finished run: ``val_accuracy`` by level of quality, the best level first,
        and whatever else the family measures."""
