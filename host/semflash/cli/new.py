"""``semflash new``: a folder for one's own pictures, network or a bundle of the zoo, with its settings."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semflash.cli import new_file
from semflash.cli.data_options import seed
from semflash.cli.questions import Questions
from semflash.errors import UsageError

if TYPE_CHECKING:
    from semflash.data.own.division import Division
    from semflash.data.own.survey import Survey
    from semflash.settings import Settings

HELP = "begin with pictures of your own: look at them, divide them, write semflash.toml"
EPILOG = """examples:
  semflash new mine --data ./photos                # CLASS/*.jpg, or train/CLASS/ and test/CLASS/
  semflash new mine --data ./photos --yes --bytes 48 --size 64 --board nucleo_f446re
  semflash new try --from zoo --bundle fashion-mnist-48
  semflash new mine --from onnx --network model.onnx --split relu1 --data ./photos

At a terminal it asks; --yes takes what is proposed. Afterwards, in the new folder: semflash train, export,
evaluate and run need no flags. Nothing is changed in the folder of the pictures.
"""

SOURCES = ("imagefolder", "zoo", "onnx", "keras")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder to make; its name is the project's")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the pictures, a folder for each class")
    parser.add_argument("--from", dest="source", choices=SOURCES, default=SOURCES[0], help="begin with what")
    parser.add_argument("--bundle", metavar="NAME", help="with --from zoo: which")
    parser.add_argument("--network", type=Path, metavar="FILE", help="with --from onnx or keras: the network")
    parser.add_argument("--split", metavar="NAME", help="with --from onnx or keras: where it is cut")
    parser.add_argument("--size", type=int, metavar="N", help="side of the images, pixels")
    parser.add_argument("--bytes", type=int, metavar="N", help="payload of an image")
    parser.add_argument("--family", choices=("semanticnn", "limitnet"), help="of the codec")
    parser.add_argument("--board", metavar="NAME", help="board (semflash boards lists them)")
    parser.add_argument("--test-share", type=float, default=0.2, help="where there is no test (default 0.2)")
    parser.add_argument("--seed", type=seed, default=0, help="of that division (default 0)")
    parser.add_argument("--copy", action="store_true", help="copy the pictures instead of linking to them")
    parser.add_argument(
        "--random-start", action="store_true", help="begin at random instead of with the packaged network"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, to try the way")
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing")
    parser.add_argument("--force", action="store_true", help="replace a semflash.toml that is there")
    parser.add_argument("--json", action="store_true", help="print what was found and chosen as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Look, ask, write, and say what comes next."""
    name = _name(args.dir)
    path = args.dir / "semflash.toml"
    if path.exists() and not args.force:
        raise UsageError("there is a semflash.toml already", value=path, remedy="another folder, or --force")
    ask = Questions(silent=args.yes or args.json)
    make = {"imagefolder": _of_pictures, "zoo": _of_zoo}.get(args.source, _of_network)
    text, found, commands = make(args, name, ask)
    args.dir.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if args.json:
        import json

        print(json.dumps(found | {"settings": str(path), "next": commands}))
        return 0
    print(f"\nwritten  {path}")
    print("next     " + "\n         ".join([f"cd {shlex.quote(str(args.dir))}", *commands]))
    return 0


