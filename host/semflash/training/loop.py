"""The training loop: epochs over numpy batches, averaged weights, a checkpoint after every epoch, resume.

Everything random comes from numpy generators seeded by (seed, stage, epoch), so that a run stopped in the
middle and resumed sees the batches of an undisturbed run. Ctrl-C loses at most the current epoch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash import atomic
from semflash.array_files import write_json
from semflash.errors import TrainingError
from semflash.training.checkpoint import Checkpoint
from semflash.training.distribution import ALONE, Distribution
from semflash.training.progress import Progress

EMA_EVERY_STEPS = 4
WARMUP_EPOCHS = 1.0
FINAL_SHARE = 0.01
CLIP_NORM = 1.0
#: Steps of a stage by which its length is told: the first ones, which build the graph, do not count.
TIMED_FROM, TIMED_TO = 3, 10

Batch = tuple[Any, Any]


@dataclass(frozen=True)
class StagePlan:
    """One stage of a training run.

    Attributes:
        name: shown and stored; unique within the run.
        model: a Keras model with ``compute_loss``; it is compiled by the loop.
        epochs: how many passes.
        steps: batches per epoch.
        batches: gives the (x, y) batches of an epoch from that epoch's generator.
        validate: figures on the validation split with the averaged weights in place.
        peak: highest learning rate (AdamW, linear warm-up, cosine decay to 1 %).
        weight_decay: decoupled; not on biases, BatchNorm, GDN, PReLU and centres.
        ema_decay: per step, of the weight average.
        publish: called after each epoch with the figures and the place for its files, the averaged weights in
            the model; None: nothing.
        local: the batches hold only this worker's rows (of a distributed training).
        ema_every: steps between two looks of the average at the weights.
        constant: parts of the model whose weights never change (a teacher): neither averaged nor kept in the
            checkpoint.
        frozen: parts that are not trained in this stage, but are kept in the checkpoint.
    """

    name: str
    model: keras.Model
    epochs: int
    steps: int
    batches: Callable[[np.random.Generator], Iterable[Batch]]
    validate: Callable[[], dict[str, float]]
    peak: float
    weight_decay: float
    ema_decay: float = 0.998
    publish: Callable[[dict[str, float], Path], None] | None = None
    local: bool = False
    ema_every: int = EMA_EVERY_STEPS
    constant: tuple[keras.Model, ...] = ()
    frozen: tuple[Any, ...] = ()

    def variables(self) -> list[Any]:
        """The model's weights without those of its constant parts."""
        skipped = {id(variable) for part in self.constant for variable in part.weights}
        return [variable for variable in self.model.weights if id(variable) not in skipped]

    def seeds(self) -> list[Any]:
        """States of the random generators within the model, of dropout for instance."""
        known = {id(variable) for variable in (*self.model.weights, *self.model.metrics_variables)}
        return [variable for variable in self.model.variables if id(variable) not in known]


def run_stages(
    plans: list[StagePlan],
    out_dir: Path,
    *,
    seed: int,
    fingerprint: str,
    progress: Progress,
    distribution: Distribution = ALONE,
) -> None:
    """Run the stages in order, going on from ``out_dir/checkpoint.npz`` where there is one.

    At the end of each stage its model holds the averaged weights.

    Raises:
        TrainingError: the checkpoint belongs to another recipe, or the loss is no longer finite.
    """
    checkpoint = Checkpoint.load(out_dir, fingerprint)
    history = list(checkpoint.history) if checkpoint else []
    run = _Run(out_dir, seed, fingerprint, history, progress)
    try:
        for index, plan in enumerate(plans):
            if checkpoint and index < checkpoint.stage:
                continue
            resumed = checkpoint if checkpoint and index == checkpoint.stage else None
            _Stage(plan, index, run, distribution).run(resumed)
    finally:
        progress.close()


@dataclass(frozen=True)
class _Run:
    """What all stages of a run share.

    Attributes:
        out_dir: Where history, checkpoint and what is published go.
        seed: Of everything random.
        fingerprint: Of the recipe, which a checkpoint must have.
        history: One record for each epoch that is done; the stages append to it.
        progress: Where lines and bars are shown.
    """

    out_dir: Path
    seed: int
    fingerprint: str
    history: list[dict[str, Any]]
    progress: Progress


