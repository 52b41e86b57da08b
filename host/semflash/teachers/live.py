"""A teacher asked while a student learns: what a store spares. It has a store's interface, to compare both.

with live_teacher as teacher:
    logits = teacher.logits(indices, views)
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np

from semflash.data.dataset import Dataset
from semflash.errors import TeacherError
from semflash.teachers.answers import log_softmax
from semflash.teachers.base import FEATURES, PROBABILITIES, Teacher
from semflash.teachers.head import Head
from semflash.teachers.manifest import TeacherRecord
from semflash.teachers.store import TeacherStore

_SUM_ERROR = 1e-2
#: Least probability that a logarithm is taken of.
_LEAST = 1e-9


class LiveTeacher:
    """Answers computed when they are asked for.

    Args:
        store: whose teacher, head, views and settings are used; its answers are not.
        data: the data set of the store.
        teacher: the one that made the store.

    Raises:
        TeacherError: it is another teacher, or its head is missing.
    """

    def __init__(self, store: TeacherStore, data: Dataset, teacher: Teacher) -> None:
        known = store.manifest.teacher
        asked = teacher.record
        if (known.name, known.sha256, known.settings) != (asked.name, asked.sha256, asked.settings):
            raise TeacherError(
                "the store was made by another teacher",
                value=f"{known.name} {known.sha256[:16]}, not {asked.name} {asked.sha256[:16]}",
                remedy="open the teacher with the options of `semflash teach`",
            )
        self._store, self._data, self._teacher = store, data, teacher
        self._head = Head.load(store.folder, known.head_sha256) if known.output == FEATURES else None
        self.classes, self.views, self.digest = store.classes, store.views, store.digest
        self.answer_shape = store.answer_shape

    def __enter__(self) -> Self:
        self._teacher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._teacher.__exit__(kind, error, trace)

    def logits(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """As :meth:`TeacherStore.logits`: float32 (n, classes), less their log-sum-exp."""
        if not len(indices):
            return np.zeros((0, self.classes), np.float32)
        partners, _ = self.mixture(indices, views)
        own, others = (np.asarray(self._data.train.images[numbers]) for numbers in (indices, partners))
        images = self.view_images(own, indices, views, others)
        rows = self._teacher.ask(images)
        return log_softmax(as_logits(rows, self._store.manifest.teacher, self._head)).astype(np.float32)

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`TeacherStore.mixture`."""
        return self._store.mixture(indices, views)

    def view_images(
        self, images: np.ndarray, indices: np.ndarray, views: np.ndarray, others: np.ndarray | None = None
    ) -> np.ndarray:
        """As :meth:`TeacherStore.view_images`."""
        return self._store.view_images(images, indices, views, others)

    def record(self) -> dict[str, Any]:
        """As :meth:`TeacherStore.record`."""
        return self._store.record()


def as_logits(rows: np.ndarray, record: TeacherRecord, head: Head | None) -> np.ndarray:
    """Logits float (n, classes) of what a teacher gave, as its record says what that is."""
    if head is not None:
        return head(rows)
    if record.output == PROBABILITIES:
        logarithms: np.ndarray = np.log(np.maximum(rows.astype(np.float64), _LEAST))
        return logarithms
    return rows


def look_like_probabilities(rows: np.ndarray) -> bool:
    """Whether no number is below 0 and each row sums to 1: the network ends in a softmax."""
    values = rows.astype(np.float64)
    return bool((values >= 0).all() and (np.abs(values.sum(axis=1) - 1) < _SUM_ERROR).all())
