"""Do the experiments with TOSC: what has no result yet.

    python experiments/tosc/run.py --list                         # every job and its state
    python experiments/tosc/run.py --only 'stamps-*' --jobs 2
    python experiments/tosc/run.py --epochs 2 --results DIR --work DIR   # try it out

Teachers are asked first: semflash teach stamps --teacher lite0; semflash teach fashion-mnist --teacher
ensemble:3. A result is one file, experiments/results/tosc/JOB.json; what is there is not repeated. Trained
codecs and logs go to runs/tosc; a job that was stopped goes on from its last epoch. Results of other
settings than the plan has now are reported as stale (--redo-stale does them again).
"""

# ruff: noqa: E402  (the import path is set first)
from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from semflash.errors import SemflashError, UsageError
from semflash.runtime.native_messages import hidden_native_messages

with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
    from experiments.tosc.plan import Study, studies

from experiments.jobs import Job, Pool
from experiments.tosc import results

RESULTS = ROOT / "experiments" / "results" / "tosc"
WORK = ROOT / "runs" / "tosc"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 1 a job failed or an error, 130 interrupted."""
    args = _parser().parse_args(arguments)
    try:
        return _main(args)
    except SemflashError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output went away (`| head`); closing stdout must stay quiet, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="GLOB", help="only jobs whose name matches")
    parser.add_argument("--jobs", type=_count, default=2, help="jobs at a time, one thread each")
    parser.add_argument("--list", action="store_true", help="print every job and its state")
    parser.add_argument("--redo-stale", action="store_true", help="do stale jobs again")
    parser.add_argument("--epochs", type=_count, help="passes of every training, to try the jobs out")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR", help="trained codecs and logs")
    parser.add_argument("--one", metavar="JOB", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _main(args: argparse.Namespace) -> int:
    plan = studies(args.epochs)
    if args.one is not None:
        return _one(plan, args)
    chosen = [one for one in plan if args.only is None or _matches(one.name, args.only)]
    if not chosen:
        raise UsageError("no job has such a name", value=", ".join(args.only), remedy="--list shows them")
    if args.list:
        for study in chosen:
            print(f"{state(study, args.results):6} {study.name}")
        return 0
    return _all(plan, chosen, args)


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, glob) for glob in globs)


def state(study: Study, folder: Path) -> str:
    """``done``, ``stale`` (there, but of other settings) or ``open``. UsageError: the result is damaged."""
    path = folder / f"{study.name}.json"
    if not path.is_file():
        return "open"
    return "done" if study.is_done(results.read(path).settings) else "stale"


def _all(plan: Sequence[Study], chosen: Sequence[Study], args: argparse.Namespace) -> int:
    stale = [study.name for study in chosen if state(study, args.results) == "stale"]
    for name in stale if not args.redo_stale else []:
        print(f"stale: {name}", file=sys.stderr)
    args.work.mkdir(parents=True, exist_ok=True)
    wanted = ("open", "stale") if args.redo_stale else ("open",)
    pool = Pool(lambda name: _command(name, args), args.work / "logs", args.jobs)
    report = pool.run(lambda: ready(chosen, args.results, wanted))
    print(f"{len(report.done)} done, {len(report.failed)} failed", file=sys.stderr)
    for name, reason in report.failed.items():
        print(f"  failed: {name}: {reason}", file=sys.stderr)
    return 130 if report.interrupted else int(bool(report.failed))


def ready(chosen: Sequence[Study], folder: Path, wanted: Sequence[str]) -> list[Job]:
    """What could start now, best first; jobs on one codec share a lock, and the first of them trains it."""
    return [
        Job(study.name, study.of or study.name, study.seconds)
        for study in chosen
        if state(study, folder) in wanted and all((folder / f"{name}.json").is_file() for name in study.needs)
    ]


def _command(name: str, args: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "--one", name]
    command += ["--results", str(args.results), "--work", str(args.work)]
    return command if args.epochs is None else [*command, "--epochs", str(args.epochs)]


def _one(plan: Sequence[Study], args: argparse.Namespace) -> int:
    """A job's subprocess: do it and write its result."""
    study = next((one for one in plan if one.name == args.one), None)
    if study is None:
        raise UsageError("no such job", value=args.one, remedy="--list shows them")
    from experiments.tosc.kinds import Bench, execute

    results.write(args.results, execute(Bench(study, args.work)))
    return 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Both, and SIGINT even where a shell started this in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