class _Stage:
    def __init__(self, plan: StagePlan, index: int, run: _Run, distribution: Distribution) -> None:
        self.plan, self.index, self.shared = plan, index, run
        for part in plan.frozen:
            part.trainable = False
        self.chief = distribution.chief
        self.figures: dict[str, float] = {}
        self.made, self.timed = 0, 0.0
        self.variables, self.seeds = plan.variables(), plan.seeds()
        self.optimizer = _optimizer(plan, distribution)
        plan.model.compile(optimizer=self.optimizer, jit_compile=keras.backend.backend() == "jax")
        self.optimizer.build(plan.model.trainable_variables)
        self.train = distribution.trainer(plan.model, local=plan.local)
        self.average = Average(self.variables, plan.ema_decay, plan.ema_every)

    def run(self, resumed: Checkpoint | None) -> None:
        start = 0
        if resumed is not None:
            _assign(self.variables, resumed.weights)
            if len(resumed.seeds) == len(self.seeds):
                _assign(self.seeds, resumed.seeds)
            _assign(self.optimizer.variables, resumed.optimizer)
            self.average.restore(resumed.average, resumed.updates)
            start = resumed.epoch
        for epoch in range(start, self.plan.epochs):
            self._epoch(epoch)
            if self.chief:
                self._save(epoch + 1)
        self.average.keep()

    def _epoch(self, epoch: int) -> None:
        plan, total, began = self.plan, 0.0, time.monotonic()
        rng = np.random.default_rng([self.shared.seed, self.index, epoch])
        with self.shared.progress.epoch(plan.name, epoch, plan.epochs, plan.steps) as bar:
            for step, (x, y) in enumerate(plan.batches(rng)):
                loss = self.train(x, y)
                total += loss
                if not np.isfinite(loss):
                    raise TrainingError(
                        "the loss is no longer finite",
                        value=f"{plan.name}, epoch {epoch}, step {step}",
                        remedy="lower the learning rate or change the seed",
                    )
                self.average.update()
                bar.step(loss)
                self._tell_time(epoch)
        if not self.chief:
            return
        with self.average:
            self.figures = figures = plan.validate()
        self.shared.history.append(
            {"stage": plan.name, "epoch": epoch + 1, "loss": round(total / plan.steps, 5)}
            | {key: round(value, 5) for key, value in figures.items()}
            | {"seconds": round(time.monotonic() - began, 1)}
        )
        self.shared.progress.line(self.shared.history[-1], plan.epochs)

    def _tell_time(self, epoch: int) -> None:
        """Say once how long the stage will take: as long per step as its fourth to tenth."""
        self.made += 1
        if self.made == TIMED_FROM:
            self.timed = time.monotonic()
        elif self.made == TIMED_TO and self.chief:
            left = (self.plan.epochs - epoch) * self.plan.steps - TIMED_TO
            each = (time.monotonic() - self.timed) / (TIMED_TO - TIMED_FROM)
            self.shared.progress.expect(
                self.plan.name, self.plan.epochs * self.plan.steps, max(0, left) * each
            )

    def _save(self, epochs_done: int) -> None:
        """History, checkpoint and what the plan publishes, all at once."""
        checkpoint = Checkpoint(
            fingerprint=self.shared.fingerprint,
            stage=self.index,
            epoch=epochs_done,
            updates=self.average.updates,
            history=self.shared.history,
            weights=to_numpy(self.variables),
            average=self.average.values,
            optimizer=to_numpy(self.optimizer.variables),
            seeds=to_numpy(self.seeds),
        )
        with atomic.several(self.shared.out_dir) as place:
            write_json(place / "history.json", self.shared.history)
            checkpoint.save(place)
            if self.plan.publish is not None:
                with self.average:
                    self.plan.publish(
                        self.figures | {"epochs_done": epochs_done, "epochs": self.plan.epochs}, place
                    )


class Average:
    """Exponential moving average over the weights of a model, BatchNorm statistics included.

    As a context manager it lends the averaged weights to the model and gives the trained ones back.

    Args:
        variables: The weights.
        decay: Per step.
    """

    def __init__(self, variables: Iterable[Any], decay: float, every: int = EMA_EVERY_STEPS) -> None:
        self.variables = list(variables)
        self.decay, self.every = decay, every
        self.steps = 0
        self.values = to_numpy(self.variables)
        self._trained: list[np.ndarray] = []

    @property
    def updates(self) -> int:
        """Training steps seen."""
        return self.steps

    def restore(self, values: list[np.ndarray], steps: int) -> None:
        """Go on from a checkpoint."""
        self.values, self.steps = [value.copy() for value in values], steps

    def update(self) -> None:
        """To be called after every training step; looks at the weights at every fourth, or as told."""
        self.steps += 1
        if self.steps % self.every:
            return
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps)) ** self.every
        for mean, variable in zip(self.values, self.variables, strict=True):
            if np.issubdtype(mean.dtype, np.floating):
                mean += (1.0 - keep) * (keras.ops.convert_to_numpy(variable) - mean)

    def keep(self) -> None:
        """Put the averaged weights into the model for good."""
        _assign(self.variables, self.values)

    def __enter__(self) -> None:
        self._trained = to_numpy(self.variables)
        _assign(self.variables, self.values)

    def __exit__(self, *_: object) -> None:
        _assign(self.variables, self._trained)


def to_numpy(variables: Iterable[Any]) -> list[np.ndarray]:
    """Own copies of the variables' values."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Iterable[Any], values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _optimizer(plan: StagePlan, distribution: Distribution) -> Any:
    total = plan.epochs * plan.steps
    warmup = max(1, min(int(WARMUP_EPOCHS * plan.steps), total // 4))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warmup), alpha=FINAL_SHARE, warmup_target=plan.peak, warmup_steps=warmup
    )
    optimizer = distribution.optimizer(schedule, weight_decay=plan.weight_decay, global_clipnorm=CLIP_NORM)
    excluded = [v for v in plan.model.trainable_variables if len(v.shape) < 2 or v.name == "gamma_root"]
    optimizer.exclude_from_weight_decay(var_list=excluded)
    return optimizer


def fingerprint_of(recipe: dict[str, Any]) -> str:
    """Canonical text of a recipe; a checkpoint is only resumed by the recipe that wrote it."""
    return json.dumps(recipe, sort_keys=True)
