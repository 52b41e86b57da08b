"""From a codec's device side in real numbers to a device program and its int8 graphs. Needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.device_side import (
    IMAGE,
    DeviceSpec,
    GdnTailSpec,
    GraphSpec,
    Neutral,
    TableTailSpec,
    TailStage,
)
from semflash.conversion import tail
from semflash.conversion.cutting import cut
from semflash.conversion.graphs import INPUT_ZERO_POINT, Int8Graph, Int8Output, convert_int8, with_gdn
from semflash.data.dataset import Dataset
from semflash.errors import ExportError
from semflash.program.checks import check_program
from semflash.program.program import Program
from semflash.program.reference import order
from semflash.program.stages import Graph, Order, Stage, Tail
from semflash.program.tensors import Codes, Tensor, Values

CALIBRATION_IMAGES = 300
_CALIBRATION_SEED = 300


@dataclass(frozen=True)
class QuantisedDevice:
    """A device program and the int8 graphs that it runs.

    Attributes:
        program: Checked.
        models: The .tflite file of each graph, by the graph's name.
        whole: The network before it was cut into these graphs.
    """

    program: Program
    models: dict[str, bytes]
    whole: Int8Graph


def quantise_device(spec: DeviceSpec, dataset: Dataset, whole_graph: bool = False) -> QuantisedDevice:
    """Quantise a device side, calibrated with 300 training images.

    Args:
        whole_graph: Keep GDN and PReLU inside the int8 graph; the device tail is then a table.

    Raises:
        ExportError: Images of another size, parameters out of range, not pure int8.
    """
    expected = tuple(spec.network.input_shape[1:])
    if dataset.image_shape != expected:
        raise ExportError(
            f"the codec takes images {expected}", value=dataset.image_shape, remedy="use its data set"
        )
    check_labels(spec, whole_graph)
    chosen = np.random.default_rng(_CALIBRATION_SEED).permutation(len(dataset.train.images))
    images = dataset.train.images[np.sort(chosen[:CALIBRATION_IMAGES])]
    if whole_graph:
        spec = gdn_inside(spec)
    whole = convert_int8(spec.network, images)
    program = _program(spec, dict(zip(spec.values, whole.outputs, strict=True)), dataset.image_shape)
    check_program(program)
    return QuantisedDevice(program, {graph.name: _model(spec, whole, graph) for graph in spec.graphs}, whole)


def check_labels(spec: DeviceSpec, whole_graph: bool) -> None:
    """ExportError: a tail whose codes are not ranks needs a table on the device."""
    for stage in spec.stages:
        if isinstance(stage, TailStage):
            tail.check_labels(stage.spec, whole_graph)


def gdn_inside(spec: DeviceSpec) -> DeviceSpec:
    """The same with GDN and PReLU inside the graph and a table behind it.

    Raises:
        ExportError: A device side with several graphs.
    """
    tails = [stage for stage in spec.stages if isinstance(stage, TailStage)]
    if len(spec.graphs) != 1 or len(tails) != 1:
        raise ExportError("only a device side with one graph can hold its GDN inside", value=len(spec.graphs))
    old = tails[0].spec
    if not isinstance(old, GdnTailSpec):
        return spec
    nearest = TableTailSpec.nearest_centre(old.centres, np.ones_like(old.alpha), old.labels)
    network = with_gdn(spec.network, old.beta, old.gamma, old.alpha)
    return replace(spec, network=network, stages=(spec.graphs[0], replace(tails[0], spec=nearest)))


def _model(spec: DeviceSpec, whole: Int8Graph, graph: GraphSpec) -> bytes:
    """The .tflite file of one graph: the whole network, or a part of it."""
    if len(spec.graphs) == 1:
        return whole.data
    source = None if graph.source == IMAGE else spec.values.index(graph.source)
    return cut(whole.data, source, spec.values.index(graph.output))


def _program(spec: DeviceSpec, ends: dict[str, Int8Output], image_shape: tuple[int, int, int]) -> Program:
    tensors = [Tensor(IMAGE, image_shape, Values(1 / 255, INPUT_ZERO_POINT))]
    stages: list[Stage] = []
    codes: dict[str, Tensor] = {}
    for stage in spec.stages:
        match stage:
            case GraphSpec():
                end = ends[stage.output]
                tensors.append(Tensor(stage.output, end.shape, Values(end.scale, end.zero_point)))
                stages.append(Graph(stage.name, (stage.source,), (stage.output,)))
            case TailStage():
                end = ends[stage.source]
                neutral = spec.neutral.get(stage.output, Neutral())
                centres = tuple(float(value) for value in tail.centres_by_code(stage.spec))
                holds = Codes(len(centres), centres, neutral.code, neutral.value)
                codes[stage.output] = Tensor(stage.output, end.shape, holds)
                stages.append(Tail(stage.source, stage.output, (tail.quantise(stage.spec, end),)))
            case Order():
                source = codes[stage.source]
                codes[stage.output] = Tensor(stage.output, (source.items,), source.holds)
                stages.append(stage)
    tensors += codes.values()
    return Program(IMAGE, tuple(tensors), tuple(stages), spec.payload, spec.quality, spec.controls)


def codes_by_formula(
    spec: DeviceSpec, values: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.uint8]]:
    """Codes by tensor, uint8 (N, ...), of real values: what the program would send without quantisation.

    Args:
        values: Of the tensors that graphs write, float32 (N, ...).
    """
    found: dict[str, NDArray[np.uint8]] = {}
    for stage in spec.stages:
        if isinstance(stage, TailStage):
            found[stage.output] = tail.codes_by_formula(stage.spec, values[stage.source])
        elif isinstance(stage, Order):
            source = found[stage.source]
            positions = order.order(found[stage.saliency], source.shape[-1], stage.step)
            found[stage.output] = order.sort(source, positions)
    return found


def sent_codes(program: Program, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Codes in the order of sending, uint8 (N, codes): the regions of the payload one behind the other."""
    regions = [tensors[region.source] for region in program.payload.regions]
    return np.concatenate([codes.reshape(len(codes), -1) for codes in regions], axis=1)
