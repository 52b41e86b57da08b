"""Checkpoints and weight files as .npz, written in one step: none is ever half."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semflash import atomic
from semflash.array_files import read_npz, write_npz
from semflash.errors import TrainingError

CHECKPOINT_FILE = "checkpoint.npz"
#: What is kept as numbered arrays.
_LISTS = ("weights", "average", "optimizer", "seeds")
#: What zipfile and numpy raise for archives that are damaged.
_READ_ERRORS = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands after an epoch.

    Attributes:
        fingerprint: of the recipe.
        stage: Index of the stage.
        epoch: How many epochs of that stage are done.
        updates: training steps the weight average has seen in this stage.
        history: one record per epoch, all stages.
        weights: Values of the stage's variables, in their order.
        average: Their running averages, in the same order.
        optimizer: Values of the optimizer's variables.
        seeds: States of the model's own random generators (dropout); empty in older checkpoints.
    """

    fingerprint: str
    stage: int
    epoch: int
    updates: int
    history: list[dict[str, Any]]
    weights: list[np.ndarray]
    average: list[np.ndarray]
    optimizer: list[np.ndarray]
    seeds: list[np.ndarray] = field(default_factory=list)

    def save(self, out_dir: Path) -> None:
        """Write ``out_dir/checkpoint.npz``."""
        arrays: dict[str, np.ndarray] = {}
        for name in _LISTS:
            arrays |= {f"{name}.{index:04d}": value for index, value in enumerate(getattr(self, name))}
        state = {key: getattr(self, key) for key in ("fingerprint", "stage", "epoch", "updates", "history")}
        arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        write_npz(out_dir / CHECKPOINT_FILE, arrays)

    @classmethod
    def load(cls, out_dir: Path, fingerprint: str) -> Checkpoint | None:
        """Read the checkpoint of a run; None where there is none yet.

        Raises:
            TrainingError: damaged, or written by another recipe.
        """
        atomic.settle(out_dir)
        path = out_dir / CHECKPOINT_FILE
        if not path.exists():
            return None
        arrays = read_npz(path)
        try:
            state = json.loads(arrays["state"].tobytes())
            written_by = state["fingerprint"]
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                "not a checkpoint", value=path, remedy="delete it, and train again"
            ) from error
        if written_by != fingerprint:
            raise TrainingError(
                "the checkpoint here was written by another recipe",
                value=path,
                remedy="choose another output directory, or delete the checkpoint",
            )
        fields: dict[str, Any] = dict(state)
        for name in _LISTS:
            fields[name] = [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}.")]
        return cls(**fields)
