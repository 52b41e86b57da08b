"""Records of schema versions 1 and 2, and results of version 1, are read as those of today."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.results import result
from semflash.bundle import read_bundle
from semflash.bundle.reader import parse_codec
from semflash.bundle.schema import Measurement, Point
from semflash.bundle.writer import encode_codec, update_record
from semflash.errors import BundleError, UsageError
from semflash.outputs.metrics import ACCURACY, MAP50, PSNR, SSIM, Metric, Score
from semflash.report.results import read_result, write_result

VERSION2 = (Path(__file__).parents[1] / "vectors" / "version2-codec.json").read_bytes()
ZOO = ("fashion-mnist-48", "stamps-detect")


def changed(data: bytes, part: str, change: Any) -> bytes:
    """codec.json with a part changed in place, its digest matching."""
    codec = json.loads(data)
    change(codec[part])
    text = json.dumps(codec[part], sort_keys=True, separators=(",", ":"))
    codec["digest"][part] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(codec).encode()


@pytest.mark.parametrize(("name", "metric"), zip(ZOO, (ACCURACY, MAP50), strict=True))
def test_a_record_of_version_1_is_read_with_its_metric_by_name(name: str, metric: Metric) -> None:
    bundle = read_bundle(name)
    written = json.loads((bundle.path / "codec.json").read_bytes())["record"]
    assert bundle.record.task_value == written["task_accuracy"] and bundle.record.proof is not None
    assert bundle.record.proof.int8_value == written["proof"]["int8_accuracy"]
    assert bundle.output.metric == metric
    for measured, before in zip(bundle.record.measurements, written["measurements"], strict=True):
        assert (measured.metrics, measured.quality, measured.images) == ((metric,), "ber", before["images"])
        points = [(p.level, p.score.value, p.score.low, p.score.high) for p in measured.points]
        assert points == [
            tuple(p[key] for key in ("ber", "accuracy", "low", "high")) for p in before["points"]
        ]


def test_a_new_record_of_a_bundle_of_version_1_is_written_in_its_own_form(tmp_path: Path) -> None:
    before = read_bundle(ZOO[0])
    copy = read_bundle(shutil.copytree(before.path, tmp_path / before.path.name))
    data = encode_codec(copy.written, copy.record)
    assert data == (before.path / "codec.json").read_bytes()  # nothing is lost on the way there and back
    new = Measurement("d", "test", 9, 0, "ber", (ACCURACY,), [Point(0.01, (Score(0.5, 0.4, 0.6),))], 3)
    after = update_record(copy, msgspec.structs.replace(copy.record, measurements=[new]))
    assert after.hash_hex == before.hash_hex and after.record.measurements == [new]
    written = json.loads((copy.path / "codec.json").read_bytes())
    assert written["schema_version"] == 1
    assert written["record"]["measurements"][0]["points"] == [
        {"ber": 0.01, "accuracy": 0.5, "low": 0.4, "high": 0.6}
    ]


@pytest.mark.parametrize(
    ("quality", "metrics"), [("snr", (ACCURACY,)), ("ber", (PSNR,)), ("ber", (ACCURACY, SSIM))]
)
def test_what_version_1_has_no_place_for_is_refused(quality: Any, metrics: tuple[Metric, ...]) -> None:
    bundle = read_bundle(ZOO[0])
    scores = (Score(0.5, 0.4, 0.6),) * len(metrics)
    new = Measurement("d", "test", 9, 0, quality, metrics, [Point(0.0, scores)])
    with pytest.raises(BundleError, match="version 1 keeps one share"):
        encode_codec(bundle.written, msgspec.structs.replace(bundle.record, measurements=[new]))


def test_a_bundle_of_version_2_is_read_and_written_as_one_of_today_with_its_hash() -> None:
    old = parse_codec(VERSION2)
    written = json.loads(VERSION2)["record"]["measurements"]
    assert (
        [m.sample_seed for m in old.record.measurements]
        == [m.get("sample_seed") for m in written]
        == [0, None]
    )
    for measured, before in zip(old.record.measurements, written, strict=True):
        assert [p.score.value for p in measured.points] == [p["accuracy"] for p in before["points"]]
        assert measured.metric == ACCURACY
    data = encode_codec(old.contract, old.record)
    new = parse_codec(data)
    assert json.loads(data)["schema_version"] == 3
    assert (new.hash_hex, new.record, new.contract) == (old.hash_hex, old.record, old.contract)


def test_a_changed_record_of_version_2_is_noticed() -> None:
    codec = json.loads(VERSION2)
    codec["record"]["measurements"][0]["images"] = 21
    with pytest.raises(BundleError, match=r"record in codec\.json was changed"):
        parse_codec(json.dumps(codec).encode())


MEASURED = {
    "dataset": "d",
    "split": "test",
    "images": 3,
    "seed": 0,
    "quality": "ber",
    "metrics": [{"name": "accuracy", "unit": "share", "better": "higher"}],
    "points": [{"level": 0.1, "scores": [{"value": 0.5, "low": 0.4, "high": 0.6}]}],
}
SCORE = MEASURED["points"][0]["scores"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        ({"quality": "snr"}, None),
        ({"quality": "luck"}, "schema"),
        ({"points": [{"level": 0.6, "scores": [SCORE]}]}, "no bit error rate"),
        ({"points": [{"level": 0.1, "scores": [SCORE, SCORE]}]}, "one score for each metric"),
        ({"points": [{"level": 0.1, "scores": []}]}, "schema"),
        ({"points": [{"level": 0.1, "scores": [SCORE | {"low": 0.51}]}]}, "contradicts itself"),
        ({"points": [{"level": 0.1, "scores": [SCORE | {"high": 1.1}]}]}, "contradicts itself"),
        ({"metrics": []}, "schema"),
        ({"metrics": MEASURED["metrics"] * 2}, "share a name"),  # type: ignore[operator]
        ({"metrics": [{"name": "psnr", "unit": "miles", "better": "higher"}]}, "schema"),
    ],
)
def test_a_measurement_must_agree_with_itself(change: dict[str, Any], says: str | None) -> None:
    today = encode_codec(parse_codec(VERSION2).contract, parse_codec(VERSION2).record)
    data = changed(today, "record", lambda record: record.update(measurements=[MEASURED | change]))
    if says is None:
        assert parse_codec(data).record.measurements[0].points[0].score.value == 0.5
        return
    with pytest.raises(BundleError, match=says):
        parse_codec(data)


def test_results_of_version_1_are_read_as_accuracies(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_result(path, result("semanticnn", {0.0: 0.9, 0.05: 0.8}))
    today = json.loads(path.read_bytes())
    assert today["version"] == 2 and [row["value"] for row in today["rows"]] == [0.9, 0.8]
    before = today | {"version": 1}
    before["rows"] = [
        {"accuracy" if key == "value" else key: v for key, v in row.items()} for row in today["rows"]
    ]
    path.write_text(json.dumps(before))
    again = read_result(path)
    assert [(row.value, row.metric) for row in again.rows] == [(0.9, ACCURACY), (0.8, ACCURACY)]
    before["rows"][0]["accuracy"] = 1.2
    path.write_text(json.dumps(before))
    with pytest.raises(UsageError, match="not a result"):
        read_result(path)
    path.write_text(json.dumps(today | {"version": 3}))
    with pytest.raises(UsageError, match="is needed"):
        read_result(path)
