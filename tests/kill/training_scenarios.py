"""Operations of training that write; the state is what a later command would load."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kill.scenarios import NOTHING, nothing_before
from kill.stopping import Scenario
from semflash.array_files import read_npz, write_json, write_npz
from semflash.data.cache import cache_dir, cached
from semflash.errors import TrainingError
from semflash.importing import network as import_network
from semflash.tasks.networks import NETWORK_FILE
from semflash.training import loop
from semflash.training.checkpoint import Checkpoint
from semflash.training.run_dir import RunInfo, has_run, load_weights, save_weights

_FINGERPRINT = "f"


class _Variable:
    """As much of a Keras variable as is written and read."""

    def __init__(self, value: float) -> None:
        self.value = np.full((2, 3), value, np.float32)
        self.shape = self.value.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value

    def assign(self, value: np.ndarray) -> None:
        """Take a value."""
        self.value = value


def _model(value: float) -> SimpleNamespace:
    return SimpleNamespace(weights=[_Variable(value)])


def _info(value: float) -> RunInfo:
    return RunInfo("codec", {"network": "imported"}, "d", ["a", "b"], (8, 8, 1), 0, {}, {"value": value})


class _Average:
    updates, values = 4, [np.ones(3, np.float32)]

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _epoch(folder: Path, done: int) -> None:
    """What the training loop writes after an epoch, with its own function."""
    history = [{"epoch": epoch} for epoch in range(1, done + 1)]

    def publish(figures: dict[str, float], place: Path) -> None:
        save_weights(place, {"head": _model(done)})
        _info(done).save(place)

    stage = SimpleNamespace(
        shared=SimpleNamespace(fingerprint=_FINGERPRINT, history=history, out_dir=folder / "run"),
        index=0,
        average=_Average(),
        variables=[np.full(4, done, np.float32)],
        optimizer=SimpleNamespace(variables=[]),
        seeds=[],
        figures={},
        plan=SimpleNamespace(publish=publish, epochs=9),
    )
    loop._Stage._save(stage, done)  # type: ignore[arg-type]


def _look_at_run(folder: Path) -> Any:
    """Everything in a run must be of the same epoch."""
    run = folder / "run"
    checkpoint = Checkpoint.load(run, _FINGERPRINT)
    if checkpoint is None and not has_run(run):
        return NOTHING
    assert checkpoint is not None
    model = _model(-1)
    load_weights(run, {"head": model})
    history = len((run / "history.json").read_text().split("epoch")) - 1
    weights = float(model.weights[0].value[0, 0])
    return [checkpoint.epoch, history, RunInfo.load(run).results["value"], weights]


def _import(folder: Path, value: int) -> None:
    """What an import writes, with its own function; the networks are numbers here."""
    import_network.keep = lambda place, recipe, **parts: write_json(place / NETWORK_FILE, value)
    task = SimpleNamespace(info=_info(value), head=_model(value), tail=_model(value))
    import_network._write(folder / "run", task)  # type: ignore[arg-type]


def _look_at_import(folder: Path) -> Any:
    run = folder / "run"
    if not has_run(run):
        return NOTHING
    model = _model(-1)
    load_weights(run, {"head": model})
    network = int((run / NETWORK_FILE).read_text())
    return [RunInfo.load(run).results["value"], float(model.weights[0].value[0, 0]), network]


def _cache(folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    cached("stamps", {"seed": 1}, lambda: {"images": np.arange(5_000)})


def _damaged_cache(folder: Path) -> None:
    _cache(folder)
    (path,) = cache_dir().iterdir()
    path.write_bytes(path.read_bytes()[:100])


def _look_at_cache(folder: Path) -> Any:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    for path in cache_dir().glob("*.npz"):
        try:
            return int(read_npz(path)["images"].sum())
        except TrainingError:
            return "damaged"
    return NOTHING


def _teacher_cache(folder: Path, value: int) -> None:
    """Importance maps and int8 codes are written so."""
    write_npz(folder / "int8_codes.npz", {"codes": np.full(3_000, value)})


ALL = (
    Scenario("training, first epoch", nothing_before, lambda folder: _epoch(folder, 1), _look_at_run),
    Scenario(
        "training, next epoch",
        lambda folder: _epoch(folder, 1),
        lambda folder: _epoch(folder, 2),
        _look_at_run,
    ),
    Scenario("import, first", nothing_before, lambda folder: _import(folder, 1), _look_at_import),
    Scenario(
        "import, overwrite",
        lambda folder: _import(folder, 1),
        lambda folder: _import(folder, 2),
        _look_at_import,
    ),
    Scenario("data cache, first", nothing_before, _cache, _look_at_cache),
    Scenario(
        "data cache, a damaged file",
        _damaged_cache,
        _cache,
        _look_at_cache,
        lambda seen, old, new: bool(seen == NOTHING),
    ),
    Scenario(
        "teacher cache",
        lambda folder: _teacher_cache(folder, 1),
        lambda folder: _teacher_cache(folder, 2),
        lambda folder: int(read_npz(folder / "int8_codes.npz")["codes"].sum()),
    ),
)
