"""Overrides of recipes, finding runs, and the train and export verbs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.errors import TrainingError, UsageError
from semflash.export.found import find_run
from semflash.runtime.native_messages import hidden_native_messages
from semflash.training.recipes.catalogue import codec_recipe
from semflash.training.recipes.overrides import override


def test_fields_of_a_recipe_are_overridden_with_their_types() -> None:
    texts = ["task_epochs=7", "sizes.latent=6", "ber.high=0.1", "name=other"]
    recipe = override(codec_recipe("fashion-mnist-48"), {"seed": 5}, texts)
    assert (recipe.task_epochs, recipe.seed, recipe.name) == (7, 5, "other")
    assert recipe.sizes["latent"] == 6 and recipe.ber.high == 0.1
    assert codec_recipe("fashion-mnist-48").sizes["latent"] == 8


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("task_epoch=7", "task_epochs"),
        ("ber.hihg=1", "high"),
        ("task_epochs", "KEY=VALUE"),
        ("task_epochs=many", "wrong type"),
        ("seed.x=1", "group"),
        ("augmentation.nonsense=1", "no such field"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(text: str, match: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(codec_recipe("tiny"), {}, [text])
    assert match in str(caught.value)


def test_a_run_is_found_in_its_own_directory_or_one_above(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no finished codec run"):
        find_run(tmp_path)
    for part in ("codec", "task"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "run.json").write_text("{}")
    assert find_run(tmp_path) == (tmp_path / "codec", tmp_path / "task")
    assert find_run(tmp_path / "codec") == (tmp_path / "codec", None)


def test_exporting_nothing_is_an_error_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path), str(tmp_path / "x.semcodec")]) == 1
    said = capsys.readouterr().err
    assert "semflash train" in said and "loading TensorFlow" not in said  # refused before that takes its time
    assert main(["export", str(tmp_path), str(tmp_path / "x")]) == 1
    assert "NAME.semcodec" in capsys.readouterr().err


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list", "--json"]) == 0
    assert "fashion-mnist-48" in json.loads(capsys.readouterr().out)["codec"]
    assert main(["train", "no-such-recipe"]) == 2
    assert "fashion-mnist-48" in capsys.readouterr().err


def test_native_messages_are_hidden_unless_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with hidden_native_messages():
        os.write(2, b"chatter\n")
    print("visible", file=sys.stderr)
    assert capfd.readouterr().err == "visible\n"
    with pytest.raises(ValueError, match="x"), hidden_native_messages():
        os.write(2, b"the reason\n")
        raise ValueError("x")
    assert capfd.readouterr().err == "the reason\n"


@pytest.mark.slow
def test_a_tiny_training_run_becomes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", "tiny", "--out", str(run), "--quiet"]) == 0
    out = tmp_path / "tiny-run.semcodec"
    capsys.readouterr()
    # A training of seconds guesses: that is refused, and --force says that it is meant.
    assert main(["export", str(run), str(out), "--json"]) == 1
    assert "--force" in json.loads(capsys.readouterr().out)["error"]["remedy"] and not out.exists()
    assert main(["export", str(run), str(out), "--json", "--force"]) == 0
    printed = json.loads(capsys.readouterr().out)
    bundle = read_bundle(out)
    assert printed["hash"] == bundle.hash_hex and bundle.name == "tiny-run"
    assert bundle.record.history is not None and bundle.record.task_value is not None
    assert bundle.record.recipe["recipe"]["name"] == "tiny"
    assert printed["proof"]["codes_differing"] == 0
