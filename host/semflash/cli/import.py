"""``semflash import``: a network trained elsewhere becomes a task network."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semflash.errors import UsageError
from semflash.printable import printable_lines

_NAMES_MAX_BYTES = 1 << 20

if TYPE_CHECKING:
    import numpy as np

    from semflash.settings import Settings

HELP = "make a task network of an ONNX or Keras network, cut at a named tensor"
EPILOG = """examples:
  semflash import model.onnx --list
  semflash import model.onnx --split /layer1/Relu_output_0 --dataset cifar10 --out runs/mine/task
  semflash import yolov8n.onnx --split /model.1/act/Mul_output_0 --dataset ./coco --out runs/yolo/task
  semflash import model.keras --split conv1_relu --mean 0.5 --std 0.5 --out runs/mine/task
  semflash train fashion-mnist-48 --task runs/mine/task --dataset cifar10 --out runs/mine

Takes classifiers, and ONNX detectors with the output of YOLO exports: CNNs of the operators that
docs/networks.md lists (convolutions, pooling, the usual activations, arithmetic). Head and tail are
compared with the original on numbers; nothing is written where they differ. The head is also quantised to
int8, compared (refused if hardly anything is left of the features) and put through the code generator.
--mean and --std are the network's own (image in [0, 1], red first); a network that scales pixels of 0..255
itself needs neither. -v shows the converter's log. Needs semflash[onnx] for .onnx files, semflash[train]
for Keras files; runs offline.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("model", type=Path, help=".onnx, .keras or .h5 file")
    parser.add_argument("--split", metavar="NAME", help="tensor, node or layer whose value is sent")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory to write")
    parser.add_argument("--list", action="store_true", help="list where the network can be cut")
    parser.add_argument("--dataset", help="what it works on: class names, check images, accuracy")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images of a folder that cannot be read"
    )
    parser.add_argument(
        "--check-images", type=Path, metavar="FILE.npy", help="uint8 images (N, H, W, C) to compare with"
    )
    parser.add_argument("--mean", type=_numbers, default=(), metavar="M[,M,M]", help="subtracted first")
    parser.add_argument("--std", type=_numbers, default=(), metavar="S[,S,S]", help="divided by")
    parser.add_argument("--bgr", action="store_true", help="the network takes blue first")
    parser.add_argument(
        "--size", type=_size, metavar="HxW", help="of the image, where the file leaves it open"
    )
    parser.add_argument(
        "--output-form",
        choices=("yolov8", "yolov5"),
        help="of an ONNX detector: (1, 4+classes, anchors) or (1, anchors, 5+classes); default: by the shape",
    )
    parser.add_argument(
        "--class-names", type=Path, metavar="FILE", help="of an ONNX detector, one per line, in its order"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the run in DIR")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """List the split points, or import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from semflash.runtime.native_messages import hidden_native_messages
    from semflash.settings import first

    with hidden_native_messages():
        from semflash.importing.network import ImportRequest, import_network, list_splits
    if args.list:
        _list(list_splits(args.model, args.size), args.json)
        return 0
    for flag, value in (("--split", args.split), ("--out", args.out)):
        if value is None:
            raise UsageError(f"{flag} is missing", remedy=f"semflash import {args.model} --list shows splits")
    say = _nothing if args.quiet or args.json else _say
    request = ImportRequest(
        args.model,
        args.split,
        args.out,
        args.dataset,
        first(args.data_dir, settings.train.data_dir),
        _images(args.check_images),
        args.mean,
        args.std,
        args.bgr,
        args.size,
        args.overwrite,
        args.output_form,
        _names(args.class_names),
        args.skip_bad,
    )
    task = import_network(request, say, _detail if args.verbose else _nothing)
    if args.json:
        print(json.dumps({"task": str(args.out), "results": task.info.results}))
    elif not args.quiet:
        print(f"imported; next: semflash train RECIPE --task {args.out}")
    return 0


def _nothing(text: str) -> None:
    del text


def _say(text: str) -> None:
    """Print what may hold names of the file's tensors."""
    print(printable_lines(text))


def _detail(text: str) -> None:
    """What the converter said, on stderr: stdout may be JSON."""
    if text:
        print(f"the converter's log:\n{printable_lines(text)}", file=sys.stderr)


def _list(splits: list[tuple[str, tuple[int, ...]]], as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"split": name, "features": shape} for name, shape in splits]))
        return
    for name, shape in splits:
        _say(f"{'x'.join(map(str, shape)):>16}  {name}")


def _images(path: Path | None) -> np.ndarray | None:
    """The images in an .npy file.

    Raises:
        UsageError: it cannot be read.
    """
    if path is None:
        return None
    import numpy as np

    try:
        images: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError("cannot read the images", value=f"{path}: {error}", remedy="np.save(...)") from error
    if not isinstance(images, np.ndarray):
        raise UsageError("not one array", value=path, remedy="np.save(FILE, images)")
    return images


def _names(path: Path | None) -> tuple[str, ...]:
    """Lines of a file, without empty ones.

    Raises:
        UsageError: it cannot be read, or has none.
    """
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            content = file.read(_NAMES_MAX_BYTES + 1)
        lines = content.decode("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            "cannot read the class names",
            value=f"{path}: {error}",
            remedy="a text file (UTF-8), one name per line",
        ) from error
    if len(content) > _NAMES_MAX_BYTES:
        raise UsageError(
            f"the file of class names is larger than {_NAMES_MAX_BYTES >> 20} MiB",
            value=path,
            remedy="one name per line",
        )
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise UsageError("no class names in it", value=path, remedy="one name per line")
    return names


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not one number or several with commas") from error


def _size(text: str) -> tuple[int, int]:
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, such as 32x32")
    return int(height), int(width)
