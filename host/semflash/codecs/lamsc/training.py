"""The training of the family.

    (begin)     transform and levels in closed form, of blocks weighted by importance
    student     binary cross-entropy of its scores against the importance of each block
    mask        only with ``sizes.mask=learned``: the student goes on through the selection (:mod:`.mask`)
    restoring   the network behind the inverse transform: weighted squared error, bits flipped in half of the
                images
    tail        the task network goes on learning, on reconstructions at random rates

No stage changes what another one has learnt, but ``mask`` the student.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from semflash.codecs.lamsc.coding import Coding, importance_of
from semflash.codecs.lamsc.fitting import fit
from semflash.codecs.lamsc.importance import exact_importance
from semflash.codecs.lamsc.mask import MaskStage, upgrades_of
from semflash.codecs.lamsc.measuring import Measure
from semflash.codecs.lamsc.picture import Inverse
from semflash.codecs.lamsc.sizes import BLOCK
from semflash.codecs.lamsc.stages import ImportanceStage, RestoringStage
from semflash.codecs.multires.stages import TailStage
from semflash.codecs.own_training import Bench, OwnStage, OwnTraining
from semflash.codecs.patch_codes import less_background
from semflash.data.augment import Augmentation, augment_and_tell, move_maps
from semflash.errors import UsageError
from semflash.segments.importance import block_importance
from semflash.segments.store import SegmentStore, find_store

#: Images that the closed form is fitted to, and images of a batch of what is computed once.
FIT_IMAGES, BATCH = 2_000, 500
LABEL_SMOOTHING = 0.05
#: Learning rate of the stage ``mask``.
MASK_PEAK = 1e-4
#: In the restoring stage: share of images without bit errors, of those whose weights are the student's; the
#: least weights of the others; what a pixel of no importance counts in the loss.
WITHOUT_ERRORS, BY_STUDENT, FLOORS, LEAST = 0.5, 0.5, (0.003, 0.02, 0.08, 1.0), 0.12
#: Bytes and bit error rates are drawn evenly on scales of logarithms.
RATES, LEAST_BER = (60, 400), 8e-4
#: Share of the tail's images that are shown whole.
WHOLE = 0.1


class LamscTraining(OwnTraining):
    """Stages ``student``, ``restoring`` and ``tail``, with ``mask`` behind the first where it is learned.

    Of the recipe, ``task_epochs`` and ``task_peak`` are the student's, ``autoencoder_epochs`` and ``peak``
    those of the restoring network, ``polish_epochs`` and ``polish_peak`` the tail's.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.measure = Measure(bench.codec, bench.data.val)

    def check(self) -> None:
        """There are importance and a task network for these images and classes."""
        bench, sizes = self.bench, self.bench.codec.sizes
        if bench.task is None:
            raise UsageError(
                "the family lamsc names pictures by a task network, and none is given",
                remedy="task=stamps-focus in the recipe, or --task DIR",
            )
        if bench.data.has_boxes or len(bench.data.class_names) != sizes.classes:
            raise UsageError("the tail names one class per image", value=bench.data.name)
        theirs = [tuple(each.shape) for part in (bench.task.head, bench.task.tail) for each in part.weights]
        if theirs != [tuple(each.shape) for each in bench.codec.classifier.weights]:
            raise UsageError(
                "the tail goes on from the task network, whose kind or widths are others",
                value=(sizes.classifier, sizes.classifier_head, sizes.classifier_widths),
                remedy="sizes.classifier, .classifier_head and .classifier_widths as the task network's",
            )
        if bench.recipe.segments:
            _ = self.segments  # Refuses where there is no store, or one of other data.
        else:
            exact_importance(bench.train, sizes.grid)

    def stages(self) -> tuple[OwnStage, ...]:
        """In order, the closed form in place."""
        recipe, codec = self.bench.recipe, self.bench.codec
        steps = len(self.bench.train) // recipe.batch
        self._begin()
        found = [
            OwnStage(
                name="student",
                model=ImportanceStage(codec, codec.student, name="student"),
                epochs=recipe.task_epochs,
                peak=recipe.task_peak,
                batches=self.attended,
                steps=len(self.importance) // recipe.batch,
                validate=self.measure.student,
            )
        ]
        if codec.sizes.mask == "learned":
            found.append(
                OwnStage(
                    name="mask",
                    model=MaskStage(codec, name="mask"),
                    epochs=recipe.task_epochs,
                    peak=MASK_PEAK,
                    batches=self.masked,
                    steps=len(self.importance) // recipe.batch,
                    validate=self.measure.student,
                )
            )
        if codec.restorer is not None:
            found.append(
                OwnStage(
                    name="restoring",
                    model=RestoringStage(codec, codec.restorer, name="restoring"),
                    epochs=recipe.autoencoder_epochs,
                    peak=recipe.peak,
                    batches=self.damaged,
                    steps=steps,
                    validate=self.measure.pictures,
                )
            )
        found.append(
            OwnStage(
                name="tail",
                model=TailStage(codec, codec.classifier, LABEL_SMOOTHING, name="tail"),
                epochs=recipe.polish_epochs,
                peak=recipe.polish_peak,
                batches=self.pictured,
                steps=steps,
                validate=self.measure.labels,
            )
        )
        return tuple(found)

    def _begin(self) -> None:
        codec, train, task = self.bench.codec, self.bench.train, self.bench.task
        assert task is not None  # check() has looked
        weights = self.importance[:FIT_IMAGES].reshape(min(FIT_IMAGES, len(self.importance)), -1)
        few = np.asarray(train.images[: len(weights)])
        counted = (weights + codec.sizes.floor) / (1 + codec.sizes.floor)
        if not codec.sizes.asi:
            counted = np.ones_like(counted)
        values = less_background(few.astype(np.float32) / np.float32(255), BLOCK)
        codec.tables.begin(fit(values, counted, codec.sizes.coefficients, codec.sizes.map_sizes))
        codec.classifier.set_weights([*task.head.get_weights(), *task.tail.get_weights()])

    @cached_property
    def coding(self) -> Coding:
        """With the closed form, which no stage changes."""
        found: Coding = self.bench.codec.coding
        return found

    @cached_property
    def segments(self) -> SegmentStore:
        """The store that the recipe names."""
        found: SegmentStore = find_store(self.bench.recipe.segments, self.bench.data)
        return found

    @cached_property
    def importance(self) -> np.ndarray:
        """Of the blocks of training images, float32 (n, rows, columns): of all of them by exact masks, of the
        first ones by a store of segments."""
        if not self.bench.recipe.segments:
            return exact_importance(self.bench.train, self.bench.codec.sizes.grid)
        return block_importance(self.segments, "train")[: len(self.bench.train)]

    @cached_property
    def counted(self) -> np.ndarray:
        """The same of all training images; the student's where nothing else is known."""
        known, grid = self.importance, self.bench.codec.sizes.grid
        more = self.students[len(known) :].reshape(-1, *grid).astype(np.float32)
        return np.concatenate([known, more])

    @cached_property
    def students(self) -> np.ndarray:
        """What the student says of them, float (N, blocks)."""
        scores = [self.bench.codec.scores(part) for part in self._parts()]
        return np.concatenate([importance_of(each) for each in scores])

    @cached_property
    def analysed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients, backgrounds and what upgrades are worth, of all training images."""
        found = []
        for part in self._parts():
            coefficients, background = self.coding.analyse(part)
            found.append((coefficients, background, self.coding.worth(coefficients)))
        coefficients, backgrounds, worth = (np.concatenate(each) for each in zip(*found, strict=True))
        return coefficients, backgrounds, worth

    def attended(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images, importance), float32 (B, H, W, C) and (B, rows, columns); moved alike."""
        how, train = self.bench.recipe.augmentation, self.bench.train
        for chosen in self._order(rng, len(self.importance)):
            images, moves = augment_and_tell(np.asarray(train.images[chosen]), how, rng)
            yield images, move_maps(self.importance[chosen], moves, images.shape[1:3])

    def masked(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images, upgrades), float32 (B, H, W, C) and (B, blocks, levels - 1, 3), at random rates."""
        sizes, train = self.bench.codec.sizes, self.bench.train
        for chosen in self._order(rng, len(self.importance)):
            worth, rates = self.analysed[2][chosen], _rates(len(chosen), rng)
            shares = self.importance[chosen].reshape(len(chosen), -1)
            levels = self.coding.levels(worth, self.coding.weights(shares), rates)
            counted = (shares + sizes.floor) / (1 + sizes.floor)
            images = np.asarray(train.images[chosen]).astype(np.float32) / np.float32(255)
            yield images, upgrades_of(worth, counted, sizes.level_bits, rates, levels)

    def damaged(self, rng: np.random.Generator) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray]]:
        """(what arrived, images and weights of their pixels): weights and rates of all kinds, half of the
        images with flipped bits."""
        codec, ber = self.bench.codec, self.bench.codec.sizes.ber
        inverse = Inverse(codec.tables.matrix(), codec.sizes.image_shape)
        spread = np.maximum(codec.tables.spread(), 1e-6)
        for chosen in self._order(rng):
            coefficients, background, levels = self._selected(chosen, rng)
            count = len(chosen)
            exponents = rng.uniform(np.log(LEAST_BER), np.log(max(ber.high, LEAST_BER)), count)
            bers = np.where(rng.random(count) < WITHOUT_ERRORS, 0.0, np.exp(exponents)).astype(np.float32)
            codes = self.coding.flipped(self.coding.codes(coefficients, levels), levels, bers, rng)
            arrived = self.coding.received(codes, levels)
            base = ops.convert_to_numpy(inverse([arrived, background.astype(np.float32)]))
            grid = codec.sizes.grid
            scaled = (arrived / spread).reshape(count, *grid, -1).astype(np.float32)
            given = scaled, levels.reshape(count, *grid).astype(np.float32), bers[:, None], base
            yield given, self._weighted(chosen)

    def _weighted(self, chosen: np.ndarray) -> np.ndarray:
        """Images in [0, 1] and, behind them, what each pixel counts: float32 (n, H, W, C + 1)."""
        counts = self.counted[chosen] + LEAST
        pixels = counts.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)[..., None]
        images = np.asarray(self.bench.train.images[chosen]).astype(np.float32) / np.float32(255)
        return np.concatenate([images, pixels.astype(np.float32)], axis=-1)

    def _selected(
        self, chosen: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients, backgrounds and levels of training images, by importance of all kinds at random
        rates."""
        coefficients, backgrounds, worth = (each[chosen] for each in self.analysed)
        count = len(chosen)
        exact = self.counted[chosen].reshape(count, -1)
        by_student = rng.random((count, 1)) < BY_STUDENT
        shares = np.where(by_student, self.students[chosen], exact)
        floors = rng.choice(FLOORS, (count, 1))
        weights = np.maximum(np.rint(4096 * (shares + floors) / (1 + floors)), 1).astype(np.int64)
        rates = _rates(count, rng)
        return coefficients, backgrounds, self.coding.levels(worth, weights, rates)

    def pictured(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(pictures, labels): what arrives by the student's importance at random rates, some of it
        mirrored; a tenth of the images whole."""
        codec, train = self.bench.codec, self.bench.train
        how = Augmentation(flip=self.bench.recipe.augmentation.flip, shift_px=0)
        for chosen in self._order(rng):
            coefficients, backgrounds, worth = (each[chosen] for each in self.analysed)
            rates = _rates(len(chosen), rng)
            levels = self.coding.levels(worth, self.coding.weights(self.students[chosen]), rates)
            sent = self.coding.received(self.coding.codes(coefficients, levels), levels)
            found = codec.restored(sent, levels, backgrounds, np.zeros(len(chosen), np.float32))
            images = np.asarray(train.images[chosen])
            whole = rng.random(len(chosen)) < WHOLE
            pixels = np.where(whole[:, None, None, None], images, np.rint(found * 255).astype(np.uint8))
            pictures, _ = augment_and_tell(pixels, how, rng)
            yield pictures, train.labels[chosen]

    def _order(self, rng: np.random.Generator, images: int | None = None) -> Iterator[np.ndarray]:
        """Numbers of training images, those of the first ones alone where it is said how many."""
        batch, count = self.bench.recipe.batch, images or len(self.bench.train)
        order = rng.permutation(count)
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]

    def _parts(self) -> Iterator[np.ndarray]:
        images = self.bench.train.images
        for start in range(0, len(images), BATCH):
            yield np.asarray(images[start : start + BATCH])

    def results(self) -> dict[str, Any]:
        """Accuracy by rate, the student's likeness to the importance, PSNR by rate, and the segments."""
        found = self.measure.results()
        if self.bench.recipe.segments:
            segmenter = self.segments.manifest.segmenter
            found["segments"] = {"digest": self.segments.digest, "segmenter": segmenter.name}
        return found


def _rates(count: int, rng: np.random.Generator) -> np.ndarray:
    """Bytes of so many images."""
    low, high = (float(np.log(each)) for each in RATES)
    return np.exp(rng.uniform(low, high, count)).astype(np.int64)
