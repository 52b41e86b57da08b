"""The directory a training run leaves: run.json, history.json, weights.npz (and checkpoint.npz to go on).

Files that belong together are written with :func:`semflash.atomic.several`; reading begins with run.json or
the checkpoint, which bring into place what a killed run had committed.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from semflash import atomic
from semflash.array_files import read_npz, write_json, write_npz
from semflash.data.dataset import Dataset
from semflash.errors import TrainingError

RUN_FILE = "run.json"
WEIGHTS_FILE = "weights.npz"


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What run.json says.

    Attributes:
        kind: ``task`` or ``codec``.
        recipe: the recipe as a dictionary.
        dataset: Name or path of the data set that was learnt from.
        class_names: Its classes, in label order.
        image_shape: (H, W, C) of its images.
        seed: Of everything random in the training.
        versions: Python, Keras, numpy and the backend.
        results: measured figures (accuracies as shares, 0..1).
        data: what the data set is known by (:meth:`semflash.data.source.DataSource.plain`); empty in
            runs of older versions, and where there was none.
    """

    kind: str
    recipe: dict[str, Any]
    dataset: str
    class_names: list[str]
    image_shape: tuple[int, int, int]
    seed: int
    versions: dict[str, str]
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def start(cls, kind: str, recipe: dict[str, Any], data: Dataset, seed: int) -> RunInfo:
        """Describe a run that is about to start."""
        import keras  # whoever only looks what lies here does not wait for it

        versions = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        }
        name = str(recipe.get("dataset", data.name))
        source = {} if data.source is None else data.source.plain()
        return cls(kind, recipe, name, list(data.class_names), data.image_shape, seed, versions, data=source)

    def finished(self, **results: Any) -> RunInfo:
        """The same with results."""
        return dataclasses.replace(self, results=self.results | results)

    def save(self, out_dir: Path) -> None:
        """Write run.json."""
        write_json(out_dir / RUN_FILE, dataclasses.asdict(self))

    @classmethod
    def load(cls, out_dir: Path) -> RunInfo:
        """Read run.json.

        Raises:
            TrainingError: missing or malformed.
        """
        atomic.settle(out_dir)
        path = out_dir / RUN_FILE
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields["image_shape"] = tuple(fields["image_shape"])
            return cls(**fields)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                "no finished training run here", value=out_dir, remedy="run `semflash train` first"
            ) from error


def reached(results: dict[str, Any]) -> float | None:
    """The codec's figure of merit at the best level of its channel's quality; None: not measured.

    >>> reached({"val_accuracy": {"18": 0.6, "-6": 0.4}}), reached({})
    (0.6, None)
    """
    return next(iter(results.get("val_accuracy", {}).values()), None)


def has_run(out_dir: Path) -> bool:
    """Whether a run lies here: a finished one, or one that publishes its state while it goes on."""
    atomic.settle(out_dir)
    return (out_dir / RUN_FILE).is_file()


def save_weights(out_dir: Path, parts: dict[str, Any]) -> None:
    """Write weights.npz: ``part.0000`` and so on, in the order of each part's ``weights``."""
    import keras

    arrays = {
        f"{part}.{index:04d}": np.asarray(keras.ops.convert_to_numpy(variable))
        for part, model in parts.items()
        for index, variable in enumerate(model.weights)
    }
    write_npz(out_dir / WEIGHTS_FILE, arrays)


def load_weights(out_dir: Path, parts: dict[str, Any]) -> None:
    """Put weights.npz into models of the same structure.

    Raises:
        TrainingError: missing, damaged, or of another structure.
    """
    arrays = read_npz(out_dir / WEIGHTS_FILE)
    for part, model in parts.items():
        values = [arrays[key] for key in sorted(arrays) if key.startswith(f"{part}.")]
        if [value.shape for value in values] != [tuple(variable.shape) for variable in model.weights]:
            raise TrainingError(
                f"weights.npz does not fit the {part} that run.json describes",
                value=out_dir,
                remedy="train again",
            )
        for variable, value in zip(model.weights, values, strict=True):
            variable.assign(value)
