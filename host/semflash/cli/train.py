"""``semflash train``: a task network and, on top of it, a codec."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semflash.cli import train_checks
from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.training.distribution import Distribution
    from semflash.training.progress import Progress
    from semflash.training.rates import RateRow
    from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe

HELP = "train a task network and a codec"
EPILOG = """examples:
  semflash train fashion-mnist-48
  semflash train fashion-mnist-24 --task runs/fashion-mnist-48/task --out runs/fm24
  semflash train fashion-mnist-48 --set task_epochs=60 --set sizes.latent=6 --out runs/six
  semflash train fashion-mnist --only-task
  semflash train fashion-mnist-48 --set sizes.latent=4 --rate-table
  semflash train fashion-mnist-48 --dataset mnist --codec-from runs/fashion-mnist-48 --finetune-epochs 2
  semflash train stamps-tosc --set teacher=runs/teachers/stamps

Runs go to OUT/task and OUT/codec (default OUT: runs/RECIPE). A stopped training goes on when the same
command is given again. Needs semflash[train]; KERAS_BACKEND chooses the backend.
"""

#: Fields of a recipe that decide the codec's structure.
_OF_THE_CODEC = ("sizes", "family")
_SEED_MAX = 2**32 - 1  # what Keras takes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="name of a recipe (--list shows them)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the runs go")
    parser.add_argument("--task", type=Path, metavar="DIR", help="use this trained task network")
    parser.add_argument(
        "--task-recipe",
        metavar="NAME",
        help="recipe of the task network (default: RECIPE's, or the data set's)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="the task network begins with these (.h5, .keras)"
    )
    parser.add_argument("--only-task", action="store_true", help="RECIPE is a task recipe; train no codec")
    parser.add_argument("--dataset", help="another data set or an image folder")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images of a folder that cannot be read"
    )
    parser.add_argument("--seed", type=int, help="of the whole run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a field of the recipe (JSON value)",
    )
    parser.add_argument(
        "--task-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a field of the recipe of the task network",
    )
    parser.add_argument(
        "--distribute",
        choices=("mirrored", "multi-worker"),
        help="mirrored: all GPUs of this machine; multi-worker: with the processes that TF_CONFIG names",
    )
    parser.add_argument(
        "--rate-table", action="store_true", help="only print what an image costs in bytes; train nothing"
    )
    parser.add_argument(
        "--codec-from", type=Path, metavar="RUN", help="attach the codec of this run to the task network"
    )
    parser.add_argument(
        "--finetune-epochs",
        type=int,
        metavar="N",
        help="with --codec-from: tune decoder and tail for so many epochs (default 0: attach only)",
    )
    parser.add_argument(
        "--train-encoder", action="store_true", help="with --codec-from: tune the device's side, too"
    )
    parser.add_argument("--list", action="store_true", help="list the recipes")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace, settings: Settings) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from semflash.runtime.native_messages import hidden_native_messages
    from semflash.training.recipes import catalogue as recipes

    if args.list:
        tasks, codecs = recipes.all_recipes()
        known = {"codec": sorted(codecs), "task": sorted(tasks)}
        print(json.dumps(known) if args.json else "\n".join(f"{k}: {', '.join(v)}" for k, v in known.items()))
        return 0
    name = first(args.recipe, settings.train.recipe)
    if name is None:
        raise UsageError("which recipe?", remedy="semflash train RECIPE; --list shows them")
    out = Path(first(args.out, settings.train.out_dir) or Path("runs") / name)
    if args.codec_from is None and (args.finetune_epochs is not None or args.train_encoder):
        raise UsageError("--finetune-epochs and --train-encoder go with --codec-from")
    ignored = [one for one in args.set if one.partition("=")[0].partition(".")[0] in _OF_THE_CODEC]
    if args.codec_from is not None and ignored:
        raise UsageError(
            "the codec comes from --codec-from as it is", value=", ".join(ignored), remedy="leave out --set"
        )
    if args.finetune_epochs is not None and args.finetune_epochs < 0:
        raise UsageError("epochs start at 0", value=args.finetune_epochs, remedy="--finetune-epochs 2")
    if args.weights is not None and args.task is not None:
        raise UsageError(
            "--task names a trained network, which has its weights", remedy="leave --weights out"
        )
    if args.task is None and settings.train.task_run is not None and not args.only_task:
        args.task = Path(settings.train.task_run)
    _check(args, settings, name)  # before TensorFlow, whose import takes seconds
    if not args.quiet:
        print("loading TensorFlow ...", file=sys.stderr, flush=True)
    with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
        from semflash.training.distribution import distribution
        from semflash.training.progress import Progress
    if args.rate_table:
        _print_rates(args, settings, name)
        return 0
    here = distribution(args.distribute)  # before anything else of TensorFlow runs
    progress = Progress(quiet=args.quiet)
    try:
        results = _train(args, settings, name, out, here, progress)
    except KeyboardInterrupt:
        print(f"\n{train_checks.how_to_go_on()}", file=sys.stderr)
        raise
    if args.json:
        print(json.dumps(results))
    elif not args.only_task:
        print(train_checks.last_words(settings, name, out, learnt=progress.codec_learnt))
    return 0


def _check(args: argparse.Namespace, settings: Settings, name: str) -> None:
    """What can be wrong with names and fields, found without TensorFlow."""
    train_checks.check_names(args, settings, name)
    alone = False
    if not args.only_task:
        recipe = _codec_recipe(args, settings, name, of_the_task={})
        alone = train_checks.trains_alone(args, recipe)
    if args.only_task or (args.task is None and not alone):
        _task_recipe(args, settings, name)


def _common(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Fields that task and codec recipe share."""
    seed = first(args.seed, settings.train.seed)
    if seed is not None and not 0 <= seed <= _SEED_MAX:
        raise UsageError(f"the seed is a whole number of 0 to {_SEED_MAX}", value=seed, remedy="--seed 0")
    common = {"dataset": first(args.dataset, settings.train.dataset), "seed": seed}
    common |= {"skip_bad": True} if args.skip_bad or settings.train.skip_bad else {}
    return {key: value for key, value in common.items() if value is not None}


