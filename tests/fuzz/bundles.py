"""Bundles with right hashes and spoilt .tflite files, opened as `semflash evaluate` opens them.

    PYTHONPATH=host:codegen:tests python tests/fuzz/bundles.py [--count 10000] [--seed 1] [--keep DIR]
        [--without-first-run]

Each bundle must end in a BundleError, or be accepted and give finite outputs of the right shape. A worker
opens them one after the other, first runs in children and all; a worker that dies is a crash of the parent.
Prints a summary as JSON; exit code 1 when anything else happened. --keep writes the files of what did.
--without-first-run leaves the children out, to see what the checks of structure are worth alone; LiteRT's own
refusals count then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from codegen.mutation import mutate_structure
from semflash.bundle.digest import file_ref
from semflash.bundle.reader import Bundle, read_directory, zoo_dir
from semflash.bundle.schema import CODEC_FILE
from semflash.bundle.version1 import Contract1, contract_of
from semflash.bundle.writer import encode_codec
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BundleError, ModelError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
#: A constant of this size or more is weights: bytes in it change numbers, never the structure.
_WEIGHTS_BYTES = 64
_SLOWEST_S = 300.0


@dataclass
class Summary:
    """What happened to the bundles."""

    count: int = 0
    seed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)


def seeds() -> list[Bundle]:
    """Bundles to spoil: of the tests, with a tail of 67 kinds of operators, a classifier and a detector."""
    tiny = read_directory(VECTORS / "tiny.semcodec")
    wide = (VECTORS / "wide_tail.tflite").read_bytes()
    zoo = [read_directory(zoo_dir() / f"{name}.semcodec") for name in ("mnist-12", "stamps-detect")]
    return [tiny, with_file(tiny, _version1(tiny).task_tail.file, wide), *zoo]


def _version1(bundle: Bundle) -> Contract1:
    """The contract as its file has it: all seeds are of version 1."""
    if not isinstance(bundle.written, Contract1):
        raise TypeError(f"{bundle.path} is no bundle of version 1")
    return bundle.written


def with_file(bundle: Bundle, name: str, data: bytes) -> Bundle:
    """The bundle with another .tflite file; its contract tells the file's digest."""
    contract, reference = _version1(bundle), file_ref(name, data)
    if name == contract.decoder.file:
        contract = msgspec.structs.replace(contract, decoder=reference)
    elif name == contract.task_tail.file:
        contract = msgspec.structs.replace(contract, task_tail=reference)
    else:
        graph = msgspec.structs.replace(contract.device_graphs[0], model=reference)
        contract = msgspec.structs.replace(contract, device_graphs=[graph])
    files = {**bundle.files, name: data}
    return Bundle(bundle.path, contract_of(contract), bundle.record, files, "0" * 64, contract)


def mutant(bundles: list[Bundle], seed: int, number: int) -> tuple[Bundle, str]:
    """(bundle with one spoilt file, what was done). Number and seed name it."""
    rng = random.Random(f"{seed}/{number}")
    bundle = bundles[number % len(bundles)]
    contract = _version1(bundle)
    names = (contract.decoder.file, contract.task_tail.file, contract.device_graphs[0].model.file)
    name = rng.choice(names)
    data = bundle.files[name]
    spoilt, how = mutate_structure(data, rng) if rng.random() < 0.6 else mutate_words(data, rng)
    return with_file(bundle, name, spoilt), f"{contract.name} {name} {how} number {number} seed {seed}"


