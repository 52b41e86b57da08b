"""Training runs: complete directories, resume to the same weights, refusal of nonsense."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from fakes.training_runs import QUIET, StopAfter, bars, weights  # noqa: E402
from semflash.codecs.device_side import GdnTailSpec  # noqa: E402
from semflash.data.augment import Augmentation, augment  # noqa: E402
from semflash.errors import DatasetError, TrainingError, UsageError  # noqa: E402
from semflash.training import loop  # noqa: E402
from semflash.training.codec import train_codec  # noqa: E402
from semflash.training.models import load_run  # noqa: E402
from semflash.training.progress import Progress  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe, task_recipe  # noqa: E402
from semflash.training.task import load_task, train_task_network  # noqa: E402
from semflash.training.validation import REPORT_BERS  # noqa: E402

TASK = dataclasses.replace(task_recipe("tiny"), epochs=2, ema_decay=0.8, widths=(8,))
CODEC = dataclasses.replace(codec_recipe("tiny"), autoencoder_epochs=2, task_epochs=2, ema_decay=0.8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars(tmp_path_factory.mktemp("bars"), 0)


@pytest.fixture(scope="module")
def task_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("task")
    train_task_network(TASK, out, data_dir=data_dir, progress=QUIET)
    return out


@pytest.fixture(scope="module")
def codec_dir(data_dir: Path, task_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codec")
    train_codec(CODEC, task_dir, out, data_dir=data_dir, progress=QUIET)
    return out


def test_a_task_run_leaves_a_directory_that_loads_to_the_same_accuracy(task_dir: Path, data_dir: Path):
    run = json.loads((task_dir / "run.json").read_text())
    assert run["recipe"]["name"] == "tiny" and run["seed"] == 0 and run["versions"]["keras"]
    history = json.loads((task_dir / "history.json").read_text())
    assert [record["epoch"] for record in history] == [1, 2]
    assert not list(task_dir.glob(".*"))
    from semflash.data.registry import load_dataset

    again = load_task(task_dir)
    val = load_dataset("fashion-mnist", data_dir=data_dir).val
    assert again.accuracy(val) == run["results"]["val_accuracy"]


def test_a_codec_run_loads_with_everything_the_export_needs(codec_dir: Path):
    trained = load_run(codec_dir)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    codes = trained.encode_codes(images)
    assert codes.shape == (5, 4, 4, 4) and codes.dtype == np.uint8 and codes.max() < 8
    spec = trained.codec.device_tail()
    assert isinstance(spec, GdnTailSpec) and spec.labels is None
    assert spec.beta.shape == (4,) and spec.gamma.shape == (4, 4)
    assert spec.alpha.shape == (4,) and (np.diff(spec.centres) >= 0).all()
    values = spec.centres[codes]
    features = trained.codec.decoder([values, np.zeros((5, 1), np.float32)])
    assert tuple(trained.tail(features).shape) == (5, 10)
    figures = trained.info.results["val_accuracy"]
    assert list(figures) == [f"{ber:g}" for ber in REPORT_BERS]


def test_a_run_stopped_in_each_stage_resumes_to_the_same_weights(
    codec_dir: Path, task_dir: Path, data_dir: Path, tmp_path: Path
):
    for epochs in (1, 2):  # one epoch of stage 1; the rest of it and one epoch of stage 2
        with pytest.raises(KeyboardInterrupt):
            train_codec(CODEC, task_dir, tmp_path, data_dir=data_dir, progress=StopAfter(epochs))
        assert (tmp_path / "checkpoint.npz").exists()
    train_codec(CODEC, task_dir, tmp_path, data_dir=data_dir, progress=QUIET)
    expected, found = weights(codec_dir), weights(tmp_path)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key


def test_a_checkpoint_of_another_recipe_is_refused(task_dir: Path, data_dir: Path, tmp_path: Path):
    shutil.copytree(task_dir, tmp_path / "copy")
    other = dataclasses.replace(TASK, peak=0.1)
    with pytest.raises(TrainingError, match="another recipe"):
        train_task_network(other, tmp_path / "copy", data_dir=data_dir, progress=QUIET)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_truncated_checkpoint_or_weight_file_is_a_clear_error(keep: int, codec_dir: Path, tmp_path: Path):
    shutil.copytree(codec_dir, tmp_path / "copy")
    path = tmp_path / "copy" / "weights.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError, match="cannot read weights"):
        load_run(tmp_path / "copy")


def test_weights_of_another_structure_are_refused(codec_dir: Path, tmp_path: Path):
    shutil.copytree(codec_dir, tmp_path / "copy")
    run = json.loads((tmp_path / "copy" / "run.json").read_text())
    run["recipe"]["built_sizes"]["decoder_width"] = 12
    (tmp_path / "copy" / "run.json").write_text(json.dumps(run))
    with pytest.raises(TrainingError, match="does not fit"):
        load_run(tmp_path / "copy")


def test_an_empty_directory_or_the_wrong_kind_of_run_is_refused(task_dir: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="no finished training run"):
        load_run(tmp_path)
    with pytest.raises(TrainingError, match="not the run of a codec"):
        load_run(task_dir)


def test_a_loss_that_is_not_finite_stops_the_run(data_dir: Path, tmp_path: Path):
    wild = dataclasses.replace(TASK, peak=float("inf"))
    with pytest.raises(TrainingError, match="finite"):
        train_task_network(wild, tmp_path, data_dir=data_dir, progress=QUIET)


def test_missing_data_is_a_data_set_error(tmp_path: Path):
    with pytest.raises(DatasetError, match="apt-get"):
        train_task_network(TASK, tmp_path / "out", data_dir=tmp_path, progress=QUIET)


def test_unknown_recipes_are_usage_errors_that_list_the_known():
    with pytest.raises(UsageError, match="fashion-mnist"):
        task_recipe("mnist-xl")
    with pytest.raises(UsageError, match="fashion-mnist-48"):
        codec_recipe("tinny")


def test_progress_writes_one_line_per_epoch_when_it_is_no_terminal(data_dir: Path, tmp_path: Path):
    stream = io.StringIO()
    train_task_network(TASK, tmp_path, data_dir=data_dir, progress=Progress(stream))
    epochs = [line.split()[1] for line in stream.getvalue().splitlines() if "/2" in line]
    assert epochs == ["1/2", "2/2"]


def test_the_weight_average_follows_the_weights_and_gives_them_back():
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
    model.build((None, 1))
    model.weights[0].assign([[0.0]])
    average = loop.Average(model.weights, 0.5)
    model.weights[0].assign([[1.0]])
    for _ in range(loop.EMA_EVERY_STEPS):
        average.update()
    keep = (5 / 14) ** loop.EMA_EVERY_STEPS
    with average:
        assert float(model.weights[0].numpy()[0, 0]) == pytest.approx(1 - keep, rel=1e-5)
    assert float(model.weights[0].numpy()[0, 0]) == 1.0


def test_augmentation_is_seeded_and_keeps_shape_and_range():
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
    how = Augmentation(erase=0.5)
    first, second = (augment(images, how, np.random.default_rng(3)) for _ in range(2))
    assert (first == second).all() and first.shape == images.shape and first.dtype == np.float32
    assert first.min() >= 0.0 and first.max() <= 1.0 and not (first == images / np.float32(255)).all()


def test_without_augmentation_images_are_only_scaled():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    out = augment(images, Augmentation(0.0, 0, 0.0), np.random.default_rng(0))
    assert (out == images.astype(np.float32) / np.float32(255)).all()
