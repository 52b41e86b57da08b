"""A bundle that gives a picture and a label, its rate set per image, on board native."""

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

from fakes.pictured_codec import Scenes, scenes  # noqa: E402
from semflash.bundle import Bundle, read_bundle  # noqa: E402
from semflash.channels.rate_trace import RateTrace, parse_rate_trace  # noqa: E402
from semflash.edge.decoder import EdgeDecoder  # noqa: E402
from semflash.edge.evaluate import evaluate, record_measurement  # noqa: E402
from semflash.edge.golden import GoldenEncoder  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.firmware.boards.descriptions import load_board  # noqa: E402
from semflash.firmware.building.firmware import build  # noqa: E402
from semflash.firmware.emulator.native import NativePort  # noqa: E402
from semflash.hil.measure import check_steered, measure_controls  # noqa: E402
from semflash.link.port import READ_TIMEOUT_S  # noqa: E402
from semflash.link.session import Expected, Session  # noqa: E402
from semflash.monitor.live.controls import Controls  # noqa: E402
from semflash.monitor.live.picture import lines  # noqa: E402
from semflash.monitor.live_table import PlainLines, print_summary  # noqa: E402
from semflash.monitor.monitor import MonitorOptions, MonitorResult, monitor  # noqa: E402
from semflash.monitor.progress import Progress, View  # noqa: E402
from semflash.monitor.replay import replay  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
COUNT = 60


@dataclass
class Kept(View):
    """Keeps the last screen of a run, in colour and in ASCII; presses keys when so many images came."""

    keys: str = ""
    at: int = 0
    screens: list[list[str]] = field(default_factory=list)
    progress: Progress | None = None

    def update(self, progress: Progress) -> None:
        self.progress = progress
        self.screens = [
            [text.plain for text in lines(progress, 100, 80, ascii_only=plain)] for plain in (False, True)
        ]

    def poll(self, controls: Controls) -> None:
        if self.keys and self.progress is not None and self.progress.tally.received >= self.at:
            controls.press(self.keys[0])
            self.keys = self.keys[1:]


@dataclass(frozen=True)
class Made:
    bundle: Bundle
    library: str


@pytest.fixture(scope="module")
def made(pictured_folder: Path) -> Made:
    bundle = read_bundle(pictured_folder / "pictured.semcodec")
    built = build(bundle.path, load_board("native"), out_dir=pictured_folder / "build")
    return Made(bundle, str(built.image_path))


@pytest.fixture(scope="module")
def data() -> Scenes:
    return scenes(COUNT, 11)


