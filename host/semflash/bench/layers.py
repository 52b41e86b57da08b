"""Per-layer cost from a firmware with the layer clock (device/include/semflash/bench.h)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from semflash.firmware.building.result import BuildResult
from semflash.link.messages import Hello
from semflash.link.session import Received


class LayerCost(msgspec.Struct, frozen=True):
    """Cost of one image in one layer, or in layers that run joined.

    Attributes:
        names: Names of the layers, in order.
        operators: Their operators, in the same order.
        kernel: What runs them.
        counts: Instructions or cycles.
        macs: Multiply-accumulates.
        counts_per_mac: None where there are none.
    """

    names: tuple[str, ...]
    operators: tuple[str, ...]
    kernel: str
    macs: int
    counts: int
    counts_per_mac: float | None


def layer_costs(built: BuildResult, hello: Hello, received: Sequence[Received]) -> tuple[LayerCost, ...]:
    """The costs, from images in the order they were sent; the first one only made the board ready.

    Image n >= 1 tells of step (n - 1) modulo the number of steps.
    """
    steps = 1 + max(layer.step for layer in built.layers)
    counts: dict[int, int] = {}
    for outcome in sorted(received, key=lambda one: one.index)[1:]:
        if outcome.ticks is not None:
            counts.setdefault((outcome.index - 1) % steps, hello.count(outcome.ticks))
    costs = []
    for step in range(steps):
        layers = [layer for layer in built.layers if layer.step == step]
        if not layers or step not in counts:
            continue
        macs = sum(layer.macs for layer in layers)
        costs.append(
            LayerCost(
                names=tuple(layer.name for layer in layers),
                operators=tuple(layer.operator for layer in layers),
                kernel=layers[0].kernel,
                macs=macs,
                counts=counts[step],
                counts_per_mac=counts[step] / macs if macs else None,
            )
        )
    return tuple(costs)
