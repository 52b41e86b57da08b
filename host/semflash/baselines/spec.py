"""An entry of the catalogue, and the job it is built for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from semflash.baselines.accuracy import FRAMINGS
from semflash.baselines.base import Method, prior_logits
from semflash.codecs.layers.channel import BerRange
from semflash.data.dataset import Dataset
from semflash.errors import UsageError
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import comparison
from semflash.training.recipes.recipe import CodecRecipe
from semflash.training.task import TrainedTask, limited

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """What a training may take, the same for all methods.

    Attributes:
        train_images: the first so many; None: all.
        epochs: of all stages together.
        seed: of weights, batches and errors in training.
        flip: share of images mirrored in training, as in the codec recipes; 0 where mirror images have
            another label.
    """

    train_images: int | None = 20_000
    epochs: int = 5
    seed: int = 0
    flip: float = 0.5


@dataclass(frozen=True)
class Job:
    """What a method is built from.

    Attributes:
        task: the task network; its copies are fine-tuned, it stays.
        data: the data set it was trained on.
        size_bytes: most payload bytes per image.
        out_dir: for checkpoints, history and weights.
    """

    task: TrainedTask
    data: Dataset
    size_bytes: int
    out_dir: Path
    budget: Budget = field(default_factory=Budget)
    progress: Progress = field(default_factory=Progress)

    @property
    def prior(self) -> NDArray[Any]:
        """Logits of the class prior, float32 (classes,)."""
        train = limited(self.data.train, self.budget.train_images)
        return prior_logits(train.labels, len(self.data.class_names))


@dataclass(frozen=True)
class MethodSpec:
    """An entry of the catalogue.

    Attributes:
        kind: ``learned``: a codec recipe, trained by ``train_codec``; ``classical``: built by ``build``.
        trials: settings that are searched; of a learned method, fields of the recipe (``sizes`` are merged).
        recipe: payload bytes to the recipe before a trial's changes (learned).
        build: job, settings and spec to a method (classical).
        adapt: trained codec, job and spec to a method (learned); None: as it is.
        framings: names out of :data:`semflash.baselines.accuracy.FRAMINGS` that it is reported under; the
            first is that of the search.
    """

    name: str
    title: str
    citation: str
    kind: Literal["learned", "classical"]
    trials: tuple[Settings, ...]
    recipe: Callable[[int], CodecRecipe] | None = None
    build: Callable[[Job, Settings, MethodSpec], Method] | None = None
    adapt: Callable[[TrainedCodec, Job, MethodSpec], Method] | None = None
    framings: tuple[str, ...] = ("deliver",)

    def __post_init__(self) -> None:
        assert (self.recipe is None) != (self.build is None), self.name
        assert set(self.framings) <= set(FRAMINGS), self.name

    def trial_recipe(self, size_bytes: int, trial: int = 0, *, seed: int = 0) -> CodecRecipe:
        """The recipe of a trial within the comparison budget (learned methods).

        Raises:
            UsageError: no such trial, a classical method, or no recipe for that many bytes.
        """
        if self.recipe is None:
            raise UsageError("not trained from a codec recipe", value=self.name, remedy="use build")
        changes = dict(self._settings(trial))
        if "ber" in changes:
            changes["ber"] = BerRange(**changes["ber"])
        return comparison(self.recipe(size_bytes), seed=seed, **changes)

    def method(self, job: Job, trial: int = 0, trained: TrainedCodec | None = None) -> Method:
        """A method ready to be measured: classical ones are built and tuned here, which takes about as long
        as a training; learned ones need their trained codec.

        Raises:
            UsageError: no such trial, or a learned method without its codec.
        """
        settings = self._settings(trial)
        if self.build is not None:
            return self.build(job, settings, self)
        if trained is None:
            raise UsageError("a learned method needs its trained codec", value=self.name)
        if self.adapt is not None:
            return self.adapt(trained, job, self)
        from semflash.baselines.learned import LearnedMethod

        return LearnedMethod(trained, job.prior, name=self.name, title=self.title, citation=self.citation)

    def _settings(self, trial: int) -> Settings:
        if not 0 <= trial < len(self.trials):
            raise UsageError("no such trial", value=trial, remedy=f"0 to {len(self.trials) - 1}")
        return self.trials[trial]
