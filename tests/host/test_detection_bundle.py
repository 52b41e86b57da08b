"""A detector from a COCO folder to a bundle: training of network and codec, export, evaluation, contract."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("pycocotools")
pytest.importorskip("PIL.Image")
pytest.importorskip("tensorflow")

import keras

from fakes.box_folder import coco_folder
from fakes.link_device import FakeDevice
from semflash.bundle import Bundle, read_bundle
from semflash.bundle.checks import check_contract
from semflash.bundle.digest import bundle_hash
from semflash.bundle.packing import pack
from semflash.cli.main import main
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate import evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.errors import BundleError, DatasetError
from semflash.export.run import export
from semflash.monitor.live_table import print_summary
from semflash.monitor.monitor import MonitorOptions, check_run, monitor
from semflash.outputs.kinds import CLASSIFICATION, ClassificationTask, DetectionTask
from semflash.training.codec import train_codec
from semflash.training.models import load_run
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.task import train_task_network

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow exports")
QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco") / "shapes", train=40, test=12)


@pytest.fixture(scope="module")
def runs(folder: Path) -> Path:
    """A detector and a codec, trained for a moment."""
    task = replace(
        task_recipe("tiny"), dataset=str(folder), network="detector", widths=(8, 8, 8), batch=12, epochs=2
    )
    codec = replace(codec_recipe("tiny"), dataset=str(folder), batch=12)
    train_task_network(task, folder.parent / "runs/task", progress=QUIET)
    train_codec(codec, folder.parent / "runs/task", folder.parent / "runs/codec", progress=QUIET)
    return folder.parent / "runs"


@pytest.fixture(scope="module")
def bundle(runs: Path) -> Bundle:
    return export(runs, runs.parent / "boxes.semcodec", force=True)


@pytest.fixture
def data(folder: Path) -> Dataset:
    return load_dataset(str(folder))


def test_training_reports_the_mean_average_precision(runs: Path):
    task, codec = (json.loads((runs / part / "history.json").read_text()) for part in ("task", "codec"))
    assert [set(e) & {"val_map50", "val_accuracy"} for e in task] == [{"val_map50"}] * 2
    assert task[1]["loss"] < task[0]["loss"]
    assert 0 <= codec[-1]["val_0.05"] <= 1


def test_the_contract_describes_the_maps(bundle: Bundle):
    assert bundle.contract.task == DetectionTask(8, 8, 4, 3, 0.05, 20)
    assert bundle.contract.class_names == ("brick", "sky")
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0
    assert read_bundle(bundle.path).hash_hex == bundle.hash_hex


def test_the_edge_gives_the_maps_of_the_keras_models(bundle: Bundle, runs: Path, data: Dataset):
    trained = load_run(runs / "codec")
    codes = trained.encode_codes(data.test.images)
    payloads = pack(codes.reshape(len(codes), -1), trained.codec.bits_per_code())
    found = EdgeDecoder(bundle).logits(payloads, 0.01)
    quality = np.full((len(codes), 1), 0.01, np.float32)
    expected = trained.tail(trained.codec.decode(codes.astype(np.int32), quality), training=False)
    assert found.shape == (12, 8, 8, 6)
    assert np.abs(found - np.asarray(expected)).max() < 1e-3


def test_evaluate_measures_map_per_bit_error_rate_and_records_it(
    bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    copy = tmp_path / "boxes.semcodec"
    shutil.copytree(bundle.path, copy)
    arguments = ["evaluate", str(copy), "--dataset", str(folder), "--ber", "0,0.05"]
    assert main([*arguments, "--json", "--record"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["metric"] == "map50" and [p["ber"] for p in printed["points"]] == [0, 0.05]
    assert all(p["map50_95"][0] <= p["map50"] <= p["map50_95"][1] for p in printed["points"])
    recorded = read_bundle(copy)
    assert recorded.record.measurements[-1].metric.name == "map50" and recorded.hash_hex == bundle.hash_hex
    assert main(arguments) == 0
    assert "mAP at IoU 0.5" in capsys.readouterr().out


def test_a_perfect_detector_measures_one(bundle: Bundle, data: Dataset):
    from semflash.tasks.detector import Detection, target_maps

    targets = target_maps(data.test.labels, Detection(8, 8, 4, 2))
    heat = np.where(targets[..., :2] == 1, 9.0, -9.0)
    maps = np.concatenate([heat, targets[..., 2:-1]], -1).astype(np.float32)
    found = bundle.output.answers(maps, data.test.labels)
    (score,) = bundle.output.measure(found, data.test.labels)
    assert (score.value, score.low, score.high) == pytest.approx((1.0, 1.0, 1.0))
    assert [len(rows) for rows in found] == [2] * 12


def test_data_of_the_other_kind_is_refused(bundle: Bundle, data: Dataset):
    flat = replace(data, test=replace(data.test, labels=np.zeros(12, np.int32)))
    with pytest.raises(DatasetError, match="the data set has no boxes"):
        evaluate(bundle, flat, [0.0])
    few = replace(data, test=replace(data.test, labels=data.test.labels + np.array([0, 0, 0, 0, 5, 0])))
    with pytest.raises(DatasetError, match="knows 2 classes"):
        evaluate(bundle, few, [0.0])
    with pytest.raises(DatasetError, match="the data set has boxes"):
        classifier = replace(bundle, contract=msgspec.structs.replace(bundle.contract, task=CLASSIFICATION))
        evaluate(classifier, data, [0.0])


def test_a_tail_that_gives_other_maps_than_the_contract_says_is_refused(bundle: Bundle):
    wrong = msgspec.structs.replace(bundle.contract, class_names=("a", "b", "c"))
    with pytest.raises(BundleError, match="disagree about the output"):
        EdgeDecoder(replace(bundle, contract=wrong))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 7}, "does not cover the image"),
        ({"stride": 2}, "does not cover"),
        ({"peak_window": 2}, "odd"),
    ],
)
def test_grids_that_cannot_be_are_refused(bundle: Bundle, change: dict[str, int], message: str):
    task = msgspec.structs.replace(bundle.contract.task, **change)
    with pytest.raises(BundleError, match=message):
        check_contract(msgspec.structs.replace(bundle.contract, task=task))


def test_classification_spelt_out_or_not_is_the_same_bundle():
    contract = read_bundle("fashion-mnist-48").written
    assert b"task" not in msgspec.json.encode(contract).replace(b"task_tail", b"")
    spelt_out = msgspec.structs.replace(contract, task=ClassificationTask())
    assert bundle_hash(spelt_out) == bundle_hash(contract)
    detector = msgspec.structs.replace(contract, task=DetectionTask(7, 7, 4, 3, 0.1, 5))
    assert bundle_hash(detector) != bundle_hash(contract)


def test_the_monitor_shows_objects_and_their_mean_average_precision(
    bundle: Bundle, data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pixels = to_int8(data.test.images, bundle.image_shape)
    payloads = GoldenEncoder(bundle).payloads(data.test.images)
    golden = {image.tobytes(): bytes(payload) for image, payload in zip(pixels, payloads, strict=True)}
    device = FakeDevice(
        bundle=bundle.hash32,
        rows=32,
        row_bytes=96,
        payload_bytes=bundle.payload_bytes,
        rows_per_frame=16,
        encode=golden.__getitem__,
    )
    options = MonitorOptions(count=12, record_path=tmp_path / "run.jsonl", check_golden=True)
    result = monitor(bundle, device, data.test, options)
    assert result.exit_code == 0 and result.progress.tally.golden_checked == 12
    found = result.as_dict()
    measured = evaluate(bundle, data, [0.0]).measurement.points[0]
    assert found["map50"] == pytest.approx(measured.score.value) and found["objects"] == 24
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    images = [line for line in lines if line["kind"] == "image"]
    assert len(images) == 12 and all(len(line["boxes"]) == 2 and "label" not in line for line in images)
    assert lines[-1]["map50"] == found["map50"]
    print_summary(result)
    printed = capsys.readouterr().out
    assert "images wholly right" in printed and "mAP at IoU 0.5" in printed


def test_the_monitor_refuses_a_detector_on_data_without_boxes(bundle: Bundle, data: Dataset):
    flat = replace(data.test, labels=np.zeros(12, np.int32))
    with pytest.raises(DatasetError, match="no boxes"):
        check_run(bundle, flat, MonitorOptions(count=12))
