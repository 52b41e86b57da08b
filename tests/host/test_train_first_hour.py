"""`semflash train` before TensorFlow, while it runs, and at its end: what the first hour sees of it."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from semflash.cli.main import main
from semflash.cli.train_checks import flat
from semflash.outputs.chance import Chance

HEAVY = {"tensorflow", "keras", "jax"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRONG = [
    (["fashon-mnist-48"], "did you mean fashion-mnist-48?"),
    (["fashion-mnist"], "semflash train fashion-mnist --only-task"),
    (["fashion-mnist-48", "--only-task"], "semflash train fashion-mnist-48\n"),
    (["fashion-mnist-48", "--dataset", "mnits"], "--dataset mnist"),
    (["fashion-mnist-48", "--dataset", "./no-such-folder"], "no such data set or image folder"),
    (["fashion-mnist-48", "--set", "task_epoch=3"], "did you mean task_epochs?"),
    (["fashion-mnist-48", "--task-set", "epohcs=3"], "did you mean epochs?"),
    (["fashion-mnist-48", "--task-recipe", "minst"], "did you mean mnist?"),
]


@pytest.mark.parametrize(
    ("flags", "words"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_is_misspelt_is_found_before_tensorflow(flags: list[str], words: str) -> None:
    program = (
        "import sys\nfrom semflash.cli.main import main\ncode = main(sys.argv[1:])\n"
        "print('MODULES', code, *{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "train", *flags],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    _, code, *modules = done.stdout.split()
    assert code == "2" and words in done.stderr
    assert not HEAVY & set(modules)


def test_a_misspelt_recipe_takes_half_a_second_of_computing() -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "semflash.cli", "train", "fashon-mnist-48"], check=False, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    assert done.returncode == 2
    assert spent < 1.0, f"{spent:.2f} s of the processor, {time.monotonic() - began:.2f} s on the clock"


def test_nested_tables_are_dotted_fields() -> None:
    assert flat({"batch": 16, "sizes": {"latent": 8, "deep": {"x": []}}}) == {
        "batch": 16,
        "sizes.latent": 8,
        "sizes.deep.x": [],
    }


def test_fields_of_the_settings_hold_for_their_recipe_alone(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "semflash.toml").write_text(
        '[train]\nrecipe = "tiny"\n[train.codec]\nsizes.latnet = 3\nbtach = 3\n'
    )
    assert main(["train"]) == 2
    assert "did you mean batch?" in capsys.readouterr().err
    assert main(["train", "fashion-mnist-48", "--set", "nonsense=1"]) == 2
    assert "(got: nonsense)" in capsys.readouterr().err


def test_a_training_at_chance_is_said_once_and_at_once() -> None:
    from semflash.training.chance_watch import STEPS_PATIENT, ChanceWatch
    from semflash.training.progress import Progress

    shown = io.StringIO()
    progress = Progress(shown, quiet=True)
    chance = Chance.of(np.repeat([0, 1, 2, 3], 50))
    watch = ChanceWatch("task network", chance, STEPS_PATIENT // 3, progress)
    reached = iter([0.25, 0.25, 0.25, 0.25, 0.9])
    validate = watch.around(lambda: {"val_accuracy": next(reached)})
    validate()
    validate()
    assert shown.getvalue() == ""
    validate()
    assert "after 150 steps the task network is still at chance" in shown.getvalue()
    said = shown.getvalue()
    validate()
    validate()
    assert shown.getvalue() == said
    learnt = ChanceWatch("codec", chance, STEPS_PATIENT, progress)
    learnt.look({"val_0": 0.8})
    learnt.look({"centres_used": 1.0})
    assert shown.getvalue() == said


def test_progress_marks_chance_and_what_is_left() -> None:
    from semflash.training.progress import Progress

    shown = io.StringIO()
    progress = Progress(shown)
    progress.chance = 0.25
    first = {"stage": "task", "epoch": 1, "loss": 1.5, "seconds": 600.0}
    progress.line(first, 12)
    assert shown.getvalue() == "task 1/12  loss 1.5  seconds 600.0\n"
    shown.truncate(0)
    shown.seek(0)
    progress.line({"stage": "task", "epoch": 2, "loss": 1.5, "val_accuracy": 0.5, "seconds": 60.0}, 12)
    assert shown.getvalue() == (
        "task 2/12  loss 1.5  val_accuracy 0.5 (chance 0.25)  seconds 60.0  about 10 min left\n"
    )
    progress.expect("task", 1200, 89)
    assert shown.getvalue().endswith("task: 1,200 steps, about 89 s to go\n")


def test_a_terminal_has_one_bar_for_a_whole_stage() -> None:
    from semflash.training.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    progress = Progress(Terminal())
    bars = []
    for epoch in range(3):
        with progress.epoch("task", epoch, 3, 4) as bar:
            bars.append(bar)
            for _ in range(4):
                bar.step(1.0)
        progress.say("a line")
    assert len(set(map(id, bars))) == 1
    text = progress.stream.getvalue()
    assert "12/12 steps" in text and text.count("a line") == 3
    with pytest.raises(KeyboardInterrupt), progress.epoch("codec", 0, 2, 4):
        raise KeyboardInterrupt
    assert progress.stream.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in progress.stream.getvalue()


@pytest.mark.timeout(300)
def test_ctrl_c_says_how_to_go_on(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow")
    from semflash.cli import train

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_train", stopped)
    monkeypatch.setattr(sys, "argv", ["semflash", "train", "tiny", "--out", "my runs"])
    assert main(["train", "tiny", "--out", "my runs"]) == 130
    assert "To go on: semflash train tiny --out 'my runs'" in capsys.readouterr().err


def test_a_codec_that_has_learnt_nothing_is_not_sent_into_a_refusal_unwarned() -> None:
    from semflash.cli.train_checks import last_words
    from semflash.settings import Settings
    from semflash.training.progress import Progress

    shown = io.StringIO()
    progress = Progress(shown, quiet=True)
    assert progress.codec_learnt
    progress.warn_of_codec("25.0% on 40 validation images")
    assert not progress.codec_learnt and "learnt nothing: 25.0% on 40" in shown.getvalue()
    out = Path("runs/mine")
    assert (
        last_words(Settings(), "mine", out, learnt=True)
        == "trained; next: semflash export runs/mine mine.semcodec"
    )
    assert "--force" in last_words(Settings(), "mine", out, learnt=False)


def test_export_without_a_run_says_what_to_give(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 2
    assert "semflash export RUN NAME.semcodec" in capsys.readouterr().err
    assert main(["export", "runs/mine"]) == 2
    assert "semflash export runs/mine mine.semcodec" in capsys.readouterr().err


def test_build_folders_lie_beside_the_settings(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semflash.cli.build_options import build_root
    from semflash.settings import Settings, load_settings

    (elsewhere / "semflash.toml").write_text("")
    (elsewhere / "deep").mkdir()
    assert build_root(load_settings()) == Path("build")
    monkeypatch.chdir(elsewhere / "deep")
    assert build_root(load_settings()) == elsewhere / "build"
    assert build_root(Settings()) == Path("build")
