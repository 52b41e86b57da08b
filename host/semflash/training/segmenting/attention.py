"""Attention-based semantic integration: a module that weighs an image's segments without a label.

Jiang et al., "Large AI Model-Based Semantic Communications" (arXiv 2307.03492): channel attention over the
segments and spatial attention over the places. Here it learns the weights that a task network gave
(:mod:`semflash.segments.evidence`), by binary cross-entropy, and then weighs images whose label nobody knows.

    segments       cut out, colours and share                       (16, 16, 16, 4)
      features     Conv 3x3 12 ReLU, mean pool 2, Conv 3x3 24 ReLU  (16, 8, 8, 24)   the same for each segment
      channel      mean and maximum over places, each beside its mean over all segments
                   -> Dense 12 ReLU, Dense 1, shared; their sum, sigmoid             (16, 1, 1, 1)
      spatial      mean and maximum over segments and channels -> Conv 7x7 1, sigmoid   (1, 8, 8, 1)
      weighed      features x channel x spatial; mean and maximum over places           (16, 48)
    weights        Dense 24 ReLU, Dense 1, sigmoid                  (16,)

The paper's channel attention has a weight for each place in its list of segments; here all segments share
theirs, so that their number and order are free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from semflash.data.dataset import Dataset
from semflash.errors import SegmentError
from semflash.segments.cutting import SIDE, cut_out
from semflash.segments.maps import SEGMENTS_MAX
from semflash.segments.store import SegmentStore
from semflash.segments.weighing import load_weighing, place, stored_weights
from semflash.training.progress import Progress
from semflash.training.segmenting.weigh import TASK, weigh_all

Parts = Literal["both", "channel", "spatial", "none"]
PARTS: tuple[Parts, ...] = ("both", "channel", "spatial", "none")
VERSION = 1


@dataclass(frozen=True)
class AttentionRecipe:
    """How the module is trained.

    Attributes:
        parts: which attention it has.
        segments: of an image, the largest.
        epochs, batch, rate: of Adam.
        seed: of weights and order.
    """

    parts: Parts = "both"
    segments: int = 16
    epochs: int = 6
    batch: int = 64
    rate: float = 2e-3
    seed: int = 0


def build_attention(parts: Parts, segments: int = 16) -> keras.Model:
    """The module: cut-outs float32 (B, segments, 16, 16, 4) in 0..1 to weights (B, segments) in 0..1."""
    given = keras.Input((segments, SIDE, SIDE, 4), name="segments")
    each = ops.reshape(given, (-1, SIDE, SIDE, 4))
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="first")(each)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(24, 3, padding="same", activation="relu", name="second")(x)
    x = ops.reshape(x, (-1, segments, SIDE // 2, SIDE // 2, 24))
    there = ops.cast(ops.max(given[..., 3], axis=(2, 3)) > 0, "float32")
    weighed = x
    if parts in ("both", "channel"):
        weighed = weighed * _channel(x, there)
    if parts in ("both", "spatial"):
        weighed = weighed * _spatial(x, there)
    pooled = ops.concatenate([ops.mean(weighed, (2, 3)), ops.max(weighed, (2, 3))], -1)
    hidden = layers.Dense(24, activation="relu", name="hidden")(pooled)
    weights = layers.Dense(1, activation="sigmoid", name="weight")(hidden)[..., 0]
    return keras.Model(given, weights, name=f"attention-{parts}")


def _channel(x: Any, there: Any) -> Any:
    """Attention over the segments, (B, segments, 1, 1, 1), of their features (B, segments, h, w, C)."""
    shared = [layers.Dense(12, activation="relu", name="squeeze"), layers.Dense(1, name="excite")]
    total = 0.0
    for pooled in (ops.mean(x, (2, 3)), ops.max(x, (2, 3))):
        mean = ops.sum(pooled * there[..., None], 1, keepdims=True)
        mean = mean / ops.maximum(ops.sum(there, 1), 1.0)[:, None, None]
        value = ops.concatenate([pooled, mean + 0 * pooled], -1)
        for layer in shared:
            value = layer(value)
        total = total + value
    return ops.sigmoid(total)[..., None, None]


def _spatial(x: Any, there: Any) -> Any:
    """Attention over places, (B, 1, h, w, 1)."""
    present = there[..., None, None, None]
    count = ops.maximum(ops.sum(there, 1), 1.0)[:, None, None]
    mean = ops.mean(ops.sum(x * present, 1), -1) / count
    most = ops.max(x * present, (1, 4))
    places = layers.Conv2D(1, 7, padding="same", activation="sigmoid", name="places")(
        ops.stack([mean, most], -1)
    )
    return places[:, None]


def weigh_by_attention(
    store: SegmentStore,
    data: Dataset,
    recipe: AttentionRecipe | None = None,
    progress: Progress | None = None,
    *,
    images: dict[str, int] | None = None,
) -> keras.Model:
    """Train the module on the task network's weights of the training split, and weigh all images.

    Kept as ``attention-both`` and so on. The module is trained even where all images are weighed already.

    Args:
        images: so many of each split, from the first on, to learn from and to weigh; None: all.

    Raises:
        SegmentError: no task network has weighed the training split.
    """
    recipe, progress = recipe or AttentionRecipe(), progress or Progress()
    counts = images or {split: store.count(split) for split in store.splits}
    target = stored_weights(store, "train", TASK)[: counts.get("train", 0)]
    of = load_weighing(place(store, TASK)).identity
    made_of = {"version": VERSION, "of": of, "learnt_from": len(target), **asdict(recipe)}
    model = fit_attention(store, data, target, recipe, progress)

    def weigh(split: str, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        pixels = np.asarray(getattr(data, split).images[indices])
        return (module_weights(model, pixels, np.asarray(store.segments(split)[indices]), recipe.segments),)

    weigh_all(store, f"attention-{recipe.parts}", made_of, weigh, progress, images=counts)
    return model


def fit_attention(
    store: SegmentStore, data: Dataset, target: np.ndarray, recipe: AttentionRecipe, progress: Progress
) -> keras.Model:
    """Train a module on weights float32 (n, 64) of the first training images."""
    count = len(target)
    maps = np.asarray(store.segments("train")[:count])
    cut, numbers = cut_out(np.asarray(data.train.images[:count]), maps, recipe.segments)
    wanted, present = _of_numbers(target, numbers), (numbers >= 0).astype(np.float32)
    if not wanted.any():
        raise SegmentError(
            "no segment of the training split has any weight",
            value=store.folder,
            remedy="another task network, or a larger --large",
        )
    keras.utils.set_random_seed(recipe.seed)
    model = build_attention(recipe.parts, recipe.segments)
    optimizer = keras.optimizers.Adam(recipe.rate)
    model.compile(optimizer, loss=_entropy(recipe.segments))
    beside = np.concatenate([wanted, present], 1)
    for epoch in range(recipe.epochs):
        optimizer.learning_rate = recipe.rate * 0.5 * (1 + np.cos(np.pi * epoch / recipe.epochs)) + 1e-5
        found = model.fit(_scaled(cut), beside, batch_size=recipe.batch, epochs=1, verbose=0)
        loss = float(found.history["loss"][0])
        progress.say(f"attention ({recipe.parts}) {epoch + 1}/{recipe.epochs}  loss {loss:.4f}")
    return model


def module_weights(model: keras.Model, images: np.ndarray, maps: np.ndarray, most: int) -> np.ndarray:
    """Weights float32 (n, 64) of segments; what the module does not see weighs 0.

    Args:
        images: uint8 (n, H, W, C).
        maps: uint8 (n, H, W).
    """
    cut, numbers = cut_out(images, maps, most)
    answers = ops.convert_to_numpy(model(_scaled(cut), training=False))
    found = np.zeros((len(images), SEGMENTS_MAX), np.float32)
    rows, columns = np.nonzero(numbers >= 0)
    found[rows, numbers[rows, columns]] = answers[rows, columns]
    return found


def _scaled(cut: np.ndarray) -> np.ndarray:
    return cut.astype(np.float32) / np.float32(255)


def _of_numbers(weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Weights of the segments with these numbers, 0 where there is none: float32 (n, segments)."""
    taken = np.take_along_axis(weights, np.maximum(numbers, 0), 1)
    return np.where(numbers >= 0, taken, 0).astype(np.float32)


def _entropy(segments: int) -> Callable[[Any, Any], Any]:
    """Binary cross-entropy of weights (B, segments) over the segments that there are; targets, and whether
    each segment is there, lie one behind the other, (B, 2 segments)."""

    def loss(beside: Any, weights: Any) -> Any:
        wanted, present = beside[:, :segments], beside[:, segments:]
        inside = ops.clip(weights, 1e-6, 1 - 1e-6)
        entropy = -wanted * ops.log(inside) - (1 - wanted) * ops.log(1 - inside)
        return ops.sum(entropy * present) / ops.maximum(ops.sum(present), 1.0)

    return loss
