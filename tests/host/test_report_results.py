"""Results beside bundles in the report: whose data set, which budget and settings, and bytes really sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from fakes.idx_files import write_blocks
from fakes.results import COMPARISON, result, sent_again
from semflash.bundle.schema import Measurement, Point
from semflash.channels.fading import Fading
from semflash.cli import evaluate_compare
from semflash.cli.main import main
from semflash.errors import UsageError
from semflash.outputs.metrics import ACCURACY, PSNR, Metric, Score
from semflash.program.quality import Ber, Snr
from semflash.report import curves, pictures, provenance, render
from semflash.report.comparable import check_comparable, choose
from semflash.report.content import Content
from semflash.report.page import Page, Section, Table
from semflash.report.results import Budget, ResultStore, RunResult
from semflash.report.statistics import series
from semflash.report.wording import WORDS

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
FULL = Budget("full", "all 55,000 training images")
BOTH = [
    result("semanticnn", {0.0: 0.90, 0.01: 0.89, 0.05: 0.88}),
    result("semanticnn", {0.0: 0.93, 0.01: 0.92, 0.05: 0.91}, budget=FULL, run="full"),
]


def of(dataset: str, **fields: Any) -> RunResult:
    """A result that says its data set."""
    return result("deepcod", {0.0: 0.9, 0.05: 0.8}, settings={"task": {"dataset": dataset}}, **fields)


def bundle(name: str = "mine", size: int = 48) -> Any:
    """As much of a measured bundle as the curves take."""
    points = [Point(level, (Score(0.9, 0.89, 0.91),)) for level in (0.0, 0.01, 0.05)]
    measurement = Measurement("fashion-mnist", "test", 9, 0, "ber", (ACCURACY,), points)
    return SimpleNamespace(
        bundle=SimpleNamespace(name=name, payload_bytes=size),
        words=WORDS["accuracy"],
        evaluation=SimpleNamespace(
            measurement=measurement, task_value=0.94, controls={}, control_names=[], fading=Fading()
        ),
        value=lambda level: 0.9,
        number=lambda level: "90.00",
        sent=lambda level: float(size),
        quality=Ber,
    )


def content(results: Sequence[RunResult], size: int = 48) -> Content:
    return Content([bundle(size=size)], results, 0)


def cells(tables: Sequence[Table], name: str) -> list[list[str]]:
    """The rows of tables that have this name, without it."""
    return [list(row[1:]) for table in tables for row in table.rows if row[0] == name]


def test_every_result_carries_its_budget_in_tables_legends_and_json() -> None:
    both = content(BOTH, size=24)
    wanted = {"SEMANTICNN [comparison]", "SEMANTICNN [full]"}
    for section in (curves.against_quality(both), curves.against_bytes(both)):
        for table in section.tables:
            assert {row[0] for row in table.rows} - {"mine (int8)"} <= wanted
        assert wanted <= {row[0] for table in section.tables for row in table.rows}
        for chart in section.charts[-1:]:
            _, labels = chart.draw().axes[0].get_legend_handles_labels()
            assert wanted <= set(labels)
    names = {one["name"] for one in render.as_json(Content([], BOTH, 0))["experiments"]}
    assert names == wanted
    assert render.as_json(Content([], BOTH, 0))["budgets"] == [
        {"name": "comparison", "text": COMPARISON.text},
        {"name": "full", "text": FULL.text},
    ]


def test_long_names_in_a_legend_are_not_cut_off_and_leave_the_curves_their_room() -> None:
    title = "SemanticNN, codes entropy-coded"
    results = [
        *BOTH,
        *(
            result(f"coded-{i}", {0.0: 0.9, 0.05: 0.1}, title=f"{title} {i}", framing="drop")
            for i in range(17)
        ),
    ]
    one = content(results)
    figure = pictures.against_quality(one.views, one.others, 48, one.words, one.quality)
    figure.canvas.draw()
    (legend,) = figure.legends
    box, curves_box = legend.get_window_extent(), figure.axes[0].get_window_extent()
    assert max(len(text.get_text()) for text in legend.get_texts()) > 70
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= curves_box.y0
    assert curves_box.height > 2.5 * figure.dpi


def test_texts_of_results_control_neither_the_terminal_nor_the_markdown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_compare.sections, "summary", lambda _: Section("summary", "", ""))
    sly = Budget("sly", "two\x1b[2J epochs\n\n# A heading")
    results = [result("semanticnn", {0.0: 0.9}, title="Sem\x1b]0;x\x07anticNN", budget=sly)]
    evaluate_compare._print(content(results), [])
    printed = capsys.readouterr().out
    assert "two?[2J epochs" in printed and "\x1b" not in printed and "\x07" not in printed
    twin = render.markdown(Page("title", "lead", [curves.against_quality(content(results))], "foot"), "plots")
    assert "# A heading" in twin and "\n# A heading" not in twin


def test_the_curves_say_what_each_budget_is_and_that_a_gap_to_a_bundle_is_partly_the_budget() -> None:
    for section in (curves.against_quality(content(BOTH, 24)), curves.against_bytes(content(BOTH, 24))):
        text = " ".join(section.text)
        assert f"[comparison]: {COMPARISON.text}; [full]: {FULL.text}." in text
        assert "The bundles were trained as their settings say, not under these budgets" in text
        assert "a result of [comparison] may be partly the budget" in text
    (only_full,) = curves.against_quality(content(BOTH[1:])).text
    assert "partly" not in only_full and COMPARISON.text not in only_full
    assert curves.against_quality(content([])).text == []


def test_brackets_of_budgets_are_no_links_in_the_twin() -> None:
    section = curves.against_quality(content(BOTH))
    kept = Section(section.anchor, section.short, section.title, section.text, (), section.tables)
    twin = render.markdown(Page("title", "lead", [kept], "foot"), "plots")
    assert twin.count("\\[comparison\\]") == 3 and "[comparison]" not in twin.replace("\\[", "")


def test_accuracy_stands_at_the_bytes_really_sent_all_transmissions_included() -> None:
    results = [
        result("agilenn", {0.0: 0.88, 0.05: 0.85}, mean_payload_bytes=46.0),
        result(
            "jpeg",
            {0.0: 0.9, 0.05: 0.4},
            framing="retransmit",
            mean_payload_bytes=44.0,
            transmissions={0.05: 2.0},
        ),
        result(
            "jpeg",
            {0.0: 0.9, 0.05: 0.4},
            seed=1,
            framing="retransmit",
            mean_payload_bytes=46.0,
            transmissions={0.05: 3.0},
        ),
    ]
    one = content(results)
    places = {}
    for ber in (0.0, 0.05):
        axes = pictures.against_bytes(one.views, one.others, ber, one.words, one.quality).axes[0]
        for bars in axes.containers:
            places[bars.get_label(), ber] = bars.lines[0].get_xdata().tolist()
    assert places["AGILENN [comparison]", 0.05] == [46.0]
    assert places["JPEG, sent again [comparison]", 0.0] == [45.0]
    assert places["JPEG, sent again [comparison]", 0.05] == [113.0]  # (44 * 2 + 46 * 3) / 2
    assert places["bundles, fashion-mnist (int8)", 0.05] == [48.0]
    section = curves.against_bytes(one)
    assert cells(section.tables, "JPEG, sent again [comparison]") == [
        ["48", "45.0", "90.00 ± 0.00", "–", "–", "113.0", "40.00 ± 0.00"]
    ]
    assert "all transmissions of a payload together" in section.text[-1]
    points = next(p for p in render.as_json(one_of(results))["experiments"] if p["method"] == "jpeg")[
        "points"
    ]
    assert [(p["transmissions"], p["bytes_sent"]) for p in points] == [(1.0, 45.0), (2.5, 113.0)]


def one_of(results: Sequence[RunResult]) -> Content:
    """Without a bundle, for JSON."""
    return Content([], results, 0)


def test_where_results_do_not_say_their_bytes_the_limit_stands_and_the_report_says_so() -> None:
    silent = result("deepcod", {0.0: 0.9, 0.05: 0.8})
    (one,) = series([silent, result("deepcod", {0.0: 0.9}, seed=1, mean_payload_bytes=40.0)])
    assert one.bytes_sent(0.0) == 44.0 and one.at_most
    section = curves.against_bytes(content([silent], size=24))
    assert cells(section.tables, "DEEPCOD [comparison]")[0][:2] == ["48", "at most 48.0"]
    assert "the payload's limit stands for them: DEEPCOD [comparison]" in section.text[-1]
    known = result("deepcod", {0.0: 0.9}, mean_payload_bytes=40.0)
    assert "limit" not in curves.against_bytes(content([known])).text[-1]


def test_payloads_that_were_sent_again_have_a_table_of_their_bytes_beside_their_accuracy() -> None:
    section = curves.against_quality(content(sent_again()))
    captions = [table.caption for table in section.tables]
    assert captions[1] == "24 bytes: bytes sent with retransmission, by bit error rate"
    assert "at most 4 more times" in section.text[-1] and "not held to the payload" in section.text[-1]
    again = section.tables[3]
    assert again.head == ["method", *section.tables[2].head[1:]]
    # Seeds 0 and 1 at 1 %: 44 bytes twice, 46 bytes three times.
    assert again.rows[0][again.head.index("1 %")] == f"{(44 * 2 + 46 * 3) / 2:.1f} (2.50)"
    plain = curves.against_quality(content(BOTH))
    assert len(plain.tables) == 1 and "Sent again" not in " ".join(plain.text)


def settings(seed: int, **recipe: Any) -> dict[str, Any]:
    return {
        "seed": seed,
        "budget": {"epochs": 5, "text": "t"},
        "task": {"dataset": "fashion-mnist", "set": {}},
        "recipe": {"seed": seed, "batch": 128} | recipe,
        "measures": [],
    }


def test_settings_of_results_are_all_there_and_stand_once_where_seeds_and_methods_share_them() -> None:
    results = [
        *(result("deepcod", {0.0: 0.9}, seed=s, settings=settings(s, peak=0.01)) for s in (1, 0)),
        result("adjscc", {0.0: 0.9}, settings=settings(0, peak=0.02)),
        result("adjscc", {0.0: 0.9}, seed=1, settings=settings(1, peak=0.02, stem=12)),
        result("jpeg", {0.0: 0.9}, kind="classical", settings={"trial": {"side": 16}}),
    ]
    shared, deepcod, adjscc, jpeg = provenance.of_results(results)
    assert shared.caption == "What all learned methods of the results share"
    assert [list(row) for row in shared.rows] == [
        ["budget.epochs", "5"],
        ["recipe.batch", "128"],
        ["task.dataset", "fashion-mnist"],
    ]
    assert deepcod.head == ["setting", "48 B, seeds 0, 1 [comparison]"]
    assert [list(row) for row in deepcod.rows] == [["recipe.peak", "0.01"]]
    assert adjscc.head[1:] == ["48 B, seed 0 [comparison]", "48 B, seed 1 [comparison]"]
    assert [list(row) for row in adjscc.rows] == [["recipe.peak", "0.02", "0.02"], ["recipe.stem", "–", "12"]]
    assert [list(row) for row in jpeg.rows] == [["trial.side", "16"]]


def test_results_of_other_data_sets_and_experiments_are_left_out_and_counted() -> None:
    here = [of("mnist"), of("mnist", seed=1)]
    chosen = choose(
        {"a": "mnist", "b": "mnist"},
        [*here, of("stamps"), of("stamps", experiment="transfer"), of("mnist", experiment="search")],
    )
    assert chosen.results == here
    assert chosen.notes == [
        "left out: 2 results of other data sets than mnist: stamps (2)",
        "left out: 1 result of experiments that a report does not show: search (1)",
    ]
    silent = msgspec.structs.replace(here[0], settings={})
    kept = choose({"a": "mnist"}, [silent])
    assert kept.results == [silent]
    assert kept.notes == ["1 result without the name of a data set, taken for results of mnist"]
    assert choose({"a": "mnist", "b": "stamps"}, []) == ([], [])


@pytest.mark.parametrize(
    ("datasets", "results", "message", "named"),
    [
        (
            {"one": "stamps"},
            [of("mnist")],
            "of another data set",
            "one is measured on stamps; results of experiment ber: mnist (1)",
        ),
        (
            {"one": "mnist"},
            [of("stamps"), of("mnist", experiment="transfer")],
            "of another data set",
            "one is measured on mnist; results of experiment ber: stamps (1)",
        ),
        (
            {"one": "mnist", "two": "stamps"},
            [of("mnist")],
            "bundles of one data set only",
            "two is measured on stamps; results: mnist (1)",
        ),
        ({"one": "mnist"}, [of("mnist", experiment="search")], "there are none", "search (1)"),
    ],
)
def test_results_that_cannot_stand_beside_the_bundles_are_refused(
    datasets: dict[str, str], results: list[RunResult], message: str, named: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        choose(datasets, results)
    assert named in str(caught.value.value) and caught.value.remedy


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)


def test_the_verb_refuses_results_of_another_data_set_before_it_measures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ResultStore(tmp_path / "results").put(of("stamps"))
    arguments = ["evaluate", str(TINY), "--data-dir", str(tmp_path), "--compare", str(tmp_path / "results")]
    assert main([*arguments, "--report", str(tmp_path / "report.html")]) == 2
    complaint = capsys.readouterr().err
    assert "tiny is measured on fashion-mnist" in complaint and "stamps (1)" in complaint
    assert not (tmp_path / "report.html").exists()


def test_the_verb_says_what_it_left_out_and_prints_budgets_in_brackets(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ResultStore(tmp_path)
    for one in (of("fashion-mnist"), of("stamps", run="other", title="STAMPS")):
        store.put(one)
    arguments = ["evaluate", str(TINY), "--data-dir", str(data_dir), "--ber", "0", "--compare", str(tmp_path)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "DEEPCOD [comparison]" in " ".join(out.replace("│", " ").split()) and "STAMPS" not in out
    assert "partly the budget" in out
    assert err.count("semflash: left out: 1 result of other data sets than fashion-mnist: stamps (1)") == 1
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["title"] for one in found["experiments"]] == ["DEEPCOD"]
    assert found["notes"] == ["left out: 1 result of other data sets than fashion-mnist: stamps (1)"]


def some(name: str, metric: Metric, noun: str, quality: Any) -> Any:
    """As much of a bundle as a report asks before it measures."""
    return SimpleNamespace(name=name, output=SimpleNamespace(metric=metric, noun=noun), quality=quality)


def test_only_one_metric_and_one_kind_of_quality_stand_in_a_report() -> None:
    flips, noise = (
        some(name, ACCURACY, "classifiers", kind) for name, kind in (("flips", Ber), ("noise", Snr))
    )
    pictures_ = some("pictures", PSNR, "image codecs", Ber)
    check_comparable([flips], BOTH)
    check_comparable([noise], [])
    for bundles, results, says, value in (
        ([flips, noise], [], "one kind of channel quality, not BER and SNR", "flips: BER; noise: SNR"),
        (
            [flips, pictures_],
            [],
            "accuracy and PSNR do not compare",
            "image codecs pictures; classifiers flips",
        ),
        ([noise], BOTH, "are told an SNR", "noise"),
        ([pictures_], BOTH, "the bundles are image codecs", "pictures"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            check_comparable(bundles, results)
        assert caught.value.value == value


def test_rows_of_another_metric_are_not_averaged_with_accuracies() -> None:
    both = result("semanticnn", {0.0: 0.9, 0.05: 0.8})
    ratio = msgspec.structs.replace(both.rows[0], metric=PSNR, value=31.5)
    mixed = msgspec.structs.replace(both, rows=[*both.rows, ratio])
    (accuracy,), (decibels,) = series([mixed]), series([mixed], metric=PSNR)
    assert [mean.mean for mean in accuracy.means.values()] == [0.9, 0.8]
    assert [mean.mean for mean in decibels.means.values()] == [31.5]
