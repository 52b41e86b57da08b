"""The training of the family tokens: which stages there are, what a batch holds, that a step learns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from fakes.token_codecs import colours, tokens_codec  # noqa: E402
from semflash.codecs.own_training import Bench  # noqa: E402
from semflash.codecs.tokens.measuring import Measure, Setting  # noqa: E402
from semflash.codecs.tokens.training import TokensTraining  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.tasks.transformer import build_transformer  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe  # noqa: E402

PLACES = 20


def bench(task: Any = None, **changes: Any) -> Bench:
    recipe = SimpleNamespace(**{**vars(codec_recipe("scenes-tokens")), "batch": 32, **changes})
    data = colours()
    said: list[str] = []
    codec = tokens_codec(heads=4, hidden=32)
    return Bench(codec, recipe, data, data.train, None, lambda *_: None, Path(), said.append, task)  # type: ignore[arg-type]


def network(widths: tuple[int, int, int] = (4, 8, 16), classes: int = 10) -> Any:
    keras.utils.set_random_seed(3)
    head, tail = build_transformer((32, 40, 3), classes, widths)
    return SimpleNamespace(head=head, tail=tail)


def test_a_fitting_task_network_is_the_beginning_and_spares_the_first_stage() -> None:
    epochs = {stage.name: stage.epochs for stage in TokensTraining(bench(network())).stages()}
    assert epochs == {"stem": 2, "task": 0, "gates": 1, "channel": 3}
    epochs = {stage.name: stage.epochs for stage in TokensTraining(bench()).stages()}
    assert epochs == {"stem": 0, "task": 2, "gates": 1, "channel": 3}
    epochs = {stage.name: stage.epochs for stage in TokensTraining(bench(network((4, 8, 24)))).stages()}
    assert epochs["stem"] == 0 and epochs["task"] == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="other images or classes"):
        TokensTraining(bench(network(classes=3))).check()
    with pytest.raises(UsageError, match="distillation_weight"):
        TokensTraining(bench(distillation_weight=1.5)).check()
    TokensTraining(bench(network())).check()


def test_alpha_is_spread_over_the_batch_and_only_the_last_stage_meets_noise() -> None:
    training, rng = TokensTraining(bench()), np.random.default_rng(0)
    whole, gates = training.draw("task", 64, rng), training.draw("gates", 64, rng)
    assert (whole["share"] == 255).all() and (whole["quality"] == 20).all() and (gates["quality"] == 20).all()
    assert (whole["use"] == 1).all()
    shares = np.sort(gates["share"][:, 0])
    assert shares[0] >= 8 and shares[-1] <= 255 and np.diff(shares).max() < 9
    assert np.array_equal(shares, np.rint(shares))
    channel = [training.draw("channel", 64, rng) for _ in range(30)]
    ratios = np.concatenate([each["quality"] for each in channel])
    assert ratios.min() < -18 and ratios.max() > 18
    assert {int(each["use"][0].sum()) for each in channel} == {2, 4, 16}
    again = training.draw("channel", 64, np.random.default_rng(7))
    same = training.draw("channel", 64, np.random.default_rng(7))
    assert all(np.array_equal(again[name], same[name]) for name in again)


def test_stages_learn_from_their_batches() -> None:
    training = TokensTraining(bench(network()))
    for stage in training.stages():
        if stage.name in ("stem", "channel"):
            x, y = next(iter(stage.batches(np.random.default_rng(1))))
            assert stage.name == "stem" or x["answer"].shape == (32, 10)
            stage.model.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
            losses = [float(stage.model.train_on_batch(x, y)) for _ in range(6)]
            assert np.isfinite(losses).all() and min(losses[3:]) < losses[0]


def test_a_network_whose_answers_do_not_count_is_not_asked() -> None:
    training = TokensTraining(bench(network(), distillation_weight=0.0))
    x, _ = next(iter(training.stages()[3].batches(np.random.default_rng(1))))
    assert "answer" not in x and "answers" not in vars(training)


def test_measures_count_what_is_kept() -> None:
    codec = tokens_codec()
    measure = Measure(codec, colours().val)
    accuracy, kept = measure.of(Setting(128, 1), images=40)
    assert 0 <= accuracy <= 1 and kept.shape == (40, PLACES)
    assert (kept.sum(axis=1) >= 1).all() and (kept.sum(axis=1) <= codec.sizes.kept_at_most(128)).all()
    _, drawn = measure.of(Setting(128, 1, mask="random"), images=40)
    assert (drawn.sum(axis=1) == 10).all() and len(np.unique(drawn, axis=0)) > 30
    _, whole = measure.of(Setting(128, 1, mask="all"), images=10)
    assert whole.all()
    results = measure.results()
    assert list(results["val_accuracy"]) == ["20", "10", "0", "-10", "-20"]
    assert results["by_share"]["51"]["kept"] <= codec.sizes.kept_at_most(51) / PLACES
