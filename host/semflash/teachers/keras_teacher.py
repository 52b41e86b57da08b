"""A teacher in a Keras file, or several task networks; they run in this process."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import keras
import numpy as np

from semflash.errors import TeacherError
from semflash.teachers.attended import row_cls
from semflash.teachers.child import pooled
from semflash.teachers.manifest import TeacherRecord
from semflash.teachers.preparing import ImageInput, prepared

_BATCH = 32


class KerasTeacher:
    """Asks a Keras model.

    Args:
        record: what the teacher is known by.
        model: of one image (n, H, W, C), with one output; an attention's queries and keys are two.
        how: images are given to it.
        registers: it answers with an attention, without so many registers; None: it is no attention.
    """

    def __init__(
        self, record: TeacherRecord, model: keras.Model, how: ImageInput, registers: int | None = None
    ) -> None:
        if len(model.outputs) > (1 if registers is None else 2):
            raise TeacherError(
                "a teacher gives one answer",
                value=f"{len(model.outputs)} outputs",
                remedy="a model with one, or with the queries and keys of an attention",
            )
        self.record, self._model, self._how, self._registers = record, model, how, registers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Answers float32 (n, width) to uint8 images (n, H, W, C). TeacherError: they are no rows."""
        pieces = []
        for start in range(0, len(images), _BATCH):
            values = prepared(images[start : start + _BATCH], self._how)
            answer = self._model(values, training=False)
            found = [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(answer)]
            try:
                pieces.append(self._row(found))
            except ValueError as error:
                raise TeacherError(
                    f"the teacher {self.record.name} cannot answer: {error}",
                    remedy="a classifier" if self._registers is None else "a model that gives an attention",
                ) from error
        return np.concatenate(pieces)

    def _row(self, found: list[np.ndarray]) -> np.ndarray:
        if self._registers is None:
            return pooled(found[0], channels_first=False)
        return row_cls(found, self._registers)
