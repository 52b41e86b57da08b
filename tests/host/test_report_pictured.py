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

from fakes.pictured_codec import Scenes, scenes
from semflash.bundle import Bundle, read_bundle
from semflash.edge.evaluate import evaluate
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
