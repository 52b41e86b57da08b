"""From what a job found to its result, with the time that it took and the versions of the packages."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from experiments.studies.study import Study
from semflash import __version__


class Found(Protocol):
    """What a job gives back: rows, other figures, and what its training took in seconds."""

    rows: Any
    figures: dict[str, Any]
    training_s: float


Kind = TypeVar("Kind")


def result_of(study: Study, do: Callable[[], Found], make: Callable[..., Kind]) -> Kind:
    """Do a job and make its result.

    Args:
        study: The job.
        do: Does it.
        make: The structure of the series' results.

    Raises:
        SemflashError: Training or measuring is refused.
    """
    began = time.monotonic()
    found = do()
    whole = time.monotonic() - began  # of this call, which may have gone on with a training
    return make(
        job=study.name,
        group=study.group,
        variant=study.variant,
        seed=study.seed,
        settings=study.settings,
        digest=study.digest,
        rows=found.rows,
        figures=found.figures,
        seconds={"training": round(found.training_s, 1), "job": round(whole, 1)},
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Of the packages."""
    import keras
    import tensorflow as tf

    return {
        "semflash": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
