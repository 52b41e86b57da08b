"""Do the jobs of a series of experiments that have no result yet, each in a process of its own.

    sys.exit(run(Series(Path(__file__), __doc__, results, work, studies, settings_of, do)))

What is there is not repeated; results of other settings than the plan has now are stale.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.jobs import Job, Pool
from experiments.studies import files
from experiments.studies.study import Study
from semflash.errors import SemflashError, UsageError


@dataclass(frozen=True)
class Series:
    """What the experiments of one page are.

    Attributes:
        script: The file that is run for them, whose copy does each job.
        about: Its help.
        results: Folder of the results, where nothing else is told.
        work: Folder of trained codecs and logs.
        plan: Every job, the most important first; told how many passes each training has instead of its own.
        settings_of: Reads a result and gives the settings it was made with.
        do: Does a job, told the folder of the work; its result.
    """

    script: Path
    about: str
    results: Path
    work: Path
    plan: Callable[[int | None], Sequence[Study]]
    settings_of: Callable[[Path], dict[str, Any]]
    do: Callable[[Study, Path], files.Stored]


def run(series: Series, arguments: Sequence[str] | None = None) -> int:
    """Entry point with signals: the exit code of :func:`main`, 130 where it was interrupted."""
    # Both, and SIGINT even where a shell started this in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return main(series, arguments)
    except KeyboardInterrupt:
        return 130


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(series: Series, arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 a job failed or an error, 130 interrupted."""
    args = _parser(series).parse_args(arguments)
    try:
        return _main(series, args)
    except SemflashError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output went away (`| head`); closing stdout must stay quiet, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser(series: Series) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=series.about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="GLOB", help="only jobs whose name matches")
    parser.add_argument("--jobs", type=_count, default=2, help="jobs at a time, one thread each")
    parser.add_argument("--list", action="store_true", help="print every job and its state")
    parser.add_argument("--redo-stale", action="store_true", help="do stale jobs again")
    parser.add_argument("--epochs", type=_count, help="passes of every training, to try the jobs out")
    parser.add_argument("--results", type=Path, default=series.results, metavar="DIR")
    parser.add_argument(
        "--work", type=Path, default=series.work, metavar="DIR", help="trained codecs and logs"
    )
    parser.add_argument("--one", metavar="JOB", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _main(series: Series, args: argparse.Namespace) -> int:
    plan = series.plan(args.epochs)
    if args.one is not None:
        return _one(series, plan, args)
    chosen = [one for one in plan if args.only is None or _matches(one.name, args.only)]
    if not chosen:
        raise UsageError("no job has such a name", value=", ".join(args.only), remedy="--list shows them")
    if args.list:
        for study in chosen:
            print(f"{state(series, study, args.results):6} {study.name}")
        return 0
    return _all(series, chosen, args)


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, glob) for glob in globs)


def state(series: Series, study: Study, folder: Path) -> str:
    """``done``, ``stale`` (there, but of other settings) or ``open``. UsageError: the result is damaged."""
    path = folder / f"{study.name}.json"
    if not path.is_file():
        return "open"
    return "done" if study.is_done(series.settings_of(path)) else "stale"


def _all(series: Series, chosen: Sequence[Study], args: argparse.Namespace) -> int:
    stale = [study.name for study in chosen if state(series, study, args.results) == "stale"]
    for name in stale if not args.redo_stale else []:
        print(f"stale: {name}", file=sys.stderr)
    args.work.mkdir(parents=True, exist_ok=True)
    wanted = ("open", "stale") if args.redo_stale else ("open",)
    pool = Pool(lambda name: _command(series, name, args), args.work / "logs", args.jobs)
    report = pool.run(lambda: ready(series, chosen, args.results, wanted))
    print(f"{len(report.done)} done, {len(report.failed)} failed", file=sys.stderr)
    for name, reason in report.failed.items():
        print(f"  failed: {name}: {reason}", file=sys.stderr)
    return 130 if report.interrupted else int(bool(report.failed))


def ready(series: Series, chosen: Sequence[Study], folder: Path, wanted: Sequence[str]) -> list[Job]:
    """What could start now, best first; jobs on one codec share a lock, and the first of them trains it."""
    return [
        Job(study.name, study.of or study.name, study.seconds)
        for study in chosen
        if state(series, study, folder) in wanted
        and all((folder / f"{name}.json").is_file() for name in study.needs)
    ]


def _command(series: Series, name: str, args: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(series.script.resolve()), "--one", name]
    command += ["--results", str(args.results), "--work", str(args.work)]
    return command if args.epochs is None else [*command, "--epochs", str(args.epochs)]


def _one(series: Series, plan: Sequence[Study], args: argparse.Namespace) -> int:
    """A job's subprocess: do it and write its result."""
    study = next((one for one in plan if one.name == args.one), None)
    if study is None:
        raise UsageError("no such job", value=args.one, remedy="--list shows them")
    files.write(args.results, series.do(study, args.work))
    return 0