def mutate_words(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """One to four words of the structure (offsets, counts, fields), weights left alone."""
    out, places = bytearray(data), structure_words(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.choice(places)
        old = struct.unpack_from("<I", out, at)[0]
        new = rng.choice(
            (
                0,
                1,
                old + 1,
                old - 1,
                old ^ 1 << rng.randrange(32),
                old + 4 * rng.randrange(-64, 64),
                1 << 31,
                rng.getrandbits(8),
                rng.getrandbits(16),
                rng.getrandbits(32),
                0xFFFFFFFF,
                len(data),
            ),
        )
        struct.pack_into("<I", out, at, new & 0xFFFFFFFF)
    return bytes(out), "words"


def structure_words(data: bytes) -> list[int]:
    """Positions of words that are not within large constants."""
    from semflash_codegen.flatbuffer import root

    weights = np.zeros(len(data) // 4, bool)
    base = np.frombuffer(data, np.uint8).ctypes.data
    for buffer in root(data, b"TFL3").tables(4, 1 << 16):
        values = buffer.numbers(0, "u1", len(data))
        if values is not None and len(values) >= _WEIGHTS_BYTES:
            start = values.ctypes.data - base
            weights[-(-start // 4) : (start + len(values)) // 4] = True
    return [int(i) * 4 for i in np.flatnonzero(~weights)]


def write(bundle: Bundle, place: Path) -> None:
    """The bundle as a directory, hashes and all."""
    place.mkdir(parents=True, exist_ok=True)
    contract = _version1(bundle)
    names = {contract.decoder.file, contract.task_tail.file}
    names |= {graph.model.file for graph in contract.device_graphs}
    for name in names:
        (place / name).write_bytes(bundle.files[name])
    record = msgspec.structs.replace(bundle.record, history=None)
    (place / CODEC_FILE).write_bytes(encode_codec(contract, record))


def attempt(bundle: Bundle, place: Path, *, first_run: bool) -> tuple[str, str]:
    """("accepted" or "refused" or "failed", detail): open it and decode and encode a little."""
    write(bundle, place)
    try:
        opened = read_directory(place)
        check(opened, first_run=first_run)
    except BundleError as error:
        return ("refused", error.what) if error.what and error.remedy else ("failed", "no message, no remedy")
    except ModelError as error:
        return ("failed" if first_run else "refused"), f"LiteRT: {error}"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "accepted", ""


def check(bundle: Bundle, *, first_run: bool) -> None:
    """What `evaluate` does with the graphs; AssertionError: outputs that are not sane."""
    rng = np.random.default_rng(0)
    decoder = EdgeDecoder(bundle, admitted=not first_run)
    golden = GoldenEncoder(bundle, admitted=not first_run)
    payloads = rng.integers(0, 256, (7, bundle.payload_bytes), np.uint8)
    controls = {one.name: rng.integers(0, 1 << 16, 7) for one in bundle.program.controls}
    logits = decoder.logits(payloads, rng.uniform(0, 0.06, 7), controls=controls)
    assert logits.shape[0] == 7 and np.isfinite(logits).all()
    codes = golden.payloads(rng.integers(0, 256, (5, *bundle.image_shape), np.uint8))
    assert codes.shape == (5, bundle.payload_bytes)


def work(start: int, count: int, seed: int, *, first_run: bool) -> None:
    """In a worker: mutants from `start` on, a line before and after each."""
    bundles = seeds()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(start, count):
            bundle, how = mutant(bundles, seed, number)
            print(json.dumps({"begin": number, "how": how}), flush=True)
            begun = time.monotonic()
            outcome, detail = attempt(bundle, Path(folder) / "x.semcodec", first_run=first_run)
            line = {"number": number, "outcome": outcome, "detail": detail, "s": time.monotonic() - begun}
            print(json.dumps(line), flush=True)


def events(start: int, count: int, seed: int, *, first_run: bool) -> Iterator[dict[str, object]]:
    """Lines of one worker; at its death, one more with its exit code."""
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(start)]
    command += ["--count", str(count), "--seed", str(seed)]
    command += [] if first_run else ["--without-first-run"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            yield json.loads(line)
    yield {"exit": worker.returncode}


def run(count: int, seed: int, *, first_run: bool = True, keep: Path | None = None) -> Summary:
    """Try mutants 0 .. count-1 in workers, a new one behind each crash."""
    summary, outcomes, refusals = Summary(count, seed), Counter[str](), Counter[str]()
    begun, number, how, done = time.monotonic(), 0, "", 0
    while done < count:
        for event in events(done, count, seed, first_run=first_run):
            if "begin" in event:
                number, how = int(str(event["begin"])), str(event["how"])
            elif "outcome" in event:
                done, detail = number + 1, str(event["detail"])
                outcomes[str(event["outcome"])] += 1
                summary.slowest_s = max(summary.slowest_s, float(str(event["s"])))
                if event["outcome"] == "refused":
                    refusals[_who(detail)] += 1
                elif event["outcome"] == "failed" or float(str(event["s"])) > _SLOWEST_S:
                    _fail(summary, f"{how}: {detail}", number, keep)
            elif event["exit"] != 0 or done < count:
                outcomes["crashed"] += 1
                _fail(summary, f"{how}: the parent died with code {event['exit']}", number, keep)
                done = number + 1
    summary.outcomes, summary.refusals = dict(sorted(outcomes.items())), dict(sorted(refusals.items()))
    summary.seconds = round(time.monotonic() - begun, 1)
    return summary


def _who(detail: str) -> str:
    if "survive its first run" in detail:
        return "died in its first run"
    return "LiteRT" if "LiteRT" in detail or "does not run" in detail else "checks"


def _fail(summary: Summary, text: str, number: int, keep: Path | None) -> None:
    summary.failures.append(text[:400])
    if keep is not None:
        write(mutant(seeds(), summary.seed, number)[0], keep / f"{summary.seed}-{number}.semcodec")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--without-first-run", action="store_true")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    first_run = not arguments.without_first_run
    if arguments.worker is not None:
        work(arguments.worker, arguments.count, arguments.seed, first_run=first_run)
        return 0
    state = tempfile.mkdtemp(prefix="semflash-fuzz-")
    os.environ["SEMFLASH_STATE_DIR"] = state
    try:
        summary = run(arguments.count, arguments.seed, first_run=first_run, keep=arguments.keep)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    print(json.dumps(asdict(summary), indent=2))
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
