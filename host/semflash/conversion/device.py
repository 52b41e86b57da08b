"""From a codec's device side in real numbers to a device program and its int8 graphs. Needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.device_side import (
    IMAGE,
    DeviceSpec,
    DeviceStage,
    GdnTailSpec,
    GraphSpec,
    ModulationStage,
    Neutral,
    NormaliseStage,
    ProjectionStage,
    TableTailSpec,
    TailStage,
)
from semflash.codecs.patch_side import PatchesStage, SelectStage
from semflash.codecs.token_side import TokensStage
from semflash.conversion import patches, tail, token_formula, tokens, values
from semflash.conversion.cutting import cut
from semflash.conversion.folding import Form, folded
from semflash.conversion.graphs import (
    INPUT_ZERO_POINT,
    Int8Graph,
    Int8Output,
    calibration_set,
    convert_int8,
    with_gdn,
)
from semflash.data.dataset import Dataset
from semflash.errors import ExportError
from semflash.program.checks import check_program
from semflash.program.controls import settle
from semflash.program.program import Program
from semflash.program.reference import order
from semflash.program.stages import Graph, Order, Stage, Tail
from semflash.program.tensors import Codes, Tensor, Values

#: Codes, or values that the payload tells.
Sent = NDArray[np.uint8] | NDArray[np.int8]
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


def quantise_device(
    spec: DeviceSpec, dataset: Dataset, whole_graph: bool = False, modulation: Form = "auto"
) -> QuantisedDevice:
    """Quantise a device side, calibrated with 300 training images.

    Args:
        whole_graph: Keep GDN and PReLU inside the int8 graph; the device tail is then a table.
        modulation: Whether modulations go into projections (:mod:`semflash.conversion.folding`).

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
    spec = folded(spec, modulation)
    whole = convert_int8(spec.network, images)
    program = _program(spec, whole, dataset.image_shape, images)
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
        ExportError: A device side with several graphs, or whose GDN is not behind the graph.
    """
    tails = [stage for stage in spec.stages if isinstance(stage, TailStage)]
    if not tails:
        return spec
    if len(spec.graphs) != 1 or len(tails) != 1:
        raise ExportError("only a device side with one graph can hold its GDN inside", value=len(spec.graphs))
    old = tails[0].spec
    if not isinstance(old, GdnTailSpec):
        return spec
    if tails[0].source != spec.graphs[0].output:
        raise ExportError(
            "only a GDN behind the graph itself can go inside it",
            value=tails[0].source,
            remedy="leave --whole-graph out",
        )
    nearest = TableTailSpec.nearest_centre(old.centres, np.ones_like(old.alpha), old.labels)
    network = with_gdn(spec.network, old.beta, old.gamma, old.alpha)
    return replace(spec, network=network, stages=(spec.graphs[0], replace(tails[0], spec=nearest)))


def _model(spec: DeviceSpec, whole: Int8Graph, graph: GraphSpec) -> bytes:
    """The .tflite file of one graph: the whole network, or a part of it."""
    if len(spec.graphs) == 1:
        return whole.data
    source = None if graph.source == IMAGE else spec.values.index(graph.source)
    return cut(whole.data, source, spec.values.index(graph.output))


@dataclass
class _Making:
    """A program while its stages are added one by one.

    Attributes:
        spec: What it is made from.
        ends: The tensors of values so far, by name.
        real: Their real values for calibration images; empty where no reach is calibrated.
    """

    spec: DeviceSpec
    ends: dict[str, Int8Output]
    real: dict[str, NDArray[np.floating]]
    tensors: list[Tensor] = field(default_factory=list)
    codes: dict[str, Tensor] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    def add(self, stage: DeviceStage) -> None:
        """One stage with what it writes."""
        match stage:
            case GraphSpec():
                self._values(stage.output, self.ends[stage.output])
                self.stages.append(Graph(stage.name, (stage.source,), (stage.output,)))
            case TailStage():
                end = self.ends[stage.source]
                neutral = self.spec.neutral.get(stage.output, Neutral())
                centres = tuple(float(value) for value in tail.centres_by_code(stage.spec))
                holds = Codes(len(centres), centres, neutral.code, neutral.value)
                self.codes[stage.output] = Tensor(stage.output, end.shape, holds)
                self.stages.append(Tail(stage.source, stage.output, (tail.quantise(stage.spec, end),)))
            case Order():
                source = self.codes[stage.source]
                self.codes[stage.output] = Tensor(stage.output, (source.items,), source.holds)
                self.stages.append(stage)
            case SelectStage():
                shape = self._image_shape()
                sizes = patches.sizes_of(self.spec, shape)
                for tensor in patches.select_tensors(stage, shape, self.spec.neutral):
                    self.codes[tensor.name] = tensor
                coders = patches.coders_of(self.spec, stage)
                self.stages.append(patches.quantise_select(stage, self.ends[stage.scores], sizes, coders))
            case PatchesStage():
                for tensor in patches.patch_tensors(stage, self._image_shape(), self.spec.neutral):
                    self.codes[tensor.name] = tensor
                self.stages.append(patches.quantise_patches(stage, self._image_shape()))
            case ModulationStage():
                self._modulate(stage)
            case ProjectionStage():
                self._project(stage)
            case NormaliseStage():
                self._values(stage.output, values.normalised(stage, self.ends[stage.source]))
                self.stages.append(values.quantise_normalise(stage, self.ends[stage.output]))
            case TokensStage():
                self._tokens(stage)

    def _image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.spec.network.input_shape[1:]
        return height, width, channels

    def _tokens(self, stage: TokensStage) -> None:
        features = self.ends[stage.source]
        symbols, levels = tokens.token_tensors(stage, features.shape, self.spec.neutral)
        self.tensors += symbols
        self.codes[levels.name] = levels
        self.stages.append(tokens.quantise_tokens(stage, features, self._calibration(stage.source)))

    def _modulate(self, stage: ModulationStage) -> None:
        source = self.ends[stage.source]
        values.check_modulation(stage, source.shape[2])
        real = self._calibration(stage.source)
        states = range(len(stage.scale))
        self.real[stage.output] = np.concatenate([values.modulate(stage, real, state) for state in states])
        self._values(stage.output, values.modulated(stage, self.real[stage.output], source))
        self.stages.append(values.quantise_modulation(stage, source, self.ends[stage.output]))

    def _calibration(self, name: str) -> NDArray[np.floating]:
        """What calibration images give, whichever states they have had."""
        if name not in self.real:
            raise ExportError(
                "a range is calibrated behind a graph or a modulation only",
                value=name,
                remedy="give the projection a reach",
            )
        return self.real[name]

    def _project(self, stage: ProjectionStage) -> None:
        source = self.ends[stage.source]
        values.check_projection(stage, source.shape[2])
        if stage.reach is None:
            reach = values.reach_of(stage, self._calibration(stage.source))
        else:
            reach = values.checked_reach(stage.reach, stage.output)
        self._values(stage.output, values.projected(stage, source, reach))
        self.stages.append(values.quantise_projection(stage, source, self.ends[stage.output]))

    def _values(self, name: str, end: Int8Output) -> None:
        self.ends[name] = end
        self.tensors.append(Tensor(name, end.shape, Values(end.scale, end.zero_point)))


def _program(
    spec: DeviceSpec, whole: Int8Graph, image_shape: tuple[int, int, int], images: NDArray[np.uint8]
) -> Program:
    calibrated = any(
        isinstance(s, ModulationStage | TokensStage) or (isinstance(s, ProjectionStage) and s.reach is None)
        for s in spec.stages
    )
    real = real_values(spec, calibration_set(images)) if calibrated else {}
    making = _Making(spec, dict(zip(spec.values, whole.outputs, strict=True)), real)
    for stage in spec.stages:
        making.add(stage)
    image = Tensor(IMAGE, image_shape, Values(1 / 255, INPUT_ZERO_POINT))
    tensors = (image, *making.tensors, *making.codes.values())
    return Program(IMAGE, tensors, tuple(making.stages), spec.payload, spec.quality, spec.controls)


def real_values(spec: DeviceSpec, images: NDArray[np.float32]) -> dict[str, NDArray[np.floating]]:
    """Images in [0, 1], and what the float network gives for them, float32 (N, ...) by tensor."""
    found = spec.network.predict(images, verbose=0)
    return {IMAGE: images} | dict(zip(spec.values, [found] if len(spec.values) == 1 else found, strict=True))


def codes_by_formula(
    spec: DeviceSpec,
    real: Mapping[str, NDArray[np.floating]],
    controls: Mapping[str, int] | None = None,
) -> dict[str, Sent]:
    """What the program would send without quantisation before its last step, by tensor, (N, ...).

    Args:
        real: Values of the tensors that graphs write, float32 (N, ...), and where patches are sent the image.
        controls: What the host set, by name.

    Returns:
        uint8 codes, and int8 values where a tensor of values has a reach of its own.
    """
    used = settle(spec.controls, controls or {})
    known, found = dict(real), dict[str, Sent]()
    for stage in spec.stages:
        match stage:
            case TailStage():
                found[stage.output] = tail.codes_by_formula(stage.spec, known[stage.source])
            case Order():
                source = found[stage.source].view(np.uint8)
                places = found[stage.saliency].view(np.uint8)
                positions = order.order(places, source.shape[-1], stage.step)
                found[stage.output] = order.sort(source, positions)
            case ModulationStage():
                state = 0 if stage.chosen_by is None else used[stage.chosen_by]
                known[stage.output] = values.modulate(stage, known[stage.source], state)
            case ProjectionStage():
                state = 0 if stage.chosen_by is None else used[stage.chosen_by]
                known[stage.output] = values.project(stage, known[stage.source], state)
                if stage.reach is not None:
                    found[stage.output] = values.to_int8(known[stage.output], stage.reach)
            case SelectStage() | PatchesStage():
                codes = {name: array.view(np.uint8) for name, array in found.items()}
                found |= patches.codes_by_formula(spec, stage, known, codes, used)
            case NormaliseStage():
                known[stage.output] = values.normalise(stage, known[stage.source])
                found[stage.output] = values.to_int8(known[stage.output], stage.reach)
            case TokensStage():
                share, choice = used[stage.share], used[stage.choice]
                found |= token_formula.codes(stage, known[stage.source], share, choice)
    return found


def sent_codes(program: Program, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Codes in the order of sending, uint8 (N, codes): what the payload is made of, one behind the other.

    Int8 values stand in two's complement, as they are sent.

    Raises:
        ExportError: A tensor of the payload is not there.
    """
    names = program.payload.sources
    missing = [name for name in names if name not in tensors]
    if missing:
        raise ExportError(
            "values that are sent need a reach of their own", value=", ".join(missing), remedy="give one"
        )
    regions = [tensors[name].view(np.uint8) for name in names]
    return np.concatenate([codes.reshape(len(codes), -1) for codes in regions], axis=1)
