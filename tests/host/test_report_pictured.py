"""A report on a bundle that gives a picture beside its label, and whose payloads can be cut."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("tensorflow", reason="the converter of int8 graphs is TensorFlow's")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from fakes import detailed
from fakes.pictured_codec import Scenes, scenes
from fakes.untrained import blocks
from semflash.bundle import Bundle, read_bundle
from semflash.edge.evaluate import evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.outputs.level_map import heat
from semflash.program.patch_stages import Select
from semflash.report import gather, render, sections
from semflash.report.answers import rates
from semflash.report.content import Content
from semflash.report.view import BundleView

LEVELS = [0.0, 0.01, 0.05]
COUNT = 48


@pytest.fixture(scope="module")
def data() -> Scenes:
    return scenes(COUNT, 21)


@pytest.fixture(scope="module")
def bundle(pictured_folder: Path) -> Bundle:
    return read_bundle(pictured_folder / "pictured.semcodec")


@pytest.fixture(scope="module")
def view(bundle: Bundle, data: Scenes) -> BundleView:
    return gather.view(bundle, data, LEVELS, [])


@pytest.fixture(scope="module")
def page(view: BundleView) -> str:
    """The words of the page, without its tags."""
    text = html.unescape(render.html(sections.page(Content([view], [], 0))))
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_has_pictures_levels_and_curves_by_rate(page: str, view: BundleView) -> None:
    for words in (
        "Pictures as sent and as received",
        "the level of each patch over the image, the lighter the higher",
        "pictured: means over 48 images BER",
        "PSNR of the object, dB",
        "By the rate of the moment",
        "accuracy by the rate that images are told.",
        "PSNR by the rate that images are told.",
        "pictured: by control bytes, 48 images",
        "rate, bytes sent, mean sent, most",
    ):
        assert words in page, words
    assert "patches by level" in render.html(sections.page(Content([view], [], 0)))


def test_the_curve_is_what_evaluate_measures_at_each_rate(
    bundle: Bundle, data: Scenes, view: BundleView
) -> None:
    assert view.rates is not None
    assert [point.rate for point in view.rates.points] == [6, 9, 12, 18, 26, 37, 54]
    for point in (view.rates.points[0], view.rates.points[3], view.rates.points[-1]):
        alone = evaluate(bundle, data, [0.0], controls={"bytes": point.rate})
        assert point.scores == alone.measurement.points[0].scores
        assert (point.mean, point.most) == alone.sizes[0.0] and point.most <= point.rate
    psnr = [point.scores[1].value for point in view.rates.points]
    assert psnr[-1] > psnr[0] + 10


def test_samples_are_what_arrived(view: BundleView, data: Scenes) -> None:
    assert len(view.samples) == 4
    for index, one in enumerate(view.samples):
        np.testing.assert_array_equal(one.original, data.images[index])
        assert list(one.received) == [0.0, 0.01, 0.05] and one.levels is not None
        shown = one.received[0.0].astype(np.float64)
        error = np.mean((shown - one.original) ** 2) / 255**2
        # pixels are rounded to the nearest of 256
        assert one.ratios[0.0] == pytest.approx(-10 * np.log10(error), abs=0.5)
        assert sum(one.levels.patches) == 16


def test_json_has_pictures_and_rates(view: BundleView) -> None:
    (found,) = json.loads(json.dumps(render.as_json(Content([view], [], 0))))["bundles"]
    assert [metric["name"] for metric in found["metrics"]][1:] == [
        "psnr",
        "ssim",
        "object_psnr",
        "object_ssim",
    ]
    assert found["points"][0]["psnr"] > found["points"][2]["psnr"]
    assert found["rates"]["control"] == "bytes" and len(found["rates"]["points"]) == rates.POINTS
    assert set(found["rates"]["points"][0]) >= {"rate", "bytes_mean", "bytes_most", "accuracy", "psnr_95"}
    assert found["pictures"][0]["patches_by_level"] and set(found["pictures"][0]["psnr"]) == {
        "0",
        "0.01",
        "0.05",
    }


def test_a_rate_that_was_fixed_has_no_curve_and_its_bytes_in_every_table(
    bundle: Bundle, data: Scenes
) -> None:
    fixed = gather.view(bundle, data, LEVELS, [], controls={"bytes": 20})
    assert fixed.rates is None and fixed.bytes_text == "20.0, at most 20" and fixed.sent(0.01) == 20.0
    (table,) = sections.summary(Content([fixed], [], 0)).tables
    assert table.rows[0][1] == "20.0, at most 20"


def test_without_pictures_asked_for_nothing_more_is_measured(bundle: Bundle, data: Scenes) -> None:
    plain = gather.view(bundle, data, LEVELS, [], pictures=False)
    assert plain.rates is None and plain.samples == ()
    tables = [
        table.caption
        for section in sections.page(Content([plain], [], 0)).sections
        for table in section.tables
    ]
    assert "pictured: means over 48 images" in tables


def test_the_report_shows_what_the_device_and_the_task_network_attend_to(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ranked = detailed.bundle(tmp_path_factory.mktemp("ranked"), mapped=True)
    asked: list[np.ndarray] = []

    def attention(given: np.ndarray) -> np.ndarray:
        asked.append(given)
        maps = np.zeros((len(given), 4, 4))
        maps[:, 1, 2] = 1.0
        return maps

    view = gather.view(ranked, blocks(), LEVELS, [], attention=attention)
    (stage,) = (each for each in ranked.program.stages if isinstance(each, Select))
    scores = GoldenEncoder(ranked).run(asked[0]).tensors[stage.scores].reshape(len(asked[0]), -1)
    for row, sample in enumerate(view.samples):
        assert np.array_equal(sample.original, asked[0][row])
        own, other = sample.attention["device's network"], sample.attention["task network"]
        # the weight of each patch is looked up by its distance from the best one
        weights = np.array([stage.table[int(scores[row].max()) - int(s)] for s in scores[row]])
        assert own.shape == (4, 4) and np.allclose(own.ravel(), weights / weights.sum())
        assert other[1, 2] == 1.0 and other.sum() == 1.0
    page = render.html(sections.page(Content([view], [], 0)))
    assert "what a patch weighs before its contrast counts" in page
    plain = json.dumps(render.as_json(Content([view], [], 0)))
    assert "device's network" in plain and "task network" in plain


def test_a_map_over_an_image_is_lightest_where_most_is() -> None:
    shares = np.array([[0.0, 0.1], [0.2, 0.7]])
    found = heat(shares, np.full((4, 4, 3), 100, np.uint8)).astype(int).sum(axis=2)
    assert found[3, 3] > found[3, 0] > found[0, 3] > found[0, 0]
    assert np.array_equal(found[2:, 2:], np.full((2, 2), found[3, 3]))
