"""The experiments' plan, runner, measures and tables, with methods and jobs that need no training."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("keras")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import blocks, compared, tables  # noqa: E402
from experiments.jobs import Job, Pool  # noqa: E402
from experiments.markdown import with_blocks  # noqa: E402
from experiments.material import Material  # noqa: E402
from experiments.measure import estimate, measure  # noqa: E402
from experiments.plan import Measure, Run, expand, read_experiments, read_shared  # noqa: E402
from experiments.resolve import Waiting, resolve, same_settings, state, trial_counts  # noqa: E402
from experiments.work import Places, at_home, codec_dir  # noqa: E402

from fakes.results import COMPARISON, result  # noqa: E402
from semflash.baselines.base import Method  # noqa: E402
from semflash.data.dataset import Split  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.report.results import Budget, ResultStore, RunResult  # noqa: E402


@pytest.fixture(scope="module")
def plan() -> list[Run]:
    return expand(read_experiments(), read_shared(), trial_counts())


def find(plan: list[Run], name: str) -> Run:
    return next(run for run in plan if run.name == name)


def test_the_plan_has_every_experiment_with_three_seeds_and_every_method(plan: list[Run]) -> None:
    names = {run.experiment for run in plan}
    assert names == {"search", "ber", "ablations", "centres", "estimates", "transfer", "bursts", "int8"}
    compared_runs = [run for run in plan if run.experiment == "ber" and run.budget == "comparison"]
    for size in (24, 48):
        for method in trial_counts():
            seeds = [run.seed for run in compared_runs if (run.method, run.bytes) == (method, size)]
            assert sorted(seeds) == [0, 1, 2], method
    assert [run.priority for run in plan] == sorted(run.priority for run in plan)


def test_every_run_resolves_to_a_recipe_or_waits_for_its_search_and_only_the_search_avoids_the_test_split(
    plan: list[Run], tmp_path: Path
) -> None:
    store, shared = ResultStore(tmp_path), read_shared()
    waiting_runs, compared, searches = 0, 0, 0
    for run in plan:
        try:
            resolved = resolve(run, plan, shared, store)
        except Waiting as waiting:
            assert run.tuned and "search" in str(waiting)
            waiting_runs += 1
            continue
        if resolved.recipe is not None and run.budget == "comparison":
            recipe = resolved.recipe
            compared += 1
            assert (recipe.train_images, recipe.autoencoder_epochs + recipe.task_epochs) == (20_000, 5), (
                run.name
            )
        if run.kind == "search":
            searches += 1
            assert {one.split for one in run.measures} == {"val"}
    assert min(waiting_runs, compared, searches) > 0, "a kind of run was not looked at"


def test_equal_bytes_are_equal_for_4_8_and_16_centres(plan: list[Run], tmp_path: Path) -> None:
    levels = set()
    for run in (run for run in plan if run.experiment == "centres"):
        recipe = resolve(run, plan, read_shared(), ResultStore(tmp_path)).recipe
        assert recipe is not None
        levels.add(recipe.sizes["levels"])
        bits = (recipe.sizes["levels"] - 1).bit_length()
        assert 4 * 4 * recipe.sizes["latent"] * bits == 8 * 48
    assert levels == {4, 8, 16}


def test_a_transferred_codec_learns_its_new_home_augmented_as_that_home_says(
    plan: list[Run], tmp_path: Path
) -> None:
    runs = [run for run in plan if run.experiment == "transfer" and run.kind != "task"]
    assert {run.kind for run in runs} == {"codec", "transfer"}
    for run in runs:
        resolved = resolve(run, plan, read_shared(), ResultStore(tmp_path))
        assert resolved.recipe is not None
        how = resolved.recipe.augmentation
        there = {"mnist-small": ("mnist", 0.0, 0.0), "stamps-grey-small": ("stamps-grey", 0.5, 0.3)}
        assert (resolved.recipe.dataset, how.flip, how.erase) == there[run.task], run.id
        if run.kind == "transfer":
            home = find(plan, f"ablations/semanticnn-48-the-whole-method-s{run.seed}")
            assert resolved.source == resolve(home, plan, read_shared(), ResultStore(tmp_path)).recipe


def test_a_transfers_codec_is_trained_at_home_and_never_where_it_goes(
    plan: list[Run], tmp_path: Path
) -> None:
    shared, store, places = read_shared(), ResultStore(tmp_path), Places(tmp_path)

    def place(name: str) -> Path:
        run = find(plan, name)
        return codec_dir(places, run, resolve(run, plan, shared, store))

    moved = find(plan, "transfer/semanticnn-48-attached-as-it-is-mnist-small-s0")
    source = codec_dir(places, *at_home(moved, resolve(moved, plan, shared, store)))
    assert source == place("ablations/semanticnn-48-the-whole-method-s0")
    assert source != place("transfer/semanticnn-48-trained-there-mnist-small-s0")


def trial_result(run: Run, accuracy: float) -> RunResult:
    return result(
        run.method, dict.fromkeys((0.0, 0.01, 0.05), accuracy), split="val", experiment="search", run=run.id
    )


def test_a_method_takes_the_trial_that_was_best_on_the_validation_split(
    plan: list[Run], tmp_path: Path
) -> None:
    store, shared, run = ResultStore(tmp_path), read_shared(), find(plan, "ber/deepcod-24-s1")
    trials = [other for other in plan if other.kind == "search" and other.method == "deepcod"]
    for trial, accuracy in zip(trials, (0.7, 0.8, 0.75, 0.9), strict=True):
        with pytest.raises(Waiting):
            resolve(run, plan, shared, store)
        store.put(trial_result(trial, accuracy))
    resolved = resolve(run, plan, shared, store)
    assert resolved.trial == 3 and resolved.recipe is not None and resolved.recipe.task_peak == 3e-3


def test_the_committed_results_of_the_search_are_of_the_trials_that_the_plan_has(plan: list[Run]) -> None:
    store = ResultStore(ROOT / "experiments" / "results")
    searched = [run for run in plan if run.kind == "search" and store.get(run.experiment, run.id)]
    assert {"search/semanticnn-48-t0-s0", "search/semanticnn-48-t2-s0"} <= {run.name for run in searched}
    for run in searched:
        assert state(run, resolve(run, plan, read_shared(), store), store) == "done", run.name


def test_every_committed_result_of_a_training_has_its_history() -> None:
    committed = ResultStore(ROOT / "experiments" / "results").all()
    untrained = {one.run for one in committed if not one.history}
    assert all("attached-as-it-is" in run for run in untrained), untrained


def test_a_result_is_not_done_again_unless_its_settings_changed(plan: list[Run], tmp_path: Path) -> None:
    store, shared, run = ResultStore(tmp_path), read_shared(), find(plan, "ablations/semanticnn-48-no-gdn-s0")
    resolved = resolve(run, plan, shared, store)
    assert state(run, resolved, store) == "open"
    done = result("semanticnn", {0.0: 0.9}, experiment=run.experiment, run=run.id, settings=resolved.settings)
    store.put(done)
    assert state(run, resolved, store) == "done"
    changed = resolved.settings | {"seed": 7}
    store.put(msgspec.structs.replace(done, settings=changed))
    assert state(run, resolved, store) == "stale"


def test_a_field_that_recipes_got_later_makes_no_result_stale_while_it_stands_at_its_default() -> None:
    wanted = {"recipe": {"seed": 0, "xai_weight": 0.3, "polish_epochs": 0, "peak": 0.01}, "bytes": 48}
    older = {"recipe": {"seed": 0, "xai_weight": 0.3, "peak": 0.01}, "bytes": 48}
    assert same_settings(older, wanted)
    assert not same_settings({"recipe": {"seed": 0, "xai_weight": 0.3}, "bytes": 48}, wanted)
    assert not same_settings(older | {"bytes": 24}, wanted)


class Parity(Method):
    """Sends the label; a payload with any flipped bit is answered with class 0, a lost one with class 1."""

    def __init__(self) -> None:
        self.told: list[float] = []
        self.undecodable = 0

    def encode(self, images: np.ndarray) -> list[bytes]:
        return [bytes([int(image.flat[0])]) * 4 for image in images]

    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        self.told += [ber] * len(payloads)
        answers = [p[0] if len(set(p)) == 1 else 0 for p in payloads]
        lost = [erased is not None and bool(erased[i].all()) for i in range(len(payloads))]
        self.undecodable = sum(lost)
        return np.eye(256, dtype=np.float32)[
            [1 if gone else a for a, gone in zip(answers, lost, strict=True)]
        ]


@pytest.fixture
def data() -> Any:
    labels = np.arange(2_000) % 200 + 2
    images = np.zeros((len(labels), 2, 2, 1), np.uint8) + labels[:, None, None, None].astype(np.uint8)
    split = Split(images, labels)
    return SimpleNamespace(val=split, test=split)


def test_accuracy_over_a_channel_is_the_share_of_undamaged_payloads(data: Any) -> None:
    rows, mean = measure(Parity(), data, [Measure("bsc", [0.0, 0.01, 0.05])], ["deliver"], seed=3)
    assert mean == 4.0
    for row in rows:
        assert row.value == pytest.approx((1 - row.rate) ** 32, abs=0.04)


def test_bits_over_symbols_are_wrong_as_qpsk_is_and_the_decoder_is_told_so(data: Any) -> None:
    method = Parity()
    rows, _ = measure(method, data, [Measure("awgn", [-6.0, 6.0])], ["deliver"], seed=0)
    for row, told in zip(rows, np.split(np.array(method.told), 2), strict=True):
        wrong = NormalDist().cdf(-((10 ** (row.rate / 10)) ** 0.5))
        assert told == pytest.approx(wrong)
        assert row.value == pytest.approx((1 - wrong) ** 32, abs=0.04)


def test_lost_frames_retransmission_and_estimates_are_measured_as_their_rows_say(data: Any) -> None:
    method = Parity()
    lossy = Measure("frame-loss", [0.2], frame_bytes=[4])
    (row,), _ = measure(method, data, [lossy], ["deliver"], seed=0)
    assert row.value == pytest.approx(0.8, abs=0.04) and row.frame_bytes == 4
    assert row.undecodable == round((1 - row.value) * row.images)
    rows, _ = measure(method, data, [Measure("bsc", [0.05])], ["deliver", "retransmit"], seed=0)
    assert rows[1].framing == "retransmit" and rows[1].transmissions > 2
    assert rows[1].value > rows[0].value + 0.4
    method.told.clear()
    told = Measure("bsc", [0.02], estimates=["exact", "x10", "pilots:50"])
    measure(method, data, [told], ["deliver"], seed=0)
    exact, tenfold, pilots = np.split(np.array(method.told), 3)
    assert (exact == 0.02).all() and (tenfold == 0.2).all()
    assert abs(pilots.mean() - (50 * 0.02 + 0.5) / 51) < 0.002


def test_pilots_are_estimated_as_the_receiver_does_it() -> None:
    told = estimate("pilots:64", 0.01, 5_000, np.random.default_rng(1))
    wrong = np.random.default_rng(1).binomial(64, 0.01, 5_000)
    np.testing.assert_allclose(told, (wrong + 0.5) / 65)  # the mean of Beta(k + 1/2, n - k + 1/2)
    assert told.min() == pytest.approx(0.5 / 65) and len(set(told)) > 2
    assert estimate("pilots:1", 0.5, 100, np.random.default_rng(0)).max() == 0.5
    with pytest.raises(UsageError, match="no such estimate"):
        estimate("pilots:0", 0.01, 1, np.random.default_rng(0))


def test_a_decoder_behind_a_check_is_told_that_what_it_gets_is_clean(data: Any) -> None:
    for framing in ("drop", "retransmit"):
        method = Parity()
        measure(method, data, [Measure("bsc", [0.05], estimates=["exact", "x10"])], [framing], seed=0)
        assert method.told == [0.0] * 4_000, framing


def test_estimates_stay_within_what_a_decoder_takes_and_unknown_words_are_refused() -> None:
    rng = np.random.default_rng(0)
    assert estimate("x10", 0.1, 1, rng)[0] == 0.5 and estimate("-50%", 0.1, 1, rng)[0] == 0.05
    with pytest.raises(UsageError, match="no such estimate"):
        estimate("twice", 0.1, 1, rng)


def script(folder: Path, texts: dict[str, str]) -> Pool:
    def command(name: str) -> list[str]:
        return [sys.executable, "-c", texts[name]]

    return Pool(command, folder / "logs", 2, io.StringIO())


def jobs(report_folder: Path, names: Sequence[str], lock: str = "") -> Any:
    """What is open: names without a file of their own."""
    return lambda: [
        Job(name, lock or name, 1.0)
        for name in names
        if not (report_folder / name.replace("/", "-")).exists()
    ]


def test_the_pool_does_every_job_and_reports_the_end_of_a_failed_ones_log(tmp_path: Path) -> None:
    touch = "import pathlib, sys; pathlib.Path({!r}).touch()"
    texts = {f"a/{i}": touch.format(str(tmp_path / f"a-{i}")) for i in range(3)}
    texts["a/3"] = "raise SystemExit('no such data')"
    report = script(tmp_path, texts).run(jobs(tmp_path, list(texts)))
    assert sorted(report.done) == ["a/0", "a/1", "a/2"]
    assert report.failed == {"a/3": "no such data"} and not report.interrupted


def test_jobs_of_one_lock_do_not_overlap(tmp_path: Path) -> None:
    text = (
        "import pathlib, time; own, busy = pathlib.Path({!r}), pathlib.Path({!r})\n"
        "busy.mkdir()\ntime.sleep(0.4)\nbusy.rmdir()\nown.touch()"
    )
    texts = {f"a/{i}": text.format(str(tmp_path / f"a-{i}"), str(tmp_path / "busy")) for i in range(3)}
    report = script(tmp_path, texts).run(jobs(tmp_path, list(texts), lock="one"))
    assert sorted(report.done) == sorted(texts)


def test_ctrl_c_interrupts_the_jobs_and_leaves_none_running(tmp_path: Path) -> None:
    text = (
        "import os, pathlib, time\npathlib.Path({!r}).write_text(str(os.getpid()))\n"
        "try: time.sleep(60)\nexcept KeyboardInterrupt: pathlib.Path({!r}).touch()"
    )
    pid_file, told = tmp_path / "pid", tmp_path / "told"
    pool = script(tmp_path, {"a/0": text.format(str(pid_file), str(told))})

    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not (pid_file.is_file() and pid_file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    report = pool.run(jobs(tmp_path, ["a/0"]))
    thread.join()
    assert report.interrupted and told.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_reader_of_the_list_that_goes_away_sees_no_traceback() -> None:
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), "--list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None and runner.stderr is not None
        runner.stdout.close()
        complaint = runner.stderr.read()
    assert (runner.returncode, complaint) == (1, "")


def seeds(method: str, middle: float, spread: float, **fields: Any) -> list[RunResult]:
    return [
        result(method, {0.0: middle + step * spread}, seed=seed, **fields)
        for seed, step in enumerate((-1.0, 0.0, 1.0))
    ]


def test_the_claim_compares_with_every_other_method_and_names_the_one_that_spoils_it() -> None:
    clear = Material([*seeds("semanticnn", 0.90, 0.002), *seeds("deepcod", 0.88, 0.002)], [])
    assert "| DEEPCOD | 88.00 ± 0.20 | +2.00 | yes |" in compared.claims(clear)
    wide = Material([*clear.results, *seeds("jpeg", 0.87, 0.04, kind="classical")], [])
    assert "| DEEPCOD | 88.00 ± 0.20 | +2.00 | no: JPEG |" in compared.claims(wide)
    alone = Material([result("semanticnn", {0.0: 0.9}), result("deepcod", {0.0: 0.1})], [])
    assert "one seed" in compared.claims(alone)


def test_an_ablation_is_the_difference_within_each_seed() -> None:
    def runs(variant: str, accuracies: list[float]) -> list[RunResult]:
        return [
            result("semanticnn", {0.0: value}, seed=seed, experiment="ablations", variant=variant)
            for seed, value in enumerate(accuracies)
        ]

    # Seeds that differ by more than the parts do, and the parts that differ by the same in each seed.
    results = [
        *runs("the whole method", [0.88, 0.90, 0.92]),
        *runs("no GDN", [0.879, 0.8985, 0.9188]),
        *runs("Gray codes", [0.90, 0.92, 0.941]),
        *runs("fixed centres", [0.89, 0.90, 0.912]),
        *runs("no XAI", [0.87]),
    ]
    text = compared.ablations(Material(results, []))
    lines = {
        line.split("|")[1].strip(): line for line in text.split("the whole method less")[1].splitlines()[1:]
    }
    assert "| **+0.12 ± 0.03** |" in lines["no GDN"] and "| **-2.03 ± 0.06** |" in lines["Gray codes"]
    assert "| -0.07 ± 0.90 |" in lines["fixed centres"] and "| -1.00 |" not in lines["no XAI"]
    assert "| +1.00 |" in lines["no XAI"] and "the whole method" not in lines


def test_goals_are_points_below_the_task_network_of_the_same_budget() -> None:
    task = result("task-network", {0.0: 0.93}, experiment="search", size=0)
    goals = compared.goals(Material([task, result("semanticnn", {0.0: 0.915, 0.05: 0.905})], []))
    assert "| 48 B | comparison | 0 % | 1.50 | 1.0 | **no** |" in goals
    assert "| 48 B | comparison | 5 % | 2.50 | 3.0 | yes |" in goals


def test_goals_whose_task_network_was_not_measured_are_shown_as_such() -> None:
    full = Budget("full", "all images")
    goals = compared.goals(Material([result("semanticnn", {0.0: 0.915}, budget=full)], []))
    assert "| 48 B | full | 0 % | – | 1.0 | task network not measured |" in goals


def test_tables_are_rebuilt_from_the_results_alone_and_text_around_them_stays(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for one in (*seeds("semanticnn", 0.9, 0.001), *seeds("deepcod", 0.8, 0.001)):
        store.put(one)
    document = tmp_path / "experiments.md"
    document.write_text((ROOT / "docs" / "experiments.md").read_text().replace("# Experiments", "# Mine", 1))
    arguments = ["--results", str(store.root), "--document", str(document)]
    assert tables.main([*arguments, "--check"]) == 1
    assert tables.main(arguments) == 0 and tables.main([*arguments, "--check"]) == 0
    text = document.read_text()
    assert text.startswith("# Mine") and "| DEEPCOD | comparison | 3 | at most 48.0 | 80.00 ± 0.10 |" in text
    assert COMPARISON.text in text
    plot = tmp_path / "experiments" / "ber-48.svg"
    assert "DEEPCOD" in plot.read_text() and plot.stat().st_size < 100_000


def test_markers_without_a_block_and_blocks_without_markers_are_refused() -> None:
    with pytest.raises(SystemExit, match="no markers"):
        with_blocks("text", {"a": "b"})
    with pytest.raises(SystemExit, match="nothing writes"):
        with_blocks("<!-- z: written by experiments/tables.py -->\n<!-- end z -->", {})


def test_the_committed_page_is_what_the_committed_results_say() -> None:
    assert tables.main(["--check"]) == 0


def test_search_tables_mark_the_best_trial() -> None:
    results = [
        result(
            "deepcod",
            dict.fromkeys((0.0, 0.01, 0.05), value),
            split="val",
            experiment="search",
            run=f"deepcod-48-t{trial}-s0",
            figures={"trial": {"peak": trial}},
        )
        for trial, value in enumerate((0.7, 0.9))
    ]
    results.append(
        result(
            "deepcod",
            dict.fromkeys((0.0, 0.01, 0.05), 0.6),
            split="val",
            experiment="search",
            size=24,
            run="deepcod-24-t0-s0",
            figures={"trial": {"peak": 0}},
        )
    )
    found = blocks.search(Material(results, []))
    assert "| DEEPCOD | 48 | 1 | peak 1 | **90.00** |" in found
    assert "| DEEPCOD | 48 | 0 | peak 0 | 70.00 |" in found
    assert "| DEEPCOD | 24 | 0 | peak 0 | **60.00** |" in found  # the best of its size
    assert f"*Budget comparison: {COMPARISON.text}.*" in found
    assert "10,000 validation images, seed 0.*" in found


def test_the_claims_and_the_goals_state_their_budget_and_the_rate_table_that_it_has_none() -> None:
    task = result("task-network", {0.0: 0.93}, experiment="search", size=0)
    results = [task, *seeds("semanticnn", 0.90, 0.002), *seeds("deepcod", 0.88, 0.002)]
    full = result("deepcod", {0.0: 0.99}, budget=Budget("full", "all images"), run="deepcod-48-full-s0")
    material = Material([*results, full], [])
    for made in (compared.claims(material), compared.goals(material)):
        assert f"*Budget comparison: {COMPARISON.text}.*" in made and "all images" not in made
    rates = tables.read_rates(ROOT / "experiments" / "results" / "rate")
    assert "no training is involved" in blocks.rate(Material([], rates))


def test_bytes_of_payloads_that_were_sent_again_are_shown_with_all_their_transmissions() -> None:
    first, second = (
        result(
            "jpeg",
            {0.0: 0.9, 0.05: 0.4},
            seed=seed,
            framing="retransmit",
            mean_payload_bytes=mean,
            transmissions={0.05: times},
        )
        for seed, (mean, times) in enumerate(((44.0, 2.0), (46.0, 3.0)))
    )
    once = result("deepcod", {0.0: 0.9, 0.05: 0.8}, mean_payload_bytes=47.5)
    text = blocks.ber(Material([first, second, once], []), 48)
    main, again = text.split("Bytes sent with retransmission, by bit error rate:")
    assert "| JPEG, sent again | comparison | 2 | 45.0 to 113.0 | 90.00" in main  # (44 * 2 + 46 * 3) / 2
    assert "| DEEPCOD | comparison | 1 | 47.5 | 90.00" in main and "DEEPCOD" not in again
    assert "| JPEG | comparison | 2 | 45.0 (1.00) | – | – | – | – | 113.0 (2.50) | – |" in again
    assert "at most 4 more times" in again and "not held to the payload" in again
    assert "retransmission" not in blocks.ber(Material([once], []), 48)
    lossy = [
        msgspec.structs.replace(
            one,
            experiment="bursts",
            rows=[msgspec.structs.replace(row, channel="frame-loss", frame_bytes=8) for row in one.rows],
        )
        for one in (first, second)
    ]
    text = blocks.conditions(Material(lossy, []), "bursts", "frame-loss", "frame_bytes")
    _, again = text.split("Bytes sent with retransmission, by share of frames lost:")
    assert "| JPEG | 8 | 2 | 45.0 (1.00) | 113.0 (2.50) |" in again
