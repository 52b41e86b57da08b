"""Write tests/vectors/controller.json: slots of the controller, for its twins in Python and in C alike.

Settings are chosen here with fractions in place of whole numbers of a scale; no code of a twin is used.
Run it again after a change of the controller: `PYTHONPATH=tests python -m vectors.make_controller`.

Each case: a table (`rho`, `worth`, `snr_low`, `snr_step`), `threshold`, `v`, `mu`, `at_bound`; its `bound`;
of each slot its `snr`, the setting `chosen`, what was `spent`, and the `queue` behind it.
"""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

SLOTS = 300


def bound_of(rho: list[int], worth: list[list[int]], threshold: int, v: int, mu: int) -> int:
    """In units of 1/65,536."""
    least = min(range(len(rho)), key=lambda g: (rho[g], g))
    steep = [
        Fraction(v * (row[g] - row[least]), 1 << 15) / Fraction(rho[g] - rho[least], 1 << 16)
        for row in worth
        for g in range(len(rho))
        if rho[g] > rho[least]
    ]
    return math.ceil(max([Fraction(0), *steep]) * 65536) + mu * max(max(rho) - threshold, 0)


def case(name: str, rng: random.Random, **given: Any) -> dict[str, Any]:
    """A random table with SNRs around its rows and costs at or around what was chosen."""
    settings, rows = given.pop("settings", 24), given.pop("rows", 9)
    rho = given.pop("rho", sorted(rng.randrange(300, 65537) for _ in range(settings)))
    rng.shuffle(rho)
    order = [sorted(rng.randrange(0, 32769) for _ in rho) for _ in range(rows)]
    worth = [[row[sorted(rho).index(each)] for each in rho] for row in order]
    low, step = given.pop("snr_low", -2000), given.pop("snr_step", 500)
    exact = given.pop("exact", True)
    threshold, v, mu = given["threshold"], given["v"], given["mu"]
    bound = bound_of(rho, worth, threshold, v, mu)
    queue, slots = bound if given["at_bound"] else 0, []
    for _ in range(SLOTS):
        snr = rng.randrange(low - 3 * step, low + (rows + 3) * step)
        nearest = math.floor(Fraction(snr - low, step) + Fraction(1, 2))
        row = worth[min(max(nearest, 0), rows - 1)]
        costs = [
            Fraction(queue, 65536) * Fraction(each, 65536) - v * Fraction(row[g], 32768)
            for g, each in enumerate(rho)
        ]
        chosen = min(range(len(rho)), key=lambda g: (costs[g], rho[g], g))
        spent = rho[chosen] if exact else min(65536, max(0, rho[chosen] + rng.randrange(-400, 401)))
        queue = min(max(0, queue + mu * (spent - threshold)), (1 << 32) - 1)
        slots.append({"snr": snr, "chosen": chosen, "spent": spent, "queue": queue})
    table = {"rho": rho, "worth": worth, "snr_low": low, "snr_step": step}
    return {"name": name, **table, **given, "bound": bound, "slots": slots}


def cases() -> list[dict[str, Any]]:
    """Every start, V and kind of table."""
    rng = random.Random(1)
    start = {"threshold": 3277, "mu": 1, "at_bound": True}
    return [
        case("at its bound, V 1", rng, **start, v=1),
        case("at its bound, V 100", rng, **start, v=100),
        case("from 0, V 10", rng, **(start | {"at_bound": False}), v=10),
        case("mu 7, costs around what was expected", rng, **(start | {"mu": 7}), v=10, exact=False),
        case("equal costs", rng, **start, v=10, rho=[500] * 3 + [9000] * 3, rows=1),
        case("one setting", rng, **start, v=1, settings=1, rows=1, snr_step=1),
        case("no setting is within the bound", rng, **(start | {"threshold": 100}), v=1),
        case("everything is", rng, **(start | {"threshold": 65536}), v=16384, rho=[0, 60000, 65536], rows=2),
    ]


if __name__ == "__main__":
    Path(__file__).with_name("controller.json").write_text(
        json.dumps(cases(), separators=(",", ":")) + "\n", encoding="utf-8"
    )
