"""How much of what the teacher knows is in the student: in its logits, and in what it sends.

- ``logits``: the mean cosine of the student's and the teacher's logits of an image, each less their mean. The
  teacher's are the stored ones of training images as they are (view 0).
- ``geometry``: the mean of what is sent is taken of each class, and of the teacher's logits, too; less the
  mean of all classes, the cosines between two classes say which classes lie close together. Pearson's
  correlation of both sets of cosines says whether that is the same for student and teacher.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from experiments.tosc.measuring import Condition, Measured
from experiments.tosc.names import TEACHERS
from semflash.data.dataset import Dataset, Split
from semflash.teachers.store import TeacherStore, find_store

IMAGES = 5_000


def likeness(codec: Any, data: Dataset, level: float) -> dict[str, Any]:
    """Figures for the first training images at a level of the channel.

    Raises:
        TeacherError: there is no store of the teacher's answers to these images.
    """
    store: TeacherStore = find_store(TEACHERS[data.name], data)
    split = Split(data.train.images[:IMAGES], data.train.labels[:IMAGES])
    index = np.arange(len(split))
    answers = store.logits(index, np.zeros(len(split), np.int64))
    measured = Measured(codec, split, "train", 1)
    noise = np.random.default_rng(0).random((len(split), *codec.noise_shape()), dtype=np.float32)
    logits = measured.logits(measured.maps, noise, Condition(level))
    state = measured.draw.state_of(np.full((len(split), 1), level, np.float32))
    sent = codec.link.carry(codec.project(measured.maps, state), np.full_like(state, level), noise).sent
    sent = np.asarray(keras.ops.convert_to_numpy(sent)).reshape(len(split), -1)
    geometry = correlation(
        class_cosines(sent, split.labels, store.classes), class_cosines(answers, split.labels, store.classes)
    )
    return {
        "images": len(split),
        "level": level,
        "logits": float(mean_cosine(logits, answers)),
        "geometry": float(geometry),
        "agree": float((logits.argmax(-1) == answers.argmax(-1)).mean()),
        "teacher_digest": store.digest,
    }


def mean_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over rows of the cosine of both, each row less its mean; rows without any difference count 0.

    >>> round(mean_cosine(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0]])), 6)
    1.0
    """
    a, b = (each - each.mean(axis=1, keepdims=True) for each in (one.astype(np.float64), other))
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean((a * b).sum(axis=1) / np.maximum(sizes, 1e-12)))


def class_cosines(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Cosines of the classes' means less the mean of all classes, float64 (classes, classes).

    Args:
        values: float (n, k).
        labels: int (n,); every class occurs.
    """
    means = np.stack([values[labels == label].mean(axis=0) for label in range(classes)]).astype(np.float64)
    centred = means - means.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of what stands above the diagonals of two matrices."""
    above = np.triu_indices(len(one), 1)
    return float(np.corrcoef(one[above], other[above])[0, 1])
