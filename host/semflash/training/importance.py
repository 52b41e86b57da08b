"""Importance of the split features for the task: integrated gradients of the task network's loss.

SemanticNN (arXiv 2511.11038), asymmetry compensation: what matters to the tail on the edge tells the weak
encoder what to keep. Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv 1703.01365), from zero:

    attribution = f * mean over k of  d loss / d features  at  (k - 1/2) / steps * f,   k = 1..steps

They do not depend on the codec, so they are computed once per training image and kept beside the task
network.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from semflash.array_files import read_npz, write_npz
from semflash.data.augment import Moves
from semflash.data.dataset import Split
from semflash.errors import TrainingError, UsageError
from semflash.tasks.kinds import Classification, TaskKind
from semflash.training.gradients import input_gradient
from semflash.training.progress import Progress
from semflash.training.task import TrainedTask

BATCH = 256
Kind = Literal["pixel", "channel"]


class IntegratedGradients:
    """Attributions of a tail's loss to its input features.

    Args:
        tail: features to logits.
        steps: of the integral (midpoint rule), 1 or more; the paper takes 2.
        kind: of the task; None: classification.
    """

    def __init__(self, tail: keras.Model, steps: int, kind: TaskKind | None = None) -> None:
        if steps < 1:
            raise UsageError(
                "integrated gradients need a step", value=steps, remedy="xai_steps=2 as the paper"
            )
        self.steps = steps
        task = kind or Classification()
        self._gradient = input_gradient(
            lambda features, targets: ops.sum(task.per_image_loss(targets, tail(features, training=False)))
        )

    def __call__(self, features: Any, labels: Any) -> np.ndarray:
        """Float32 (B, h, w, c); summed over an image, about loss(features) - loss(0).

        Args:
            features: float (B, h, w, c).
            labels: The targets of the task kind, such as int32 (B,).
        """
        places = [(k + 0.5) / self.steps for k in range(self.steps)]
        gradients = (ops.convert_to_numpy(self._gradient(features * np.float32(p), labels)) for p in places)
        mean: np.ndarray = sum(gradients) / np.float32(self.steps)
        return ops.convert_to_numpy(features) * mean


def normalised(attribution: np.ndarray, kind: Kind) -> np.ndarray:
    """Importance with mean 1 per image from attributions float (B, h, w, c).

    ``pixel``: mean absolute value over the channels, float32 (B, h, w); ``channel``: over the positions,
    float32 (B, c). Without any attribution everything is equally important.
    """
    size = np.abs(attribution).mean(axis=3 if kind == "pixel" else (1, 2))
    return mean_one(size)


def mean_one(values: np.ndarray) -> np.ndarray:
    """Values >= 0 (B, ...) scaled to mean 1 per image; ones where all are 0. float32."""
    mean = values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.where(mean > 1e-12, values / np.maximum(mean, 1e-12), 1.0).astype(np.float32)


def importance_of(
    teacher: TrainedTask, task_dir: Path, train: Split, steps: int, kind: Kind, progress: Progress
) -> np.ndarray:
    """Importance of all training images, float16 (N, h, w) or (N, c).

    Kept in ``task_dir/importance-*.npz``, if that can be written, for other codecs on the same task network.
    """
    path = task_dir / f"importance-{_key(teacher, train, steps, kind)}.npz"
    if path.is_file():
        kept = read_npz(path).get("importance")
        if kept is None or len(kept) != len(train):
            raise TrainingError("not importance maps of these images", value=path, remedy="delete the file")
        return kept
    progress.say(f"importance of {len(train):,} images, {steps} steps each")
    attributions, size = IntegratedGradients(teacher.tail, steps, teacher.kind), train.images.shape[1:3]
    pieces = []
    for start in range(0, len(train), BATCH):
        part = slice(start, start + BATCH)
        images = train.images[part].astype(np.float32) / np.float32(255)
        features = ops.cast(teacher.head(images, training=False), "float32")  # it may compute in less
        targets = teacher.kind.targets(train.labels[part], Moves.none(len(features)), (size[0], size[1]))
        pieces.append(normalised(attributions(features, targets), kind).astype(np.float16))
    importance = np.concatenate(pieces)
    if os.access(task_dir, os.W_OK):
        write_npz(path, {"importance": importance})
    return importance


def _key(teacher: TrainedTask, train: Split, steps: int, kind: Kind) -> str:
    """Sixteen hex digits of everything the maps depend on."""
    digest = hashlib.sha256(json.dumps([steps, kind, len(train)]).encode())
    digest.update(train.images.tobytes())
    digest.update(train.labels.tobytes())
    for variable in (*teacher.head.weights, *teacher.tail.weights):
        digest.update(np.ascontiguousarray(ops.convert_to_numpy(variable)).tobytes())
    return digest.hexdigest()[:16]
