"""Weights that a residual task network begins with instead of random ones: those of the package, or a run's.

A start has the weights of head and tail in order, ``head.0000`` and so on, as ``weights.npz`` of a run has
them. Everything but the last layer, which names the classes, is taken over. A start of colour images serves
grey ones as well: the first kernel is summed over red, green and blue, which gives what it would have given
for a grey image in three equal channels.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.array_files import read_npz
from semflash.errors import TrainingError
from semflash.tasks.presets import STARTS


def begin_with(
    head: keras.Model,
    tail: keras.Model,
    start: str,
    fit: Callable[[np.ndarray, Any], np.ndarray] | None = None,
) -> None:
    """Put a start's weights into both parts; the last layer stays random.

    Args:
        head: float images (B, H, W, C) to features.
        tail: features to logits; its last two weights are kernel and bias of the last layer.
        start: a name of :data:`semflash.tasks.presets.STARTS`, or the ``weights.npz`` of a run.
        fit: makes an array fit its variable, where a network of another image size is to serve; None: as it
            is.

    Raises:
        TrainingError: the file is missing or damaged, or its network is another one.
    """
    arrays = read_start(start, "task")
    for part, model, left in (("head", head, 0), ("tail", tail, 2)):
        values = [arrays[key].astype(np.float32) for key in sorted(arrays) if key.startswith(f"{part}.")]
        wanted = model.weights[: len(model.weights) - left]
        values = values[: len(wanted)]
        if part == "head" and values and values[0].ndim == 4 and head.input_shape[-1] == 1:
            values[0] = values[0].sum(axis=2, keepdims=True)
        if fit is not None:
            values = [fit(value, one) for value, one in zip(values, wanted, strict=False)]
        found, needed = [value.shape for value in values], [tuple(one.shape) for one in wanted]
        if found != needed:
            raise TrainingError(
                f"the weights to begin with are those of another network: its {part} differs",
                value=start,
                remedy="the widths and head_channels of that network, or no weights: --task-set weights=",
            )
        for variable, value in zip(wanted, values, strict=True):
            variable.assign(value)


def read_start(start: str, which: str) -> dict[str, np.ndarray]:
    """The arrays of a start.

    Args:
        start: a name of :data:`semflash.tasks.presets.STARTS`, or a file.
        which: ``task`` or ``codec``: what of a named start.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    if start in STARTS:
        with as_file(files("semflash.tasks") / "start_weights" / f"{start}-{which}.npz") as path:
            return read_npz(path)
    path = Path(start)
    if not path.is_file():
        raise TrainingError(
            "no weights to begin with here",
            value=start,
            remedy=f"a run's weights.npz, or one of {', '.join(STARTS)}",
        )
    return read_npz(path)
