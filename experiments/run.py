"""Do the experiments: what is planned in configs/ and has no result yet.

    python experiments/run.py --list                       # every run and its state
    python experiments/run.py --only 'ber/semanticnn-48-*' --jobs 2
    python experiments/run.py --budget comparison          # all of the small budget

A result is one file, experiments/results/<experiment>/<run>.json; what is there is not repeated. Trained
networks, checkpoints and logs go to runs/experiments; a run that was stopped goes on from its last epoch.
Results of other settings than the plan has now are reported as stale (--redo-stale does them again).
"""

# ruff: noqa: E402  (the import path is set first)
from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from experiments.plan import CONFIGS, Run, Shared, expand, read_experiments, read_shared
from semflash.errors import SemflashError, UsageError
from semflash.report.results import ResultStore
from semflash.runtime.native_messages import hidden_native_messages

with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
    from experiments.resolve import Resolved, Waiting, digest, resolve, state, trial_counts, why_not
    from experiments.work import Places, Worker, finished

from experiments.jobs import Job, Pool

RESULTS = ROOT / "experiments" / "results"
WORK = ROOT / "runs" / "experiments"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 1 a run failed or an error, 130 interrupted."""
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
    parser.add_argument(
        "--only", action="append", metavar="GLOB", help="only runs whose experiment/id matches"
    )
    parser.add_argument("--budget", help="only runs of this budget: comparison or full")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--list", action="store_true", help="print every run and its state")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, in order")
    parser.add_argument("--redo-stale", action="store_true", help="do stale runs again")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR", help="trained networks and logs")
    parser.add_argument("--configs", type=Path, metavar="DIR", help="another plan")
    parser.add_argument(
        "--task", action="append", default=[], type=_pair, metavar="NAME=DIR", help="a trained network"
    )
    parser.add_argument(
        "--data", action="append", default=[], type=_pair, metavar="NAME=DIR", help="files of a data set"
    )
    parser.add_argument(
        "--use", action="append", default=[], type=Path, metavar="DIR", help="a trained codec"
    )
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    return parser


def _pair(text: str) -> str:
    """NAME=DIR, unchanged."""
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return text


@dataclass(frozen=True)
class Campaign:
    """The plan with its results.

    Attributes:
        runs: all runs in order. chosen: those the command line asks for.
    """

    runs: list[Run]
    chosen: list[Run]
    shared: Shared
    store: ResultStore
    redo_stale: bool


@dataclass(frozen=True)
class State:
    """Where a run stands: open, done, stale, waiting or impossible; why; and what it resolves to."""

    word: str
    reason: str = ""
    resolved: Resolved | None = None


def _main(args: argparse.Namespace) -> int:
    configs = args.configs or CONFIGS
    shared = read_shared(configs)
    runs = expand(read_experiments(configs), shared, trial_counts())
    chosen = [
        run
        for run in runs
        if (args.only is None or any(fnmatch.fnmatch(run.name, glob) for glob in args.only))
        and args.budget in (None, run.budget)
    ]
    campaign = Campaign(runs, chosen, shared, ResultStore(args.results), args.redo_stale)
    if args.one is not None:
        return _one(campaign, args)
    states = _states(campaign, chosen)
    if args.list or args.dry_run:
        for run in chosen:
            if args.list or states[run.name].word in ("open", "waiting"):
                print(f"{states[run.name].word:10} {run.name}{_why(states[run.name].reason)}")
        return 0
    return _all(campaign, args, states)


def _why(reason: str) -> str:
    return f"   ({reason})" if reason else ""


def _states(campaign: Campaign, runs: Sequence[Run]) -> dict[str, State]:
    """Run's name -> where it stands."""
    found: dict[str, State] = {}
    for run in runs:
        try:
            resolved = resolve(run, campaign.runs, campaign.shared, campaign.store)
            found[run.name] = State(state(run, resolved, campaign.store), "", resolved)
        except Waiting as waiting:
            found[run.name] = State("waiting", f"needs {waiting}")
        except SemflashError as error:
            found[run.name] = State("impossible", why_not(error))
    return found


