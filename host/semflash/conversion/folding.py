"""Whether a modulation stays a stage of its own on the device, or goes into the projection behind it.

Folded, each state has weights of its own; apart, it has a multiplier and an offset for each channel, and all
states share the weights. Folded takes no step more; apart is smaller where a projection has many outputs, and
rounds once more.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np

from semflash.codecs.device_side import (
    DeviceSpec,
    DeviceStage,
    ModulationStage,
    ProjectionStage,
    sources_of,
)

Form = Literal["auto", "folded", "separate"]
#: Bytes of flash beside the weights: bias, multiplier and shift of a projection's output; multiplier and
#: offset of a modulated channel.
OUTPUT_BYTES, CHANNEL_BYTES = 9, 6


def folded(spec: DeviceSpec, form: Form = "auto") -> DeviceSpec:
    """The same device side with modulations taken up by the projections behind them.

    Args:
        form: ``folded``: wherever that is possible; ``separate``: nowhere; ``auto``: where it takes no more
            flash.
    """
    pairs = [(a, b) for a, b in pairwise(spec.stages) if can_fold(spec, a, b)]
    stages = list(spec.stages)
    for modulation, projection in pairs:
        assert isinstance(modulation, ModulationStage) and isinstance(projection, ProjectionStage)
        if form == "separate" or (form == "auto" and folded_bytes(modulation, projection) > 0):
            continue
        at = stages.index(modulation)
        stages[at : at + 2] = [fold(modulation, projection)]
    return replace(spec, stages=tuple(stages))


def can_fold(spec: DeviceSpec, first: DeviceStage, second: DeviceStage) -> bool:
    """Whether ``second`` is a projection of one set that alone reads what the modulation ``first`` gives."""
    if not isinstance(first, ModulationStage) or not isinstance(second, ProjectionStage):
        return False
    read = [stage for stage in spec.stages if first.output in sources_of(stage)]
    sent = any(region.source == first.output for region in spec.payload.regions)
    return second.chosen_by is None and second.source == first.output and len(read) == 1 and not sent


def folded_bytes(modulation: ModulationStage, projection: ProjectionStage) -> int:
    """How many bytes of flash more the folded form takes, below 0: less."""
    states, channels = np.shape(modulation.scale)
    outputs = len(projection.weights[0])
    each = outputs * (channels + OUTPUT_BYTES)
    return states * each - (each + states * channels * CHANNEL_BYTES)


def fold(modulation: ModulationStage, projection: ProjectionStage) -> ProjectionStage:
    """One projection for each state that equals the modulation and then the projection:

    sum_c w[j, c] (scale[s, c] x_c + offset[s, c]) + b[j]
        = sum_c (w[j, c] scale[s, c]) x_c + (b[j] + sum_c w[j, c] offset[s, c])
    """
    weights = np.asarray(projection.weights, np.float64)[0]
    scale, offset = (np.asarray(each, np.float64) for each in (modulation.scale, modulation.offset))
    bias = np.asarray(projection.bias, np.float64)[0] + offset @ weights.T
    return replace(
        projection,
        source=modulation.source,
        weights=(weights * scale[:, None, :]).astype(np.float32),
        bias=bias.astype(np.float32),
        chosen_by=modulation.chosen_by,
    )
