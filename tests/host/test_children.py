"""Children end with their parent, whatever ends it; nothing of a run that raises is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from semflash.processes import children

HOST = Path(__file__).parents[2] / "host"
#: Starts a child that starts another; both write their number into the folder and sleep.
PARENT = """
import sys, threading, time
from semflash.processes import children
script = "echo $$ > $0/one; sleep 600 & echo $! > $0/two; wait"
work = lambda: children.start(["/bin/sh", "-c", script, sys.argv[1]])
if sys.argv[2] == "thread":
    thread = threading.Thread(target=work); thread.start(); thread.join()  # it ends
else:
    work()
print("started", flush=True)
time.sleep(float(sys.argv[3]))
"""


def alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def wait_for(what: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def numbers(folder: Path) -> list[int]:
    """Of both children, once they run."""
    files = [folder / name for name in ("one", "two")]
    assert wait_for(lambda: all(file.exists() and file.read_text().strip() for file in files))
    return [int(file.read_text()) for file in files]


def parent(folder: Path, how: str = "main", seconds: float = 600) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, str(folder), how, str(seconds)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(HOST)}
    )
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
@pytest.mark.parametrize("how", ["main", "thread"])
def test_children_and_theirs_end_with_the_parent_however_it_ends(
    tmp_path: Path, number: signal.Signals, how: str
) -> None:
    with parent(tmp_path, how) as process:
        pids = numbers(tmp_path)
        assert all(map(alive, pids))
        process.send_signal(number)
        process.wait(timeout=20)
    assert wait_for(lambda: not any(map(alive, pids)))


def test_children_end_with_a_parent_that_returns(tmp_path: Path) -> None:
    with parent(tmp_path, seconds=0.5) as process:
        pids = numbers(tmp_path)
        assert process.wait(timeout=20) == 0
    assert wait_for(lambda: not any(map(alive, pids)))


def test_a_guard_that_was_killed_is_replaced_and_knows_the_old_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\nfrom semflash.processes import children\n"
        "one = children.start(['sleep', '600'])\n"
        "guard = children._guard._process; os.kill(guard.pid, signal.SIGKILL); guard.wait()\n"
        "two = children.start(['sleep', '600'])\nprint(one.pid, two.pid, flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(HOST)}
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2 and all(map(alive, pids))
        process.kill()
    assert wait_for(lambda: not any(map(alive, pids)))


def test_a_child_never_begins_where_it_cannot_be_recorded(tmp_path: Path) -> None:
    seen: list[int] = []

    def known(pid: int) -> None:
        seen.append(pid)
        assert alive(pid) and not (tmp_path / "began").exists()
        raise ValueError("a full disk")

    with pytest.raises(ValueError, match="a full disk"):
        children.start(["touch", str(tmp_path / "began")], known=known)
    assert not alive(seen[0]) and not (tmp_path / "began").exists()


def test_output_exit_code_and_environment_come_back(tmp_path: Path) -> None:
    script = "cat; pwd; echo $MINE; echo oh >&2; exit 3"
    together = children.run(
        ["sh", "-c", script], timeout_s=20, env=os.environ | {"MINE": "x y"}, cwd=tmp_path
    )
    assert (together.returncode, together.stdout) == (3, f"{tmp_path}\nx y\noh\n")
    apart = children.run(["sh", "-c", script], timeout_s=20, stderr=subprocess.PIPE, cwd=tmp_path)
    assert (apart.stdout, apart.stderr) == (f"{tmp_path}\n\n", "oh\n")
    noise = bytes(range(256)) * 5_000
    assert children.run_bytes(["cat"], timeout_s=20, data=noise).stdout == noise
    with pytest.raises(subprocess.TimeoutExpired) as late:
        children.run_bytes(["sh", "-c", "cat; sleep 600"], timeout_s=2.0, data=b"so far")
    assert late.value.stdout == b"so far"
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        children.run(["no-such-program"], timeout_s=20)


@pytest.mark.parametrize("patience", ["sleep 600", "trap '' INT TERM; sleep 600"], ids=["polite", "stubborn"])
def test_nothing_is_left_of_a_run_that_takes_too_long(tmp_path: Path, patience: str) -> None:
    script = f"echo $$ > {tmp_path}/one; ({patience}) & echo $! > {tmp_path}/two; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        children.run(["sh", "-c", script], timeout_s=1.0)
    assert not any(map(alive, numbers(tmp_path)))


def test_many_threads_start_and_end_children_at_once() -> None:
    results: list[int] = []

    def work() -> None:
        for code in range(5):
            results.append(children.run(["sh", "-c", f"exit {code}"], timeout_s=60).returncode)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([0, 1, 2, 3, 4] * 6)
    assert not children._guard._groups, "all have been taken off again"


@pytest.mark.parametrize("earlier", [False, True], ids=["tied in time", "gone before"])
def test_a_group_is_tied_to_a_process_that_did_not_start_it(earlier: bool) -> None:
    other = subprocess.Popen(["sleep", "600"])
    child = children.start(["sleep", "600"])
    try:
        if earlier:
            other.kill()
            other.wait()
        children.tie(child.pid, other.pid)
        children.release(child.pid)
        if not earlier:
            time.sleep(0.2)
            assert alive(child.pid)
            other.kill()
            other.wait()
        assert wait_for(lambda: not alive(child.pid))
    finally:
        children.end(child)