def _all(campaign: Campaign, args: argparse.Namespace, states: dict[str, State]) -> int:
    for name, one in states.items():
        if one.word in ("stale", "impossible"):
            print(f"{one.word}: {name}{_why(one.reason)}", file=sys.stderr)
    args.work.mkdir(parents=True, exist_ok=True)
    _task_networks(campaign, args, states)
    pool = Pool(lambda name: _command(name, args), args.work / "logs", max(1, args.jobs))
    report = pool.run(lambda: _ready(campaign))
    print(f"{len(report.done)} done, {len(report.failed)} failed", file=sys.stderr)
    for name, reason in report.failed.items():
        print(f"  failed: {name}: {reason}", file=sys.stderr)
    left = {n: s.reason for n, s in _states(campaign, campaign.chosen).items() if s.word == "waiting"}
    for name, reason in left.items():
        print(f"  still waiting: {name}{_why(reason)}", file=sys.stderr)
    return 130 if report.interrupted else int(bool(report.failed or left))


def _ready(campaign: Campaign) -> list[Job]:
    """What could start now, best first."""
    wanted = ("open", "stale") if campaign.redo_stale else ("open",)
    took, jobs = _seconds(campaign), []
    for run in campaign.chosen:
        one = _states(campaign, [run])[run.name]
        if one.word in wanted and one.resolved is not None:
            decides = [one.resolved.settings.get(key) for key in ("recipe", "task", "transfer")]
            lock = run.name if decides[0] is None else digest(decides)
            seconds = took.get((run.budget, run.method), took[run.budget, ""])
            jobs.append(Job(run.name, lock, seconds))
    return jobs


def _seconds(campaign: Campaign) -> dict[tuple[str, str], float]:
    """What finished runs took, mean per budget and method; under an empty method: of all."""
    found: dict[tuple[str, str], list[float]] = {}
    for result in campaign.store.all():
        for method in (result.method, ""):
            found.setdefault((result.budget.name, method), []).append(sum(result.seconds.values()))
    guesses = {(name, ""): plan.seconds for name, plan in campaign.shared.budgets.items()}
    return guesses | {key: statistics.fmean(values) for key, values in found.items()}


def _task_networks(campaign: Campaign, args: argparse.Namespace, states: dict[str, State]) -> None:
    """Train the task networks that are missing, one after the other, before the runs that need them; none for
    runs that are done."""
    worker = Worker(campaign.shared, _places(args))
    wanted = ("open", "waiting", *(("stale",) if campaign.redo_stale else ()))
    for run in (run for run in campaign.chosen if states[run.name].word in wanted):
        for name in (run.task, run.budget_plan.task):
            if not finished(worker.places.task_dir(name)):
                print(f"task network {name}", file=sys.stderr, flush=True)
                worker.task(name)


def _places(args: argparse.Namespace) -> Places:
    pairs = [dict(text.split("=", 1) for text in texts) for texts in (args.task, args.data)]
    tasks, data = ({name: Path(folder) for name, folder in table.items()} for table in pairs)
    trained = tuple(folder / "codec" if (folder / "codec").is_dir() else folder for folder in args.use)
    return Places(args.work, tasks, data, trained)


def _command(name: str, args: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "--one", name]
    for flag, value in (("--results", args.results), ("--work", args.work), ("--configs", args.configs)):
        command += [] if value is None else [flag, str(value)]
    for flag, values in (("--task", args.task), ("--data", args.data), ("--use", args.use)):
        command += [part for value in values for part in (flag, str(value))]
    return command


def _one(campaign: Campaign, args: argparse.Namespace) -> int:
    """A job's subprocess: do one run and write its result."""
    run = next((run for run in campaign.runs if run.name == args.one), None)
    if run is None:
        raise UsageError("no such run in the plan", value=args.one, remedy="--list shows them")
    resolved = resolve(run, campaign.runs, campaign.shared, campaign.store)
    campaign.store.put(Worker(campaign.shared, _places(args)).execute(run, resolved))
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
