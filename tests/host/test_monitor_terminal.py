"""The live monitor in a pseudo terminal: keys pressed, screens read, the terminal as before at the end."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.terminal import Terminal
from semflash.data.registry import DEBIAN_FASHION_MNIST
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="Fashion-MNIST is not installed"),
]
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(TINY, load_board("native"), out_dir=tmp_path_factory.mktemp("native") / "tiny")


def command(built: BuildResult, *more: str) -> list[str]:
    base = [sys.executable, "-m", "semflash.cli", "monitor", str(TINY), "--board", "native"]
    return [*base, "--out", built.directory, *more]


@pytest.fixture
def live(built: BuildResult) -> Iterator[Terminal]:
    """An endless run on board native."""
    with Terminal(command(built, "--loop", "--check-golden")) as terminal:
        terminal.wait_for("streaming")
        yield terminal


def images(screen: str) -> int:
    found = re.search(r"images +([\d,]+) of", screen)
    assert found, screen
    return int(found[1].replace(",", ""))


def test_the_screen_shows_board_bundle_rates_labels_and_keys(live: Terminal) -> None:
    screen = live.wait_for(r"[⠁-⣿]{3}[^~]*image \d+ +\d")
    for words in (
        "tiny on native",
        r"images +[\d,]+ of [\d,]+",
        r"accuracy +\d+\.\d%  95 % \d+\.\d% to \d+\.\d%",
        "bit errors +injected none",
        r"images/s of \d+ B  link up .*/s, down .*/s",
        r"frames +[\d,]+ ok, 0 damaged, 0 lost",
        r"golden +([\d,]+) of \1 payloads equal",
        r"image \d+ +\d+\.\d%  \S+",
        r"\+/- bit errors · p pause · s step · q quit",
    ):
        assert re.search(words, screen), f"{words} is not in\n{screen}"


def test_keys_change_the_injected_errors_and_the_screen_says_so(live: Terminal) -> None:
    live.press("+")
    live.wait_for("injected 0.01 %")
    live.press("+++++++")
    screen = live.wait_for(r"injected 2 %")
    assert "injected BER is 0.02 now" in live.wait_for("injected BER is 0.02 now")
    live.press("\x1b[B")  # arrow down
    live.wait_for("injected 1 %")
    live.wait_for(r"bits? flipped")
    live.press("0")
    live.wait_for("injected none")
    assert "%" in screen


def test_pause_stops_the_images_and_each_step_lets_one_through(live: Terminal) -> None:
    live.press(" ")
    live.wait_for("paused")
    before = images(live.screen())
    live.press("?")
    live.wait_for("one image, then pause")
    assert images(live.screen()) == before
    for step in (1, 2):
        live.press("s")
        live.wait_for(rf"images +{before + step:,} of")
    live.press("p")
    live.wait_for("streaming")
    live.wait_for(rf"images +(?!{before:,} |{before + 2:,} )")


@pytest.mark.parametrize(
    ("end", "code"),
    [("q", 0), ("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["q", "Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_after_any_end_the_terminal_is_as_before(
    live: Terminal, end: str | signal.Signals, code: int
) -> None:
    live.wait_for(r"image \d+ +\d")
    if isinstance(end, str):
        live.press(end)
    else:
        live.process.send_signal(end)
    assert live.end() == code
    assert live.is_as_before()
    assert "equal to golden" in live.screen()  # the summary, on the ordinary screen


def test_a_bug_in_the_run_gives_the_terminal_back(built: BuildResult) -> None:
    program = (
        "import sys\nfrom semflash.monitor.live import history\n"
        "def broken(*_): raise ZeroDivisionError('oh')\n"
        "history.History.values = broken\n"
        "from semflash.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    with Terminal([sys.executable, "-c", program, *command(built, "--loop")[3:]]) as terminal:
        assert terminal.end() == 1
        assert terminal.is_as_before()
        assert "internal error: ZeroDivisionError" in terminal.screen()


def test_ctrl_z_gives_the_terminal_back_until_the_program_goes_on(live: Terminal) -> None:
    live.press("\x1a")
    live.wait_for_stop()
    assert live.is_as_before()
    live.process.send_signal(signal.SIGCONT)
    live.text = ""
    live.wait_for("streaming")
    assert not live.is_as_before()


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (24, 5), (200, 60)])
def test_the_picture_follows_the_size_of_the_terminal(live: Terminal, columns: int, rows: int) -> None:
    live.resize(columns, rows)
    whole = rf"^(?:[^\n]{{{columns}}}\n){{{rows - 1}}}[^\n]{{{columns}}}$"
    screen = live.wait_for(whole)
    assert "tiny on native" in screen
    if rows > 12:
        live.wait_for(r"image \d+ +\d")
    else:
        assert "image " not in screen


def test_without_colours_and_without_unicode_the_screen_is_plain(built: BuildResult) -> None:
    with Terminal(
        command(built, "--loop"), NO_COLOR="1", LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii"
    ) as terminal:
        terminal.wait_for("streaming")
        terminal.wait_for(r"image \d+ +\d")
        assert terminal.screen().isascii()
        assert not re.search(r"\x1b\[[0-9;]*3[1-7]m", terminal.text), "a colour in spite of NO_COLOR"
        terminal.press("q")
        assert terminal.end() == 0


def test_without_keys_the_screen_is_live_and_sigterm_gives_the_terminal_back(
    built: BuildResult,
) -> None:
    line = shlex.join(command(built, "--loop")) + " < /dev/null"
    with Terminal(["/bin/sh", "-c", f"exec {line}"]) as terminal:
        screen = terminal.wait_for("streaming")
        assert "q quit" not in screen
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 143
        assert terminal.is_as_before()


def test_in_the_background_of_a_terminal_there_are_lines(built: BuildResult) -> None:
    line = shlex.join(command(built, "--count", "50"))
    with Terminal(["/bin/bash", "-ic", f"{line} & wait $!"]) as terminal:
        assert terminal.end() == 0
        assert "\x1b[?1049h" not in terminal.text
        assert "50 of 50" in terminal.text


def test_a_dumb_terminal_gets_lines(built: BuildResult) -> None:
    with Terminal(command(built, "--count", "50"), TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert "\x1b[?1049h" not in terminal.text
        assert "50 of 50" in terminal.text
