"""What the checks of a bundle's graphs add to the start of `evaluate` and `monitor`, per bundle of the zoo.

    PYTHONPATH=host:codegen python benchmarks/bundle_checks.py [--rounds 5]

Prints a table: processor time of the checks of a known bundle (the median), of the modules that they import,
and the wall-clock time of the first run of an unknown one in a child.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

_IMPORTS = """
import time, numpy, ai_edge_litert.interpreter, semflash.bundle.models, semflash.edge.preprocess
start = time.process_time()
import semflash.bundle.graphs.edge, semflash.bundle.graphs.device, semflash.edge.first_run
print(time.process_time() - start)
"""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as state:
        os.environ["SEMFLASH_STATE_DIR"] = state
        return measure(rounds)


def measure(rounds: int) -> int:
    """Measure every bundle of the zoo and print the table."""
    from semflash.bundle import known, read_bundle
    from semflash.bundle.graphs.device import check_device_graph
    from semflash.bundle.graphs.edge import check_edge
    from semflash.bundle.reader import zoo_names
    from semflash.edge import first_run

    imports = [
        float(subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, check=True).stdout)
        for _ in range(rounds)
    ]
    yardstick = _median(lambda: sum(range(10_000_000)), rounds)
    print(f"modules: {1e3 * statistics.median(imports):.0f} ms")
    print(f"yardstick, sum(range(10_000_000)): {1e3 * yardstick:.0f} ms")
    print("| bundle | edge graphs, ms | device graph, ms | known?, ms | first run, s |")
    print("| --- | --- | --- | --- | --- |")
    for name in zoo_names():
        bundle = read_bundle(name)
        edge = _median(partial(check_edge, bundle.contract, bundle.edge), rounds)
        device = sum(
            _median(partial(check_device_graph, data, graph), rounds) for graph, data in bundle.models.items()
        )
        known_s = _median(partial(known.is_known, bundle.hash_hex), rounds)
        start = time.perf_counter()
        first_run.admit(replace(bundle, hash_hex="0" * 64))
        seconds = time.perf_counter() - start
        (known.folder() / ("0" * 64)).unlink()  # type: ignore[operator]
        print(f"| {name} | {1e3 * edge:.0f} | {1e3 * device:.0f} | {1e3 * known_s:.1f} | {seconds:.1f} |")
    return 0


def _median(call: Callable[[], object], rounds: int) -> float:
    """Processor time, s."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
