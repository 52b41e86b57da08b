"""The experiments with patches of several resolutions without training: plan, arms, figures, tables."""

from __future__ import annotations

import re
import sys
from math import comb
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.markdown import with_blocks  # noqa: E402
from experiments.multires import (  # noqa: E402
    arms,
    compared,
    compared_recipes,
    names,
    pointing,
    results,
    tables,
)
from experiments.multires.blocks import all_blocks, all_plots, gains  # noqa: E402
from experiments.multires.goals import goals  # noqa: E402
from experiments.multires.plan import studies  # noqa: E402
from experiments.multires.results import Result, Row  # noqa: E402
from experiments.studies import files  # noqa: E402
from msgspec.structs import replace  # noqa: E402

from semflash.codecs.multires.sizes import MultiresSizes  # noqa: E402
from semflash.codecs.registry import create  # noqa: E402
from semflash.errors import UsageError  # noqa: E402

SIZES = MultiresSizes()


def result(variant: str, seed: int, accuracies: dict[str, float]) -> Result:
    rows = [
        Row(split="test", arm=arm, rate=rate, accuracy=value, images=4000, object_mse=100.0)
        for arm, value in accuracies.items()
        for rate in names.RATES
    ]
    figures = {
        "student": {"spearman": 0.8, "best_in_common": 0.7, "pointing": 0.9, "auc": 0.95},
        "mse": {"8": 900.0},
        "closed_form": {"8": 1000.0},
    }
    return Result(
        job=f"scenes-{variant}-s{seed}",
        group="scenes",
        variant=variant,
        seed=seed,
        settings={},
        digest="0" * 16,
        rows=rows,
        figures=figures,
        seconds={"training": 600.0, "job": 60.0},
    )


def test_goals_say_what_is_missed_and_what_is_above_the_spread():
    accuracies = {names.SINGLE: 0.3, names.STUDENT: 0.42, names.STUDENT_VARIANCE: 0.5, names.ORACLE: 0.57}
    found = [result("codec", seed, accuracies | {names.VARIANCE: 0.49 + 0.02 * seed}) for seed in (0, 1)]
    board = result("board", 0, {})
    figures = {"over_rate": 0, "accuracy": 0.5, "offline_accuracy": 0.515}
    board = replace(board, figures=figures, settings={"images": 2000, "board": "native"})
    lines = goals([*found, board]).splitlines()
    told = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[3:5]] for line in lines[2:]}
    assert told["to the mask of the object at 64 bytes"] == ["7.0", "**no**"]
    assert told["attention alone over a single resolution at 64 and 128 bytes"] == ["+12.0, +12.0", "yes"]
    # 0.50 against 0.49 and 0.51: level with it
    assert told["above local contrast alone at 64 and 128 bytes"] == [
        "+0.0 (spread 1.4), +0.0 (spread 1.4)",
        "**no**",
    ]
    assert told["rate changing with every image on `native`: above the rate"] == ["0 of 2,000 images", "yes"]
    assert told["the same: accuracy on the board and offline"] == ["50.0% and 51.5%", "**no**"]


def test_a_payload_of_limitnet_is_cut_and_one_of_semanticnn_is_not():
    limit = compared_recipes.recipe_of("limitnet", 128, "task", 0)
    semantic = compared_recipes.recipe_of("semanticnn", 64, "task", 0)
    shapes = {"image_shape": (64, 64, 3), "feature_shape": (8, 8, 64)}
    codecs = [create(one.family, one.sizes | shapes) for one in (limit, semantic)]
    # 2 bits a code: 64 of the map and 7 channels of 64; 4 channels of 64
    assert [compared.sent_codes(codecs[0], rate) for rate in (64, 128, 200)] == [256, 512, 512]
    assert compared.sent_codes(codecs[1], 64) == 256
    with pytest.raises(ValueError, match="do not fit"):
        compared.sent_codes(codecs[1], 63)


def test_every_job_is_named_once_and_needs_jobs_that_there_are():
    plan = studies()
    known = {one.name for one in plan}
    assert len(known) == len(plan) and plan[0].kind == "teacher"
    assert all(need in known for one in plan for need in one.needs)
    assert {one.seed for one in plan if one.kind == "codec"} == set(names.SEEDS)
    tried = next(one for one in studies(1) if one.kind == "codec")
    assert tried.settings["recipe"]["task_epochs"] == 1 and tried.settings["task"]["epochs"] == 1


def test_pointing_recall_and_auc_of_scores_that_were_spelt_out():
    touched = np.array([[True, True, False, False], [True, False, False, False]])
    scores = np.array([[0.9, 0.2, 0.5, 0.1], [0.1, 0.1, 0.9, 0.0]])
    assert pointing.pointing_game(scores, touched) == 0.5
    # first image: 0.9 beats both, 0.2 beats one of two; second: 0.1 ties, loses, beats
    assert pointing.auc(scores, touched) == pytest.approx((0.75 + 0.5) / 2)
    assert pointing.recall(scores, touched) == pytest.approx((0.5 + 0.0) / 2)
    assert pointing.mass(scores / scores.sum(1, keepdims=True), touched) == pytest.approx(
        (1.1 / 1.7 + 0.1 / 1.1) / 2
    )


