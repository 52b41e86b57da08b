"""The experiments with segments without training: figures, plan, tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.lamsc import names, results, tables  # noqa: E402
from experiments.lamsc.blocks import NOTHING, all_blocks, bases  # noqa: E402
from experiments.lamsc.plan import studies  # noqa: E402
from experiments.lamsc.pointing import pixel_auc, points, reach, shares_of  # noqa: E402
from experiments.lamsc.results import Result, Row  # noqa: E402
from experiments.markdown import with_blocks  # noqa: E402
from experiments.studies import files  # noqa: E402

from semflash.errors import UsageError  # noqa: E402


def result(base: str, auc: float, group: str = "knowledge") -> Result:
    learnt = (*(f"attention-{parts}" for parts in names.ATTENTION), names.STUDENT)
    arms = (names.BEST, *names.EVIDENCE, *(learnt if group == "attention" else ()))
    rows = [Row("test", arm, 300, auc=auc, pointing=0.75) for arm in arms]
    figures = {"segments": 8.25, "reach": 0.743, "train_images": 600, "test_images": 300}
    return Result(
        job=f"{group}-{base}-s0",
        group=group,
        variant=base,
        seed=0,
        settings={"base": base},
        digest="0" * 16,
        rows=rows,
        figures=figures,
        seconds={"training": 60.0, "job": 180.0},
    )


# Figures


def test_the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, (6, 7, 9)).astype(np.float32)
    masks = rng.random((6, 7, 9)) < 0.3
    for found, one, mask in zip(pixel_auc(scores, masks), scores, masks, strict=True):
        pairs = [(a > b) + 0.5 * (a == b) for a in one[mask] for b in one[~mask]]
        assert found == pytest.approx(np.mean(pairs), abs=1e-12)


def test_without_a_target_or_a_background_there_is_no_curve() -> None:
    masks = np.stack([np.zeros((3, 3), bool), np.ones((3, 3), bool)])
    assert np.isnan(pixel_auc(np.zeros((2, 3, 3)), masks)).all()


def test_of_a_region_of_equal_scores_the_middle_points() -> None:
    scores, masks = np.zeros((2, 7, 7)), np.zeros((2, 7, 7), bool)
    scores[:, 1:6, 1:6] = 1
    masks[0, 3, 3] = masks[1, 1, 1] = True
    assert points(scores, masks).tolist() == [True, False]


def test_the_best_choice_takes_the_segments_that_lie_mostly_in_the_target() -> None:
    maps = np.repeat(np.arange(4, dtype=np.uint8), 4).reshape(1, 4, 4)
    masks = np.zeros((1, 4, 4), bool)
    masks[0, 0], masks[0, 1, :3], masks[0, 2, :2] = True, True, True
    assert shares_of(maps, masks)[0, :5].tolist() == [1, 0.75, 0.5, 0, 0]
    assert reach(maps, masks) == pytest.approx(
        7 / 10
    )  # of rows 0 and 1, eight pixels, seven are the target's
    assert reach(np.zeros_like(maps), masks) == pytest.approx(9 / 16)  # one segment, mostly in it
    assert reach(np.zeros_like(maps), masks & (np.arange(4) < 1)) == 0


# Plan and results


def test_every_knowledge_base_is_measured_on_the_same_images() -> None:
    found = [one for one in studies() if one.group == "knowledge"]
    assert [one.variant for one in found] == list(names.BASES)
    assert len({one.settings["images"]["test"] for one in found}) == 1
    (learning,) = (one for one in studies() if one.group == "attention")
    assert learning.settings["attention"] == list(names.ATTENTION) and "train" in learning.settings["images"]
    assert len({one.name for one in found}) == len(found) == len({one.digest for one in found})
    short = [one for one in studies(1) if one.group == "knowledge"]
    assert all(one.settings["task"]["epochs"] == 1 for one in short)
    assert {one.digest for one in short} & {one.digest for one in found} == set()


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = result("hed", 0.9)
    files.write(tmp_path, one)
    assert results.read(tmp_path / f"{one.job}.json") == one
    (tmp_path / "other.json").write_text((tmp_path / f"{one.job}.json").read_text())
    with pytest.raises(UsageError, match="not the result"):
        results.read(tmp_path / "other.json")


# Tables


def test_tables_have_a_line_for_each_base_and_arm() -> None:
    found = [result("hed", 0.8), result("exact", 0.912), result("exact", 0.6, "attention")]
    blocks = all_blocks(found)
    lines = blocks["bases"].splitlines()
    assert len(lines) == 4 and lines[2] == "| exact | 300 | 8.2 | 0.74 | 0.912 | 0.912, 75% |"
    assert blocks["evidence"].splitlines()[0] == "| AUC, pointing | exact | hed |"
    assert "| both, segments of more than 45 % ruled out | 0.912, 75% | 0.800, 75% |" in blocks["evidence"]
    assert blocks["attention"].splitlines()[0] == "| AUC, pointing | exact |"
    assert "| the same module without attention | 0.600, 75% |" in blocks["attention"]
    assert bases([]) == NOTHING and all_blocks([])["attention"] == NOTHING


def test_the_page_is_what_the_results_say() -> None:
    found = [results.read(path) for path in sorted(tables.RESULTS.glob("*.json"))]
    text = tables.DOCUMENT.read_text(encoding="utf-8")
    assert with_blocks(text, all_blocks(found), tables.MARKER) == text
    plan = {study.name: study for study in studies()}
    assert all(plan[one.job].is_done(one.settings) for one in found)


def test_the_check_finds_a_stale_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "lamsc.md"
    page.write_text(tables.DOCUMENT.read_text(encoding="utf-8"))
    files.write(tmp_path, result("felzenszwalb", 0.4567))
    arguments = ["--results", str(tmp_path), "--document", str(page)]
    assert tables.main([*arguments, "--check"]) == 1 and "run it again" in capsys.readouterr().err
    assert tables.main(arguments) == 0 and tables.main([*arguments, "--check"]) == 0
    assert re.search(r"\| felzenszwalb \| .*0\.457", page.read_text())
