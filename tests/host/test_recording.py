"""Recordings: a kill keeps what was received, a full disk what was whole; and who else writes is refused."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from semflash.bundle import read_bundle
from semflash.errors import UsageError
from semflash.link.faults.log import FaultLog
from semflash.link.frame import Frame, FrameDecoder, FrameType
from semflash.link.raw_record import FROM_DEVICE, RawReader
from semflash.monitor.replay import replay
from semflash.recording import Recording

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
_LIMIT = 10_000


def test_a_run_that_is_killed_leaves_recordings_in_which_every_answer_can_be_decoded(tmp_path: Path) -> None:
    records, raw = tmp_path / "run.jsonl", tmp_path / "run.sfraw"
    command = [sys.executable, "-m", "kill.recorded_run", str(records), str(raw)]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.PIPE, text=True
    ) as run:
        deadline = time.monotonic() + 120
        while not raw.exists() or raw.stat().st_size < 300_000:
            assert run.poll() is None and time.monotonic() < deadline, run.communicate()[1]
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    with RawReader(raw) as reader:
        decoder, codes, newest = FrameDecoder(), 0, 0
        for record in reader.records():
            if record.kind == FROM_DEVICE:
                events = decoder.feed(record.data)
                newest = sum(isinstance(e, Frame) and e.type == FrameType.CODES for e in events)
                codes += newest
    result = replay(read_bundle(TINY), raw)
    assert codes > 100
    assert codes - newest - 1 <= result.images <= codes, "all but those of the read that was cut off"
    assert result.changed == 0
    lines = [json.loads(line) for line in records.read_bytes().split(b"\n")[:-1]]
    assert lines[0]["kind"] == "session"


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, _LIMIT))


def test_a_disk_that_fills_up_ends_the_recording_behind_a_whole_record(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from semflash.recording import Recording
recording = Recording(Path(sys.argv[1]), b"first\\n", what="records", flag="--record")
for index in range(3000):
    recording.append(b"%d\\n" % index)
assert recording.failure is not None and recording.failure.exit_code == 1
recording.close()
print(recording.failure)
"""
    path = tmp_path / "x"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=_limited,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot go on writing records: File too large" in done.stdout and str(path) in done.stdout
    data = path.read_bytes()
    assert _LIMIT - 6 < len(data) <= _LIMIT and data.endswith(b"\n")
    first, *numbers = data.decode().split()
    assert first == "first" and numbers == [str(index) for index in range(len(numbers))]


def test_a_disk_that_is_full_from_the_start_keeps_the_older_recording(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"older")
    program = (
        "import sys; from pathlib import Path; from semflash.recording import Recording;"
        "print(Recording(Path(sys.argv[1]), bytes(20_000), what='records', flag='--record').failure)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=_limited,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large" in done.stdout
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


def test_two_runs_do_not_record_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    first = Recording(path, b"1", what="records", flag="--record")
    with pytest.raises(UsageError, match="another process is writing it"):
        Recording(path, b"2", what="records", flag="--record")
    first.append(b"!")
    first.close()
    assert path.read_bytes() == b"1!"
    Recording(path, b"2", what="records", flag="--record").close()
    assert path.read_bytes() == b"2" and list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_the_users_and_not_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="log of faults"):
        FaultLog(tmp_path / "no" / "such" / "folder")


def test_a_log_of_faults_on_a_full_disk_counts_on() -> None:
    with FaultLog(Path("/dev/full")) as log:
        log.add(0.0, "up", 0, "flip")
    assert log.total == 1 and log.failure is not None and log.failure.exit_code == 1
