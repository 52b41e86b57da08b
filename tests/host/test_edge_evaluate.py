"""Accuracy per bit error rate: reproducible, recorded without changing the hash, and the verb around it."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import Bundle, read_bundle
from semflash.cli.main import main
from semflash.data.dataset import Dataset, Split
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate import evaluate, record_measurement
from semflash.edge.golden import GoldenEncoder
from semflash.edge.plot import plot
from semflash.errors import DatasetError, UsageError
from semflash.outputs.metrics import wilson_interval

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


def make_split(count: int) -> Split:
    """Smooth random images: the tiny bundle gives them several different classes."""
    rng = np.random.default_rng(count)
    coarse = rng.integers(0, 256, (count, 4, 4, 1), np.uint8)
    return Split(coarse.repeat(7, axis=1).repeat(7, axis=2), rng.integers(0, 10, count, np.int32))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset("blocks", make_split(20), make_split(30), make_split(400), tuple("0123456789"))


def test_accuracy_without_errors_is_that_of_the_plain_path(bundle: Bundle, dataset: Dataset) -> None:
    result = evaluate(bundle, dataset, [0.0])
    logits = EdgeDecoder(bundle).logits(GoldenEncoder(bundle).payloads(dataset.test.images), 0.0)
    expected = float((logits.argmax(1) == dataset.test.labels).mean())
    assert result.measurement.points[0].score.value == expected
    assert result.measurement.images == 400 and result.measurement.dataset == "blocks"


def test_results_depend_on_the_seed_but_not_on_the_other_rates(bundle: Bundle, dataset: Dataset) -> None:
    alone = evaluate(bundle, dataset, [0.05], seed=1).predictions[0.05]
    among = evaluate(bundle, dataset, [0.0, 0.01, 0.05], seed=1).predictions[0.05]
    other = evaluate(bundle, dataset, [0.05], seed=2).predictions[0.05]
    np.testing.assert_array_equal(alone, among)
    assert (alone != other).any()


def test_bit_errors_change_predictions_more_the_more_there_are(bundle: Bundle, dataset: Dataset) -> None:
    result = evaluate(bundle, dataset, [0.0, 0.01, 0.2])
    clean = result.predictions[0.0]
    changes = [int((result.predictions[ber] != clean).sum()) for ber in (0.0, 0.01, 0.2)]
    assert changes[0] == 0 < changes[1] < changes[2]


def test_a_wrong_estimate_reaches_the_decoder(bundle: Bundle, dataset: Dataset) -> None:
    right = evaluate(bundle, dataset, [0.05]).predictions[0.05]
    wrong = evaluate(bundle, dataset, [0.05], told=0.5).predictions[0.05]
    assert (right != wrong).any()


def test_limit_and_split_choose_the_images(bundle: Bundle, dataset: Dataset) -> None:
    assert evaluate(bundle, dataset, [0.0], limit=7).measurement.images == 7
    assert evaluate(bundle, dataset, [0.0], split="val").measurement.images == 30


def test_labels_without_a_class_and_empty_splits_are_refused(bundle: Bundle, dataset: Dataset) -> None:
    for wrong in (10, -1):
        strange = Split(dataset.test.images[:3], np.array([0, 1, wrong], np.int32))
        with pytest.raises(DatasetError, match="10 classes") as caught:
            evaluate(bundle, Dataset("x", strange, strange, strange, ()), [0.0])
        assert caught.value.value == f"label {wrong}"
    shares = Split(dataset.test.images[:1], np.array([0.5]))  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="integers"):
        evaluate(bundle, Dataset("x", shares, shares, shares, ()), [0.0])
    empty = Split(dataset.test.images[:0], dataset.test.labels[:0])
    with pytest.raises(DatasetError, match="no images"):
        evaluate(bundle, Dataset("x", empty, empty, empty, ()), [0.0])
    with pytest.raises(UsageError, match="no bit error rate"):
        evaluate(bundle, dataset, [])
    with pytest.raises(UsageError, match="between 0 and"):
        evaluate(bundle, dataset, [0.7])


def test_a_recorded_measurement_replaces_its_predecessor_and_keeps_the_hash(
    dataset: Dataset, tmp_path: Path
) -> None:
    copy = read_bundle(shutil.copytree(TINY, tmp_path / "tiny.semcodec"))
    first = record_measurement(copy, evaluate(copy, dataset, [0.0, 0.05], limit=50))
    second = record_measurement(first, evaluate(copy, dataset, [0.0], limit=50, seed=3))
    third = record_measurement(second, evaluate(copy, dataset, [0.0], limit=40))
    again = read_bundle(copy.path)
    assert again.hash_hex == copy.hash_hex and again.record == third.record
    assert [(m.images, m.seed) for m in again.record.measurements] == [(50, 3), (40, 0)]


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    [(0, 10, 0.0, 0.2775328), (5, 10, 0.2365931, 0.7634069), (9032, 10000, 0.8972445, 0.9088402)],
)
def test_the_interval_is_wilsons(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=2e-5)


def test_the_plot_is_a_picture(bundle: Bundle, dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = evaluate(bundle, dataset, [0.0, 0.01], limit=20)
    plot([result], tmp_path / "a.png")
    plot([result], tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg"]
    with pytest.raises(UsageError, match=r"\.png"):
        plot([result], tmp_path / "a.jpg")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Idx files of the Fashion-MNIST format with block images."""
    folder = tmp_path_factory.mktemp("idx")
    for part, count in (("train", 40), ("t10k", 60)):
        split = make_split(count)
        images = struct.pack(">IIII", 0x803, count, 28, 28) + split.images.tobytes()
        labels = struct.pack(">II", 0x801, count) + split.labels.astype(np.uint8).tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder


def test_the_verb_prints_json(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", str(TINY), "--data-dir", str(data_dir), "--ber", "0,0.05", "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["images"] == 60 and [p["ber"] for p in printed["points"]] == [0.0, 0.05]
    assert printed["payload_bytes"] == 24 and len(printed["hash"]) == 64


def test_the_verb_prints_a_table_and_records(
    data_dir: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = shutil.copytree(TINY, tmp_path / "tiny.semcodec")
    assert main(["evaluate", str(copy), "--data-dir", str(data_dir), "--limit", "9", "--record"]) == 0
    assert "95 % interval" in capsys.readouterr().out
    assert read_bundle(copy).record.measurements[0].images == 9


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--ber", "x"], "not a list of numbers"),
        (["--ber", "0.9"], "between 0 and"),
        (["--ber", "0,nan"], "between 0 and"),
        (["--ber=-0.1"], "between 0 and"),
        (["--ber", "inf"], "between 0 and"),
        (["--seed", "-1"], "not be negative"),
        (["--limit", "0"], "at least 1"),
        (["--record", "--assume-ber", "0.1"], "wrong estimate"),
        (["--plot", "accuracy.gif"], "written as .png or .svg"),
        (["--plot", "no/such/folder/a.png"], "folder for --plot does not exist"),
    ],
)
def test_the_verb_refuses_bad_flags(
    flags: list[str], text: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(TINY), "--data-dir", str(data_dir), *flags]) == 2
    assert text in capsys.readouterr().err
