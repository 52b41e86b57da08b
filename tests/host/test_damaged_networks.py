"""Weights, models and checkpoints that are damaged or hostile: project errors, no other file is read."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

from semflash.array_files import read_npz, write_npz  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.importing.network import ImportRequest, import_network  # noqa: E402
from semflash.tasks.keras import files as keras_files  # noqa: E402
from semflash.tasks.keras.files import load_weights_file, read_model  # noqa: E402
from semflash.training.checkpoint import Checkpoint  # noqa: E402
from semflash.training.run_dir import RunInfo  # noqa: E402
from semflash.training.task import load_task  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(2, 3, name="stem"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, name="classes"),
        ]
    )


def refusals(path: Path, read: Callable[[Path], Any], count: int) -> int:
    """How often a file with random damage is refused; any other error than a TrainingError is raised."""
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(count):
        data = bytearray(whole)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice([1, 1, 2, 8])) if data else ():
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(bytes(data))
        try:
            read(path)
        except TrainingError:
            refused += 1
    return refused


def test_a_damaged_checkpoint_is_refused_whatever_the_damage(tmp_path: Path) -> None:
    Checkpoint("recipe", 0, 1, 2, [], [np.zeros((3, 3))], [np.zeros(3)], [np.zeros(())]).save(tmp_path)
    assert (
        refusals(tmp_path / "checkpoint.npz", lambda path: Checkpoint.load(path.parent, "recipe"), 400) > 200
    )


def test_an_archive_without_the_state_of_a_run_is_no_checkpoint(tmp_path: Path) -> None:
    write_npz(tmp_path / "checkpoint.npz", {"weights.0000": np.zeros(3)})
    with pytest.raises(TrainingError, match="not a checkpoint"):
        Checkpoint.load(tmp_path, "recipe")


def test_an_encrypted_archive_and_one_of_a_later_zip_are_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", {"weights.0000": np.zeros(3)})
    whole = (tmp_path / "a.npz").read_bytes()
    directory = whole.index(b"PK\x01\x02")
    for place, value in ((8, 1), (6, 99)):
        data = bytearray(whole)
        data[directory + place] = value
        (tmp_path / "b.npz").write_bytes(bytes(data))
        with pytest.raises(TrainingError, match="cannot read weights"):
            read_npz(tmp_path / "b.npz")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_a_damaged_model_file_is_refused_or_read_and_nothing_else(
    suffix: str, model: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"net{suffix}"
    if suffix == ".weights.h5":
        model.save_weights(path)
        assert refusals(path, lambda file: load_weights_file(model, file), 60) > 5
    else:
        model.save(path)
        assert refusals(path, read_model, 60) > 5


def elsewhere(kind: str, path: Path, secret: Path) -> None:
    """Make the kernel of ``classes`` name another file instead of holding numbers."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(lambda name: names.append(name) if isinstance(file[name], h5py.Dataset) else None)
        name = next(name for name in names if file[name].shape == (2, 2))
        del file[name]
        if kind == "link":
            file[name] = h5py.ExternalLink(str(secret), "kernel")
        elif kind == "raw":
            file.create_dataset(name, (2, 2), np.float32, external=[(str(secret), 0, 16)])
        else:
            layout = h5py.VirtualLayout((2, 2), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "kernel", (2, 2), np.float32)
            file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("kind", ["link", "raw", "virtual"])
def test_weights_that_lie_in_another_file_are_not_read(kind: str, model: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret", "w") as secret:
        secret["kernel"] = np.ones((2, 2), np.float32)
    model.save_weights(tmp_path / "net.weights.h5")
    elsewhere(kind, tmp_path / "net.weights.h5", tmp_path / "secret")
    with pytest.raises(TrainingError, match="in another file are not read"):
        load_weights_file(model, tmp_path / "net.weights.h5")
    model.save(tmp_path / "net.h5")
    elsewhere(kind, tmp_path / "net.h5", tmp_path / "secret")
    with pytest.raises(TrainingError, match="in another file are not read"):
        read_model(tmp_path / "net.h5")
    model.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["model.weights.h5"] = (tmp_path / "net.weights.h5").read_bytes()
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(TrainingError, match="in another file are not read"):
        read_model(tmp_path / "net.keras")


def test_groups_in_a_circle_and_more_numbers_than_allowed_are_survived(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        file["layers/circle"] = file["layers"]
    assert load_weights_file(model, path) == []
    with h5py.File(path, "r+") as file:
        file.create_dataset("huge", (1 << 20, 1 << 20), np.float32, chunks=(1024, 1024))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(TrainingError, match="unpacks to more"):
        load_weights_file(model, path)
    monkeypatch.setattr(keras_files, "FILE_BYTES_MAX", 1 << 60)
    assert load_weights_file(model, path) == []


def test_an_import_that_fails_while_it_writes_leaves_the_older_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(2, 3, activation="relu", name="cut")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    path, out = tmp_path / "net.keras", tmp_path / "task"

    def imported(classes: int, *, overwrite: bool) -> None:
        keras.Model(image, keras.layers.Dense(classes)(pooled)).save(path)
        import_network(ImportRequest(path, "cut", out, overwrite=overwrite))

    imported(3, overwrite=False)
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def full(info: RunInfo, folder: Path) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(RunInfo, "save", full)
        with pytest.raises(OSError, match="no space left"):
            imported(4, overwrite=True)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    imported(4, overwrite=True)
    assert sorted(file.name for file in out.iterdir()) == sorted(before)
    assert load_task(out).tail.output_shape == (None, 4)
