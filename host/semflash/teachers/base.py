"""What a teacher is: it is given images of the data set and gives numbers for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from semflash.teachers.manifest import TeacherRecord

LOGITS, PROBABILITIES, FEATURES = "logits", "probabilities", "features"
#: What :mod:`semflash.teachers.attended` makes of a transformer.
ATTENTION = "attention"


class Teacher(Protocol):
    """A large model that can be asked; a context, at whose end what it holds is let go.

    Attributes:
        record: what it is known by; figures that are measured later are not in it yet.
    """

    record: TeacherRecord

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Answers float32 (n, width) to uint8 images (n, H, W, C): logits of the data set's classes,
        probabilities, or features, as ``record.output`` says.

        Raises:
            TeacherError: it cannot answer.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Plan:
    """A teacher before it runs.

    Attributes:
        record: what it is known by.
        start: makes it ready, with the store's folder for what it has to keep; a context.
    """

    record: TeacherRecord
    start: Callable[[Path], Teacher]
