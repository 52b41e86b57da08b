"""A teacher in a Keras file, or several task networks; they run in this process."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import keras
import numpy as np

from semflash.errors import TeacherError
from semflash.teachers.child import pooled
from semflash.teachers.manifest import TeacherRecord
from semflash.teachers.preparing import ImageInput, prepared

_BATCH = 32


class KerasTeacher:
    """Asks a Keras model.

    Args:
        record: what the teacher is known by.
        model: of one image (n, H, W, C), with one output.
        how: images are given to it.
    """

    def __init__(self, record: TeacherRecord, model: keras.Model, how: ImageInput) -> None:
        if len(model.outputs) != 1:
            raise TeacherError(
                "a teacher gives one answer", value=f"{len(model.outputs)} outputs", remedy="a model with one"
            )
        self.record, self._model, self._how = record, model, how

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
            answer = keras.ops.convert_to_numpy(self._model(values, training=False))
            try:
                pieces.append(pooled(answer, channels_first=False))
            except ValueError as error:
                raise TeacherError(
                    f"the teacher {self.record.name} cannot answer: {error}", remedy="a classifier"
                ) from error
        return np.concatenate(pieces)
