"""A report on a bundle of symbols with states: words of the page, tables of states, marks of the curve."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from fakes.idx_files import write_blocks
from fakes.steered import STEERED, blocks, symbols
from semflash.cli.main import main
from semflash.edge.golden import GoldenEncoder
from semflash.report import channel, curves, gather, pictures
from semflash.report import symbols as report_symbols
from semflash.report.content import Content

LEVELS = [18.0, 6.0, 0.0, -6.0]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)


@pytest.fixture(scope="module")
def page(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report over a fading channel, as HTML without its styles."""
    target = tmp_path_factory.mktemp("report") / "report.html"
    flags = ["--snr=-6,0,6,18", "--fading", "rayleigh", "--report", str(target)]
    assert main(["evaluate", str(STEERED), "--data-dir", str(data_dir), *flags]) == 0
    return html.unescape(target.read_text(encoding="utf-8"))


def view(**options: object):
    data = blocks(60)
    return gather.view(symbols(), data, LEVELS, [], pictures=False, **options)  # type: ignore[arg-type]


def test_the_page_names_channel_states_and_symbols(page: str) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for words in (
        "noise on the symbols in the packed payload (injected, seed 0, Rayleigh fading, one gain per image)",
        "Accuracy against signal-to-noise ratio, Rayleigh fading, one gain per image",
        "each SNR is the mean one, the receiver knows the gains and divides by them",
        "and decoders are told the mean.",
        "steered: state is at each level the one that belongs to it, as a host that knows the level sets it.",
        "The decoder is told what the device used.",
        "Small figures: what the device was set to.",
        "32 bytes: what the device was set to control -6 dB 0 dB 6 dB 18 dB steered: state 0 2 4 7",
        "steered: symbols before the channel",
        "Confusion at SNR 0 dB",
    ):
        assert words in text, words
    assert "Centres" not in text and "bits flipped" not in text


def test_every_picture_of_it_has_a_text(page: str) -> None:
    alts = re.findall(r'<svg[^>]*aria-label="([^"]*)"', page) or re.findall(
        r'role="img" aria-label="([^"]*)"', page
    )
    assert any(alt.startswith("Symbols of steered in the plane of I and Q") for alt in alts)
    assert all(alts)


def test_the_twin_and_the_json_say_the_same(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.html"
    flags = ["--snr=-6,18", "--state", "5", "--report", str(target), "--json"]
    assert main(["evaluate", str(STEERED), "--data-dir", str(data_dir), *flags]) == 0
    (found,) = json.loads(capsys.readouterr().out)["bundles"]
    assert [point["controls"]["state"] for point in found["points"]] == [5, 5, 5]
    twin = target.with_suffix(".md").read_text(encoding="utf-8")
    assert "steered: state is 5 at every level. The decoder is told what the device used." in twin
    assert "| steered: state | 5 | 5 | 5 |" in twin and "fading" not in twin


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "state is at each level the one that belongs to it"),
        ({"controls": {"state": 2}}, "state is 2 at every level"),
        ({"state_error": -2}, "state is wrong by -2 at each level, within its range"),
    ],
)
def test_the_sentence_says_what_was_done(options: dict[str, object], says: str) -> None:
    content = Content([view(**options)], [], 0)
    (sentence,) = channel.sentences(content)
    assert sentence.startswith("steered: ") and says in sentence


def test_points_of_the_curve_are_marked_with_their_states() -> None:
    made = view()
    figure = pictures.against_quality([made], [], 32, made.words, made.quality)
    marks = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert {mark: round(float(place[0])) for mark, place in marks.items()} == {
        "0": -6,
        "2": 0,
        "4": 6,
        "7": 18,
    }
    section = curves.against_quality(Content([made], [], 0))
    (table,) = (table for table in section.tables if "was set to" in table.caption)
    assert table.rows == [["steered: state", "0", "2", "4", "7"]]


def test_symbols_have_the_power_that_the_device_gives_them() -> None:
    bundle, data = symbols(), blocks(60)
    (found,) = report_symbols.measured(bundle, data.images, [{"state": 3}, {"state": 3}])
    sent = GoldenEncoder(bundle).payloads(data.images, {"state": 3}).view(np.int8).astype(float)
    scale = 4 * 0.5**0.5 / 127
    assert found.controls == "state 3" and len(found.points) == 60 * 16
    assert found.power == pytest.approx(2 * (scale * sent).__pow__(2).mean(), rel=1e-6)
    assert found.power == pytest.approx(1.0, abs=0.02)
    squares = ((scale * sent).reshape(-1, 2) ** 2).sum(1)
    assert found.peak == pytest.approx(10 * np.log10(squares.max() / squares.mean()))
    made = view()
    assert [one.controls for one in made.symbols] == ["state 0", "state 2", "state 4", "state 7"]
    assert made.use.size == 0 and made.centres == ()
