"""The command line's frame: help, errors, exit codes, JSON, and what is (not) imported."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from semflash import __version__
from semflash.cli import main as frame
from semflash.cli.main import VERBS, load_verb, main
from semflash.errors import LinkError, SemflashError

HEAVY = ("tensorflow", "keras", "ai_edge_litert", "numpy", "jax", "rich", "serial", "cffi")
SLOW_START = ("tensorflow", "keras", "jax", "torch")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No semflash.toml of the user's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def imported(arguments: list[str]) -> set[str]:
    """Top-level modules loaded after running a command line in a fresh interpreter."""
    program = (
        "import sys\nfrom semflash.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('MODULES', ' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("MODULES ")]
    return set(line.split()[1:])


def test_help_lists_every_verb_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for name, line in VERBS.items():
        assert f"  {name}" in out
        assert line in out


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "verbs:" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"semflash {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = load_verb(verb)
    assert VERBS[verb] == module.HELP
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert f"semflash {verb}" in out
    assert "--config" in out


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_flag_is_a_usage_error_of_every_verb(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--no-such-flag"]) == 2
    assert f"try: semflash {verb} --help" in capsys.readouterr().err


def test_an_unknown_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["biuld", "x"]) == 2
    assert "did you mean 'semflash build'" in capsys.readouterr().err
    assert main(["zzz"]) == 2
    assert "verbs are new, collect, train" in capsys.readouterr().err


def test_help_imports_no_heavy_package() -> None:
    assert not imported(["--help"]) & set(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [["boards"], ["flash", "nowhere"], ["monitor", "nowhere"], ["monitor", "--help"], ["run", "--help"]],
    ids=" ".join,
)
def test_verbs_at_the_board_import_no_training_package(arguments: list[str]) -> None:
    assert not imported(arguments) & set(SLOW_START)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_no_model_runtime(verb: str) -> None:
    assert not imported([verb, "--help"]) & {"tensorflow", "keras", "ai_edge_litert", "jax"}


def test_a_malformed_settings_file_is_a_usage_error(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "semflash.toml").write_text("[build]\nboard = \n")
    assert main(["boards"]) == 2
    assert "line 2" in capsys.readouterr().err
    (elsewhere / "semflash.toml").write_text("[buidl]\n")
    assert main(["boards"]) == 2
    assert "did you mean build" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--config", "x.toml", "boards"], ["boards", "--config", "x.toml"]])
def test_the_settings_file_may_be_named_before_and_after_the_verb(
    arguments: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "cannot read the settings" in capsys.readouterr().err
    (elsewhere / "x.toml").write_text("[monitor]\ncount = 3\n")
    assert main(arguments) == 0


def test_errors_go_to_stderr_and_as_json_to_stdout_where_results_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["monitor", "no-such-bundle"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("semflash: no such bundle (got: no-such-bundle)\n  try: ")
    assert main(["monitor", "no-such-bundle", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    error = json.loads(captured.out)["error"]
    assert (error["kind"], error["value"], error["exit_code"]) == ("bundle", "no-such-bundle", 1)
    assert error["remedy"]


@pytest.mark.parametrize("stdout", ["/dev/full", "closed pipe"])
def test_an_error_for_which_stdout_has_no_room_is_told_on_stderr(stdout: str) -> None:
    command = [sys.executable, "-m", "semflash.cli", "monitor", "no-such-bundle", "--json"]
    if stdout == "closed pipe":
        reader, target = os.pipe()
        os.close(reader)
    else:
        target = os.open(stdout, os.O_WRONLY)
    try:
        done = subprocess.run(
            command, stdout=target, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(target)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["value"] == "no-such-bundle"


def test_what_a_family_without_a_task_network_does_not_take_is_said_before_tensorflow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["train", "stamps-tosc", "--task-recipe", "stamps"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "trained without a task network (got: --task-recipe)" in said and "--set teacher=STORE" in said
    assert not imported(arguments) & set(SLOW_START)


TINY = str(Path(__file__).parent.parent / "vectors" / "tiny.semcodec")


@pytest.mark.parametrize("verb", ["monitor", "run"])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--ber", "2"], "--ber must be between"),
        (["--ber", "nan"], "--ber must be between"),
        (["--timeout", "nan"], "--timeout must be"),
        (["--seed", "-1"], "--seed must not"),
        (["--count", "0"], "--count must be"),
        (["--count", "100000"], "images"),
        (["--baud", "0"], "'0' is not a whole number of 1200"),
        (["--record", "no/such/folder/x.jsonl"], "the folder for --record does not exist"),
        (["--record", "."], "--record names a folder"),
    ],
    ids=" ".join,
)
def test_bad_flags_are_refused_before_anything_is_built_or_attached(
    verb: str, flags: list[str], words: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "set").mkdir()
    for name, magic, head in (("images-idx3", 0x803, (28, 28)), ("labels-idx1", 0x801, ())):
        for part in ("train", "t10k"):
            shape = (20, *head)
            data = struct.pack(f">{1 + len(shape)}I", magic, *shape) + bytes(math.prod(shape))
            (elsewhere / "set" / f"{part}-{name}-ubyte").write_bytes(data)
    assert main([verb, TINY, "--data-dir", "set", "--count", "5", *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (elsewhere / "build").exists()


def test_an_unknown_board_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "x", "--board", "nucleo_f446er"]) == 2
    assert "nucleo_f446re" in capsys.readouterr().err


class Verb:
    """A verb that ends as told."""

    HELP, EPILOG = "h", "e"

    def __init__(self, end: BaseException | int) -> None:
        self.end = end

    def add_arguments(self, parser: object) -> None:
        return None

    def run(self, args: object, settings: object) -> int:
        if isinstance(self.end, int):
            return self.end
        raise self.end


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (0, 0, ""),
        (3, 3, ""),
        (
            SemflashError("broken", value=7, remedy="mend it"),
            1,
            "semflash: broken (got: 7)\n  try: mend it\n",
        ),
        (LinkError("no link"), 3, "semflash: no link\n"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "refused: Permission denied (got: /x/y)"),
        (OSError("no number"), 1, "refused: no number"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oh"), 1, "internal error: ZeroDivisionError: oh"),
        (ModuleNotFoundError("no", name="tensorflow"), 1, "pip install 'semflash[train]'"),
    ],
)
@pytest.mark.parametrize("verbose", [False, True])
def test_every_end_has_its_exit_code_and_a_traceback_only_with_v(
    end: BaseException | int,
    code: int,
    words: str,
    verbose: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(frame, "load_verb", lambda name: Verb(end))
    assert main(["-v", "build"] if verbose else ["build"]) == code
    err = capsys.readouterr().err
    traceback_wanted = verbose and isinstance(end, Exception)
    assert ("Traceback" in err) == traceback_wanted
    if not verbose:
        assert words in err


def test_the_program_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "semflash.cli", "nonsense"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("semflash: unknown verb")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "semflash.cli", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert b"Traceback" not in err


@pytest.mark.parametrize("text", ["bytes", "bytes=", "=3", "bytes=x", "bytes=-1", "bytes=1.5"])
def test_a_control_is_a_name_and_a_number(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "no-such-bundle", "--control", text]) == 2
    assert "not of the form NAME=N" in capsys.readouterr().err
