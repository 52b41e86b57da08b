"""A codec on another task network, the stage on the device's codes, and their export; a killed training."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from fakes.training_runs import QUIET, TASK, WHOLE, StopAfter, bars, weights  # noqa: E402
from semflash.bundle.packing import unpack  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.conversion.content import content_sha256  # noqa: E402
from semflash.data.registry import load_dataset  # noqa: E402
from semflash.edge.decoder import EdgeDecoder  # noqa: E402
from semflash.edge.golden import GoldenEncoder  # noqa: E402
from semflash.errors import ExportError, TrainingError, UsageError  # noqa: E402
from semflash.program.stages import TableTail, Tail  # noqa: E402
from semflash.program.tensors import Codes  # noqa: E402
from semflash.training.codec import train_codec  # noqa: E402
from semflash.training.models import load_run, measure_accuracy  # noqa: E402
from semflash.training.progress import Progress  # noqa: E402
from semflash.training.recipes.catalogue import as_released  # noqa: E402
from semflash.training.recipes.recipe import CodecRecipe  # noqa: E402
from semflash.training.task import load_task, train_task_network  # noqa: E402
from semflash.training.transfer import Transfer  # noqa: E402

DEVICE = dataclasses.replace(WHOLE, autoencoder_epochs=0, task_epochs=1, int8_epochs=2)


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Six steps per epoch are faster step by step than compiled; test_training_runs.py compiles."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars(tmp_path_factory.mktemp("bars"), 0)


@pytest.fixture(scope="module")
def task_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("task")
    train_task_network(TASK, out, data_dir=data_dir, progress=QUIET)
    return out


def trained(
    recipe: CodecRecipe, task_dir: Path, out: Path, data_dir: Path, progress: Progress = QUIET
) -> Path:
    train_codec(recipe, task_dir, out, data_dir=data_dir, progress=progress)
    return out


@pytest.fixture(scope="module")
def codec_dir(data_dir: Path, task_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(WHOLE, task_dir, tmp_path_factory.mktemp("codec"), data_dir)


@pytest.fixture(scope="module")
def device_dir(data_dir: Path, task_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("device")
    shutil.copytree(task_dir, run / "task")
    trained(DEVICE, task_dir, run / "codec", data_dir)
    return run


def device_weights(out: Path) -> dict[str, np.ndarray]:
    return {k: v for k, v in weights(out).items() if not k.startswith(("decoder.", "tail."))}


def test_the_history_shows_the_use_of_the_codes_in_every_stage(codec_dir: Path):
    history = json.loads((codec_dir / "history.json").read_text())
    assert [record["stage"] for record in history] == ["autoencoder", "task", "task"]
    assert all(0 < record["centres_used"] <= 1 and record["usage_bits"] <= 3 for record in history)
    results = json.loads((codec_dir / "run.json").read_text())["results"]
    assert {"centres_used", "usage_bits", "val_accuracy"} <= set(results)


def test_a_run_s_accuracy_is_that_of_its_codes_under_bit_flips(codec_dir: Path, data_dir: Path):
    run = load_run(codec_dir)
    split = load_dataset("fashion-mnist", data_dir=data_dir).val
    figures = run.info.results["val_accuracy"]
    rng = np.random.default_rng(1)
    codes = run.encode_codes(split.images).astype(np.int32)
    flips = rng.random((*codes.shape, 3), dtype=np.float32) < 0.05
    received = codes ^ (flips @ np.array([4, 2, 1])).astype(np.int32)
    features = run.codec.decode(received, np.full((len(codes), 1), 0.05, np.float32))
    expected = (np.asarray(keras.ops.convert_to_numpy(run.tail(features))).argmax(-1) == split.labels).mean()
    assert figures["0.05"] == pytest.approx(expected)
    told = measure_accuracy(run.codec, run.tail, split.images, split.labels, 0.05, seed=1, told=0.05)
    assert told == pytest.approx(expected)


def test_the_codec_as_released_trains_in_the_same_budget(task_dir: Path, data_dir: Path, tmp_path: Path):
    run = load_run(trained(as_released(WHOLE), task_dir, tmp_path, data_dir))
    assert run.codec.family == "semanticnn-released" and run.info.recipe["ber"]["low"] == 2.5e-3
    assert run.codec.device_tail().centres == pytest.approx(np.linspace(-1, 1, 8), abs=1e-6)
    assert run.info.recipe["usage_weight"] == WHOLE.usage_weight


def test_a_codec_is_attached_as_it_is_with_the_other_network_s_tail(codec_dir: Path, tmp_path: Path):
    other_data = bars(tmp_path, 1)
    task = tmp_path / "task"
    train_task_network(
        dataclasses.replace(TASK, epochs=1, widths=(6,)), task, data_dir=other_data, progress=QUIET
    )
    out = tmp_path / "codec"
    train_codec(WHOLE, task, out, data_dir=other_data, progress=QUIET, transfer=Transfer(codec_dir))
    before, after = weights(codec_dir), weights(out)
    assert all((after[key] == before[key]).all() for key in before if not key.startswith("tail."))
    tail = load_task(task).tail
    assert all((after[f"tail.{i:04d}"] == np.asarray(v)).all() for i, v in enumerate(tail.get_weights()))
    origin = json.loads((out / "run.json").read_text())["recipe"]["codec_from"]
    sha = hashlib.sha256((codec_dir / "weights.npz").read_bytes()).hexdigest()
    assert origin["weights_sha256"] == sha and origin["recipe"] == "tiny"
    assert load_run(out).tail.output_shape == (None, 10)


@pytest.mark.parametrize("train_encoder", [False, True])
def test_fine_tuning_leaves_the_device_alone_unless_told_otherwise(
    train_encoder: bool, codec_dir: Path, task_dir: Path, data_dir: Path, tmp_path: Path
):
    transfer = Transfer(codec_dir, epochs=1, train_encoder=train_encoder)
    train_codec(WHOLE, task_dir, tmp_path, data_dir=data_dir, progress=QUIET, transfer=transfer)
    before, after = device_weights(codec_dir), device_weights(tmp_path)
    assert all((after[key] == before[key]).all() for key in before) != train_encoder
    changed = {
        k
        for k, v in weights(codec_dir).items()
        if k.startswith("decoder.") and (v != weights(tmp_path)[k]).any()
    }
    assert len(changed) > 10
    assert [r["stage"] for r in json.loads((tmp_path / "history.json").read_text())] == ["finetune"]


def test_shapes_that_do_not_match_are_refused_with_both_named(
    codec_dir: Path, data_dir: Path, tmp_path: Path
):
    task = tmp_path / "task"
    train_task_network(
        dataclasses.replace(TASK, epochs=1, head_channels=6), task, data_dir=data_dir, progress=QUIET
    )
    with pytest.raises(TrainingError, match=r"features are \(14, 14, 4\), the task network's \(14, 14, 6\)"):
        train_codec(
            WHOLE, task, tmp_path / "x", data_dir=data_dir, progress=QUIET, transfer=Transfer(codec_dir)
        )
    with pytest.raises(TrainingError, match="no finished training run"):
        train_codec(
            WHOLE, task, tmp_path / "x", data_dir=data_dir, progress=QUIET, transfer=Transfer(tmp_path)
        )


def test_the_last_stage_tunes_the_decoder_on_codes_of_the_encoder_that_is_exported(
    device_dir: Path, data_dir: Path, tmp_path: Path
):
    results = json.loads((device_dir / "codec" / "run.json").read_text())["results"]
    out = tmp_path / "bars.semcodec"
    arguments = ["export", str(device_dir), str(out), "--data-dir", str(data_dir)]
    assert main([*arguments, "--json", "--force"]) == 0
    encoder = (out / "encoder.tflite").read_bytes()
    assert results["int8_encoder_sha256"] == content_sha256(encoder)
    from semflash.bundle import read_bundle

    bundle = read_bundle(out)
    split = load_dataset("fashion-mnist", data_dir=data_dir).val
    logits = EdgeDecoder(bundle).logits(GoldenEncoder(bundle).payloads(split.images), 0.0)
    assert (logits.argmax(-1) == split.labels).mean() == pytest.approx(
        results["int8_val_accuracy"]["0"], abs=0.03
    )
    with np.load(device_dir / "codec" / "int8_codes.npz") as kept:
        assert kept["train"].shape == (
            2,
            len(load_dataset("fashion-mnist", data_dir=data_dir).train),
            4,
            4,
            4,
        )
        mirrored = (
            GoldenEncoder(bundle)
            .run(load_dataset("fashion-mnist", data_dir=data_dir).train.images[:, :, ::-1])
            .tensors["codes"]
        )
        assert (kept["train"][1] == mirrored).all()


def test_the_digest_of_an_encoder_sees_its_weights_and_not_its_names(device_dir: Path, data_dir: Path):
    from semflash.conversion.device import quantise_device

    run, data = load_run(device_dir / "codec"), load_dataset("fashion-mnist", data_dir=data_dir)
    first, again = (quantise_device(run.codec.device(), data).whole.data for _ in range(2))
    recorded = run.info.results["int8_encoder_sha256"]
    assert content_sha256(first) == content_sha256(again) == recorded
    kernel = run.codec.device_graph.get_layer("latent").kernel
    kernel.assign(keras.ops.convert_to_numpy(kernel) * np.float32(1.01))
    assert content_sha256(quantise_device(run.codec.device(), data).whole.data) != recorded


def test_a_decoder_tuned_on_other_codes_is_not_exported(
    device_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["export", str(device_dir), str(tmp_path / "x.semcodec"), "--data-dir", str(data_dir)]
    assert main([*arguments, "--whole-graph", "--force"]) == 1
    assert "another int8 encoder" in capsys.readouterr().err


def test_a_run_stopped_within_the_last_stage_resumes_to_the_same_weights(
    device_dir: Path, task_dir: Path, data_dir: Path, tmp_path: Path
):
    with pytest.raises(KeyboardInterrupt):
        trained(DEVICE, task_dir, tmp_path, data_dir, StopAfter(2))
    trained(DEVICE, task_dir, tmp_path, data_dir)
    expected, found = weights(device_dir / "codec"), weights(tmp_path)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key


def test_what_the_last_stage_cannot_do_is_said_before_anything_is_trained(
    task_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gray = dataclasses.replace(DEVICE, sizes=DEVICE.sizes | {"labels": "gray"})
    with pytest.raises(ExportError, match="labels=natural"):
        trained(gray, task_dir, tmp_path, data_dir)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax"):
        trained(DEVICE, task_dir, tmp_path, data_dir)
    assert not (tmp_path / "history.json").exists()


def test_a_usage_weight_for_a_family_without_the_term_is_refused(
    task_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from semflash.codecs.semanticnn.codec import SemanticNN

    monkeypatch.setattr(SemanticNN, "terms", frozenset({"codes"}))
    with pytest.raises(UsageError, match="no usage term"):
        trained(WHOLE, task_dir, tmp_path, data_dir)


def test_a_weight_for_important_codes_is_refused_where_no_term_takes_it(
    task_dir: Path, data_dir: Path, tmp_path: Path
):
    plain = dataclasses.replace(WHOLE, usage_weight=0.0, xai_code_weight=0.1)
    with pytest.raises(UsageError, match="adjscc has no term for important codes"):
        trained(dataclasses.replace(plain, family="adjscc", sizes={}), task_dir, tmp_path, data_dir)
    with pytest.raises(UsageError, match="importance of their position"):
        trained(dataclasses.replace(plain, xai_kind="channel"), task_dir, tmp_path, data_dir)
    assert not (tmp_path / "history.json").exists()


def test_what_a_family_or_a_pipeline_cannot_do_is_said_before_anything_is_trained(
    task_dir: Path, data_dir: Path, tmp_path: Path
):
    by_channel = dataclasses.replace(WHOLE, family="limitnet", sizes={"latent": 2}, usage_weight=0.0)
    by_channel = dataclasses.replace(by_channel, xai_kind="channel")
    with pytest.raises(UsageError, match="importance per position"):
        trained(by_channel, task_dir, tmp_path, data_dir)
    from_disk = dataclasses.replace(DEVICE, pipeline="tf.data", xai_weight=0.0)
    with pytest.raises(UsageError, match="in memory"):
        trained(from_disk, task_dir, tmp_path, data_dir)
    assert not (tmp_path / "history.json").exists()


@pytest.mark.parametrize(
    ("switches", "whole_graph"),
    [({"gdn": False, "labels": "gray", "crop": 0.75}, False), ({"labels": "gray"}, True)],
    ids=["no GDN, Gray labels, cropped", "Gray labels behind the whole graph"],
)
def test_codecs_with_a_table_on_the_device_are_exported(
    switches: dict[str, object], whole_graph: bool, task_dir: Path, data_dir: Path, tmp_path: Path
):
    from semflash.export.run import export

    recipe = dataclasses.replace(
        WHOLE, autoencoder_epochs=0, task_epochs=1, xai_weight=0.0, sizes=WHOLE.sizes | switches
    )
    trained(recipe, task_dir, tmp_path / "run", data_dir)
    if whole_graph:
        with pytest.raises(ExportError, match="--whole-graph"):
            export(tmp_path / "run", tmp_path / "x.semcodec", data_dir=data_dir, force=True)
    bundle = export(
        tmp_path / "run", tmp_path / "x.semcodec", data_dir=data_dir, whole_graph=whole_graph, force=True
    )
    program, run = bundle.program, load_run(tmp_path / "run")
    (stage,) = (stage for stage in program.stages if isinstance(stage, Tail))
    holds = program.tensor("codes").holds
    assert isinstance(stage.tables[0], TableTail) and isinstance(holds, Codes)
    assert list(holds.centres) != sorted(holds.centres)
    images = load_dataset("fashion-mnist", data_dir=data_dir).val.images
    payloads = GoldenEncoder(bundle).payloads(images)
    codes = unpack(payloads, 3, run.codec.sizes.symbols).reshape(len(images), *run.codec.values_shape())
    by_edge = np.asarray(holds.centres, np.float32)[codes]
    by_codec = keras.ops.convert_to_numpy(run.codec.values(codes.astype(np.int32)))
    assert by_edge == pytest.approx(by_codec, abs=1e-6)
    assert (codes != run.encode_codes(images)).mean() < 0.25


@pytest.mark.slow
def test_a_cropped_codec_runs_on_the_device_code_for_code(
    task_dir: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    from semflash.export.run import export

    switches = {"gdn": False, "labels": "gray", "crop": 0.7}
    recipe = dataclasses.replace(WHOLE, autoencoder_epochs=0, task_epochs=1, sizes=WHOLE.sizes | switches)
    trained(recipe, task_dir, tmp_path / "run", data_dir)
    export(tmp_path / "run", tmp_path / "cropped.semcodec", data_dir=data_dir, force=True)
    monkeypatch.setenv("SEMFLASH_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    flags = ["--board", "native", "--count", "40", "--check-golden", "--json"]
    assert main(["run", str(tmp_path / "cropped.semcodec"), *flags]) == 0
    golden = json.loads(capsys.readouterr().out)["golden"]
    assert (golden["checked"], golden["different"]) == (40, 0)


KILLED = """
import sys
import tensorflow as tf
tf.config.run_functions_eagerly(True)
from fakes.training_runs import QUIET, WHOLE
from semflash.training.codec import train_codec
train_codec(WHOLE, sys.argv[1], sys.argv[2], data_dir=sys.argv[3], progress=QUIET)
"""


def test_a_training_that_is_killed_resumes_to_the_same_loss_and_weights(
    codec_dir: Path, task_dir: Path, data_dir: Path, tmp_path: Path
):
    folder = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(task_dir), str(tmp_path), str(data_dir)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(json.loads((tmp_path / "history.json").read_text()))
    assert 1 <= done < 3 and not (tmp_path / "run.json").exists()
    stream = io.StringIO()
    trained(WHOLE, task_dir, tmp_path, data_dir, Progress(stream))
    assert len([line for line in stream.getvalue().splitlines() if "loss" in line]) == 3 - done
    histories = [json.loads((out / "history.json").read_text()) for out in (codec_dir, tmp_path)]
    for expected, found in zip(*histories, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    expected_weights, found_weights = weights(codec_dir), weights(tmp_path)
    for key, value in expected_weights.items():
        assert found_weights[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key


def test_the_train_verb_prints_rates_and_attaches_codecs(
    codec_dir: Path, task_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    common = ["--data-dir", str(data_dir), "--task", str(task_dir)]
    assert main(["train", "tiny", "--rate-table", "--json", *common]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["payload_bytes"] == 24 and rows[0]["against_features"] == round(14 * 14 * 4 * 4 / 24, 2)
    out = str(tmp_path / "run")
    assert main(["train", "tiny", *common, "--codec-from", str(codec_dir), "--out", out, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    kept = json.loads((tmp_path / "run" / "codec" / "run.json").read_text())
    assert printed["results"] == kept["results"] and "0" in printed["results"]["val_accuracy"]
    assert (tmp_path / "run" / "codec" / "weights.npz").is_file()
    assert main(["train", "tiny", "--finetune-epochs", "2", *common]) == 2
    assert "--codec-from" in capsys.readouterr().err
    attach = ["train", "tiny", *common, "--codec-from", str(codec_dir), "--out", out]
    assert main([*attach, "--set", "batch=16", "--set", "sizes.latent=2"]) == 2
    assert "got: sizes.latent=2" in capsys.readouterr().err
    assert main(["train", "tiny", "--rate-table", "--set", "sizes.stride=64", *common]) == 2
    assert "stride of 8" in capsys.readouterr().err


@pytest.mark.parametrize("attached", [False, True], ids=["a new codec", "an attached one"])
def test_the_train_verb_says_what_an_image_costs_before_the_first_epoch(
    attached: bool,
    codec_dir: Path,
    task_dir: Path,
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    arguments = ["train", "tiny", "--data-dir", str(data_dir), "--out", str(tmp_path / "run")]
    if attached:
        source = ["--codec-from", str(codec_dir), "--finetune-epochs", "1"]
        assert main([*arguments, "--task", str(task_dir), *source]) == 0
    else:  # the task network is trained, too: the table comes before that
        assert main([*arguments, "--task-recipe", "tiny", "--set", "autoencoder_epochs=0"]) == 0
    lines = capsys.readouterr().err.splitlines()
    epochs = [number for number, line in enumerate(lines) if "  loss " in line]
    head = next(number for number, line in enumerate(lines) if line.startswith("bytes per image"))
    assert len(epochs) == (1 if attached else 2) and head < epochs[0]
    own = lines[head + 1]
    assert own.startswith("the attached codec" if attached else "this recipe")
    assert own.split()[-5:] == ["8", "64", "24", "130.7x", "32.7x"]  # 4x4x4 codes of 3 bits, 14x14x4 floats
    assert lines[head + 2].startswith("latent=2") != attached  # its knobs cannot be turned any more


@pytest.fixture(scope="module")
def by_kind(
    task_dir: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[list[np.ndarray], Path]]:
    """A short training with importance of each kind: what the loss was given, and the run."""
    from semflash.training import stages

    loss, runs = stages.weighed_feature_loss, {}
    for kind in ("pixel", "channel"):
        seen: list[np.ndarray] = []

        def recorded(decoded: Any, features: Any, weight: Any, variance: Any, seen: Any = seen) -> Any:
            seen.append(np.asarray(weight))
            return loss(decoded, features, weight, variance)

        recipe = dataclasses.replace(WHOLE, autoencoder_epochs=0, task_epochs=1, xai_kind=kind)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(stages, "weighed_feature_loss", recorded)
            runs[kind] = seen, trained(recipe, task_dir, tmp_path_factory.mktemp(kind), data_dir)
    return runs


@pytest.mark.parametrize(("kind", "shape"), [("pixel", (14, 14, 1)), ("channel", (1, 1, 4))])
def test_the_loss_of_a_training_weighs_positions_or_channels_as_its_recipe_says(
    kind: str, shape: tuple[int, ...], by_kind: dict[str, tuple[list[np.ndarray], Path]]
):
    seen, _ = by_kind[kind]
    assert len(seen) >= 4
    for weight in seen:
        assert weight.shape == (WHOLE.batch, *shape)
        assert weight.mean(axis=(1, 2, 3)) == pytest.approx(1.0, abs=2e-3)  # kept as float16
    assert all(weight.std(axis=(1, 2, 3)).min() > 0.05 for weight in seen)


def test_training_with_importance_per_channel_is_not_that_per_position(
    by_kind: dict[str, tuple[list[np.ndarray], Path]],
):
    histories, values = [], []
    for _, out in by_kind.values():
        histories.append(json.loads((out / "history.json").read_text())[0]["loss"])
        values.append(weights(out))
    assert histories[0] != histories[1]  # same seed, same batches
    assert np.abs(values[0]["decoder.0000"] - values[1]["decoder.0000"]).max() > 1e-4
