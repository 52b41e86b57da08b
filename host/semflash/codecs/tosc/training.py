"""The training of TOSC: distillation from stored answers with the bottleneck, then the decoder on int8 codes.

    L = (1 - alpha) CE(y, out) + alpha T^2 KL(teacher_T || out_T) + beta sum_j KL(N(mu_j, s) || N(0, v_j))

The state of the channel is drawn anew for every image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from semflash.codecs.own_training import Bench, OwnStage, OwnTraining
from semflash.codecs.tosc.drawing import ChannelDraw
from semflash.codecs.tosc.measuring import Measure
from semflash.codecs.tosc.polishing import DeviceNumbers
from semflash.codecs.tosc.stages import DistilStage, PolishStage
from semflash.codecs.tosc.views import on_top
from semflash.data.augment import augment
from semflash.errors import UsageError

#: Which teachers there are for a task.
TEACHERS = {
    "labels": "a teacher's store of this data set (semflash teach)",
    "boxes": "the run of a detector of this data set (semflash train scenes-teacher --only-task)",
}


class ToscTraining(OwnTraining):
    """Stages ``distil`` and ``polish``, of labels or boxes (:mod:`semflash.codecs.tosc.tasks`)."""

    unused = ("autoencoder_epochs", "polish_epochs", "peak", "polish_peak", "feature_weight")

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.draw = ChannelDraw(bench.codec.sizes, bench.recipe.estimate_noise)
        self.views = bench.codec.purpose.views(bench)
        self.numbers = DeviceNumbers(bench, self.draw, self.views)
        self.measure = Measure(bench.codec, bench.data.val, bench.codec.purpose.channels)

    def check(self) -> None:
        """The weights of the loss are shares, and labels and answers are of the decoder's kind."""
        recipe, data = self.bench.recipe, self.bench.data
        if not 0.0 <= recipe.distillation_weight <= 1.0 or recipe.temperature <= 0:
            raise UsageError(
                "distillation_weight is the teacher's share of the loss, 0 to 1, and temperature above 0",
                value=(recipe.distillation_weight, recipe.temperature),
                remedy="distillation_weight=0.7, temperature=3",
            )
        codec, answers = self.bench.codec, self.bench.answers
        misfit = codec.purpose.misfit(data)
        if misfit is not None:
            raise UsageError(
                f"the decoder {codec.purpose.told()}, and {data.name} has others",
                value=misfit,
                remedy="leave sizes.classes out: it is that of the data set; sizes.task=boxes for boxes",
            )
        codec.purpose.check_views(recipe.augmentation)
        if answers is not None and answers.answer_shape != codec.sizes.output_shape:
            raise UsageError(
                f"the decoder gives {codec.sizes.output_shape}, the teacher {answers.answer_shape}",
                value=recipe.teacher,
                remedy=TEACHERS[codec.sizes.task],
            )

    @property
    def teacher_share(self) -> float:
        """alpha; without a teacher 0."""
        return 0.0 if self.bench.answers is None else float(self.bench.recipe.distillation_weight)

    def stages(self) -> tuple[OwnStage, ...]:
        """The second one only where the recipe has epochs for it."""
        recipe, codec = self.bench.recipe, self.bench.codec
        steps = len(self.bench.train) // recipe.batch
        weights = {"share": self.teacher_share, "temperature": recipe.temperature}
        distil = OwnStage(
            name="distil",
            model=DistilStage(codec, **weights),
            epochs=recipe.task_epochs,
            peak=recipe.task_peak,
            batches=self.batches,
            steps=steps,
            validate=self.measure.watched,
        )
        polish = OwnStage(
            name="polish",
            model=PolishStage(codec, **weights),
            epochs=recipe.int8_epochs,
            peak=recipe.int8_peak,
            batches=self.numbers.batches,
            steps=self.numbers.images // recipe.batch,
            validate=lambda: self.measure.watched_on_device(self.numbers.validation),
            frozen=tuple(part for name, part in codec.parts().items() if name not in codec.edge_parts()),
            on_device=True,
        )
        return distil, polish

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """({image, quality, told, state, noise, answer}, targets); ``answer`` only with a teacher, targets
        as the purpose's views give them."""
        train, recipe, answers = self.bench.train, self.bench.recipe, self.bench.answers
        noise_shape = self.bench.codec.noise_shape()
        order = rng.permutation(len(train))
        for start in range(0, len(train) - recipe.batch + 1, recipe.batch):
            chosen = order[start : start + recipe.batch]
            inputs = self.draw(len(chosen), rng)
            inputs["noise"] = rng.random((len(chosen), *noise_shape), dtype=np.float32)
            views = self.views.choose(chosen, rng)
            images, targets = self.views.of(chosen, views)
            inputs["image"] = augment(images, on_top(recipe.augmentation), rng)
            if answers is not None:
                inputs["answer"] = answers.logits(chosen, views)
            yield inputs, targets

    def results(self) -> dict[str, Any]:
        """Accuracy (mAP of boxes) by level, and the mean divergence of each sent value; after a polish the
        accuracy with the numbers of the int8 device, too."""
        found = self.measure.results()
        if self.bench.recipe.int8_epochs:
            found["int8_val_accuracy"] = self.measure.by_level_on_device(self.numbers.validation)
        return found
