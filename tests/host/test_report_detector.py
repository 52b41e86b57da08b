"""The report of a detector: mAP@0.5 in place of accuracy, precision by class, scenes with their boxes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL.Image")
pytest.importorskip("pycocotools")

from fakes.box_folder import coco_folder
from fakes.results import result
from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.outputs.average_precision import class_precisions, mean_average_precision
from semflash.outputs.kinds import DetectionTask
from semflash.report import pictures, plots, render, scene_grid
from semflash.report.answers.objects import chosen
from semflash.report.page import Chart, Page, Section, Table
from semflash.report.results import write_result

DETECTOR = "stamps-detect"
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CAT, DOG, COW = 0, 1, 2
#: Recall levels of COCO: 0, 0.01 ... 1.
LEVELS = 101


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco") / "shapes", 6, 12, ("animal", "fruit"))


@pytest.fixture(scope="module")
def report(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the zoo's detector on two kinds of coloured rectangles."""
    target = tmp_path_factory.mktemp("report") / "report.html"
    arguments = ["evaluate", DETECTOR, "--dataset", str(folder), "--ber", "0,0.01", "--compare"]
    assert main([*arguments, "--report", str(target)]) == 0
    return target


def test_the_figure_of_merit_is_called_by_its_name_everywhere(report: Path) -> None:
    page, twin = report.read_text(encoding="utf-8"), report.with_suffix(".md").read_text(encoding="utf-8")
    for title in (
        "Summary",
        "mAP@0.5 against bit error rate",
        "Average precision by class",
        "Scenes and the objects found in them",
        "Device cost beside mAP@0.5",
    ):
        assert title in page and f"## {title}" in twin
    for text in (page, twin):
        before_settings = text[: text.index("All settings and seeds")]
        assert "accuracy" not in before_settings.lower() and "confusion" not in before_settings.lower()
        assert "mean over classes of the average precision" in before_settings and "bootstrap" in text
    assert page.count("<figure") == len(re.findall(r"!\[[^\]]+\]\(report-plots/", twin))


def test_the_charts_label_their_axes_with_it(report: Path) -> None:
    plots = report.parent / "report-plots"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in plots.glob("*.svg")}
    wanted = {
        "map50-ber-96": ">mAP@0.5, %<",
        "cost": ">mAP@0.5 at BER 1 %, %<",
        "training-stamps-detect": ">validation mAP@0.5, %<",
        "precision-stamps-detect": ">average precision, %<",
    }
    for name, label in wanted.items():
        assert label in texts[name] and "accuracy" not in texts[name]
    assert (
        ">found, BER 5 %<" in texts["scenes-stamps-detect"] and ">scene 0<" in texts["scenes-stamps-detect"]
    )


