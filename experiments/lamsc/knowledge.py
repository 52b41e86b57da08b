"""A segment knowledge base: what its segments could tell, what the task and students make of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from experiments.lamsc import names
from experiments.lamsc.pointing import pixel_auc, points, reach, shares_of
from experiments.lamsc.results import Row
from semflash.codecs.lamsc.networks import build_student
from semflash.codecs.lamsc.sizes import LamscSizes
from semflash.data.dataset import TARGET, Dataset
from semflash.segments.evidence import Rule, weights_of
from semflash.segments.importance import BLOCK, block_importance, segment_weights, weighted
from semflash.segments.opening import SegmenterOptions
from semflash.segments.store import SegmentStore
from semflash.segments.weighing import load_weighing, place
from semflash.training.progress import Progress
from semflash.training.segmenting.attention import AttentionRecipe, weigh_by_attention
from semflash.training.segmenting.segment import SegmentRequest, segment
from semflash.training.segmenting.weigh import TASK, weigh_by_task

TEST = "test"


class Knowledge:
    """A knowledge base on the data set.

    Args:
        base: name of the segmenter.
        images: of the test split, and of the training split where something is to be learnt.
        dataset: its name.
        progress: of what takes long.
    """

    def __init__(self, base: str, images: dict[str, int], dataset: str, progress: Progress) -> None:
        self.base, self.images, self.progress = base, images, progress
        self.store: SegmentStore
        for split, count in images.items():
            request = SegmentRequest(dataset, base, (split,), limit=count, options=SegmenterOptions())
            self.store, self.data = segment(request, progress)
        count = min(images[TEST], self.store.count(TEST))
        self.maps = np.asarray(self.store.segments(TEST)[:count])
        assert self.data.test.masks is not None  # a composed data set
        self.target = np.asarray(self.data.test.masks[:count]) == TARGET

    def weigh(self, run: Path, rule: Rule) -> None:
        """Ask the task network."""
        weigh_by_task(self.store, self.data, run, rule, self.progress, images=self.images)

    def row(self, arm: str, pixels: np.ndarray) -> Row:
        """What importance of pixels (n, H, W) finds."""
        found = pixel_auc(pixels, self.target)
        hits = points(pixels, self.target)
        return Row(TEST, arm, len(pixels), auc=float(np.nanmean(found)), pointing=float(hits.mean()))

    def evidence_rows(self, rule: Rule) -> Iterator[Row]:
        """The best choice of segments, then what each evidence says of them."""
        yield self.row(names.BEST, weighted(self.maps, shares_of(self.maps, self.target).astype(np.float32)))
        folder = place(self.store, TASK)
        there = load_weighing(folder)
        _, drops, alone = (one.astype(np.float32) for one in there.rows(folder, TEST).open(len(self.maps)))
        nothing = np.zeros_like(drops)
        for arm, one, other in (
            (names.REMOVED, drops, nothing),
            (names.ALONE, nothing, alone),
            (names.BOTH, drops, rule.gain * alone),
        ):
            yield self.row(arm, weighted(self.maps, np.nan_to_num(one + other)))
        yield self.row(names.RULED, weighted(self.maps, weights_of(drops, alone, self.maps, rule)))

    def attention_row(self, parts: Any, settings: dict[str, Any]) -> Row:
        """Attention over the segments, learnt from the training split's weights; labels are not seen."""
        recipe = AttentionRecipe(parts, settings["seen"], settings["epochs"] or AttentionRecipe().epochs)
        weigh_by_attention(self.store, self.data, recipe, self.progress, images=self.images)
        name = f"attention-{parts}"
        weights = segment_weights(self.store, TEST, name)[: len(self.maps)]
        return self.row(name, weighted(self.maps, weights))

    def student_row(self, how: dict[str, Any]) -> Row:
        """The small student of blocks that a device can run, learnt from the training split's blocks."""
        model = student_of(
            self.data, block_importance(self.store, "train", TASK)[: self.images["train"]], how
        )
        scores = scores_of(model, np.asarray(self.data.test.images[: len(self.maps)]))
        return self.row(names.STUDENT, scores.repeat(BLOCK, 1).repeat(BLOCK, 2))

    def figures(self) -> dict[str, Any]:
        """Segments of an image, and how near the best choice of whole segments comes to the target."""
        counts = [len(np.unique(one)) for one in self.maps]
        return {
            "segments": float(np.mean(counts)),
            "reach": reach(self.maps, self.target),
            "ms_per_image": self.store.manifest.segmenter.ms_per_image,
            "train_images": self.images.get("train", 0),
            "test_images": len(self.maps),
        }


def student_of(data: Dataset, blocks: np.ndarray, how: dict[str, Any]) -> keras.Model:
    """The student of the LAM-SC family, learnt from importance of blocks (n, rows, columns) of the first
    training images by binary cross-entropy; images are mirrored, and moved by whole blocks."""
    images = np.asarray(data.train.images[: len(blocks)])
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = build_student(LamscSizes(image_shape=data.image_shape))
    steps, batch = int(how["steps"]), min(int(how["batch"]), len(blocks))
    schedule = keras.optimizers.schedules.CosineDecay(how["rate"], steps, 0.02)

    def loss(wanted: Any, scores: Any) -> Any:
        return keras.losses.binary_crossentropy(wanted, scores, from_logits=True)

    model.compile(keras.optimizers.Adam(schedule), loss)
    for _ in range(steps):
        chosen = rng.integers(len(blocks), size=batch)
        x, y = images[chosen], blocks[chosen]
        if rng.random() < 0.5:
            x, y = x[:, :, ::-1], y[:, :, ::-1]
        down, right = (int(one) for one in rng.integers(-2, 3, 2))
        x = np.roll(x, (BLOCK * down, BLOCK * right), (1, 2)).astype(np.float32) / np.float32(255)
        model.train_on_batch(x, np.roll(y, (down, right), (1, 2))[..., None])
    return model


def scores_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Scores float32 (n, rows, columns) of uint8 images."""
    parts = [
        ops.convert_to_numpy(
            model(images[start : start + 250].astype(np.float32) / np.float32(255), training=False)
        )
        for start in range(0, len(images), 250)
    ]
    return np.concatenate(parts)[..., 0]
