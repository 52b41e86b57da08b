"""What helps at the command line: the nearest option, completion, plain numbers, no blanks in a pipe."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semflash.cli.completion import SHELLS
from semflash.cli.main import VERBS, main
from semflash.console import Trimmed, console
from semflash.printable import plain


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "x", "--boord", "native"], "did you mean --board? semflash run --help"),
        (["run", "x", "--chek-golden"], "did you mean --check-golden?"),
        (["evaluate", "--brr=0.1"], "did you mean --ber?"),
        (["build", "x", "--engine", "aoot"], "did you mean aot?"),
        (["completion", "bsh"], "did you mean bash?"),
        (["boards", "ad", "x"], "did you mean add?"),
    ],
)
def test_the_nearest_option_or_choice_is_named(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_an_option_that_is_like_none_has_the_help_as_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--zzzzzz"]) == 2
    assert "try: semflash run --help" in capsys.readouterr().err


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def completed(text: str, words: list[str]) -> set[str]:
    """What bash proposes for the last word."""
    program = (
        text + "\nCOMP_WORDS=(" + " ".join(f"'{word}'" for word in words) + ")\n"
        f"COMP_CWORD={len(words) - 1}\n_semflash\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_verbs_options_choices_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    text = script("bash", capsys)
    assert completed(text, ["semflash", ""]) >= set(VERBS)
    assert completed(text, ["semflash", "tra"]) == {"train"}
    assert completed(text, ["semflash", "run", "--check"]) == {"--check-golden"}
    assert "native" in completed(text, ["semflash", "run", "x", "--board", ""])
    assert completed(text, ["semflash", "build", "--engine", ""]) == {"aot", "tflm"}
    assert completed(text, ["semflash", "evaluate", "mnist"]) == {"mnist-12"}
    assert completed(text, ["semflash", "train", "fashion-mnist-9"]) == {"fashion-mnist-96"}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_every_verb_and_its_own_options(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", text)
    assert "check-golden" in text and "fashion-mnist-48" in text
    assert text.endswith("\n") and "None" not in text


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_reads_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["fish", "-n"], input=script("fish", capsys), text=True, check=True, timeout=30)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_reads_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["zsh", "-n"], input=script("zsh", capsys), text=True, check=True, timeout=30)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 12))
def test_a_plain_number_has_no_exponent_and_is_the_rounded_one(value: float, digits: int) -> None:
    text = plain(value, digits)
    assert "e" not in text.lower()
    assert float(text) == float(f"{value:.{digits}g}")


def test_what_is_no_number_is_said_as_it_is() -> None:
    assert [plain(value) for value in (float("nan"), float("inf"))] == ["nan", "inf"]


@given(st.lists(st.text("ab \n", max_size=8), max_size=12))
def test_blanks_before_a_lines_end_are_left_out_however_the_text_is_cut(pieces: list[str]) -> None:
    out = io.StringIO()
    shown = Trimmed(out)
    for piece in pieces:
        shown.write(piece)
    wanted = "\n".join(line.rstrip(" ") for line in "".join(pieces).split("\n"))
    assert out.getvalue().rstrip(" ") == wanted


@pytest.mark.parametrize(
    "arguments", [["boards"], ["doctor"], ["build", "mnist-12", "--board", "native"]], ids=" ".join
)
def test_no_line_in_a_pipe_ends_in_blanks(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "semflash.cli", *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.stdout.count("\n") > 2
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_for_terminals_and_never_where_no_color_is_set(no_color: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    environment |= {"NO_COLOR": no_color} if no_color else {}
    ours, theirs = pty.openpty()
    program = "from semflash.console import console; console().print('[red]red[/]')"
    subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert (b"\x1b[31m" in shown) is (not no_color)
    assert b"red" in shown


def test_a_console_of_a_pipe_writes_no_escapes() -> None:
    out = io.StringIO()
    console(out).print("[red]a[/]   ")
    assert out.getvalue() == "a\n"