def test_only_patches_that_the_object_covers_by_a_twentieth_count():
    cover = np.array([[[0, 12], [13, 255]]], np.uint8)
    assert pointing.on_object(cover).tolist() == [[False, False, True, True]]


def test_one_bit_per_patch_sends_as_many_of_the_best_as_fit():
    weights = np.random.default_rng(0).permutation(64)[None]
    bits, total = arms.one_bit(weights, SIZES, 64)
    sent = np.flatnonzero(bits[0])
    # 512 bits: mean colour 12, check 16, count 7, rank of 4 of 64 in 20 bits, 4 x 96
    assert len(sent) == 4 and set(weights[0][sent]) == {60, 61, 62, 63}
    assert total.tolist() == [28 + 7 + (comb(64, 4) - 1).bit_length() + 4 * 96] and total[0] <= 512


def test_importance_aware_quantisation_never_exceeds_the_rate_and_prefers_what_counts():
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 5000, (50, 64))
    errors = {0: 0.03, 8: 0.015, 16: 0.011, 32: 0.007, 64: 0.0045, 96: 0.003}
    for rate in names.RATES:
        bits, total = arms.importance_aware(weights, errors, rate)
        assert (total <= 8 * rate).all() and (total == 28 + 3 * 64 + bits.sum(1)).all()
        order = np.argsort(-weights, axis=1)
        assert (np.diff(np.take_along_axis(bits, order, 1), axis=1) <= 0).mean() > 0.95
    everything, _ = arms.importance_aware(weights, errors, 1024)
    assert (everything == 96).all()


def test_selected_bits_and_the_map_are_within_the_rate():
    weights = np.random.default_rng(1).integers(1, 4096, (20, 64))
    bits, total = arms.selected(weights, SIZES, np.array([0.03, 0.015, 0.0075, 0.0037]), 64)
    assert set(np.unique(bits)) <= {0, 8, 32, 96} and (total <= 512).all()
    assert (total > bits.sum(axis=1)).all()


def test_who_ranks_the_patches_decides_their_weights():
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    images[:, :8, :8] = 90
    cover = np.zeros((3, 8, 8), np.uint8)
    cover[:, 2, 3] = 255
    teacher, student = rng.random((3, 64)), rng.normal(size=(3, 64))
    found = arms.weights_by_arm(images, cover, teacher, student, SIZES)
    assert set(found) == set(names.RANKED) and all((each > 0).all() for each in found.values())
    assert (found[names.ORACLE].argmax(1) == 19).all() and (found[names.VARIANCE][:, 0] == 1).all()
    assert (found[names.STUDENT].argmax(1) == student.argmax(1)).all()
    assert (found[names.TEACHER].argmax(1) == teacher.argmax(1)).all()
    product = found[names.STUDENT] * found[names.VARIANCE]
    assert (found[names.STUDENT_VARIANCE] == product).all()


def test_tables_say_gains_over_a_single_resolution_and_the_distance_to_the_oracle():
    accuracies = {names.SINGLE: 0.3, names.STUDENT: 0.42, names.STUDENT_VARIANCE: 0.5, names.ORACLE: 0.55}
    found = [result("codec", seed, accuracies) for seed in (0, 1)]
    line = next(line for line in gains(found).splitlines() if line.startswith("| 64 "))
    assert line == "| 64 | +12.0 | +20.0 |  | +25.0 | 5.0 |"
    assert re.search(r"single resolution \| 30.0% ± 0.0", all_blocks(found)["accuracy"])
    assert "| 8 | 1000 | 900 | 10.0% |" in all_blocks([*found, result("coders", 0, {})])["levels"]
    assert all_plots(found)["accuracy"].count("<svg") == 1 and all_plots([]) == {}


def test_the_page_has_a_place_for_every_table_and_says_what_is_missing():
    text = (ROOT / "docs" / "experiments" / "multires.md").read_text(encoding="utf-8")
    empty = all_blocks([])
    assert with_blocks(text, empty, tables.MARKER).count("Not measured yet.") >= 9


def test_the_tables_are_what_the_results_say():
    assert tables.main(["--check"]) == 0


def test_results_survive_their_file_and_others_are_refused(tmp_path: Path):
    one = result("codec", 0, {names.SINGLE: 0.25})
    files.write(tmp_path, one)
    assert results.read(tmp_path / f"{one.job}.json") == one
    path = tmp_path / "other.json"
    path.write_text((tmp_path / f"{one.job}.json").read_text())
    with pytest.raises(UsageError, match="not the result of job other"):
        results.read(path)
