"""The training of the family: a coder for each resolution, the student, and the tail.

    level-B    a coder of B bits on patches, mean squared error; begins with the KLT (:mod:`.klt`)
    student    cross-entropy of softmax(scores) against the task network's attention
    tail       the task network goes on learning, on reconstructions at random rates

No stage changes what another one has learnt, and the coders see neither labels nor attention; with
``coder_features`` they see features of the task network beside the squared error.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

from semflash.codecs.multires.attention import best_in_common, smoothed, spearman, taught
from semflash.codecs.multires.klt import Transform
from semflash.codecs.multires.measuring import Measure
from semflash.codecs.multires.pictures import Pictures
from semflash.codecs.multires.stages import LevelStage, StudentStage, TailStage, TaskLevelStage
from semflash.codecs.own_training import Bench, OwnStage, OwnTraining
from semflash.data.augment import Augmentation, augment_and_tell, move_maps
from semflash.data.dataset import Split
from semflash.errors import TrainingError, UsageError
from semflash.program.reference.patches import cut
from semflash.tasks.start import read_start
from semflash.teachers.attended import resampled

#: Images whose patches the KLT is taken of, and patches of each image in a step of a coder.
KLT_IMAGES, PATCHES_OF_IMAGE = 2_000, 16
LABEL_SMOOTHING = 0.05


class MultiresTraining(OwnTraining):
    """Stages ``level-8``, ``level-16``, ..., ``student`` and ``tail``.

    Of the recipe, ``autoencoder_epochs`` and ``peak`` are those of each coder, ``task_epochs`` and
    ``task_peak`` the student's, ``polish_epochs`` and ``polish_peak`` the tail's. With ``start``, the
    ``weights.npz`` of a run, the coders begin as those of that run; with ``autoencoder_epochs=0`` they stay.
    """

    starts = True
    attends = True

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.pictures = Pictures(bench.codec, bench.train)
        self.measure = Measure(bench.codec, bench.data.val)

    def check(self) -> None:
        """There is a task network with a CLS token for these images and classes."""
        bench, sizes = self.bench, self.bench.codec.sizes
        if bench.task is None:
            raise UsageError(
                "the family multires learns from the attention of a task network, and none is named",
                remedy="task=fashion-scenes-vit in the recipe, or --task DIR",
            )
        if bench.data.has_boxes or len(bench.data.class_names) != sizes.classes:
            raise UsageError("the tail names one class per image", value=bench.data.name)
        found = tuple(bench.task.head.input_shape[1:]), bench.task.tail.output_shape[1:]
        if found != (tuple(sizes.image_shape), (sizes.classes,)):
            raise UsageError(
                "the task network is for other images or classes",
                value=found,
                remedy="one that was trained on this data set",
            )
        theirs = [tuple(each.shape) for part in (bench.task.head, bench.task.tail) for each in part.weights]
        if theirs != [tuple(each.shape) for each in bench.codec.classifier.weights]:
            raise UsageError(
                "the tail goes on from the task network, whose widths are others",
                value=sizes.classifier_widths,
                remedy="sizes.classifier_widths as the task network's widths",
            )

    def stages(self) -> tuple[OwnStage, ...]:
        """One for each coder, then student and tail."""
        recipe, codec, bench = self.bench.recipe, self.bench.codec, self.bench
        steps = len(bench.train) // recipe.batch
        self._begin()
        levels = tuple(
            OwnStage(
                name=f"level-{bits}",
                model=self._level(bits, coder),
                epochs=recipe.autoencoder_epochs,
                peak=recipe.peak,
                batches=self.images if codec.sizes.coder_features else self.patches,
                steps=steps,
                validate=partial(self._error, coder),
            )
            for bits, coder in codec.coders.items()
        )
        student = OwnStage(
            name="student",
            model=StudentStage(codec, codec.student, name="student"),
            epochs=recipe.task_epochs,
            peak=recipe.task_peak,
            batches=self.attended,
            steps=steps,
            validate=self.likeness,
        )
        tail = OwnStage(
            name="tail",
            model=TailStage(codec, codec.classifier, LABEL_SMOOTHING, name="tail"),
            epochs=recipe.polish_epochs,
            peak=recipe.polish_peak,
            batches=self.pictured,
            steps=steps,
            validate=self.measure.watched,
        )
        return (*levels, student, tail)

    def _level(self, bits: int, coder: Any) -> Any:
        codec, weight = self.bench.codec, self.bench.codec.sizes.coder_features
        if not weight:
            return LevelStage(codec, coder, name=f"level_{bits}")
        assert self.bench.task is not None  # check() has looked
        return TaskLevelStage(codec, coder, self.bench.task.head, weight, name=f"level_{bits}")

    def _error(self, coder: Any) -> dict[str, float]:
        return {"mse": self.measure.error_of(coder)}

    def _begin(self) -> None:
        """Coders begin in closed form or as another run's, the tail with the task network."""
        codec, train = self.bench.codec, self.bench.train
        assert self.bench.task is not None  # check() has looked
        if self.bench.recipe.start:
            begin_coders(codec, self.bench.recipe.start)
        else:
            transform = transform_of(train, codec.sizes.patch)
            for bits, coder in codec.coders.items():
                coder.begin(transform.start(bits))
        task = self.bench.task
        codec.classifier.set_weights([*task.head.get_weights(), *task.tail.get_weights()])

    def patches(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(patches, the same), float32 (16 B, n): some of each image."""
        side = self.bench.codec.sizes.patch
        for chosen in self._order(rng):
            values = cut(np.asarray(self.bench.train.images[chosen]), side)
            few = min(PATCHES_OF_IMAGE, values.shape[1])
            which = rng.permuted(np.tile(np.arange(values.shape[1]), (len(values), 1)), axis=1)[:, :few]
            found = np.take_along_axis(values, which[..., None], axis=1)
            x = found.reshape(-1, values.shape[-1]).astype(np.float32) / np.float32(255)
            yield x, x

    def images(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images, the same), float32 (n, H, W, C): as many patches as :meth:`patches` gives."""
        sizes = self.bench.codec.sizes
        for chosen in self._order(rng):
            few = chosen[: max(1, len(chosen) * PATCHES_OF_IMAGE // sizes.patches)]
            x = np.asarray(self.bench.train.images[few]).astype(np.float32) / np.float32(255)
            yield x, x

    def attended(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images, attention), float32 (B, H, W, C) and (B, rows, columns); moved alike."""
        how, train = self.bench.recipe.augmentation, self.bench.train
        for chosen in self._order(rng):
            images, moves = augment_and_tell(np.asarray(train.images[chosen]), how, rng)
            maps = move_maps(self.targets[chosen], moves, images.shape[1:3])
            # What moved in from outside has no attention, what moved out took its share along.
            yield images, maps / np.maximum(maps.sum(axis=(1, 2), keepdims=True), 1e-6)

    def pictured(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(pictures, labels): reconstructions of all kinds at random rates, some of them mirrored."""
        self.measure.distort(self.bench.train)
        how = Augmentation(flip=self.bench.recipe.augmentation.flip, shift_px=0)
        for chosen in self._order(rng):
            pictures, _ = augment_and_tell(self.pictures.of(chosen, rng), how, rng)
            yield pictures, self.bench.train.labels[chosen]

    def _order(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        batch, count = self.bench.recipe.batch, len(self.bench.train)
        order = rng.permutation(count)
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]

    @cached_property
    def targets(self) -> np.ndarray:
        """The attention that the student learns, float32 (N, rows, columns)."""
        if self.bench.attention is not None:
            return self._given(self.bench.attention.train[: len(self.bench.train)])
        return self._attention(self.bench.train.images)

    @cached_property
    def val_attention(self) -> np.ndarray:
        """The attention to the validation images, (N, patches)."""
        if self.bench.attention is not None:
            maps = self._given(self.bench.attention.val)
        else:
            maps = self._attention(self.bench.data.val.images)
        return maps.reshape(len(maps), -1)

    def _given(self, maps: np.ndarray) -> np.ndarray:
        """Of another teacher, on the grid of the codec's patches."""
        sizes = self.bench.codec.sizes
        return smoothed(resampled(maps, sizes.grid), sizes.smoothing)

    def _attention(self, images: Any) -> np.ndarray:
        assert self.bench.task is not None  # check() has looked
        task = self.bench.task
        sizes = self.bench.codec.sizes
        return taught(task.head, task.tail, images, sizes)

    def likeness(self) -> dict[str, float]:
        """How alike student and task network rank the patches of the validation images."""
        scores = self.measure.scores()
        return {
            "spearman": float(spearman(scores, self.val_attention).mean()),
            "best_in_common": float(best_in_common(scores, self.val_attention).mean()),
        }

    def results(self) -> dict[str, Any]:
        """Accuracy by rate, errors of the levels, likeness of the student."""
        self.measure.distort(self.bench.train)
        errors = {str(bits): self.measure.error_of(coder) for bits, coder in self.bench.codec.coders.items()}
        return self.measure.results() | {"mse": errors, **self.likeness()}


def begin_coders(codec: Any, start: str) -> None:
    """Put the coders of a run into a codec.

    Raises:
        TrainingError: The file is missing or damaged, or its coders are others.
    """
    arrays = read_start(start, "codec")
    for name, part in codec.parts().items():
        if not name.startswith("coder_"):
            continue
        given = [arrays.get(f"{name}.{index:04d}") for index in range(len(part.weights))]
        if [None if each is None else each.shape for each in given] != [
            tuple(variable.shape) for variable in part.weights
        ]:
            raise TrainingError(
                "the coders to begin with are those of another codec",
                value=f"{start}: {name}",
                remedy="the level_bits, single_bits, patch and residual of that codec, or --set start=",
            )
        part.set_weights(given)


def transform_of(train: Split, side: int) -> Transform:
    """The transform that all coders begin with, of the patches of the first 2,000 images."""
    values = cut(np.asarray(train.images[:KLT_IMAGES]), side)
    flat = values.reshape(-1, values.shape[-1])
    order = np.random.default_rng(0).permutation(len(flat))
    return Transform(flat[order].astype(np.float32) / 255)
