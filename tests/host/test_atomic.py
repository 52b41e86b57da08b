"""Writing in one step: what stays, what is refused, who waits. tests/kill stops it at each write."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from semflash import atomic
from semflash.errors import BuildError
from semflash.firmware.emulator import state
from semflash.firmware.emulator.native_compiler import compile_native


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic.write(path, "old")
    with pytest.raises(RuntimeError, match="stop"), atomic.replacing(path) as file:
        file.write(b"half")
        raise RuntimeError("stop")
    assert path.read_text() == "old" and names(tmp_path) == ["a"]


def test_a_new_file_is_never_put_over_another(tmp_path: Path) -> None:
    atomic.write(tmp_path / "a", "first", new=True)
    with pytest.raises(FileExistsError):
        atomic.write(tmp_path / "a", "second", new=True)
    assert (tmp_path / "a").read_text() == "first" and names(tmp_path) == ["a"]


def test_the_mode_of_a_file_stays_and_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o664)
    link.symlink_to(real)
    atomic.write(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o664


def test_writers_of_one_file_wait_for_each_other_and_every_state_is_whole(tmp_path: Path) -> None:
    path, seen = tmp_path / "a", set()
    atomic.write(path, b"0" * 50_000, durable=False)

    def write(digit: bytes) -> None:
        for _ in range(40):
            atomic.write(path, digit * 50_000, durable=False)

    threads = [threading.Thread(target=write, args=(digit,)) for digit in (b"1", b"2", b"3")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        data = path.read_bytes()
        assert len(data) == 50_000 and data == data[:1] * 50_000
        seen.add(data[:1])
    assert seen and names(tmp_path) == ["a"]


def test_several_files_come_together_or_not_at_all(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with atomic.several(run) as place:
        atomic.write(place / "a", "1")
        atomic.write(place / "b", "1")
    with pytest.raises(RuntimeError, match="stop"), atomic.several(run) as place:
        atomic.write(place / "a", "2")
        raise RuntimeError("stop")
    assert [(run / name).read_text() for name in ("a", "b")] == ["1", "1"] and names(run) == ["a", "b"]


def test_a_reader_ends_what_a_killed_writer_had_committed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    committed = tmp_path / atomic.COMMITTED
    committed.mkdir()
    (committed / "a").write_text("2")
    atomic.settle(tmp_path)
    assert (tmp_path / "a").read_text() == "2" and names(tmp_path) == ["a"]


@contextlib.contextmanager
def _working_elsewhere(folder: Path, prefix: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a scratch folder and does not end."""
    program = (
        "import sys, time; from pathlib import Path; from semflash import atomic\n"
        "with atomic.scratch(Path(sys.argv[1]), sys.argv[2]) as place:\n"
        "    (place / 'half').write_text('x'); print(place.name, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder), prefix],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_build_removes_what_a_killed_build_left_and_never_that_of_a_running_one(tmp_path: Path) -> None:
    source, out = tmp_path / "a.c", tmp_path / "lib.so"
    source.write_text("int one(void);\nint one(void) { return 1; }\n")
    with _working_elsewhere(tmp_path, ".lib.so.") as process:
        assert process.stdout is not None
        left = process.stdout.readline().strip()
        compile_native([source], [], out)
        assert names(tmp_path) == [left, "a.c", "lib.so"], "its process lives"
        process.send_signal(signal.SIGKILL)
        process.wait()
        compile_native([source], [], out)
        assert names(tmp_path) == ["a.c", "lib.so"]


def test_a_compiler_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("this is no C")
    with pytest.raises(BuildError):
        compile_native([source], [], tmp_path / "lib.so")
    assert names(tmp_path) == ["a.c"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    for name, text in (("new", "2"), ("target", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    atomic.put_folder(tmp_path / "new", tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "2"
    assert (tmp_path / "new" / "file").read_text() == "1"
    assert names(tmp_path) == ["new", "target"]


def test_what_a_killed_bench_left_goes_with_the_next_and_that_of_a_running_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    for number in (gone.pid, os.getpid()):
        for suffix in ("log", "lock"):
            (tmp_path / f"bench-{number}.{suffix}").touch()
    (tmp_path / f".bench-{gone.pid}.json.part").touch()
    (tmp_path / "bench-x.lock").touch()
    state.remove_left("bench-")
    assert names(tmp_path) == sorted(
        [f"bench-{os.getpid()}.{end}" for end in ("log", "lock")] + ["bench-x.lock"]
    )
