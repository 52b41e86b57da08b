"""``semflash teach``: a large model is asked once about every training image, and its answers are stored."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli.data_options import seed
from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.teachers.attention_store import AttentionStore
    from semflash.training.teaching.request import TeachRequest

HELP = "ask a large model about every training image once, and store its answers"
EPILOG = """examples:
  semflash teach stamps
  semflash teach fashion-mnist --teacher ensemble:5 --views 4
  semflash teach stamps --teacher onnx:vit.onnx --head --size 224x224 --mean 0.5 --std 0.5
  semflash teach ./photos --teacher keras:mine.keras --image-size 64 --out runs/photos-answers
  semflash teach fashion-scenes --teacher onnx:dino.onnx --attention --output attention --size 224x224

Teachers: lite0 (default for colour images: EfficientNet-Lite0 with its ImageNet weights, and a head fitted
here), ensemble:M (default for grey images: M task networks, trained here), onnx:FILE and keras:FILE (a
classifier for the data set's classes; with --head any network). A stopped run goes on when the same command
is given again; more --views are added to what is there. Stores lie in the cache (~/.cache/semflash/teachers)
unless --out is given. Needs semflash[train,teach].
"""
_VIEWS_MAX = 1_000
_SIDE_MAX = 1_024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("dataset", nargs="?", help="name of a data set, or an image folder")
    parser.add_argument(
        "--teacher", default="", metavar="NAME", help="lite0, ensemble:M, onnx:FILE, keras:FILE"
    )
    parser.add_argument("--views", type=int, default=8, metavar="A", help="of each image (default 8)")
    parser.add_argument(
        "--keep", type=int, metavar="K", help="logits of an answer kept (default: all, 10 at most)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the store (default: in the cache)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument(
        "--image-size", type=int, default=32, metavar="N", help="side of a folder's images, pixels"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images of a folder that cannot be read"
    )
    _add_view_flags(parser)
    _add_teacher_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def _add_view_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--view-seed", type=seed, default=0, metavar="N", help="of the views (default 0)")
    parser.add_argument("--shift", type=int, default=4, metavar="PX", help="largest shift (default 4 pixels)")
    parser.add_argument(
        "--gain", type=float, default=0.15, metavar="G", help="largest change of colour gains"
    )
    parser.add_argument(
        "--mix",
        type=float,
        default=0.5,
        metavar="M",
        help="share of the views that are mixed with another image",
    )
    parser.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="mirrored views (default: as in training)"
    )


def _add_teacher_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=_size, metavar="HxW", help="images of the teacher (default: its own)")
    parser.add_argument(
        "--mean", type=_numbers, default=(), metavar="M[,M,M]", help="its own: subtracted first"
    )
    parser.add_argument("--std", type=_numbers, default=(), metavar="S[,S,S]", help="its own: divided by")
    parser.add_argument(
        "--pixels", action="store_true", help="it takes values of 0..255 (default: 0..1), before --mean"
    )
    parser.add_argument("--head", action="store_true", help="fit a head for the classes on what it gives")
    parser.add_argument("--output", default="", metavar="NAME", help="output of an ONNX file that is asked")
    parser.add_argument(
        "--attention",
        action="store_true",
        help="store what a vision transformer attends to: row CLS of the output, or of QUERIES,KEYS",
    )
    parser.add_argument(
        "--registers", type=int, default=0, metavar="N", help="tokens between CLS and the patches (default 0)"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of ONNX Runtime (default 1)")
    parser.add_argument("--task-recipe", default="", metavar="NAME", help="of an ensemble's networks")
    parser.add_argument(
        "--task-set", action="append", default=[], metavar="KEY=VALUE", help="override a field of it"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Check, ask, and say where the answers are."""
    name = first(args.dataset, settings.train.dataset)
    if name is None:
        raise UsageError("which data set?", remedy="semflash teach DATASET")
    _check(args)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from semflash.runtime.native_messages import hidden_native_messages

    with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
        from semflash.training.progress import Progress
        from semflash.training.teaching.attention import teach_attention
        from semflash.training.teaching.teach import teach
    if args.attention:
        return _attention(args, teach_attention(_request(args, settings, name), Progress(quiet=args.quiet)))
    try:
        store = teach(_request(args, settings, name), Progress(quiet=args.quiet))
    except KeyboardInterrupt:
        print("\nwhat was answered is kept; the same command goes on", file=sys.stderr)
        raise
    record = store.record()
    if args.json:
        print(json.dumps({"store": str(store.folder), **record}))
    elif not args.quiet:
        print(
            f"{record['name']} answered {store.views} views of {store.manifest.images:,} images "
            f"({record['val_accuracy']:.1%} of the validation split right): {store.size_bytes:,} bytes\n"
            f"{store.folder}"
        )
    return 0


def _attention(args: argparse.Namespace, store: AttentionStore) -> int:
    """Say what was stored."""
    record = store.plain()
    if args.json:
        print(json.dumps({"folder": str(store.folder), **record}))
    elif not args.quiet:
        rows, columns = store.record.grid
        images = len(store.train) + len(store.val)
        print(f"{record['name']}: attention of {rows}x{columns} patches to {images:,} images\n{store.folder}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """UsageError: an argument is out of range, or names no teacher; nothing large is imported yet."""
    from semflash.training.teaching.names import parsed

    for flag, value, least, most in (
        ("--views", args.views, 1, _VIEWS_MAX),
        ("--keep", args.keep, 1, 1 << 16),
        ("--shift", args.shift, 0, 64),
        ("--image-size", args.image_size, 8, _SIDE_MAX),
        ("--threads", args.threads, 1, 1_024),
        ("--registers", args.registers, 0, 64),
    ):
        if value is not None and not least <= value <= most:
            raise UsageError(f"{flag} is a whole number of {least} to {most}", value=value)
    if not 0.0 <= args.gain <= 0.9:
        raise UsageError("--gain is a share of 0 to 0.9", value=args.gain, remedy="--gain 0.15")
    if not 0.0 <= args.mix <= 1.0:
        raise UsageError("--mix is a share of 0 to 1", value=args.mix, remedy="--mix 0.5")
    if 0.0 in args.std:
        raise UsageError("--std is divided by, and cannot be 0", value=args.std)
    kind = parsed(args.teacher).kind if args.teacher else ""
    own = {"--mean": args.mean, "--std": args.std, "--pixels": args.pixels, "--head": args.head}
    given = [flag for flag, value in (own | {"--output": args.output}).items() if value]
    if given and kind not in ("onnx", "keras"):
        raise UsageError(
            f"{given[0]} goes with a teacher in a file", remedy="--teacher onnx:FILE or keras:FILE"
        )
    if args.attention and (kind not in ("onnx", "keras") or args.head):
        raise UsageError(
            "--attention is of a teacher in a file, without a head",
            remedy="--teacher onnx:FILE or keras:FILE",
        )
    if args.registers and not args.attention:
        raise UsageError("--registers goes with --attention", value=args.registers)
    if args.output and kind != "onnx":
        raise UsageError("--output goes with --teacher onnx:FILE", value=args.output)


def _request(args: argparse.Namespace, settings: Settings, name: str) -> TeachRequest:
    from semflash.teachers.opening import Options
    from semflash.training.teaching.request import TeachRequest

    top = 255.0 if args.pixels else 1.0
    registers = args.registers if args.attention else None
    options = Options(args.size, args.mean, args.std, top, args.head, args.output, args.threads, registers)
    folder = first(args.data_dir, settings.train.data_dir)
    return TeachRequest(
        dataset=name,
        teacher=args.teacher,
        views=args.views,
        kept=args.keep,
        out=args.out,
        data_dir=None if folder is None else Path(folder),
        image_size=args.image_size,
        skip_bad=args.skip_bad,
        seed=args.view_seed,
        shift_px=args.shift,
        gain=args.gain,
        mix=args.mix,
        mirror=args.mirror,
        options=options,
        task_recipe=args.task_recipe,
        task_set=tuple(args.task_set),
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not one number or several with commas") from error


def _size(text: str) -> tuple[int, int]:
    height, separator, width = text.partition("x")
    sides = [int(side) if side.isdecimal() else 0 for side in (height, width)]
    if not separator or not all(1 <= side <= _SIDE_MAX for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, such as 224x224")
    return sides[0], sides[1]
