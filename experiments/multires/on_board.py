"""Rates that change with every image on a board: what it sends, and how many labels are right.

    python experiments/multires/on_board.py                                 # the zoo's bundle, emulated board
    python experiments/multires/on_board.py --board native --images 200

Each image is told its own rate as `semflash monitor --rate-trace` does it, in the same order. What comes back
is compared with the reference byte by byte, with the rate, and by its answers with `semflash evaluate` on the
same images and rates. Written to experiments/results/multires/scenes-BOARD-s0.json. The emulated board takes
0.3 s of a core for an image, the native build of the same C a hundredth of that.
"""

# ruff: noqa: E402  (the import path is set first)
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import msgspec
import numpy as np

from experiments.multires.results import Result, Row
from experiments.resolve import digest
from experiments.studies import files
from experiments.studies.study import name_of
from semflash.bundle import Bundle, read_bundle
from semflash.channels.rate_trace import RateTrace, parse_rate_trace
from semflash.codecs.multires.codec import RATE
from semflash.data.registry import load_dataset
from semflash.data.sample import SAMPLE_SEED, balanced
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate import evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.errors import SemflashError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.firmware.emulator.native import NativePort
from semflash.link.port import open_port
from semflash.link.session import Expected, Received, Session

BATCH = 100
RESULTS = ROOT / "experiments" / "results" / "multires"


@dataclass(frozen=True)
class Sent:
    """What a board sent, image by image, and in how many seconds."""

    payloads: list[bytes]
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        result = measured(args)
    except SemflashError as error:
        print(f"on_board: {error}", file=sys.stderr)
        return error.exit_code
    files.write(args.results, result)
    print(msgspec.json.encode(result.figures).decode())
    return int(result.figures["over_rate"] > 0 or result.figures["unlike_reference"] > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", default="scenes-multires", help="name or .semcodec")
    parser.add_argument("--board", default="qemu-stm32f405", help="qemu-stm32f405 or native")
    parser.add_argument("--images", type=int, default=2_000, metavar="N", help="of the test split")
    parser.add_argument("--rate-trace", default="fading:16-1024", metavar="TRACE")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    return parser


def measured(args: argparse.Namespace) -> Result:
    """Build, send, compare."""
    bundle = read_bundle(args.bundle)
    (control,) = (each for each in bundle.program.controls if each.name == RATE)
    trace = parse_rate_trace(args.rate_trace, control)
    data = load_dataset("fashion-scenes")
    chosen = balanced(data.test.labels, args.images, SAMPLE_SEED)
    images, labels = np.asarray(data.test.images[chosen]), data.test.labels[chosen]
    sent = from_board(bundle, args.board, images, trace)
    golden = reference(bundle, images, trace)
    rates = trace.first(len(images))
    sizes = np.array([len(each) for each in sent.payloads])
    right = answers(bundle, sent.payloads, rates) == labels
    offline = evaluate(bundle, data, [0.0], limit=args.images, rate_trace=trace)
    settings = {
        "bundle_sha256": bundle.hash_hex,
        "board": args.board,
        "images": len(images),
        "rate_trace": trace.name,
    }
    figures = {
        "over_rate": int((sizes > rates).sum()),
        "unlike_reference": sum(a != b for a, b in zip(sent.payloads, golden, strict=True)),
        "accuracy": float(right.mean()),
        "offline_accuracy": float(offline.measurement.points[0].score.value),
        "told_bytes": float(rates.mean()),
        "sent_bytes": float(sizes.mean()),
        "longest_bytes": int(sizes.max()),
        "images_per_s": len(images) / sent.seconds,
    }
    share, bits = float(right.mean()), float(8 * sizes.mean())
    row = Row("test", "board", int(rates.mean()), share, len(images), bits=bits)
    return Result(
        job=name_of("scenes", args.board, 0),
        group="scenes",
        variant="board",
        seed=0,
        settings=settings,
        digest=digest(settings),
        rows=[row],
        figures=figures,
        seconds={"training": 0.0, "job": round(sent.seconds, 1)},
    )


def from_board(bundle: Bundle, board: str, images: np.ndarray, trace: RateTrace) -> Sent:
    """The payload of each image, from a board that runs."""
    found: dict[int, bytes] = {}
    pixels = to_int8(images, bundle.image_shape)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEMFLASH_STATE_DIR"] = folder  # beside an emulator that runs already
        built = build(bundle.path, load_board(board), out_dir=Path(folder) / "firmware")
        with port_of(built) as port:
            session = Session(port, Expected.of(bundle))
            began = time.monotonic()
            told = ((n, pixels[n], {RATE: trace.at(n)}) for n in range(len(images)))
            for outcome in session.stream(told):
                if not isinstance(outcome, Received) or outcome.controls[RATE] != trace.at(outcome.index):
                    raise ValueError(f"an image was lost on a link that loses nothing: {outcome}")
                found[outcome.index] = outcome.payload
            seconds = time.monotonic() - began
    return Sent([found[n] for n in range(len(images))], seconds)


@contextmanager
def port_of(built: BuildResult) -> Iterator[Any]:
    """The board with this firmware, running."""
    if built.kind == "native":
        with NativePort(built.image_path, timeout=0.0) as port:
            yield port
        return
    state = emulator.start(
        load_board(built.board), built.image_path, bundle_hash=built.bundle_hash, build_id=built.build_id
    )
    try:
        with open_port(state.port) as port:
            yield port
    finally:
        emulator.stop_all()


def reference(bundle: Bundle, images: np.ndarray, trace: RateTrace) -> list[bytes]:
    """The payloads that the reference makes."""
    golden, rates = GoldenEncoder(bundle), trace.first(len(images))
    found: dict[int, bytes] = {}
    for rate in sorted(set(rates.tolist())):
        here = np.flatnonzero(rates == rate)
        found |= dict(zip(here.tolist(), golden.run(images[here], {RATE: rate}).sent, strict=True))
    return [found[n] for n in range(len(images))]


def answers(bundle: Bundle, payloads: Sequence[bytes], rates: np.ndarray) -> np.ndarray:
    """The labels that the edge reads, int (N,)."""
    decoder, found = EdgeDecoder(bundle), []
    longest = max(len(each) for each in payloads)
    padded = np.zeros((len(payloads), longest), np.uint8)
    for row, each in zip(padded, payloads, strict=True):
        row[: len(each)] = np.frombuffer(each, np.uint8)
    bits = np.array([8 * len(each) for each in payloads])
    for start in range(0, len(padded), BATCH):
        part = slice(start, start + BATCH)
        logits = decoder.logits(padded[part], 0.0, bits=bits[part], controls={RATE: rates[part]})
        found.append(logits.argmax(axis=1))
    return np.concatenate(found)


if __name__ == "__main__":
    sys.exit(main())
