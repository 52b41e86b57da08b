"""Large data on tiny files: images left on disk, the tf.data pipeline, mixed precision, several workers."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("tensorflow")

import keras

from fakes import distributed_training
from fakes.noise_folders import noise_folder
from fakes.turned_images import save_turned
from semflash.bundle import read_bundle
from semflash.codecs.layers.channel import BerRange
from semflash.data import lazy as lazy_images
from semflash.data.augment import NO_AUGMENTATION, Augmentation, augment
from semflash.data.dataset import Split
from semflash.data.lazy import LazyImages
from semflash.data.registry import load_dataset
from semflash.edge.golden import GoldenEncoder
from semflash.errors import DatasetError, UsageError
from semflash.tasks.keras.config import describe, rebuild
from semflash.tasks.residual import computing_in
from semflash.training import distribution as distributions
from semflash.training.codec import train_codec
from semflash.training.codec_plans import variance_of
from semflash.training.distribution import distribution
from semflash.training.importance import importance_of
from semflash.training.models import load_run
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.large import LARGE_CODECS
from semflash.training.recipes.overrides import override
from semflash.training.task import load_task, train_task_network
from semflash.training.tf_batches import ChannelInputs, TfBatches

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data and tf.distribute are TensorFlow's"
)
WORKER = Path(__file__).parents[1] / "fakes" / "distributed_training.py"
CROPPED = Augmentation(0.5, 2, 0.5, crop_area=0.4)
QUIET = Progress(quiet=True)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_images, "IN_MEMORY_MAX_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return noise_folder(tmp_path / "data", suffix=".jpeg", size=(40, 36))


def test_a_folder_larger_than_memory_stays_on_disk_and_reads_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded = load_dataset(folder)
    monkeypatch.setattr(lazy_images, "IN_MEMORY_MAX_BYTES", 0)
    lazy = load_dataset(folder)
    assert lazy.image_shape == (32, 32, 3) and lazy.class_names == loaded.class_names
    for split in ("train", "val", "test"):
        kept, read = getattr(lazy, split), getattr(loaded, split)
        assert isinstance(kept.images, LazyImages) and isinstance(read.images, np.ndarray)
        assert np.array_equal(np.asarray(kept.images), read.images)
        assert np.array_equal(kept.labels, read.labels)


def test_lazy_images_take_the_indices_an_array_takes(folder: Path, on_disk: None):
    lazy = load_dataset(folder).train.images
    whole = lazy.read()
    assert lazy.shape == whole.shape == (54, 32, 32, 3) and len(lazy) == 54
    chosen = np.array([5, 3, 3, 40])
    assert np.array_equal(lazy[chosen], whole[chosen]) and np.array_equal(lazy[-1], whole[-1])
    assert isinstance(lazy[10:20], LazyImages) and np.array_equal(np.asarray(lazy[10:20]), whole[10:20])
    assert np.array_equal(lazy[:4].astype(np.float32), whole[:4].astype(np.float32))


def test_a_file_that_broke_meanwhile_is_an_error_with_its_name(folder: Path, on_disk: None):
    images = load_dataset(folder).train.images
    images.paths[2].write_bytes(b"no image")
    with pytest.raises(DatasetError, match=images.paths[2].name):
        images.read()


def test_a_file_that_broke_meanwhile_stops_the_pipeline_with_a_data_set_error(folder: Path, on_disk: None):
    train = load_dataset(folder).train
    train.images.paths[2].write_bytes(b"no image")
    with pytest.raises(DatasetError, match="cannot read a training image"):
        batches(train, NO_AUGMENTATION)


def batches(data: Split, how: Augmentation, seed: int = 0, **more: object) -> list[tuple[object, np.ndarray]]:
    made = TfBatches(data, 8, how, **more)(np.random.default_rng(seed))  # type: ignore[arg-type]
    return [(x if isinstance(x, dict) else x.numpy(), y.numpy()) for x, y in made]


def test_the_pipeline_reads_files_as_the_numpy_way_does(folder: Path, on_disk: None):
    train = load_dataset(folder).train
    order = np.random.default_rng(0).permutation(54)[:48]
    found = batches(train, NO_AUGMENTATION)
    assert np.array_equal(np.concatenate([y for _, y in found]), train.labels[order])
    images = np.concatenate([x for x, _ in found])
    assert images.dtype == np.float32
    # another JPEG decoder and another rounding of the same bilinear filter
    difference = np.abs(images - train.images[order] / 255.0)
    assert difference.max() < 8 / 255 and difference.mean() < 2 / 255


def test_the_pipeline_repeats_itself_and_another_seed_gives_other_images(folder: Path, on_disk: None):
    train = load_dataset(folder).train
    first, again, other = (batches(train, CROPPED, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    assert all(x.min() >= 0 and x.max() <= 1 and x.shape == (8, 32, 32, 3) for x, _ in first)


def test_augmentation_mirrors_shifts_and_erases_as_often_as_told():
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, None, :, None] * 10 + 50, (400, 16, 16, 3))
    data = Split(np.ascontiguousarray(ramp), np.zeros(400, np.int32))
    plain = ramp[0] / 255.0
    mirrored = np.concatenate([x for x, _ in batches(data, Augmentation(0.25, 0, 0.0))])
    share = np.isclose(mirrored, plain[:, ::-1], atol=1e-6).all((1, 2, 3)).mean()
    assert 0.18 < share < 0.32
    shifted = np.concatenate([x for x, _ in batches(data, Augmentation(0.0, 3, 0.0))])
    dark = {int((image[8, :, 0] == 0).sum()) for image in shifted}
    assert dark == {0, 1, 2, 3}
    erased = np.concatenate([x for x, _ in batches(data, Augmentation(0.0, 0, 0.5, 0.5))])
    changed = (np.abs(erased - plain) > 1e-6).any(-1)
    assert 0.4 < changed.any((1, 2)).mean() < 0.6
    assert changed.sum((1, 2)).max() <= 8 * 8


def test_random_crops_keep_at_least_the_stated_area():
    """Position is coded in the colours, so a crop shows in the range that is left."""
    grid = np.stack(np.meshgrid(np.arange(64), np.arange(64), [0], indexing="ij"), -1)[:, :, 0] * 4
    data = Split(np.repeat(grid[None].astype(np.uint8), 64, 0), np.zeros(64, np.int32))
    images = np.concatenate([x for x, _ in batches(data, Augmentation(0.0, 0, 0.0, crop_area=0.25))])
    kept = np.ptp(images[..., 0], axis=(1, 2)) * np.ptp(images[..., 1], axis=(1, 2)) * (255 / 252) ** 2
    assert 0.2 < kept.min() < 0.45 and kept.max() > 0.7


def test_a_codec_gets_channel_inputs_and_a_worker_its_own_rows():
    rng = np.random.default_rng(0)
    data = Split(rng.integers(0, 256, (40, 8, 8, 1)).astype(np.uint8), np.arange(40, dtype=np.int32))
    channel = ChannelInputs(BerRange(), (2, 2, 4, 3), estimate_noise=0.3)
    whole = batches(data, Augmentation(), channel=channel)
    parts = [batches(data, Augmentation(), channel=channel, rank=rank, workers=2) for rank in (0, 1)]
    assert len(whole) == 5
    for (x, y), (first, y0), (second, y1) in zip(whole, *parts, strict=True):
        assert set(x) == {"image", "noise", "ber", "told"} and x["noise"].shape == (8, 2, 2, 4, 3)
        assert np.array_equal(y, np.concatenate([y0, y1]))
        for name, value in x.items():
            assert np.array_equal(value, np.concatenate([first[name], second[name]]))


def test_what_the_pipeline_cannot_do_is_refused(folder: Path):
    boxes = Split(np.zeros((8, 8, 8, 3), np.uint8), np.zeros((8, 1, 6), np.float32))
    with pytest.raises(UsageError, match="for classification"):
        TfBatches(boxes, 4, NO_AUGMENTATION)
    plain = Split(boxes.images, np.zeros(8, np.int32))
    with pytest.raises(UsageError, match="divide by the 3 workers"):
        TfBatches(plain, 4, NO_AUGMENTATION, workers=3)
    foreign = LazyImages([Path("a.png"), Path("b.webp")], (8, 8))
    with pytest.raises(DatasetError, match=r"reads \.png, \.jpg, \.jpeg, \.bmp files") as caught:
        TfBatches(Split(foreign, np.zeros(2, np.int32)), 2, NO_AUGMENTATION)
    assert caught.value.value == Path("b.webp")
    with pytest.raises(UsageError, match=r"tf\.data only"):
        augment(plain.images, CROPPED, np.random.default_rng(0))


def test_a_network_trains_from_files_in_mixed_precision_and_resumes_to_the_same_loss(
    folder: Path, tmp_path: Path, on_disk: None, monkeypatch: pytest.MonkeyPatch
):
    recipe = replace(
        task_recipe("tiny"),
        dataset=str(folder),
        epochs=2,
        batch=16,
        pipeline="tf.data",
        precision="mixed_bfloat16",
        augmentation=CROPPED,
        image_size=24,
    )
    train_task_network(recipe, tmp_path / "whole", progress=QUIET)
    with monkeypatch.context() as patched:
        patched.setattr("semflash.training.loop._Stage._save", _interrupted_after(2))
        with pytest.raises(KeyboardInterrupt):
            train_task_network(recipe, tmp_path / "stopped", progress=QUIET)
    resumed = train_task_network(recipe, tmp_path / "stopped", progress=QUIET)
    whole, stopped = (
        json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "stopped")
    )
    assert [e["epoch"] for e in stopped] == [1, 2]
    assert [e["loss"] for e in stopped] == pytest.approx([e["loss"] for e in whole], abs=2e-3)
    assert {v.dtype for v in resumed.tail.weights} == {"float32"}
    assert resumed.head.layers[1].compute_dtype == "bfloat16"
    assert load_task(tmp_path / "stopped").head.layers[1].compute_dtype == "float32"


def _interrupted_after(number: int) -> object:
    """_Stage._save that is Ctrl-C when ``number`` epochs are done, and saves before that."""
    from semflash.training.loop import _Stage

    save = _Stage._save

    def interrupted(self: object, epochs_done: int) -> None:
        if epochs_done == number:
            raise KeyboardInterrupt
        save(self, epochs_done)  # type: ignore[arg-type]

    return interrupted


def test_importance_maps_of_images_on_disk_are_refused(folder: Path, tmp_path: Path, on_disk: None):
    recipe = replace(task_recipe("tiny"), dataset=str(folder), epochs=1, batch=16)
    train_task_network(recipe, tmp_path / "task", progress=QUIET)
    codec = replace(codec_recipe("tiny"), dataset=str(folder), batch=16, xai_weight=0.1)
    with pytest.raises(UsageError, match="images in memory"):
        train_codec(codec, tmp_path / "task", tmp_path / "codec", progress=QUIET)


def test_the_large_recipes_have_the_methods_terms_and_take_importance_by_the_numpy_pipeline(
    folder: Path, tmp_path: Path
):
    for recipe in LARGE_CODECS:
        assert (recipe.usage_weight, recipe.estimate_noise) == (0.05, 0.5) and recipe.xai_weight == 0
    said = ["pipeline=numpy", "xai_weight=0.3"]  # in docs/large-data.md
    recipe = override(codec_recipe("cifar100-resnet50"), {"dataset": str(folder)}, said)
    tiny = codec_recipe("tiny")
    brief = {"batch": 16, "autoencoder_epochs": 0, "task_epochs": 1, "sizes": tiny.sizes}
    train_task_network(
        replace(task_recipe("tiny"), dataset=str(folder), batch=16), tmp_path / "task", progress=QUIET
    )
    train_codec(replace(recipe, **brief), tmp_path / "task", tmp_path / "codec", progress=QUIET)
    assert recipe.precision == "mixed_bfloat16" and recipe.xai_weight == 0.3
    (kept,) = (tmp_path / "task").glob("importance-*.npz")
    with np.load(kept) as file:
        found = file["importance"].astype(np.float32)
    plain = load_task(tmp_path / "task")
    train = load_dataset(folder).train
    expected = importance_of(plain, tmp_path / "none", train, 2, "pixel", QUIET).astype(np.float32)
    assert np.abs(found - expected).mean() < 0.05 and expected.std() > 0.2


def test_the_variance_of_features_in_bfloat16_is_that_in_float32(folder: Path):
    images = load_dataset(folder).train.images
    keras.utils.set_random_seed(0)
    head = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, activation="relu")])
    with computing_in("mixed_bfloat16"):
        less = rebuild(describe(head), "head")
    less.set_weights(head.get_weights())
    features = np.asarray(head(images.astype(np.float32) / 255))
    assert less(images[:1] / 255).dtype == "bfloat16"
    assert variance_of(head, images) == pytest.approx(features.var(), rel=1e-4)
    assert variance_of(less, images) == pytest.approx(features.var(), rel=0.02)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def two_workers(data: Path, out: Path, part: str) -> None:
    """Train with two worker processes of this machine; both end without an error."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {
            "TF_CONFIG": json.dumps(cluster),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "CUDA_VISIBLE_DEVICES": "",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "KERAS_BACKEND": "tensorflow",
        }
        command = [sys.executable, str(WORKER), str(data), str(out), part]
        workers.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
    try:
        outputs = [worker.communicate(timeout=600)[0].decode() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], outputs


