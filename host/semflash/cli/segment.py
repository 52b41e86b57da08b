"""``semflash segment``: every image of a data set is divided into segments once, and the maps are stored."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.data.dataset import Dataset
    from semflash.segments.store import SegmentStore
    from semflash.training.progress import Progress
    from semflash.training.segmenting.segment import SegmentRequest

HELP = "divide every image of a data set into segments once, store the maps, and say what matters"
EPILOG = """examples:
  semflash segment stamps-focus --with exact
  semflash segment stamps-focus --with hed --limit 4000 --task runs/stamps-focus
  semflash segment ./photos --with sam --encoder sam_encoder.onnx --decoder sam_decoder.onnx
  semflash segment stamps-focus --with saliency --network isnet.onnx --splits train,test

Segmenters: hed (default: edges of the pre-trained network HED, then a watershed), sam (SAM, MobileSAM or
EfficientSAM in your ONNX files), saliency (an ONNX network that tells the object from the rest), felzenszwalb
(classical, without a network) and exact (the data set's own masks). With --task a trained task network says
which segments matter: its log-probability of the label, without each segment and with it alone; --attention
learns these weights and gives them without a label. A stopped run
goes on when the same command is given again; a larger --limit adds images. Stores lie in the cache
(~/.cache/semflash/segments) unless --out is given. Needs semflash[skb].
"""
_LIMITS = (
    ("--image-size", 8, 1_024),
    ("--threads", 1, 1_024),
    ("--limit", 1, 1 << 40),
    ("--side", 16, 2_048),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("dataset", nargs="?", help="name of a data set, or an image folder")
    parser.add_argument(
        "--with",
        dest="segmenter",
        default="hed",
        metavar="NAME",
        help="hed, sam, saliency, felzenszwalb or exact (default hed)",
    )
    parser.add_argument(
        "--splits", default="train,val,test", metavar="NAMES", help="of the data set (default: all three)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="first images of each split (default: all)")
    parser.add_argument("--task", type=Path, metavar="RUN", help="a task network that weighs the segments")
    parser.add_argument(
        "--large",
        type=float,
        default=0.45,
        metavar="S",
        help="share of the image above which a segment cannot matter (default 0.45)",
    )
    parser.add_argument(
        "--attention",
        choices=("both", "channel", "spatial", "none"),
        help="train attention over segments on the task network's weights, and weigh by it",
    )
    parser.add_argument("--importance", type=Path, metavar="FILE", help="your own weights of segments, JSON")
    parser.add_argument("--network", type=Path, metavar="FILE", help="ONNX file of saliency")
    parser.add_argument("--encoder", type=Path, metavar="FILE", help="ONNX file of sam's image encoder")
    parser.add_argument("--decoder", type=Path, metavar="FILE", help="ONNX file of sam's mask decoder")
    parser.add_argument("--side", type=int, metavar="N", help="side at which a network sees an image, pixels")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of ONNX Runtime (default 1)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the store (default: in the cache)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument(
        "--image-size", type=int, default=64, metavar="N", help="side of a folder's images, pixels"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images of a folder that cannot be read"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Check, divide, and say where the segments are."""
    name = first(args.dataset, settings.train.dataset)
    if name is None:
        raise UsageError("which data set?", remedy="semflash segment DATASET")
    request = _request(args, settings, name)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from semflash.training.progress import Progress
    from semflash.training.segmenting.segment import segment

    progress = Progress(quiet=args.quiet)
    try:
        store, data = segment(request, progress)
        _weigh(args, store, data, progress)
    except KeyboardInterrupt:
        print("\nwhat was divided is kept; the same command goes on", file=sys.stderr)
        raise
    figures = _figures(store)
    if args.json:
        print(json.dumps(figures))
    elif not args.quiet:
        for split, found in figures["splits"].items():
            print(f"{split}: {found['images']:,} images, {found['mean_segments']:.1f} segments each")
        print(store.folder)
    return 0


def _weigh(args: argparse.Namespace, store: SegmentStore, data: Dataset, progress: Progress) -> None:
    """Weigh the segments by what the command line names."""
    if args.task is None and args.importance is None and args.attention is None:
        return
    from semflash.runtime.native_messages import hidden_native_messages

    with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
        from semflash.segments.evidence import Rule
        from semflash.training.segmenting.weigh import weigh_by_file, weigh_by_task
    images = {split: min(store.count(split), args.limit or store.count(split)) for split in store.splits}
    if args.task is not None:
        weigh_by_task(store, data, args.task, Rule(large=args.large), progress, images=images)
    if args.attention is not None:
        from semflash.training.segmenting.attention import AttentionRecipe, weigh_by_attention

        weigh_by_attention(store, data, AttentionRecipe(parts=args.attention), progress, images=images)
    if args.importance is not None:
        weigh_by_file(store, args.importance, progress)


def _figures(store: SegmentStore) -> dict[str, Any]:
    """What is there, plain values."""
    from semflash.segments.weighing import names

    record = store.manifest.segmenter
    splits = {}
    for split in store.splits:
        counts = [len(np.unique(one)) for one in store.segments(split)]
        splits[split] = {
            "images": len(counts),
            "mean_segments": round(float(np.mean(counts)), 3),
            "most_segments": max(counts),
        }
    return {
        "store": str(store.folder),
        "segmenter": record.name,
        "classical": record.classical,
        "digest": store.digest,
        "sha256": record.sha256,
        "ms_per_image": record.ms_per_image,
        "weighed_by": list(names(store)),
        "splits": splits,
    }


def _request(args: argparse.Namespace, settings: Settings, name: str) -> SegmentRequest:
    """UsageError: an argument is out of range, or a file goes with another segmenter."""
    from semflash.segments.manifest import SPLITS
    from semflash.segments.opening import SALIENCY, SAM, SegmenterOptions
    from semflash.training.segmenting.segment import SegmentRequest

    for flag, least, most in _LIMITS:
        value = getattr(args, flag[2:].replace("-", "_"))
        if value is not None and not least <= value <= most:
            raise UsageError(f"{flag} is a whole number of {least} to {most}", value=value)
    if not 0.0 < args.large <= 1.0:
        raise UsageError("--large is a share above 0 and up to 1", value=args.large, remedy="--large 0.45")
    splits = tuple(dict.fromkeys(args.splits.split(",")))
    if not set(splits) <= set(SPLITS):
        raise UsageError("--splits are some of train,val,test", value=args.splits)
    for flag, value, of in (
        ("--network", args.network, SALIENCY),
        ("--encoder", args.encoder, SAM),
        ("--decoder", args.decoder, SAM),
    ):
        if value is not None and args.segmenter != of:
            raise UsageError(f"{flag} goes with --with {of}", value=args.segmenter)
    files = tuple(path for path in (args.network, args.encoder, args.decoder) if path is not None)
    folder = first(args.data_dir, settings.train.data_dir)
    return SegmentRequest(
        dataset=name,
        segmenter=args.segmenter,
        splits=splits,
        limit=args.limit,
        out=args.out,
        data_dir=None if folder is None else Path(folder),
        image_size=args.image_size,
        skip_bad=args.skip_bad,
        options=SegmenterOptions(files, args.side or 0, args.threads),
    )
