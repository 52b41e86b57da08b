"""How well the pilots tell the bit error rate, from 0.01 % to 10 %: writes a table into docs/link.md.

    python benchmarks/link_estimate.py [--write]

The device's pilots (pattern, position) pass the same seeded flips that `monitor` injects; the estimator is
the one that conditions the decoder. Per rate and window: frames until the window is full three times, then
one estimate each FRAMES_BETWEEN frames, which is long enough that estimates are nearly independent.
"""

from __future__ import annotations

import argparse
import math

from doc_block import LINK_PAGE, table, write_block

from semflash.channels.of_quality import BitErrors
from semflash.link.codes import pilots

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
WINDOWS = (8192, 65536)
PILOT_BYTES = 32  # more than the default per frame only to need fewer frames for the same bits
ESTIMATES = 100
BUNDLE = 0x324041EB


def measure(rate: float, window: int, seed: int) -> tuple[float, float, float]:
    """(mean, root mean square error relative to the rate, share of intervals that hold the rate)."""
    channel, values, held = BitErrors(), [], 0
    estimator = channel.estimator(window)
    between = math.ceil(window / (8 * PILOT_BYTES))
    for frame in range(between * (3 + ESTIMATES)):
        known = pilots.pattern(BUNDLE, frame & 0xFFFF, frame, PILOT_BYTES)
        errors = pilots.difference(known, BUNDLE, frame & 0xFFFF, frame)
        estimator.add(errors, rate, channel.pilot_rng(seed, rate, frame))
        if frame >= 3 * between and frame % between == 0:
            estimate = estimator.estimate()
            assert estimate is not None
            values.append(estimate.value)
            held += estimate.low <= rate <= estimate.high
    mean = sum(values) / len(values)
    error = math.sqrt(sum((value - rate) ** 2 for value in values) / len(values))
    return mean, error / rate, held / len(values)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/link.md")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rows = []
    for rate in RATES:
        row = [f"{100 * rate:g} %"]
        for window in WINDOWS:
            mean, error, held = measure(rate, window, chosen.seed)
            row += [f"{100 * mean:.3g} %", f"{100 * error:.0f} %", f"{100 * held:.0f} %"]
        rows.append(row)
        print(row, flush=True)
    head = ["true BER"]
    for window in WINDOWS:
        head += [f"mean, window {window:,} bits", "RMS error", "95 % interval holds it"]
    if chosen.write:
        write_block(LINK_PAGE, "estimate", "link_estimate.py", table(head, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