def test_json_has_precision_by_class_whose_mean_is_the_map(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", DETECTOR, "--dataset", str(folder), "--ber", "0", "--compare", "--json"]
    assert main(arguments) == 0
    (found,) = json.loads(capsys.readouterr().out)["bundles"]
    assert found["metric"] == "map50" and "confusion" not in found and "importance" not in found
    objects = dict(zip(found["class_names"], found["class_objects"], strict=True))
    assert sum(objects.values()) == 24 and list(objects)[2:] == ["flower", "building", "vehicle"]
    for point in found["points"]:
        values = found["class_precision"][f"{point['ber']:g}"]
        assert values[2:] == [None] * 3
        assert np.mean(values[:2]) == pytest.approx(point["map50"])


def test_average_precision_by_class_is_what_counting_by_hand_gives() -> None:
    truth = np.full((2, 3, 6), -1, np.float32)
    truth[0, :3] = [(0, 0, 10, 10, CAT, 0), (20, 0, 30, 10, DOG, 0), (0, 20, 10, 30, DOG, 0)]
    truth[1, :1] = [(5, 5, 15, 15, CAT, 0)]
    cats = [np.array([(0, 0, 10, 10, CAT, 0.9)]), np.array([(5, 5, 15, 15, CAT, 0.8)])]
    dog = np.array([(20, 0, 30, 10, DOG, 0.7), (40, 40, 50, 50, DOG, 0.9)])
    found = [np.concatenate([cats[0], dog]).astype(np.float32), cats[1].astype(np.float32)]
    # cats: all found, none wrong. dogs: a wrong one first, then one of two: precision 1/2 up to recall 1/2.
    expected = [1.0, 0.5 * 51 / LEVELS, None]
    assert class_precisions(truth, found, 3) == [pytest.approx(one) for one in expected]
    assert mean_average_precision(truth, found, 3) == pytest.approx((expected[0] + expected[1]) / 2)


def test_scenes_show_true_and_found_boxes_with_class_and_score() -> None:
    truth = np.array([(1, 2, 11, 22, CAT, 0), (20, 0, 30, 10, DOG, 1)], np.float32)
    answers = np.array([(2, 2, 12, 22, CAT, 0.75)], np.float32), np.zeros((0, 6), np.float32)
    image = np.zeros((32, 32, 3), np.uint8)
    figure = scene_grid.draw(
        [scene_grid.Scene("scene 7", image, truth, answers)] * 2, ["true", "0", "5"], ["cat", "dog"]
    )
    boxes, texts = ([len(getattr(axes, kind)) for axes in figure.axes[:3]] for kind in ("patches", "texts"))
    assert boxes == [2, 3, 2] and texts == [2, 1, 0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["cat", "dog, ignored"]
    assert figure.axes[1].texts[0].get_text() == "cat 0.75"
    found = figure.axes[1].patches[2]
    assert (found.get_xy(), found.get_width(), found.get_height()) == ((1.5, 1.5), 10, 20)
    assert figure.axes[0].get_ylabel() == "scene 7"


def test_scenes_without_an_object_are_shown_last_or_not_at_all() -> None:
    labels = np.full((7, 1, 6), -1, np.float32)
    labels[[1, 3, 4, 5, 6]] = (0, 0, 9, 9, CAT, 0)
    labels[4, 0, 5] = 1  # ignored
    assert chosen(labels).tolist() == [1, 3, 5, 6]
    assert chosen(labels[:4]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("names", "results", "text"),
    [
        ([DETECTOR, str(TINY)], False, "either classifiers or detectors"),
        ([str(TINY), DETECTOR], False, "detectors stamps-detect; classifiers tiny"),
        ([DETECTOR], True, "the results are accuracies of classifiers"),
    ],
)
def test_detectors_are_not_mixed_with_classifiers_or_their_results(
    names: list[str], results: bool, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(tmp_path / "one.json", result("a", {0.0: 0.5}))
    more: list[Any] = [str(tmp_path / "one.json")] if results else []
    assert main(["evaluate", *names, "--compare", *more, "--report", str(tmp_path / "report.html")]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_the_chart_of_bytes_has_the_map_and_its_interval(folder: Path) -> None:
    from semflash.data.registry import load_dataset
    from semflash.report.gather import view

    bundle = read_bundle(DETECTOR)
    assert isinstance(bundle.contract.task, DetectionTask)
    one = view(bundle, load_dataset(str(folder), image_size=(64, 64)), [0.0], [], limit=4, pictures=False)
    figure = pictures.against_bytes([one], [], 0.0, one.words, one.quality)
    assert figure.axes[0].get_ylabel() == "mAP@0.5, %"
    (bars,) = figure.axes[0].containers
    point = one.evaluation.measurement.points[0]
    assert bars.get_label() == "bundles, shapes (int8)" and bars.lines[0].get_xdata().tolist() == [96]
    assert bars.lines[0].get_ydata()[0] == pytest.approx(100 * point.score.value)
    (ends,) = bars.lines[2][0].get_segments()
    assert ends[:, 1].tolist() == pytest.approx([100 * point.score.low, 100 * point.score.high])


HOSTILE = [r"$\foo$", "<img src=http://x>", "](http://x) ![a"]


def test_names_of_classes_are_no_formulas_and_a_class_without_an_object_has_no_bar() -> None:
    def draw() -> Any:
        bundle: Any = SimpleNamespace(name="net", contract=SimpleNamespace(class_names=HOSTILE))
        return pictures.precision(bundle, [1, 0, 2], {"BER 0 %": [0.5, None, 0.25]})

    def scene() -> Any:
        truth = np.array([(1, 2, 11, 22, 0, 0)], np.float32)
        one = scene_grid.Scene(HOSTILE[0], np.zeros((32, 32, 3), np.uint8), truth, [truth])
        return scene_grid.draw([one] * 2, ["true", "0"], HOSTILE)

    for figure in (draw, scene):
        assert r">$\foo$<" in plots.svg(figure(), in_page=True)
        assert plots.png(figure()).startswith(b"\x89PNG")
    assert [np.isnan(bar.get_height()) for bar in draw().axes[0].patches] == [False, True, False]


def test_a_chart_that_nobody_saves_is_left_open_nowhere() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plots.new_figure((2, 2))
    assert pyplot.get_fignums() == before


def test_of_many_classes_the_chart_has_those_with_most_objects() -> None:
    names = [f"class {index}" for index in range(80)]
    bundle: Any = SimpleNamespace(name="net", contract=SimpleNamespace(class_names=names))
    figure = pictures.precision(bundle, list(range(80)), {"BER 0 %": [n / 80 for n in range(80)]})
    shown = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert shown == names[-pictures.SHOWN_CLASSES :]
    assert [bar.get_height() for bar in figure.axes[0].patches][-1] == pytest.approx(100 * 79 / 80)


def test_names_of_classes_are_no_markup_in_the_twin() -> None:
    chart = Chart("bars", HOSTILE[1], HOSTILE[2], lambda: None)
    table = Table(HOSTILE[1], ["class", "a|b"], [[HOSTILE[2], HOSTILE[1]]])
    page = Page("title", HOSTILE[1], [Section("a", "a", "A", charts=[chart], tables=[table])], "foot")
    twin = render.markdown(page, "plots")
    assert "<" not in twin and "a\\|b" in twin
    assert re.findall(r"(?<!\\)\]\(([^)]*)\)", twin) == ["plots/bars.svg"]
