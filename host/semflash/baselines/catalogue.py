"""All methods of the comparison, each with the settings that are searched on the validation split.

Every method gets the same number of trials (:data:`TRIALS`); the best by :func:`search_score` is the one that
is reported. Nothing here is trained at import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from semflash.baselines import citations
from semflash.baselines.accuracy import FRAMINGS
from semflash.baselines.base import Method, prior_logits
from semflash.errors import UsageError
from semflash.training.datasets import Dataset
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.recipes import CodecRecipe, codec_recipe, comparison
from semflash.training.task import TrainedTask, limited

TRIALS = 3
SEARCH_BERS = (0.0, 1e-2, 5e-2)
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """What a training may take, the same for all methods.

    Attributes:
        train_images: the first so many; None: all.
        epochs: of all stages together.
        seed: of weights, batches and errors in training.
    """

    train_images: int | None = 20_000
    epochs: int = 5
    seed: int = 0


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
    def prior(self) -> Any:
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
        return comparison(self.recipe(size_bytes), seed=seed, **dict(self._settings(trial)))

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


def search_score(accuracy_by_ber: Mapping[float, float]) -> float:
    """What a search maximises: mean validation accuracy over BER 0, 1 % and 5 %."""
    return sum(accuracy_by_ber[ber] for ber in SEARCH_BERS) / len(SEARCH_BERS)


def method_spec(name: str) -> MethodSpec:
    """Look a method up by name. UsageError: no such method."""
    if name not in METHODS:
        raise UsageError("no such method", value=name, remedy=f"use one of {', '.join(METHODS)}")
    return METHODS[name]


def _semanticnn(family: str) -> Callable[[int], CodecRecipe]:
    def recipe(size_bytes: int) -> CodecRecipe:
        base = codec_recipe("fashion-mnist-48")
        latent, rest = divmod(size_bytes, 6)
        if rest or latent < 1:
            raise UsageError("4x4 codes of 3 bits take a multiple of 6 bytes", value=size_bytes)
        return replace(
            base, name=f"{family}-{size_bytes}", family=family, sizes=base.sizes | {"latent": latent}
        )

    return recipe


_ALL: tuple[MethodSpec, ...] = (
    MethodSpec(
        "semanticnn", "SemanticNN", citations.SEMANTICNN, "learned", recipe=_semanticnn("semanticnn"),
        trials=({}, {"xai_weight": 0.3}, {"xai_weight": 0.3, "usage_weight": 0.05}),
    ),
    MethodSpec(
        "semanticnn-released", "SemanticNN as released", citations.SEMANTICNN, "learned",
        recipe=_semanticnn("semanticnn-released"),
        trials=({"usage_weight": 0.1}, {"usage_weight": 0.1, "xai_weight": 0.3}, {"peak": 1e-3}),
    ),
)  # fmt: skip

METHODS: dict[str, MethodSpec] = {spec.name: spec for spec in _ALL}
