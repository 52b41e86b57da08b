"""Runs as subprocesses, N at a time, each on one thread; progress with the time left; Ctrl-C ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from semflash.processes import children

#: One thread each: N jobs share the machine without fighting for it.
SINGLE_THREADED = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
STOP_TIMEOUT_S = 20.0
POLL_S = 0.2


@dataclass(frozen=True)
class Job:
    """One run that is to be done.

    Attributes:
        name: ``experiment/id``.
        lock: jobs of one lock do not run at the same time (they would train the same codec).
        seconds: what it is thought to take.
    """

    name: str
    lock: str
    seconds: float


@dataclass
class Report:
    """What became of the jobs: names done, and failed with the end of their logs."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


@dataclass
class Pool:
    """Starts jobs as they become ready.

    Args:
        command: job's name to the command line of its subprocess.
        logs: folder for their output.
        jobs: how many at a time.
        stream: where progress goes.
    """

    command: Callable[[str], list[str]]
    logs: Path
    jobs: int
    stream: TextIO = sys.stderr

    def run(self, ready: Callable[[], Sequence[Job]]) -> Report:
        """Work until nothing is ready and nothing runs.

        Args:
            ready: jobs that could start now, best first; asked again after each end.
        """
        report, running = Report(), _Running()
        open_jobs: Sequence[Job] = ready()
        try:
            while True:
                tried = set(report.done) | set(report.failed) | set(running.jobs)
                open_jobs = [job for job in open_jobs if job.name not in tried]
                while len(running.jobs) < self.jobs:
                    job = next((one for one in open_jobs if one.lock not in running.locks()), None)
                    if job is None:
                        break
                    open_jobs = [other for other in open_jobs if other.name != job.name]
                    running.start(job, self.command(job.name), self.logs)
                if not running.jobs:
                    return report
                for job, code in running.ended():
                    self._end(job, code, report)
                    open_jobs = ready()
                    left = [one.seconds for one in open_jobs if one.name not in report.failed]
                    self._say_left(left, running, report)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            report.interrupted = True
            print("stopping; what is trained so far goes on next time", file=self.stream, flush=True)
            return report
        finally:
            running.stop()

    def _end(self, job: Job, code: int, report: Report) -> None:
        if code == 0:
            report.done.append(job.name)
            return
        log = log_file(self.logs, job.name)
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        report.failed[job.name] = " | ".join(tail) or f"exit code {code}"
        print(f"failed: {job.name}: {report.failed[job.name]}", file=self.stream, flush=True)

    def _say_left(self, left: Sequence[float], running: _Running, report: Report) -> None:
        seconds = (sum(left) + running.left()) / self.jobs
        now, end = time.strftime("%H:%M:%S"), time.strftime("%H:%M", time.localtime(time.time() + seconds))
        count = len(report.done)
        print(
            f"{now}  {count} done, {len(report.failed)} failed, {len(left)} left, "
            f"about {seconds / 60:.0f} min (until {end}); "
            f"last: {report.done[-1] if report.done else 'none'}",
            file=self.stream,
            flush=True,
        )


class _Running:
    """The subprocesses that run now; each leads a session of its own, so that Ctrl-C reaches it once.

    When this process is killed, they end, too.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[Job, subprocess.Popen[bytes], float]] = {}

    def locks(self) -> set[str]:
        return {job.lock for job, _, _ in self.jobs.values()}

    def start(self, job: Job, command: list[str], logs: Path) -> None:
        log = log_file(logs, job.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = children.start(
                command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | SINGLE_THREADED
            )
        self.jobs[job.name] = job, process, time.monotonic()

    def ended(self) -> list[tuple[Job, int]]:
        over = [
            (job, process.returncode) for job, process, _ in self.jobs.values() if process.poll() is not None
        ]
        for job, _ in over:
            children.end(self.jobs.pop(job.name)[1])
        return over

    def left(self) -> float:
        now = time.monotonic()
        return sum(max(0.0, job.seconds - (now - began)) for job, _, began in self.jobs.values())

    def stop(self) -> None:
        """Interrupt what runs, then end it."""
        processes = [process for _, process, _ in self.jobs.values()]
        for process in processes:
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
            children.end(process)
        self.jobs.clear()


def log_file(logs: Path, name: str) -> Path:
    """Where a job's output goes."""
    return logs / f"{name}.log"
