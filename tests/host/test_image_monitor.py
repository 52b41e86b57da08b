"""The monitor with an image codec on board native: verdicts, records, live view, and SNR in place of BER."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("tensorflow", reason="the converter of int8 graphs is TensorFlow's")
pytest.importorskip("rich")

from fakes.image_codec import BER, export_pictures, images  # noqa: E402
from semflash.bundle.reader import Bundle  # noqa: E402
from semflash.edge.evaluate import evaluate  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.firmware.boards.descriptions import load_board  # noqa: E402
from semflash.firmware.building.firmware import build  # noqa: E402
from semflash.firmware.emulator.native import NativePort  # noqa: E402
from semflash.link.port import READ_TIMEOUT_S  # noqa: E402
from semflash.monitor.live.controls import Controls  # noqa: E402
from semflash.monitor.live.picture import lines  # noqa: E402
from semflash.monitor.live_table import print_summary  # noqa: E402
from semflash.monitor.monitor import MonitorOptions, MonitorResult, monitor  # noqa: E402
from semflash.monitor.progress import Progress, View  # noqa: E402
from semflash.program.quality import Snr  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
COUNT = 24


@dataclass(frozen=True)
class Pictures:
    """A split, and a data set of that split alone."""

    images: np.ndarray
    labels: np.ndarray
    name: str = "ramps"

    @property
    def test(self) -> Pictures:
        return self


@dataclass
class Kept(View):
    """Keeps the last screen of a run, in colour and in ASCII."""

    screens: list[list[str]] = field(default_factory=list)

    def update(self, progress: Progress) -> None:
        self.screens = [
            [text.plain for text in lines(progress, 100, 60, ascii_only=plain)] for plain in (False, True)
        ]


Made = tuple[Bundle, str]


@pytest.fixture(scope="module", params=["ber", "snr"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    quality = BER if request.param == "ber" else Snr(-5.0, 20.0)
    _, bundle = export_pictures(folder, quality, request.param)
    return bundle, build(bundle.path, load_board("native"), out_dir=folder / "build").image_path


@pytest.fixture(scope="module")
def split() -> Pictures:
    return Pictures(images(COUNT, 5), np.zeros(COUNT, np.int32))


def run(made: Made, split: Pictures, view: View | None = None, **options: Any) -> MonitorResult:
    with NativePort(made[1], timeout=READ_TIMEOUT_S) as port:
        return monitor(made[0], port, split, MonitorOptions(count=COUNT, **options), view)


def test_a_run_without_damage_gives_what_evaluate_gives(made: Made, split: Pictures, tmp_path: Path) -> None:
    bundle, name = made[0], made[0].quality.name
    path = tmp_path / "run.jsonl"
    result = run(made, split, check_golden=True, record_path=path, known=True)
    assert result.exit_code == 0 and result.progress.tally.golden_checked == COUNT
    clean = evaluate(bundle, split, [bundle.quality.clean]).measurement.points[0]
    plain = result.as_dict()
    assert plain["psnr"] == pytest.approx(clean.score.value, abs=1e-6)
    assert plain["ssim"] == pytest.approx(clean.scores[1].value, abs=1e-6)
    assert plain["psnr_95"] == pytest.approx([clean.score.low, clean.score.high], abs=1e-6)
    assert "accuracy" not in plain and plain["bits_flipped"] == 0
    session, *records, end = (json.loads(line) for line in path.read_text().splitlines())
    assert (session["output"], session["quality"]) == ("image", name) and end["psnr"] == plain["psnr"]
    assert f"{name}_injected" in session and ("ber_injected" in session) == (name == "ber")
    shown = [record for record in records if record["kind"] == "image"]
    assert len(shown) == COUNT and not any("predicted" in record for record in shown)
    assert np.mean([record["psnr"] for record in shown]) == pytest.approx(plain["psnr"], abs=1e-3)
    assert all(0 < record["ssim"] <= 1 and record["payload"] for record in shown)


def test_damage_of_the_bundles_kind_is_injected_estimated_and_told(made: Made, split: Pictures) -> None:
    quality = made[0].quality
    level = quality.damaged
    result = run(made, split, level=level, seed=3)
    plain = result.as_dict()
    assert plain[f"{quality.name}_injected"] == level and plain["bits_flipped"] > 0
    estimate = plain[f"{quality.name}_estimate"]
    width = (
        estimate["high"] - estimate["low"]
    )  # of 95 %: twice as wide holds the truth in all but 1 of 10,000
    assert estimate["low"] - width / 2 <= level <= estimate["high"] + width / 2 and width > 0
    assert plain[f"{quality.name}_told"] == pytest.approx(quality.told(estimate["value"]))
    assert plain["psnr"] < run(made, split).as_dict()["psnr"] - 1
    text = io.StringIO()
    print_summary(result, text)
    printed = text.getvalue()
    assert "PSNR" in printed and f"of {COUNT} pictures" in printed and "SSIM" in printed
    assert f"{quality.short} {level:.4g} (seed 3)" in printed


def test_the_live_view_shows_the_newest_picture_beside_what_arrived(made: Made, split: Pictures) -> None:
    view = Kept()
    run(made, split, view, level=made[0].quality.damaged)
    colour, plain = ("\n".join(screen) for screen in view.screens)
    for screen in (colour, plain):
        assert "original" in screen and "received" in screen and "PSNR" in screen and " dB" in screen
    assert colour.count("▀") == 2 * 24 * 12 and "▀" not in plain
    assert ("noise" in colour) == (made[0].quality.name == "snr")


def test_pictures_do_not_fit_into_a_raw_recording(made: Made, split: Pictures, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps classes") as caught:
        run(made, split, raw_path=tmp_path / "run.sfraw")
    assert "image codecs with --record" in caught.value.remedy


def test_keys_step_through_the_levels_of_the_bundles_quality() -> None:
    controls = Controls.of(Snr(-5.0, 20.0), 100.0)
    found = []
    for key in "+++-0":
        controls.press(key)
        found.append(controls.level)
    assert found == [20.0, 16.0, 14.0, 16.0, 100.0]
    controls.level = 11.0
    controls.press("+")
    assert controls.level == 10.0
    controls.level = -4.0
    controls.press("+")
    assert controls.level == -4.0