def run(
    made: Made, data: Scenes, view: View | None = None, port: Any = None, **options: Any
) -> MonitorResult:
    with NativePort(made.library, timeout=READ_TIMEOUT_S) as opened:
        given = port(opened) if port else opened
        return monitor(made.bundle, given, data, MonitorOptions(**({"count": COUNT} | options)), view)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_run_gives_label_and_picture_as_evaluate_does(made: Made, data: Scenes, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    result = run(made, data, check_golden=True, record_path=path, controls={"bytes": 20})
    tally = result.progress.tally
    assert (result.exit_code, tally.golden_checked, tally.golden_wrong) == (0, COUNT, 0)
    measured = evaluate(made.bundle, data, [0.0], controls={"bytes": 20})
    (point,) = measured.as_json()["points"]
    plain = result.as_dict()
    for name in ("accuracy", "psnr", "ssim", "object_psnr", "object_ssim"):
        assert plain[name] == pytest.approx(point[name], abs=1e-6), name
    images = [line for line in records(path) if line["kind"] == "image"]
    decoder = EdgeDecoder(made.bundle)
    payloads = np.zeros((COUNT, made.bundle.payload_bytes), np.uint8)
    for row, line in zip(payloads, images, strict=True):
        row[: len(line["payload"]) // 2] = np.frombuffer(bytes.fromhex(line["payload"]), np.uint8)
    bits = np.array([line["bits"] for line in images])
    found = decoder.decode(payloads, 0.0, bits=bits)
    assert found.pictures is not None and found.levels is not None
    assert [line["predicted"] for line in images] == found.outputs.argmax(1).tolist()
    for index in (0, COUNT - 1):  # by the formula, apart from the code under test
        original = data.images[images[index]["index"]] / 255.0
        error = np.mean((found.pictures[index].astype(np.float64) - original) ** 2)
        assert images[index]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
        counts = np.bincount(found.levels[index].ravel(), minlength=8)
        assert images[index]["patches_by_level"] == counts.tolist() and counts.sum() == 16


def test_the_map_that_arrives_is_the_one_that_the_device_computed(made: Made, data: Scenes) -> None:
    golden = GoldenEncoder(made.bundle)
    ran = golden.run(data.images, {"bytes": 6})
    found = EdgeDecoder(made.bundle).decode(ran.sent.payloads, 0.0, bits=ran.sent.bits)
    np.testing.assert_array_equal(found.levels, ran.tensors["saliency_codes"][..., 0])
    assert found.levels is not None
    assert found.consistent.all() and len(np.unique(found.levels)) == 8


def test_without_masks_there_is_nothing_of_the_object(made: Made) -> None:
    plain = scenes(20, 3, masks=False)
    names = [metric.name for metric in evaluate(made.bundle, plain, [0.0]).measurement.metrics]
    assert names == ["accuracy", "psnr", "ssim"]
    result = run(made, plain, count=20).as_dict()
    assert "psnr" in result and "object_psnr" not in result


def test_the_object_is_the_patches_that_it_covers(made: Made, data: Scenes) -> None:
    """PSNR over one patch of 7 x 7 pixels, by the formula."""
    result = evaluate(made.bundle, data, [0.0], controls={"bytes": 12})
    sent = GoldenEncoder(made.bundle).sent(data.images, {"bytes": 12})
    pictures = EdgeDecoder(made.bundle).decode(sent.payloads, 0.0, bits=sent.bits).pictures
    assert pictures is not None and data.cover is not None
    expected = []
    for picture, original, cover in zip(pictures, data.images, data.cover, strict=True):
        row, column = (7 * int(place) for place in np.argwhere(cover)[0])
        part = np.s_[row : row + 7, column : column + 7]
        error = np.mean((picture[part].astype(np.float64) - original[part] / 255.0) ** 2)
        expected.append(min(100.0, -10 * np.log10(error)))
    np.testing.assert_allclose(result.pictures[0.0][:, 2], expected, atol=1e-3)
    names = [metric.name for metric in result.measurement.metrics]
    score = result.measurement.points[0].scores[names.index("object_psnr")]
    assert score.value == pytest.approx(np.mean(expected), abs=1e-3)


@pytest.mark.parametrize("name", ["alternating:6,23,54", "fading:8-54"])
def test_each_image_is_told_its_rate_and_keeps_to_it(
    made: Made, data: Scenes, tmp_path: Path, name: str
) -> None:
    path, raw = tmp_path / "run.jsonl", tmp_path / "run.sfraw"
    trace = parse_rate_trace(name, made.bundle.program.controls[0])
    result = run(made, data, rate_trace=trace, record_path=path, raw_path=raw, check_golden=True)
    assert result.exit_code == 0 and result.progress.tally.golden_wrong == 0
    images = [line for line in records(path) if line["kind"] == "image"]
    told = [line["bytes_told"] for line in images]
    assert told == trace.first(COUNT).tolist() == [line["controls"]["bytes"] for line in images]
    assert len(set(told)) >= 3
    sizes = [len(line["payload"]) // 2 for line in images]
    assert all(size <= most for size, most in zip(sizes, told, strict=True))
    plain = result.as_dict()
    assert plain["rate_trace"] == name and plain["rate"]["exceeded"] == 0
    assert (plain["rate"]["told_least"], plain["rate"]["told_most"]) == (min(told), max(told))
    assert plain["rate"]["sent_share"] == pytest.approx(sum(sizes) / sum(told))
    assert (plain["payload_bytes_mean"], plain["payload_bytes_most"]) == (np.mean(sizes), max(sizes))
    offline = evaluate(made.bundle, data, [0.0], rate_trace=trace)
    assert offline.sizes[0.0] == (sum(sizes) / COUNT, max(sizes))
    assert [line["predicted"] for line in images] == offline.predictions[0.0].tolist()
    assert plain["psnr"] == pytest.approx(offline.measurement.points[0].scores[1].value, abs=1e-6)
    again = replay(made.bundle, raw, split=data)
    assert (again.images, again.changed, again.over_rate) == (COUNT, 0, 0)
    assert again.figures["psnr"] == pytest.approx(plain["psnr"], abs=1e-6)
    assert (again.payload_bytes_mean, again.payload_bytes_most) == (sum(sizes) / COUNT, max(sizes))


def test_a_payload_longer_than_told_is_counted_and_ends_in_an_error(
    made: Made, data: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device cannot be made to lie, so the host forgets what it told one image in five."""
    from semflash.monitor.rate import Rate

    told = Rate.told
    monkeypatch.setattr(Rate, "told", lambda self, index: 9 if index % 5 == 0 else told(self, index))
    view = Kept()
    result = run(made, data, view, controls={"bytes": 30})
    assert result.exit_code == 1 and result.rate_exceeded == COUNT // 5
    assert result.as_dict()["rate"]["first_exceeded"] == list(range(0, COUNT, 5))
    assert any("12 above what was told" in line for line in view.screens[0])
    summary = io.StringIO()
    print_summary(result, summary)
    assert "12 payloads above" in " ".join(summary.getvalue().split())


def test_the_live_view_shows_pictures_levels_rate_and_their_figures(made: Made, data: Scenes) -> None:
    view = Kept()
    trace = RateTrace((54, 20), "alternating:54,20")
    result = run(made, data, view, rate_trace=trace)
    colour, plain = ("\n".join(screen) for screen in view.screens)
    for screen in (colour, plain):
        assert "original" in screen and "received" in screen and "levels" in screen
        assert "20 sent of 20 told" in screen or "54 sent of 54 told" in screen
        assert "alternating:54,20" in screen and "PSNR of the object" in screen and "+/- bytes" in screen
    newest = result.progress.recent[-1].verdict.levels
    assert newest is not None
    for row in newest.text:
        assert row in plain
    assert newest.words in colour
    assert colour.count("▀") == 3 * 24 * 12 + 4 * 2  # three pictures, and the map by itself
    summary, printed = io.StringIO(), io.StringIO()
    print_summary(result, summary)
    text = " ".join(summary.getvalue().split())
    assert "bytes told 20 to 54" in text and "no payload above, alternating:54,20" in text
    assert "payload 37, the longest 54 (at most 54) bytes per image" in text and "PSNR of the object" in text
    lines_view = PlainLines(printed)
    lines_view._next_s = 0.0
    lines_view.update(result.progress)
    assert printed.getvalue().endswith(", 20 of 20 bytes\n")


@pytest.mark.parametrize(("keys", "expected"), [("+", 32), ("-", 16), ("++", 48), ("+++++", 54)])
def test_keys_change_the_rate_of_the_next_images(
    made: Made, data: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, expected: int
) -> None:
    monkeypatch.setattr("semflash.monitor.run._TICK_S", 0.0)
    monkeypatch.setattr("semflash.monitor.run.REFRESH_S", 0.0)
    path = tmp_path / "run.jsonl"
    result = run(made, data, Kept(keys, 10), controls={"bytes": 24}, record_path=path, check_golden=True)
    told = [line["bytes_told"] for line in records(path) if line["kind"] == "image"]
    assert told[:10] == [24] * 10 and told[-1] == expected
    assert result.progress.tally.golden_wrong == 0 and result.progress.level == 0.0
    said = [line["bytes_told"] for line in records(path) if line["kind"] == "rate"]
    assert said[-1] == expected and set(told) <= {24, *said}


def test_a_key_ends_a_trace_and_damage_has_keys_of_its_own(
    made: Made, data: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semflash.monitor.run._TICK_S", 0.0)
    monkeypatch.setattr("semflash.monitor.run.REFRESH_S", 0.0)
    path, trace = tmp_path / "run.jsonl", RateTrace((54, 20), "alternating:54,20")
    result = run(made, data, Kept("+>", 12), rate_trace=trace, record_path=path)
    told = [line["bytes_told"] for line in records(path) if line["kind"] == "image"]
    assert told[:12] == [54, 20] * 6 and len(set(told[-20:])) == 1
    (event,) = (event for event in result.progress.events if event.kind == "rate")
    assert "alternating:54,20 ends" in event.text
    assert result.progress.level == 0.0001


def test_the_desk_checks_every_rate(made: Made, data: Scenes) -> None:
    with NativePort(made.library, timeout=READ_TIMEOUT_S) as port:
        session = Session(port, Expected.of(made.bundle))
        check_steered(measure_controls(session, data.images[:8], made.bundle))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate_trace": RateTrace((5,), "steady:5")}, "takes 6 to 54"),
        ({"rate_trace": RateTrace((20,), "steady:20"), "controls": {"bytes": 20}}, "a rate beside a trace"),
    ],
)
def test_rates_that_do_not_fit_are_refused_before_the_board(
    made: Made, data: Scenes, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        run(made, data, **options)
    with pytest.raises(UsageError, match=says):
        evaluate(made.bundle, data, [0.0], **options)


def test_a_measurement_is_recorded_with_all_metrics(made: Made, data: Scenes, tmp_path: Path) -> None:
    copy = read_bundle(shutil.copytree(made.bundle.path, tmp_path / "pictured.semcodec"))
    record_measurement(copy, evaluate(copy, data, [0.0, 0.01]))
    (measured,) = read_bundle(copy.path).record.measurements
    assert [metric.name for metric in measured.metrics][:3] == ["accuracy", "psnr", "ssim"]
    assert len(measured.points[1].scores) == 5 and measured.bytes_mean is None
    cut = evaluate(copy, data, [0.0], controls={"bytes": 20}).measurement
    assert (cut.bytes_mean, cut.bytes_most) == (20.0, 20)
