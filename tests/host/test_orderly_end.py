"""SIGTERM and SIGHUP end a command as Ctrl-C does: through its cleaning up, with the shell's exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from semflash.cli import main as command_line
from semflash.processes.orderly_end import OrderlyEnd, Terminated

HOST = Path(__file__).parents[2] / "host"
#: Two signals, as `timeout` sends them: one while it works, one while it cleans up.
WORK = """
import sys, time
from semflash.processes.orderly_end import OrderlyEnd, Terminated
try:
    with OrderlyEnd():
        try:
            print("works", flush=True)
            time.sleep(60)
        finally:
            print("cleans up", flush=True)
            time.sleep(1.0)
            print("is done", flush=True)
except Terminated as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_cleaning_up_is_done_to_its_end_whatever_else_comes(number: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": str(HOST)}
    command = [sys.executable, "-c", WORK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in ("works\n", "cleans up\n"):
            assert process.stdout.readline() == line
            process.send_signal(number)
        assert process.stdout.readline() == "is done\n"
    assert process.returncode == 128 + number


def test_what_is_ignored_already_stays_ignored() -> None:
    environment = os.environ | {"PYTHONPATH": str(HOST)}
    command = ["nohup", sys.executable, "-c", WORK]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 143


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="ended by SIGTERM"), OrderlyEnd():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("swallowed", [False, True], ids=["as it came", "as pytest passes it on"])
def test_a_verb_that_is_terminated_ends_with_143(
    swallowed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: object, settings: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            if swallowed:
                raise KeyboardInterrupt from None
            raise
        return 0

    verb = SimpleNamespace(HELP="", EPILOG="", add_arguments=lambda parser: None, run=run)
    monkeypatch.setattr(command_line, "load_verb", lambda name: verb)
    assert command_line.main(["hil"]) == 143
    assert "ended by SIGTERM" in capsys.readouterr().err
