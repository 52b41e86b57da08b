"""Damaged and forged models through the generator's front half, in a process with a memory limit.

    OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests:codegen:host \\
        python -m codegen.hostile [--count 10000] [--seed 1] [--keep DIR]

Each mutant must end in a CodegenError or in generated code: no other exception, at most 2 s, at most 500 MB.
Prints a summary as JSON; exit code 1 when a mutant misbehaved. --keep writes the bytes of those that did.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from codegen.golden import request_with
from codegen.mutation import mutate
from semflash.program.stages import TableTail
from semflash_codegen import CodegenError, Generated, generate
from semflash_codegen.passes import make_plan
from semflash_codegen.tflite_reader import read_model

HERE = Path(__file__).parent
MEMORY_BYTES = 500 << 20
SECONDS = 2.0


class Hang(BaseException):
    """A mutant took more than SECONDS of processor time."""


@dataclass
class Summary:
    """What happened to the mutants."""

    count: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0
    memory_bytes: int = 0
    failures: list[str] = field(default_factory=list)


def seeds() -> list[tuple[str, bytes]]:
    """Names and bytes of the models that mutants are made of."""
    paths = sorted((HERE / "corpus").glob("*.tflite")) + sorted((HERE / "models").glob("*.tflite"))
    return [(path.stem, path.read_bytes()) for path in paths]


def run(count: int, seed: int, keep: Path | None) -> Summary:
    """Make and try mutants; the number of a mutant and the seed name it."""
    models = seeds()
    summary, outcomes = Summary(count), Counter[str]()
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        name, data = models[number % len(models)]
        mutant, how = mutate(data, rng)
        start = time.process_time()
        outcome, detail = attempt(mutant, rng)
        summary.slowest_s = max(summary.slowest_s, time.process_time() - start)
        outcomes[outcome] += 1
        if detail:
            summary.failures.append(f"{name} {how} number {number} seed {seed}: {detail}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{number}.tflite").write_bytes(mutant)
    summary.outcomes = dict(sorted(outcomes.items()))
    summary.memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return summary


def attempt(mutant: bytes, rng: random.Random) -> tuple[str, str]:
    """(outcome, "") or (outcome, what went wrong)."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        compile_mutant(mutant, rng.choice(("auto", "cmsis-nn", "reference")))
    except CodegenError as error:
        return (type(error).__name__, "") if error.what else ("no message", "an error without a message")
    except Hang:
        return "hang", f"more than {SECONDS} s"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "exception", f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    return "code", ""


def compile_mutant(mutant: bytes, kernels: str) -> Generated:
    """Read and generate, with a tail that fits whatever the model's output has become."""
    plan = make_plan(read_model(mutant), "reference")
    output = plan.model.tensors[plan.model.outputs[0]]
    table = list(range(256)) * plan.latent_channels
    tail = TableTail(plan.latent_channels, 256, output.zero_point, table)
    return generate(request_with(mutant, tail, kernels=kernels))


def limit() -> None:
    """Bound memory and arm the clock of this process."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGVTALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    limit()
    summary = run(arguments.count, arguments.seed, arguments.keep)
    print(json.dumps(asdict(summary), indent=2))
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