def _name(folder: Path) -> str:
    """The project's name, which is the folder's.

    Raises:
        UsageError: a bundle cannot be called that.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise UsageError(
            "the folder's name becomes the bundle's: letters, digits, '.', '_' and '-', at most 40",
            value=name,
            remedy="semflash new my-photos ...",
        )
    return name


def _board(args: argparse.Namespace, ask: Questions) -> str:
    from semflash.firmware.boards.descriptions import list_boards, load_board

    known = [board.name for board in list_boards()]
    chosen = ask.choice("board", "where it is to run", args.board, "qemu-stm32f405", known)
    return load_board(chosen).name


def _of_pictures(
    args: argparse.Namespace, name: str, ask: Questions
) -> tuple[str, dict[str, Any], list[str]]:
    from semflash.cli.new_table import survey_text
    from semflash.data.own import division, survey
    from semflash.training.recipes import own

    given = args.data or (None if ask.silent else Path(ask.text("the pictures, a folder for each class")))
    if given is None:
        raise UsageError("where are the pictures?", remedy=f"semflash new {args.dir} --data FOLDER")
    if not args.json:
        print(f"looking at the pictures in {given} ...", flush=True)
    seen = survey.look_at(given)
    parts = division.divide(seen, share=args.test_share, seed=args.seed)
    if not args.json:
        print(survey_text(seen, parts))
    side = ask.number("side of the images, pixels", args.size, own.side_for(seen.short_side), own.SIDES)
    payload = ask.number("bytes per image", args.bytes, own.payload_for(side), own.PAYLOADS)
    family = ask.choice("family", "of the codec", args.family, "semanticnn", list(own.FAMILIES))
    images = len(parts.train) - max(1, len(parts.train) // 10)
    plan = own.plan_for(images, side, payload, family, quick=args.quick)
    board = _board(args, ask)
    dataset, split = _placed(args, seen, parts)
    if not args.json:
        print("\n".join(_chosen(plan, seen, side)))
    start = "" if args.random_start else "objects-64"
    text = new_file.of_pictures(new_file.Project(name, board), plan, dataset, split, start)
    found = {
        "classes": list(seen.classes),
        "train": len(parts.train),
        "test": len(parts.test),
        "bad": len(seen.bad),
        "remarks": survey.remarks(seen),
        "image_size": plan.side,
        "payload_bytes": plan.payload_bytes,
        "family": plan.family,
        "task_steps": plan.task_steps,
        "codec_steps": plan.codec_steps,
        "board": board,
    }
    # A tenth of the steps may teach nothing, which export refuses.
    export = "export --force" if args.quick else "export"
    commands = [f"semflash {verb}" for verb in ("train", export, "evaluate", "run")]
    return text, found, commands


def _placed(args: argparse.Namespace, seen: Survey, parts: Division) -> tuple[str, str]:
    """[train] dataset, and a comment on it: the folder itself where it can be used as it is, else one beside
    semflash.toml that is laid out now."""
    from semflash.data.own import division

    if division.is_ready(seen, parts) and not args.copy:
        return str(seen.root.resolve()), "as it lies there"
    args.dir.mkdir(parents=True, exist_ok=True)
    target = args.dir / "data"
    division.lay_out(seen, parts, target, copy=args.copy)
    how = (
        "divided as it was" if parts.seed is None else f"{args.test_share:.0%} for the test, seed {args.seed}"
    )
    return "./data", f"{how}; data/{division.LIST_FILE} says which file is where"


def _chosen(plan: Any, seen: Survey, side: int) -> list[str]:
    """What was chosen, in lines."""
    raw = side * side * (1 if seen.grey else 3)
    resized = sum((picture.height, picture.width) != (side, side) for picture in seen.pictures)
    stretched = sum(picture.height != picture.width for picture in seen.pictures)
    return [
        "",
        f"images   {side}x{side}"
        + (f": {resized:,} of {len(seen.pictures):,} are resized" if resized else "")
        + (f", {stretched:,} of them stretched to a square" if stretched else ""),
        f"payload  {plan.payload_bytes} bytes per image ({plan.family}), "
        f"{raw / plan.payload_bytes:.0f} times less than its pixels",
        f"training {plan.task_steps:,} steps for the classes, {plan.codec_steps:,} for the codec,"
        f" {plan.batch} images each; semflash train says how long that takes",
    ]


def _of_zoo(args: argparse.Namespace, name: str, ask: Questions) -> tuple[str, dict[str, Any], list[str]]:
    from semflash.bundle import read_bundle
    from semflash.bundle.reader import zoo_names

    bundle = ask.choice("bundle", "of the zoo", args.bundle, "fashion-mnist-48", list(zoo_names()))
    found = read_bundle(bundle)
    board = _board(args, ask)
    text = new_file.of_zoo(new_file.Project(name, board), bundle)
    facts = {"bundle": bundle, "payload_bytes": found.payload_bytes, "board": board}
    return text, facts, ["semflash evaluate", "semflash run"]


def _of_network(args: argparse.Namespace, name: str, ask: Questions) -> tuple[str, dict[str, Any], list[str]]:
    if args.network is None or not args.network.is_file():
        raise UsageError(
            "which file is the network?", value=args.network, remedy=f"--from {args.source} --network FILE"
        )
    if args.data is None or not args.data.is_dir():
        raise UsageError(
            "a codec learns from pictures; where are they?", value=args.data, remedy="--data FOLDER"
        )
    board = _board(args, ask)
    task_run = f"runs/{name}/task"
    dataset = str(args.data.resolve())
    network = shlex.quote(str(args.network.resolve()))
    split = shlex.quote(args.split) if args.split else "NAME"
    commands = [] if args.split else [f"semflash import {network} --list   # the names it can be cut at"]
    commands.append(
        f"semflash import {network} --split {split} --dataset {shlex.quote(dataset)} --out {task_run}"
    )
    commands += [f"semflash {verb}" for verb in ("train", "export", "evaluate", "run")]
    text = new_file.of_network(new_file.Project(name, board), dataset, task_run)
    return text, {"network": str(args.network), "board": board}, commands