def _of_the_task(args: argparse.Namespace) -> dict[str, Any]:
    """Data set of the task network that --task names: its codec learns from the same, unless one is named.

    Raises:
        TrainingError: no run there.
    """
    from semflash.data.source import place
    from semflash.training.run_dir import RunInfo

    if args.task is None:
        return {}
    info = RunInfo.load(args.task)
    if not info.dataset:
        return {}
    return {
        "dataset": str(place(info.data.get("name", info.dataset))),
        "skip_bad": bool(info.recipe.get("skip_bad", False)),
    }


def _check_data_is_named(args: argparse.Namespace, settings: Settings) -> None:
    """UsageError: nothing says which images the codec of an imported network is to learn from."""
    from semflash.training.run_dir import RunInfo

    if args.task is None or first(args.dataset, settings.train.dataset) is not None:
        return
    if not RunInfo.load(args.task).dataset:
        raise UsageError(
            "the task network was imported without a data set, and none is named",
            value=args.task,
            remedy="--dataset with the name of a data set, or a folder",
        )


def _codec_recipe(
    args: argparse.Namespace, settings: Settings, name: str, of_the_task: dict[str, Any] | None = None
) -> CodecRecipe:
    from semflash.training.recipes.catalogue import codec_recipe
    from semflash.training.recipes.overrides import override

    own = train_checks.own_fields(args, settings, "codec")
    task = _of_the_task(args) if of_the_task is None else of_the_task
    recipe = override(codec_recipe(name), task | own | _common(args, settings), ())
    return override(train_checks.in_steps(recipe, args, settings), {}, args.set)


def _task_recipe(args: argparse.Namespace, settings: Settings, name: str) -> TaskRecipe:
    from semflash.training.recipes.catalogue import codec_recipe, task_recipe
    from semflash.training.recipes.overrides import override

    weights = {} if args.weights is None else {"weights": str(args.weights)}
    texts = args.set + args.task_set if args.only_task else args.task_set
    chosen = name
    if not args.only_task:
        wanted = codec_recipe(name)
        chosen = args.task_recipe or wanted.task or ("tiny" if name == "tiny" else wanted.dataset)
    own = train_checks.own_fields(args, settings, "task")
    recipe = override(task_recipe(chosen), own | _common(args, settings) | weights, ())
    return override(train_checks.in_steps(recipe, args, settings), {}, texts)


def _rates(args: argparse.Namespace, settings: Settings, name: str) -> list[RateRow]:
    from semflash.export.found import find_run
    from semflash.training.alone.run import rates_alone, trains_alone
    from semflash.training.rates import rate_of_run, rate_table
    from semflash.training.task import load_task, shapes_of

    if args.codec_from is not None:
        return [rate_of_run(find_run(args.codec_from)[0])]
    recipe = _codec_recipe(args, settings, name)
    if trains_alone(recipe):
        return rates_alone(recipe, first(args.data_dir, settings.train.data_dir))
    if args.task is not None:
        head = load_task(args.task).head
        shapes = head.input_shape[1:], head.output_shape[1:]
    else:
        data_dir = first(args.data_dir, settings.train.data_dir)
        shapes = shapes_of(_task_recipe(args, settings, name), data_dir=data_dir)
    return rate_table(recipe, *shapes)


def _print_rates(args: argparse.Namespace, settings: Settings, name: str) -> None:
    import dataclasses

    from semflash.training.rates import rates_text

    rows = _rates(args, settings, name)
    print(json.dumps([dataclasses.asdict(row) for row in rows]) if args.json else rates_text(rows))


def _train(
    args: argparse.Namespace,
    settings: Settings,
    name: str,
    out: Path,
    here: Distribution,
    progress: Progress,
) -> dict[str, Any]:
    from semflash.export.found import CODEC_DIR, TASK_DIR, find_run
    from semflash.training.alone.run import trains_alone
    from semflash.training.codec import train_codec
    from semflash.training.rates import rates_text
    from semflash.training.task import train_task_network
    from semflash.training.transfer import Transfer

    data_dir = first(args.data_dir, settings.train.data_dir)
    if args.only_task:
        task = _task_recipe(args, settings, name)
        trained = train_task_network(
            task, out / TASK_DIR, data_dir=data_dir, progress=progress, distribution=here
        )
        return {"task": str(out / TASK_DIR), "results": trained.info.results}
    recipe, transfer = _codec_recipe(args, settings, name), None
    _check_data_is_named(args, settings)
    progress.say(rates_text(_rates(args, settings, name)))
    if args.codec_from is not None:
        source = find_run(args.codec_from)[0]
        transfer = Transfer(source, args.finetune_epochs or 0, args.train_encoder)
    task_dir = args.task
    if (recipe.task or not trains_alone(recipe)) and task_dir is None:
        task_dir = out / TASK_DIR
        task = _task_recipe(args, settings, name)
        train_task_network(task, task_dir, data_dir=data_dir, progress=progress, distribution=here)
    codec = train_codec(
        recipe,
        task_dir,
        out / CODEC_DIR,
        data_dir=data_dir,
        progress=progress,
        transfer=transfer,
        distribution=here,
    )
    places = {"codec": str(out / CODEC_DIR)} | ({} if task_dir is None else {"task": str(task_dir)})
    return places | {"results": codec.info.results}
