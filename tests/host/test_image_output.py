"""An image codec from its export to evaluation, monitor on board native, record, live view and report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("tensorflow", reason="the converter of int8 graphs is TensorFlow's")
Image = pytest.importorskip("PIL.Image")

from fakes.image_codec import export_pictures, images, ramps  # noqa: E402
from semflash.bundle.reader import Bundle, read_bundle  # noqa: E402
from semflash.channels.of_quality import channel_of  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.edge.decoder import EdgeDecoder  # noqa: E402
from semflash.edge.evaluate import evaluate, record_measurement  # noqa: E402
from semflash.edge.golden import GoldenEncoder  # noqa: E402
from semflash.errors import ExportError, UsageError  # noqa: E402
from semflash.export.export import Target, export_codec  # noqa: E402
from semflash.outputs.kinds import ImageTask  # noqa: E402
from semflash.outputs.metrics import PSNR, SSIM  # noqa: E402
from semflash.program.quality import Snr  # noqa: E402

COUNT = 40


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Bundle]:
    return export_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def bundle(exported: tuple[Any, Bundle]) -> Bundle:
    return exported[1]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same codec, told an SNR."""
    return export_pictures(tmp_path_factory.mktemp("noise"), Snr(-5.0, 20.0), "noise")[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images as a folder with classes of its own."""
    where = tmp_path_factory.mktemp("data") / "ramps"
    for part, count in (("train", 30), ("test", COUNT)):
        for number, picture in enumerate(images(count, count)):
            place = where / part / f"kind {number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture[..., 0]).save(place / f"{number:03}.png")
    return where


def test_the_contract_says_that_the_edge_gives_pictures_and_the_proof_what_they_are_worth(
    bundle: Bundle,
) -> None:
    assert bundle.contract.task == ImageTask(28, 28, 1) and bundle.output.kind == "image"
    assert [graph.name for graph in bundle.contract.edge] == ["decoder"]
    again = read_bundle(bundle.path)
    assert again == bundle and json.loads((bundle.path / "codec.json").read_bytes())["schema_version"] == 3
    proof = bundle.record.proof
    assert proof is not None and proof.int8_value is not None and proof.float_value is not None
    assert proof.int8_value > 20 and abs(proof.int8_value - proof.float_value) < 1.0


def test_a_codec_whose_pictures_are_no_better_than_grey_is_not_exported(
    exported: tuple[Any, Bundle], tmp_path: Path
) -> None:
    codec = exported[0].codec
    kept = codec.picture_decoder.get_weights()
    codec.picture_decoder.set_weights([np.zeros_like(weight) for weight in kept])
    try:
        with pytest.raises(ExportError, match="learnt nothing") as caught:
            export_codec(exported[0], tmp_path / "grey.semcodec", ramps(), Target("grey"))
    finally:
        codec.picture_decoder.set_weights(kept)
    assert "dB" in str(caught.value.value)


def test_psnr_is_that_of_the_decoded_pictures_and_falls_with_the_bit_errors(bundle: Bundle) -> None:
    data = ramps()
    found = evaluate(bundle, data, [0.0, 0.02, 0.1], seed=4)
    measured = found.measurement
    assert measured.metrics == (PSNR, SSIM) and measured.quality == "ber" and measured.images == COUNT
    pictures = EdgeDecoder(bundle).logits(GoldenEncoder(bundle).payloads(data.test.images), 0.0)
    error = (np.clip(pictures, 0, 1).astype(np.float64) - data.test.images / 255.0) ** 2
    expected = float((-10 * np.log10(error.mean((1, 2, 3)))).mean())
    assert measured.points[0].score.value == pytest.approx(expected, abs=1e-4)
    values = [point.score.value for point in measured.points]
    assert values[0] > values[1] + 1 > values[2] + 2
    similar = [point.scores[1].value for point in measured.points]
    assert 1 > similar[0] > similar[1] > similar[2]


def test_a_recorded_measurement_has_both_metrics_with_their_units(bundle: Bundle, tmp_path: Path) -> None:
    copy = read_bundle(shutil.copytree(bundle.path, tmp_path / bundle.path.name))
    record_measurement(copy, evaluate(copy, ramps(), [0.0], limit=10))
    (again,) = read_bundle(copy.path).record.measurements
    assert read_bundle(copy.path).hash_hex == bundle.hash_hex
    written = json.loads((copy.path / "codec.json").read_bytes())["record"]["measurements"][0]
    assert written["metrics"] == [
        {"name": "psnr", "unit": "dB", "better": "higher"},
        {"name": "ssim", "unit": "1", "better": "higher"},
    ]
    assert written["points"][0]["level"] == 0.0 and again.points[0].scores[1].value < 1


def test_the_verb_evaluates_a_folder_of_any_classes(
    bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["evaluate", str(bundle.path), "--dataset", str(folder), "--ber", "0,0.05"]
    assert main([*arguments, "--plot", str(tmp_path / "psnr.svg")]) == 0
    printed = capsys.readouterr().out
    assert "PSNR" in printed and "SSIM" in printed and " dB .. " in printed and "0.05" in printed
    assert "PSNR, dB" in (tmp_path / "psnr.svg").read_text(encoding="utf-8")
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == "psnr" and set(found["points"][0]) == {
        "ber",
        "psnr",
        "psnr_95",
        "ssim",
        "ssim_95",
    }


def test_a_report_shows_pictures_and_their_ratio(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    target = tmp_path / "report.html"
    arguments = ["evaluate", str(bundle.path), "--dataset", str(folder), "--ber", "0,0.01", "--compare"]
    assert main([*arguments, "--report", str(target)]) == 0
    page, twin = (path.read_text(encoding="utf-8") for path in (target, target.with_suffix(".md")))
    for title in (
        "PSNR against bit error rate",
        "Pictures as sent and as received",
        "Device cost beside PSNR",
    ):
        assert title in page and f"## {title}" in twin
    for text in (page, twin):
        before = text[: text.index("All settings and seeds")].lower()
        assert "accuracy" not in before and "confusion" not in before and "decoded features" not in before
    plots = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "report-plots").iterdir()}
    assert ">PSNR, dB<" in plots["psnr-ber-48"] and ">original<" in plots["pictures-pictures"]
    assert plots["pictures-pictures"].count("<image") == 4 * 4  # the original and three rates
    assert "| SSIM |" in twin


def test_pictures_do_not_stand_beside_labels(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
    assert main(["evaluate", str(bundle.path), str(tiny), "--compare"]) == 2
    assert "PSNR" in (said := capsys.readouterr().err) and "classifiers tiny" in said


def test_an_snr_is_injected_told_and_measured(
    noisy: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(noisy.path), "--dataset", str(folder)]
    assert main([*arguments, "--snr", "0,5,20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["quality"] == "snr" and [point["snr"] for point in found["points"]] == [0.0, 5.0, 20.0]
    values = [point["psnr"] for point in found["points"]]
    assert values[0] + 1 < values[1] < values[2]
    assert main([*arguments, "--json", "--limit", "5"]) == 0
    assert [p["snr"] for p in json.loads(capsys.readouterr().out)["points"]] == [20.0, 15.0, 10.0, 5.0, 0.0]
    assert main([*arguments, "--limit", "5"]) == 0
    assert "SNR, dB" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--ber", "0.01"], ["--assume-ber", "0.01"]])
def test_a_flag_of_the_other_quality_is_refused_with_the_right_one(
    noisy: Bundle, folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(noisy.path), "--dataset", str(folder), *flags]) == 2
    said = capsys.readouterr().err
    assert "signal-to-noise ratio" in said and flags[0].replace("ber", "snr") in said


def test_what_the_decoder_is_told_of_the_noise_reaches_it(noisy: Bundle) -> None:
    right, wrong = (evaluate(noisy, ramps(), [0.0], told=told).predictions[0.0] for told in (None, 20.0))
    assert np.abs(right - wrong).max() > 0.01
    with pytest.raises(UsageError, match="between -100 and 100"):
        evaluate(noisy, ramps(), [200.0])


def test_a_report_over_noise_has_its_axis_in_decibels(noisy: Bundle, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    arguments = ["evaluate", str(noisy.path), "--dataset", str(folder), "--snr", "0,20", "--compare"]
    assert main([*arguments, "--report", str(tmp_path / "report.html")]) == 0
    twin = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## PSNR against signal-to-noise ratio" in twin and "SNR 20 dB" in twin
    before = twin[: twin.index("All settings and seeds")]
    assert "BER" not in before and "bit error" not in before.lower()
    assert ">signal-to-noise ratio, dB<" in (tmp_path / "report-plots" / "psnr-snr-48.svg").read_text()
    with pytest.raises(UsageError, match="no signal-to-noise ratio to evaluate at"):
        evaluate(noisy, ramps(), [])


def test_noise_on_the_payload_flips_as_many_bits_as_the_ratio_says(noisy: Bundle) -> None:
    channel = channel_of(noisy.quality)
    clean = GoldenEncoder(noisy).payloads(ramps().test.images)
    damaged = channel.damage(clean, 5.0, channel.rng(1, 5.0))
    share = np.bitwise_count(clean ^ damaged).sum() / (8 * clean.size)
    assert share == pytest.approx(0.0377, abs=0.006)  # Q(sqrt(10^0.5))
