"""Results of experiments with made-up figures."""

from __future__ import annotations

from typing import Any

from semflash.report.results import Budget, Row, RunResult

COMPARISON = Budget("comparison", "20,000 training images, 5 epochs")
BERS = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2, 0.1)


def result(
    method: str, accuracies: dict[float, float], *, seed: int = 0, size: int = 48, **fields: Any
) -> RunResult:
    """A result with test rows over the binary symmetric channel.

    `framing` goes into the rows, and so does `transmissions` (BER -> mean number; 1 where it has none).
    """
    framing = fields.pop("framing", "deliver")
    times = fields.pop("transmissions", {})
    split = fields.pop("split", "test")
    rows = [
        Row(
            split=split,
            channel="bsc",
            rate=ber,
            value=value,
            images=10_000,
            framing=framing,
            transmissions=times.get(ber, 1.0),
        )
        for ber, value in accuracies.items()
    ]
    given: dict[str, Any] = {
        "experiment": "ber",
        "run": f"{method}-{size}-s{seed}",
        "method": method,
        "title": method.upper(),
        "kind": "learned",
        "payload_bytes": size,
        "seed": seed,
        "budget": COMPARISON,
        "settings": {},
        "fingerprint": "0" * 16,
        "rows": rows,
    }
    return RunResult(**(given | fields))


def campaign() -> list[RunResult]:
    """Three seeds of fourteen methods at two sizes, falling with the BER at different speeds."""
    names = [
        "semanticnn",
        "released",
        "deepcod",
        "bottlenetpp",
        "adjscc",
        "agilenn",
        "limitnet",
        "uniform",
        "entropy",
        "jpeg",
        "webp",
    ]
    found = []
    for place, name in enumerate(names):
        for size in (24, 48):
            for seed in range(3):
                accuracies = {
                    ber: 0.91 - 0.004 * place - 0.02 * (size == 24) - (0.3 + 0.2 * place) * ber + 0.001 * seed
                    for ber in BERS
                }
                for framing in ("deliver", "drop") if place > 8 else ("deliver",):
                    more = {"kind": "classical"} if place > 8 else {}
                    run = f"{name}-{size}-{framing}-s{seed}"
                    found.append(
                        result(name, accuracies, seed=seed, size=size, framing=framing, run=run, **more)
                    )
    return found


def sent_again() -> list[RunResult]:
    """Two seeds of a method at two sizes whose damaged payloads were sent again, up to five times in all."""
    return [
        result(
            "png",
            {ber: 0.88 - 7 * ber for ber in BERS},
            seed=seed,
            size=size,
            framing="retransmit",
            transmissions={ber: min(5.0, 1 + 100 * ber * (1 + seed)) for ber in BERS},
            mean_payload_bytes=size - 4.0 + 2 * seed,
            kind="classical",
        )
        for size in (24, 48)
        for seed in range(2)
    ]
