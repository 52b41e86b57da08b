"""The experiments with TOSC without training: plan, runner, packed results, paired tests, goals, tables."""

from __future__ import annotations

import base64
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.studies import files, runner  # noqa: E402
from experiments.studies.study import Study  # noqa: E402
from experiments.tosc import results, tables  # noqa: E402
from experiments.tosc.cost_blocks import apart, epochs  # noqa: E402
from experiments.tosc.goals import goals, is_above_at  # noqa: E402
from experiments.tosc.kinds import KINDS  # noqa: E402
from experiments.tosc.names import BERS, MEAN_OF, SEEDS, SNRS  # noqa: E402
from experiments.tosc.paired import paired, probability_text, sign_test  # noqa: E402
from experiments.tosc.plan import studies  # noqa: E402
from experiments.tosc.reading import Material, less, over  # noqa: E402
from experiments.tosc.results import Result, Row, pack, unpack  # noqa: E402
from experiments.tosc.run import SERIES  # noqa: E402

from semflash.errors import UsageError  # noqa: E402

IMAGES, REPEATS = 200, 4


def row(level: float, accuracy: float, channel: str = "awgn", **fields: Any) -> Row:
    """A row of the test split whose images are right so often that the accuracy comes out."""
    total = round(accuracy * IMAGES * REPEATS)
    counts = np.full(IMAGES, total // IMAGES)
    counts[: total % IMAGES] += 1
    share = total / (IMAGES * REPEATS)
    right = {} if fields else {"right": pack(counts)}
    return Row("test", channel, level, share, IMAGES, REPEATS, **(fields | right))


def result(group: str, variant: str, seed: int, rows: list[Row], **figures: Any) -> Result:
    """A result of invented numbers."""
    return Result(
        job=f"{group}-{variant.replace(' ', '-')}-s{seed}",
        group=group,
        variant=variant,
        seed=seed,
        settings={"passes": 12, "images": 20_000},
        digest="0" * 16,
        rows=rows,
        figures=figures,
        seconds={"training": 10.0},
    )


def curve(group: str, variant: str, middle: float, **fields: Any) -> list[Result]:
    """Three seeds around an accuracy, the same at every level."""
    levels, channel = (BERS, "bsc") if group == "bits" else (SNRS, "awgn")
    return [
        result(group, variant, seed, [row(level, middle + step, channel, **fields) for level in levels])
        for seed, step in zip(SEEDS, (-0.005, 0.0, 0.005), strict=True)
    ]


def material(*found: Result) -> Material:
    """As read from files."""
    return Material({one.job: one for one in found})


def goal_rows(of: Material) -> dict[str, tuple[str, str]]:
    """Beginning of the goal's text -> what was found, and whether it is met."""
    rows = {}
    for line in goals(of).splitlines()[2:]:
        what, _, found, met = (part.strip() for part in line.strip("|").split(" | "))
        rows[what] = found, met
    return rows


@pytest.mark.parametrize("count", [1, 2, 3, 200, 1_001])
def test_packed_counts_come_back(count: int) -> None:
    counts = np.random.default_rng(count).integers(0, 5, count)
    assert unpack(pack(counts), count, 4).tolist() == counts.tolist()


def test_damaged_counts_are_refused() -> None:
    text = pack(np.array([1, 2, 3, 4]))
    bomb = base64.b64encode(zlib.compress(bytes(10_000_000))).decode()
    for damaged, images in ((text[:-4], 4), ("?" + text, 4), (text, 5), (text, 2), (bomb, 4), (text, 0)):
        with pytest.raises(UsageError):
            unpack(damaged, images, 4)
    with pytest.raises(UsageError, match="more than 3 times"):
        unpack(text, 4, 3)


def test_results_are_read_as_written_and_others_refused(tmp_path: Path) -> None:
    one = result("stamps", "distilled", 0, [row(18.0, 0.7)], digest={"a": [1, 2]})
    files.write(tmp_path, one)
    assert results.read_all(tmp_path) == {one.job: one}
    path = tmp_path / f"{one.job}.json"
    path.rename(tmp_path / "another.json")
    with pytest.raises(UsageError, match="not the result of job another"):
        results.read(tmp_path / "another.json")
    for text in ("{", "[]", '{"format": "semflash-tosc"}', "\ud800".encode("utf-8", "surrogatepass")):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UsageError, match="cannot read a result"):
            results.read(path)
    path.write_bytes(b" " * (files.RESULT_MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than any result"):
        results.read(path)


def test_sign_test_by_hand() -> None:
    # 9 heads of 10 or more uneven: 2 (10 + 1) / 1024
    assert sign_test(9, 1) == sign_test(1, 9) == pytest.approx(22 / 1024)
    assert sign_test(5, 5) == 1.0
    assert sign_test(900, 700) < 1e-5 and probability_text(sign_test(900, 700)) == "below 0.0001"


def test_two_codecs_are_compared_image_by_image() -> None:
    one = {0: np.array([4, 4, 0, 2]), 1: np.array([4, 0, 0, 2]), 5: np.array([4, 4, 4, 4])}
    other = {0: np.array([0, 4, 1, 2]), 1: np.array([0, 0, 0, 2])}
    found = paired(one, other, 4)
    assert found is not None
    assert (found.seeds, found.images, found.better, found.worse) == ((0, 1), 4, 1, 1)
    shares = np.array([8, 0, -1, 0]) / 8
    assert found.difference == pytest.approx(shares.mean())
    reach = 1.959964 * shares.std(ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((shares.mean() - reach, shares.mean() + reach))
    assert paired(one, {7: np.zeros(4)}, 4) is None


def test_means_over_levels_need_all_of_them() -> None:
    of = material(*curve("stamps", "distilled", 0.7))
    found = over(of.curve("stamps", "distilled"), MEAN_OF)
    assert found == pytest.approx({0: 0.695, 1: 0.7, 2: 0.705})
    assert over(of.curve("stamps", "distilled"), (18.0, 99.0)) == {}
    assert less(found, {1: 0.6}) == pytest.approx({1: 0.1})
    assert of.curve("stamps", "distilled", state_error=1) == {}


def test_goals_are_met_or_not_by_the_figures() -> None:
    off = curve("states", "distilled", 0.70)
    off = [
        result(
            "states",
            "distilled",
            one.seed,
            [
                *one.rows,
                *(
                    row(level, one.rows[0].accuracy - loss, state_error=error)
                    for level in SNRS
                    for error, loss in ((-1, 0.0), (1, 0.01))
                ),
            ],
        )
        for one in off
    ]
    rows = goal_rows(
        material(
            *curve("stamps", "distilled", 0.70),
            *curve("stamps", "undistilled", 0.68),
            *curve("stamps", "half of the data", 0.69),
            *curve("stamps", "no adaptation", 0.705),
            *curve("stamps", "no bottleneck", 0.60),
            *off,
            *curve("symbols", "distilled", 0.7),
            *curve("symbols", "deep jscc", 0.5),
            *curve("symbols", "semanticnn", 0.695),
        )
    )
    assert rows["stamps, mean over -6, 0, 6, 12, 18 dB: distilled less undistilled"][1] == "yes"
    assert rows["stamps, mean over -6, 0, 6, 12, 18 dB: distilled less undistilled"][0].startswith(
        "+2.00 ± 0.00"
    )
    assert rows["stamps at 18 dB, distilled"] == ("70.00 ± 0.50", "yes")
    assert rows["stamps at -6 dB, distilled"][1] == "yes"
    assert rows["half of the data with the teacher less all of it without, the same mean"][1] == "yes"
    found, met = rows["adaptation on less off, at -6 and at 18 dB"]
    assert met == "**no**" and found.startswith("-0.50 ± 0.00; -0.50")
    assert rows["state wrong by one class, the same mean, the worse direction"] == ("-1.00 ± 0.00", "**no**")
    assert rows["bottleneck on less off, the same mean"] == ("+10.00 ± 0.00", "**no**")
    found, met = rows["16 symbols, SNR of 6 dB and less: TOSC above the others"]
    assert met == "**no**" and "not above semanticnn" in found and "adjscc not measured yet" in found
    assert rows["time of an image on the host, the student's whole path"] == ("–", "not measured yet")


def test_a_small_gain_and_low_accuracy_do_not_meet_the_goals() -> None:
    rows = goal_rows(material(*curve("stamps", "distilled", 0.44), *curve("stamps", "undistilled", 0.43)))
    assert rows["stamps, mean over -6, 0, 6, 12, 18 dB: distilled less undistilled"][1] == "**no**"
    assert rows["stamps at -6 dB, distilled"][1] == rows["stamps at 18 dB, distilled"][1] == "**no**"


def test_one_seed_allows_no_word_on_the_spread() -> None:
    one, other = (
        curve("symbols", name, share)[:1] for name, share in (("distilled", 0.7), ("deep jscc", 0.5))
    )
    found = goal_rows(material(*one, *other))["16 symbols, SNR of 6 dB and less: TOSC above the others"]
    assert found == ("one seed: not to be said", "not measured yet")


def test_above_at_every_level_that_both_have() -> None:
    high, low = {0.0: {0: 0.9, 1: 0.91}, 6.0: {0: 0.9, 1: 0.91}}, {0.0: {0: 0.5, 1: 0.51}}
    assert is_above_at(high, low, (0.0, 6.0)) and not is_above_at(low, high, (0.0, 6.0))
    assert not is_above_at(high, {}, (0.0,))


def cost(**changes: Any) -> dict[str, Any]:
    """Invented figures of a student and its teacher."""
    return {
        "images": 100,
        "teacher_ms": 10.0,
        "student_ms": 1.0,
        "teacher_bytes": 1_000_000,
        "teacher_input": {"height": 128, "width": 128},
        "encoder_bytes": 20_000,
        "projection_bytes": 10_000,
        "decoder_bytes": 100_000,
        "store_bytes": 1_000,
        "views": 4,
        "view_bytes": 25_000,
    } | changes


def training(seconds: float, loss: float) -> list[dict[str, Any]]:
    """History of two epochs, of which the first is slow."""
    return [{"epoch": n, "loss": loss, "val_18": 0.5, "seconds": s} for n, s in ((1, 99.0), (2, seconds))]


def test_costs_are_compared_with_their_goals() -> None:
    live = {"epochs": {"stored": training(2.0, 1.0), "live": training(7.0, 1.1)}, "images": 6_400}
    same = {"images": 640, "loss_stored": 1.0, "loss_live": 1.00005, "largest_difference": 2e-4}
    live |= {"same_views": same}
    found = material(
        result("costs", "distilled", 0, [], **cost()), result("live", "stored or live", 0, [], **live)
    )
    assert epochs(live) == 3.5 and apart(live) == pytest.approx(5e-5, rel=1e-3)
    rows = goal_rows(found)
    assert rows["encoder's bytes with its tables against the teacher's weights"] == (
        "97.00 %: 30,000 of 1,000,000 bytes",
        "yes",
    )
    assert rows["time of an image on the host, the student's whole path"] == (
        "90.0 %: 1.00 of 10.00 ms",
        "yes",
    )
    assert rows["stored against live teacher: time of an epoch, losses, store's bytes of the views'"] == (
        "3.5x; losses 0.005 % apart; 1.00 %",
        "yes",
    )
    slow = material(result("costs", "distilled", 0, [], **cost(student_ms=2.0, encoder_bytes=40_000)))
    assert [goal_rows(slow)[what][1] for what in rows if what.startswith(("encoder's", "time of"))] == [
        "**no**"
    ] * 2


def test_tables_are_rebuilt_from_results_alone_and_what_is_missing_is_said(tmp_path: Path) -> None:
    of_stamps = (*curve("stamps", "distilled", 0.7), *curve("stamps", "undistilled", 0.68)[:2])
    of_symbols = (*curve("symbols", "distilled", 0.7)[:1], *curve("symbols", "undistilled", 0.68)[:1])
    for one in (*of_stamps, *of_symbols):
        files.write(tmp_path / "results", one)
    document = tmp_path / "tosc.md"
    document.write_text(
        (ROOT / "docs" / "experiments" / "tosc.md").read_text().replace("# Exp", "# My exp", 1)
    )
    arguments = ["--results", str(tmp_path / "results"), "--document", str(document)]
    assert tables.main([*arguments, "--check"]) == 1
    assert tables.main(arguments) == 0 and tables.main([*arguments, "--check"]) == 0
    text = document.read_text()
    assert text.startswith("# My exp")
    assert (
        "| TOSC, distilled | 3 | 70.00 ± 0.50 |" in text
        and "| TOSC, undistilled | 2 | 67.75 ± 0.35 |" in text
    )
    assert "| mean | +2.00 ± 0.00 | +2.00, +2.00 | +" in text
    assert "Not measured yet: views, undistilled, no adaptation, no bottleneck, noisy estimates." in text
    assert "Not measured yet: `python experiments/tosc/run.py --only 'bits-*'`." in text
    plots = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert "mean over -6, 0, 6, 12, 18: +2.00 points (seed 0); over images +" in text
    assert (
        plots == ["tosc-stamps.svg", "tosc-symbols.svg"]
        and "(tosc-stamps.svg)" in text
        and "(tosc-bits.svg)" not in text
    )
    assert "TOSC, undistilled" in (tmp_path / "tosc-stamps.svg").read_text()


def test_a_damaged_result_is_told_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text("{")
    document = tmp_path / "tosc.md"
    document.write_text("as it was")
    assert tables.main(["--results", str(tmp_path), "--document", str(document)]) != 0
    assert document.read_text() == "as it was" and "cannot read a result" in capsys.readouterr().err


def test_the_committed_page_is_what_the_committed_results_say() -> None:
    assert tables.main(["--check"]) == 0


@pytest.fixture(scope="module")
def plan() -> list[Study]:
    """All jobs."""
    return studies()


def test_the_plan_is_whole(plan: list[Study]) -> None:
    names = [study.name for study in plan]
    assert len(set(names)) == len(names)
    assert all(set(study.needs) <= set(names) and study.of in ("", *names) for study in plan)
    first = [study.name for study in plan[:6]]
    assert first == [f"stamps-{v}-s{s}" for s in SEEDS for v in ("distilled", "undistilled")]
    by_name = {study.name: study for study in plan}
    half, whole = (by_name[f"stamps-{v}-s0"].settings["recipe"] for v in ("half-of-the-data", "distilled"))
    assert half["task_epochs"] * half["train_images"] == whole["task_epochs"] * 20_000
    assert {study.kind for study in plan} == set(KINDS)


def test_jobs_on_a_trained_codec_name_the_settings_of_the_job_that_trains_it(plan: list[Study]) -> None:
    by_name = {study.name: study for study in plan}
    for study in (one for one in plan if one.of):
        for key in ("recipe", "sizes"):
            assert study.settings[key] == by_name[study.of].settings[key], study.name


def test_other_methods_have_the_same_payload_and_passes(plan: list[Study]) -> None:
    from experiments.plan import expand, read_experiments, read_shared
    from experiments.resolve import resolve, trial_counts
    from experiments.tosc import others
    from experiments.tosc.bench import Bench

    from semflash.codecs.registry import sizes_of
    from semflash.report.results import ResultStore

    house = expand(read_experiments(), read_shared(), trial_counts())
    seen = 0
    for study in (one for one in plan if one.kind == "baseline" and one.seed == 0 and one.variant != "jpeg"):
        shared = others.with_task(read_shared(), study.settings)
        run = others.as_run(Bench(study, Path("nowhere")))
        recipe = resolve(run, house, shared, ResultStore(others.HOUSE_RESULTS)).recipe
        assert recipe is not None
        passes = {"bits": 12, "symbols": 6}[study.group]
        assert recipe.task_epochs + recipe.autoencoder_epochs == passes and recipe.train_images == 20_000
        image, wanted = ((28, 28, 1), 12) if study.group == "bits" else ((32, 32, 3), 4)
        features = (image[0] // 2, image[1] // 2, 16)
        sizes = sizes_of(recipe.family, recipe.sizes | {"image_shape": image, "feature_shape": features})
        assert -(-sizes.symbols * (sizes.levels - 1).bit_length() // 8) == wanted
        seen += 1
    assert seen == 6


def test_results_of_other_settings_are_stale_and_needs_are_waited_for(
    plan: list[Study], tmp_path: Path
) -> None:
    by_name = {study.name: study for study in plan}
    needing = by_name["bits-semanticnn-s0"]
    assert runner.state(SERIES, needing, tmp_path) == "open"
    assert not runner.ready(SERIES, [needing], tmp_path, ("open",))
    (need,) = needing.needs
    put(tmp_path, by_name[need], by_name[need].settings)
    assert [job.name for job in runner.ready(SERIES, [needing, by_name[need]], tmp_path, ("open",))] == [
        needing.name
    ]
    put(tmp_path, needing, needing.settings | {"passes": 1})
    assert runner.state(SERIES, needing, tmp_path) == "stale"
    assert not runner.ready(SERIES, [needing], tmp_path, ("open",))
    assert runner.ready(SERIES, [needing], tmp_path, ("open", "stale"))
    put(tmp_path, needing, needing.settings)
    assert runner.state(SERIES, needing, tmp_path) == "done"
    measuring = [by_name[name] for name in ("stamps-distilled-s0", "states-distilled-s0")]
    assert {job.lock for job in runner.ready(SERIES, measuring, tmp_path, ("open",))} == {
        "stamps-distilled-s0"
    }


def put(folder: Path, study: Study, settings: Mapping[str, Any]) -> None:
    """Leave a result with these settings."""
    files.write(
        folder, Result(job=study.name, group="", variant="", seed=0, settings=dict(settings), digest="")
    )


def test_the_runner_lists_refuses_unknown_jobs_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(SERIES, ["--list", "--results", str(tmp_path), "--only", "kept-*"]) == 0
    assert capsys.readouterr().out.split() == [
        word
        for seed in SEEDS
        for v in ("distilled", "no-bottleneck")
        for word in ("open", f"kept-{v}-s{seed}")
    ]
    assert (
        runner.main(SERIES, ["--only", "nothing"]) != 0
        and "no job has such a name" in capsys.readouterr().err
    )
    assert runner.main(SERIES, ["--one", "nothing"]) != 0 and "no such job" in capsys.readouterr().err
    for count in ("0", "-1", "two"):
        with pytest.raises(SystemExit):
            runner.main(SERIES, ["--jobs", count])