def losses_of(run: Path) -> list[float]:
    """Of every epoch of a run."""
    return [record["loss"] for record in json.loads((run / "history.json").read_text())]


def largest_difference(first: Path, second: Path) -> float:
    """Between the weights of two runs."""
    with np.load(first / "weights.npz") as one, np.load(second / "weights.npz") as other:
        assert one.files == other.files
        return max(float(np.abs(one[name] - other[name]).max()) for name in one.files)


def test_two_workers_get_the_loss_of_one_process(tmp_path: Path):
    data, alone, two = noise_folder(tmp_path / "data"), tmp_path / "alone", tmp_path / "two"
    distributed_training.train(data, alone, "task")
    two_workers(data, two, "task")
    assert losses_of(two / "task") == pytest.approx(losses_of(alone / "task"), abs=1e-3)
    assert largest_difference(alone / "task", two / "task") < 1e-3


@pytest.mark.slow
def test_two_workers_that_read_files_by_tf_data_get_the_losses_of_one_process_for_a_codec_too(
    tmp_path: Path, on_disk: None
):
    """Task network, then both stages of a codec; about 50 s of CPU time in three processes."""
    data, alone, two = noise_folder(tmp_path / "data"), tmp_path / "alone", tmp_path / "two"
    distributed_training.train(data, alone, "codec")
    two_workers(data, two, "codec")
    for part in ("task", "codec"):
        assert losses_of(two / part) == pytest.approx(losses_of(alone / part), abs=1e-3)
        assert largest_difference(alone / part, two / part) < 1e-3
    assert len(losses_of(two / "codec")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_missing_or_malformed_cluster_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(distributions.CLUSTER_VARIABLE, text)
    with pytest.raises(UsageError, match="TF_CONFIG does not name"):
        distribution("multi-worker")


def test_mirroring_needs_a_gpu(monkeypatch: pytest.MonkeyPatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(UsageError, match="no GPU"):
        distribution("mirrored")
    assert distribution(None).replicas == 1 and distribution(None).chief


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imagenet200-mobilenetv2", "cifar100-resnet50"])
def test_a_recipe_for_large_data_trains_and_loads_on_tiny_data(name: str, tmp_path: Path, on_disk: None):
    """As the recipe says, but for epochs and batch: two steps of network and codec, from files."""
    data = noise_folder(tmp_path / "data", train=6, test=1, suffix=".jpeg", size=(60, 50))
    task, codec = task_recipe(name), codec_recipe(name)
    brief = {"dataset": str(data), "batch": 4}
    train_task_network(replace(task, epochs=1, **brief), tmp_path / "task", progress=QUIET)
    trained = train_codec(
        replace(codec, autoencoder_epochs=1, task_epochs=1, **brief),
        tmp_path / "task",
        tmp_path / "codec",
        progress=QUIET,
    )
    assert trained.codec.payload_bytes == {"imagenet200-mobilenetv2": 3528}.get(name, 48)
    loaded = load_run(tmp_path / "codec")
    for model in (loaded.codec.device_graph, loaded.tail, loaded.codec.decoder):
        assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}
    images = load_dataset(str(data), image_size=loaded.info.image_shape[:2]).test.images.read()
    assert np.array_equal(loaded.encode_codes(images), trained.encode_codes(images))


def test_the_costs_in_the_page_on_large_data_are_what_its_script_computes(monkeypatch: pytest.MonkeyPatch):
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    script = importlib.import_module("large_data")
    block = script.table_of(["cifar100-mobilenetv2"])
    page = (root / "docs" / "large-data.md").read_text()
    assert script.missing(block, page) == []
    assert "| 35,100 |" in block and "| 17,550 |" in block  # 100 and 50 epochs of 45,000 / 128 batches
    changed = script.missing(block, page.replace("| 17,550 |", "| 17,551 |"))
    assert len(changed) == 1 and changed[0].startswith("| `cifar100-mobilenetv2`, codec")


@pytest.mark.slow
def test_all_costs_in_the_page_on_large_data_are_what_its_script_computes():
    script = Path(__file__).parents[2] / "benchmarks" / "large_data.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_network_described_in_mixed_precision_is_rebuilt_in_the_precision_of_the_moment():
    with computing_in("mixed_bfloat16"):
        mixed = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
        described = describe(mixed)
        again = rebuild(described, "network")
    plain = rebuild(described, "network")
    assert "bfloat16" not in json.dumps(described)
    assert [layer.compute_dtype for layer in again.layers] == ["bfloat16"] * 2
    assert [layer.compute_dtype for layer in plain.layers] == ["float32"] * 2


def test_the_golden_encoder_takes_images_from_disk(
    folder: Path, on_disk: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("semflash.edge.golden.BATCH", 20)
    encoder, images = GoldenEncoder(read_bundle("stamps-48")), load_dataset(folder).train.images
    payloads = encoder.payloads(images)
    assert payloads.shape == (54, 48) and np.array_equal(payloads, encoder.payloads(images.read()))
    assert encoder.payloads(images[:0]).shape == (0, 48)


def test_the_pipeline_puts_images_upright_by_their_exif_orientation(tmp_path: Path, on_disk: None):
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16, :16], image[:16, 16:], image[16:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    for part in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for orientation in range(1, 9):
                save_turned(tmp_path / part / name / f"{orientation}.png", image, orientation)
    data = load_dataset(tmp_path)
    assert sorted(set(data.test.images.orientations)) == list(range(1, 9))
    (x, _), (y, _) = batches(data.test, NO_AUGMENTATION)
    assert (np.concatenate([x, y]) == image / np.float32(255)).all()
