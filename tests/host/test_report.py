"""Results of experiments, their statistics, and the report of `semflash evaluate --compare`."""

from __future__ import annotations

import html.parser
import itertools
import json
import re
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from fakes.idx_files import write_blocks
from fakes.results import BERS, campaign, result
from semflash.bundle.schema import Measurement, Point
from semflash.cli.main import main
from semflash.errors import UsageError
from semflash.outputs.metrics import ACCURACY, Metric, Score
from semflash.program.quality import Ber
from semflash.report import pictures
from semflash.report.gather import read_costs
from semflash.report.results import ResultStore, read_result, read_results, write_result
from semflash.report.statistics import Mean, above, mean_of, series
from semflash.report.wording import WORDS

SECTIONS = (
    "Summary",
    "Accuracy against bit error rate",
    "Accuracy against bytes",
    "Centres and their use",
    "Decoded features",
    "Confusion at BER 5 %",
    "Device cost",
    "All settings and seeds",
)
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)


@pytest.fixture(scope="module")
def report(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the tiny bundle with fourteen made-up methods beside it."""
    folder = tmp_path_factory.mktemp("report")
    store = ResultStore(folder / "results")
    for one in campaign():
        store.put(one)
    arguments = [
        "evaluate",
        str(TINY),
        "--data-dir",
        str(data_dir),
        "--compare",
        str(folder / "results"),
        "--report",
        str(folder / "report.html"),
        "--plots",
        str(folder / "plots"),
    ]
    assert main(arguments) == 0
    return folder / "report.html"


def test_a_result_is_read_as_it_was_written_and_one_row_is_one_line(tmp_path: Path) -> None:
    original = result("deepcod", {0.0: 0.9, 0.01: 0.8}, history=[{"epoch": 1, "loss": 0.5}], variant="a, {b}")
    path = tmp_path / "deep" / "one.json"
    write_result(path, original)
    assert read_result(path) == original
    assert sum('"value"' in line for line in path.read_text().splitlines()) == 2
    assert [p.name for p in path.parent.iterdir()] == ["one.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not a result"), ("[]", "not a result"), ('{"format": "semflash-experiment"}', "not a result")],
)
def test_a_file_that_is_no_result_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_result(path)
    assert "wrong.json" in str(caught.value.value)


def test_folders_without_results_missing_files_and_later_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rate.json").write_text("{}")
    with pytest.raises(UsageError, match="no results here"):
        read_results([tmp_path])
    with pytest.raises(UsageError, match="cannot read"):
        read_results([tmp_path / "none.json"])
    write_result(tmp_path / "late.json", result("a", {0.0: 0.5}, version=99))
    with pytest.raises(UsageError, match="format"):
        read_results([tmp_path])


def test_means_and_spreads_are_those_of_the_statistics_module() -> None:
    values = [0.91, 0.92, 0.90]
    accuracies = [result("a", {0.05: value}, seed=seed) for seed, value in enumerate(values)]
    (one,) = series(accuracies)
    found = one.bsc(0.05)
    assert found == Mean(statistics.fmean(values), statistics.stdev(values), 3)
    assert one.seeds == (0, 1, 2) and one.bsc(0.01) is None


def test_variants_sizes_and_framings_are_not_averaged_together() -> None:
    results = [
        result("a", {0.0: 0.9}),
        result("a", {0.0: 0.8}, variant="b"),
        result("a", {0.0: 0.7}, size=24),
        result("c", {0.0: 0.6}),
        result("c", {0.0: 0.5}, framing="drop"),
        result("c", {0.0: 0.1}, split="val"),
    ]
    means = [mean.mean for one in series(results) for mean in one.means.values()]
    assert means == [0.9, 0.8, 0.7, 0.6, 0.5]


def test_one_mean_is_above_another_only_by_more_than_both_spreads_and_never_with_one_seed() -> None:
    assert above(Mean(0.90, 0.01, 3), Mean(0.87, 0.01, 3)) is True
    assert above(Mean(0.90, 0.02, 3), Mean(0.87, 0.01, 3)) is False
    assert above(mean_of([0.9]), Mean(0.1, 0.0, 3)) is None


class Links(html.parser.HTMLParser):
    """Collects what a browser would fetch, and tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("src", "href", "xlink:href", "data", "action"):
            value = given.get(name) or ""
            if value and not value.startswith(("#", "data:")):
                self.fetched.append(value)
        if given.get("role") == "img":
            self.labels.append(given.get("aria-label") or "")


def test_the_report_refers_to_nothing_outside_itself_and_every_picture_has_a_text(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert links.fetched == []
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(links.labels) == text.count("<figure") == 9 and all(len(label) > 20 for label in links.labels)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_report_and_its_twin_have_every_section_and_the_measured_figures(report: Path) -> None:
    page, twin = report.read_text(encoding="utf-8"), report.with_suffix(".md").read_text(encoding="utf-8")
    for title in SECTIONS:
        assert title in page and f"## {title}" in twin
    expected = 100 * statistics.fmean(0.91 - 0.3 * 0.05 + 0.001 * seed for seed in range(3))
    for text in (page, twin):
        assert f"{expected:.2f} ± 0.10" in text and "SEMANTICNN" in text
        assert "JPEG, damaged payloads dropped" in text
    plots = re.findall(r"\]\((report-plots/[^)]+)\)", twin)
    assert len(plots) >= 5
    for name in plots:
        assert (report.parent / name).read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_plots_come_as_png_and_svg(report: Path) -> None:
    folder = report.parent / "plots"
    names = {path.stem for path in folder.glob("*.svg")}
    assert {"accuracy-ber-24", "accuracy-bytes-5", "confusion-tiny", "features-tiny", "cost"} <= names
    for name in names:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_content_gives_the_same_bytes(report: Path, data_dir: Path, tmp_path: Path) -> None:
    arguments = [
        "evaluate",
        str(TINY),
        "--data-dir",
        str(data_dir),
        "--compare",
        str(report.parent / "results"),
        "--report",
        str(tmp_path),
    ]
    assert main(arguments) == 0
    assert (tmp_path / "report.html").read_bytes() == report.read_bytes()


def test_json_has_the_bundles_and_the_means(
    data_dir: Path, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(TINY), "--data-dir", str(data_dir), "--ber", "0,0.05", "--json", "--compare"]
    assert main([*arguments, str(report.parent / "results")]) == 0
    found = json.loads(capsys.readouterr().out)
    (bundle,) = found["bundles"]
    assert sum(map(sum, bundle["confusion"])) == bundle["images"] == 60
    assert sum(bundle["code_use"]) == pytest.approx(1.0, abs=1e-4)
    own = next(one for one in found["experiments"] if one["method"] == "semanticnn")
    assert own["seeds"] == [0, 1, 2] and len(own["points"]) == len(BERS)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--compare", "nowhere"], "cannot read a result"),
        (["--compare", "--report", "no/such/report.html"], "folder for the report does not exist"),
        (["--report", "report.pdf"], "a .html file or a folder"),
        (["--compare", "--record"], "--record is for one bundle"),
        (["--compare", "--plot", "a.png"], "--plot is for one bundle"),
        (["--compare", "--limit", "0"], "at least 1"),
        (["--compare", "--plots", "no/such/folder"], "folder above --plots"),
        (["--compare", "--bench", "nowhere.json"], "cannot read a bench file"),
        (["--compare"], "two bundles of one name"),
    ],
)
def test_the_verb_refuses_what_cannot_be_compared(
    flags: list[str],
    text: str,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    bundles = [str(TINY)] * (2 if "two bundles" in text else 1)
    assert main(["evaluate", *bundles, "--data-dir", str(data_dir), *flags]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_bench_records_are_found_in_every_form(tmp_path: Path) -> None:
    record = {"counts_median": 5, "bundle_hash": "ab"}
    forms = [record, [record], {"model": {"aot": record, "tflm": {"refused": "too large"}}}]
    for index, form in enumerate(forms):
        path = tmp_path / f"{index}.json"
        path.write_text(json.dumps(form))
        assert read_costs([path]) == [record]
    path.write_text("{}")
    with pytest.raises(UsageError, match="no record"):
        read_costs([path])


def test_markers_and_colours_tell_fourteen_lines_apart(report: Path) -> None:
    from semflash.report import plots

    looks = [
        (plots.COLOURS[i % len(plots.COLOURS)], plots.MARKERS[i % len(plots.MARKERS)]) for i in range(24)
    ]
    assert all(a != b for a, b in itertools.combinations(looks, 2))


def measured(name: str, dataset: str, macs: int, accuracy: float, images: int) -> Any:
    points = [Point(0.01, (Score(accuracy, accuracy, accuracy),))]
    measurement = Measurement(dataset, "test", images, 0, "ber", (ACCURACY,), points)
    return SimpleNamespace(
        bundle=SimpleNamespace(name=name, record=SimpleNamespace(macs=macs)),
        cost=None,
        history=[],
        evaluation=SimpleNamespace(measurement=measurement, task_value=accuracy + 0.01, controls={}),
        value=lambda level: accuracy,
        quality=Ber,
    )


def test_the_front_heeds_the_metrics_direction_and_leaves_out_what_was_not_measured() -> None:
    cheap, dear = measured("cheap", "x", 100, 0.2, 10), measured("dear", "x", 200, 0.3, 10)
    assert pictures.front([cheap, dear]) == {"cheap", "dear"}
    error = Metric("error", "share", "lower")
    for view in (cheap, dear):
        view.evaluation.measurement = msgspec.structs.replace(view.evaluation.measurement, metrics=(error,))
    assert pictures.front([cheap, dear]) == {"cheap"}
    cheap.value = lambda level: None
    assert pictures.front([cheap, dear]) == {"dear"}


def test_bundles_of_different_data_sets_are_not_weighed_against_each_other() -> None:
    clothes = [
        measured("good", "fashion-mnist", 100, 0.9, 10_000),
        measured("bad", "fashion-mnist", 200, 0.8, 10_000),
    ]
    stamps = measured("stamps", "stamps", 300, 0.6, 2_000)
    assert pictures.front([*clothes, stamps]) == {"good", "stamps"}
    lines, both = (
        {
            line.get_label()
            for line in pictures.against_quality(views, [], 48, WORDS["accuracy"], Ber).axes[0].get_lines()
        }
        for views in (clothes, [*clothes, stamps])
    )
    assert any("uncompressed" in label for label in lines) and not any(
        "uncompressed" in label for label in both
    )


def test_the_report_says_how_importance_was_found_and_in_how_many_steps(report: Path) -> None:
    pytest.importorskip("keras")
    for path in (report, report.with_suffix(".md")):
        assert re.search(r"by integrated gradients of the task(&#39;|')s loss, 2 steps", path.read_text())


def test_the_lead_says_how_many_images_of_which_data_set(report: Path) -> None:
    assert "60 images of the test split of fashion-mnist, bits flipped" in report.read_text()
