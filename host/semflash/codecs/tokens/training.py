"""The training of the family: the whole transformer, then the gates, then the channel.

    stem      the convolutions learn the features of the task network, whose other weights are the beginning
    task      every token, all symbols, no noise but that of the best channel; in place of the first
    gates     alpha uniform, stratified over the batch; tokens are dropped; the same channel
    channel   symbols drawn for each batch, SNR uniform for each image

    L = (1 - s) CE(y, out) + s T^2 KL(task network_T || out_T) + w (kept / all - alpha)^2

The first stage is there where a task network is named whose sizes fit (:mod:`.beginning`), otherwise the
second one is. A task network's answers to the images as they are stand for those of their views.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
from keras import ops

from semflash.codecs.own_training import Bench, OwnStage, OwnTraining
from semflash.codecs.tokens.beginning import begin
from semflash.codecs.tokens.measuring import CLEAN, Measure
from semflash.codecs.tokens.stages import StemStage, TokensStage
from semflash.data.augment import augment
from semflash.errors import UsageError
from semflash.program.tokens.stages import SHARE_MAX

#: Least alpha of the training, in 1/255.
SHARE_LOW = 8
#: Weight of the budget's term, in the stages with gates.
BUDGET_WEIGHTS = {"gates": 4.0, "channel": 16.0}
LABEL_SMOOTHING = 0.05
#: The highest learning rate of the stem alone.
STEM_PEAK = 4e-3
ANSWER_BATCH = 250


class TokensTraining(OwnTraining):
    """Stages ``stem``, ``task``, ``gates`` and ``channel``.

    Of the recipe, ``autoencoder_epochs`` and ``peak`` are those of the first two, ``task_epochs`` and
    ``task_peak`` of the third, ``polish_epochs`` and ``polish_peak`` of the fourth.
    """

    unused = ("int8_epochs", "int8_peak", "estimate_noise", "feature_weight", "teacher")

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.measure = Measure(bench.codec, bench.data.val)

    def check(self) -> None:
        """Labels are classes, and the task network, if there is one, names the same ones."""
        bench, sizes, recipe = self.bench, self.bench.codec.sizes, self.bench.recipe
        if bench.data.has_boxes or len(bench.data.class_names) != sizes.classes:
            raise UsageError("the receiver names one class per image", value=bench.data.name)
        if not 0.0 <= recipe.distillation_weight <= 1.0 or recipe.temperature <= 0:
            raise UsageError(
                "distillation_weight is the task network's share of the loss, 0 to 1; temperature above 0",
                value=(recipe.distillation_weight, recipe.temperature),
                remedy="distillation_weight=0.5, temperature=2",
            )
        if bench.task is None:
            return
        found = tuple(bench.task.head.input_shape[1:]), bench.task.tail.output_shape[1:]
        if found != (tuple(sizes.image_shape), (sizes.classes,)):
            raise UsageError(
                "the task network is for other images or classes",
                value=found,
                remedy="one that was trained on this data set",
            )

    def stages(self) -> tuple[OwnStage, ...]:
        """Stem or task, gates, channel."""
        recipe, measure, task = self.bench.recipe, self.measure, self.bench.task
        begun = task is not None and begin(self.bench.codec, task.tail)
        if task is not None and not begun:
            self.bench.say("the task network has other sizes: the codec begins at random")
        stem = OwnStage(
            name="stem",
            model=StemStage(self.bench.codec, name="stem"),
            epochs=recipe.autoencoder_epochs if begun else 0,
            peak=STEM_PEAK,
            batches=self.features,
            steps=len(self.bench.train) // recipe.batch,
            validate=self._likeness,
        )
        epochs = {
            "task": (0 if begun else recipe.autoencoder_epochs, recipe.peak, measure.watched_whole),
            "gates": (recipe.task_epochs, recipe.task_peak, measure.watched),
            "channel": (recipe.polish_epochs, recipe.polish_peak, measure.watched),
        }
        return (
            stem,
            *(
                OwnStage(
                    name=name,
                    model=self._model(name),
                    epochs=count,
                    peak=peak,
                    batches=partial(self.batches, name),
                    steps=len(self.bench.train) // recipe.batch,
                    validate=validate,
                )
                for name, (count, peak, validate) in epochs.items()
            ),
        )

    def _model(self, name: str) -> TokensStage:
        recipe = self.bench.recipe
        return TokensStage(
            self.bench.codec,
            whole=name == "task",
            budget_weight=BUDGET_WEIGHTS.get(name, 0.0),
            teacher_share=recipe.distillation_weight,
            temperature=recipe.temperature,
            smoothing=LABEL_SMOOTHING,
            name=name,
        )

    def batches(
        self, name: str, rng: np.random.Generator
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """({image, share, use, quality, noise, answer}, labels) of a stage; ``answer`` only where the task
        network's answers count."""
        bench, batch = self.bench, self.bench.recipe.batch
        order = rng.permutation(len(bench.train))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            images = augment(np.asarray(bench.train.images[chosen]), bench.recipe.augmentation, rng)
            inputs = self.draw(name, len(chosen), rng)
            inputs["image"] = images
            if self.asks:
                inputs["answer"] = self.answers[chosen]
            yield inputs, np.asarray(bench.train.labels[chosen])

    @property
    def asks(self) -> bool:
        """Whether a task network's answers are learnt from."""
        return self.bench.task is not None and self.bench.recipe.distillation_weight > 0

    def features(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images, the task network's features), float32 (B, H, W, C) and (B, h, w, width)."""
        bench, batch = self.bench, self.bench.recipe.batch
        assert bench.task is not None  # the stage is there with a task network
        order = rng.permutation(len(bench.train))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            images = augment(np.asarray(bench.train.images[chosen]), bench.recipe.augmentation, rng)
            yield images, np.asarray(ops.convert_to_numpy(bench.task.head(images, training=False)))

    def _likeness(self) -> dict[str, float]:
        """Error of the stem over the variance of the task network's features, on validation images."""
        bench = self.bench
        assert bench.task is not None  # the stage is there with a task network
        pixels = np.asarray(bench.data.val.images[:ANSWER_BATCH]).astype(np.float32) / np.float32(255)
        wanted = ops.convert_to_numpy(bench.task.head(pixels, training=False))
        found = ops.convert_to_numpy(bench.codec.stem(pixels, training=False))
        spread = np.square(wanted - wanted.mean(axis=(0, 1, 2))).mean()
        return {"feature_error": float(np.square(wanted - found).mean() / (spread + 1e-9))}

    def draw(self, name: str, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """alpha, symbols, SNR and noise of each image of a batch."""
        codec, sizes = self.bench.codec, self.bench.codec.sizes
        share = np.full(count, float(SHARE_MAX))
        choice, quality = len(sizes.symbols_each) - 1, np.full((count, 1), CLEAN)
        if name != "task":
            # one from each of as many equal parts of the range
            share = SHARE_LOW + (SHARE_MAX - SHARE_LOW) * (rng.permutation(count) + rng.random(count)) / count
        if name == "channel":
            choice = int(rng.integers(len(sizes.symbols_each)))
            quality = rng.uniform(sizes.snr_low, sizes.snr_high, (count, 1))
        return {
            "share": np.rint(share)[:, None].astype(np.float32),
            "use": np.repeat(codec.use_of(choice), count, axis=0),
            "quality": quality.astype(np.float32),
            "noise": rng.standard_normal((count, *codec.noise_shape()), dtype=np.float32),
        }

    @cached_property
    def answers(self) -> np.ndarray:
        """Logits of the task network to the training images, float32 (N, classes)."""
        task, train = self.bench.task, self.bench.train
        assert task is not None  # who asks has looked
        self.bench.say(f"answers of the task network to {len(train):,} images")
        parts = []
        for start in range(0, len(train), ANSWER_BATCH):
            pixels = np.asarray(train.images[start : start + ANSWER_BATCH]).astype(np.float32) / np.float32(
                255
            )
            parts.append(ops.convert_to_numpy(task.tail(task.head(pixels, training=False), training=False)))
        return np.concatenate(parts).astype(np.float32)

    def results(self) -> dict[str, Any]:
        """Accuracy by SNR at the defaults; accuracy and tokens kept by alpha."""
        return self.measure.results()
