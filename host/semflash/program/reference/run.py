"""Run a device program in numpy: the golden device, which the C equals bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from semflash.errors import ProgramError
from semflash.program.controls import settle
from semflash.program.held import codes_held, head_of
from semflash.program.patch_checks import coders_of
from semflash.program.patch_stages import Patches, Select
from semflash.program.payload import Payloads, encode
from semflash.program.program import Program
from semflash.program.reference import falls, order, patches, select, tails, tokens
from semflash.program.reference.modulation import modulate
from semflash.program.reference.power import normalise
from semflash.program.reference.projection import project
from semflash.program.stages import Graph, Modulate, Normalise, Order, Project, Stage, Tail
from semflash.program.tensors import Codes, Tensor
from semflash.program.tokens.stages import SendTokens

Array = NDArray[np.int8] | NDArray[np.uint8]
#: Runs one model: its name and int8 inputs (M, ...) in the model's order, to its int8 outputs (M, ...).
RunGraph = Callable[[str, Sequence[NDArray[np.int8]]], Sequence[NDArray[np.int8]]]


@dataclass(frozen=True)
class Run:
    """What a device has computed for N images.

    Attributes:
        tensors: Every tensor of the program by name, (N, *shape); rows that are not live hold neutral items.
        controls: The values used, by name.
        sent: The payloads.
    """

    tensors: dict[str, Array]
    controls: dict[str, int]
    sent: Payloads


def run(
    program: Program, images: NDArray[np.int8], run_graph: RunGraph, controls: Mapping[str, int] | None = None
) -> Run:
    """Run a checked program for N images.

    Args:
        images: int8 (N, height, width, channels), pixel - 128.
        run_graph: Runs a model exactly (TFLite-Micro, or LiteRT's reference kernels).
        controls: What the host set, by name.

    Raises:
        ProgramError: Images, or what a model gives, do not fit the program, or a control is unknown.
    """
    used = settle(program.controls, controls or {})
    tensors: dict[str, Array] = {program.image: _fitting(program.tensor(program.image), images)}
    for stage in program.stages:
        for name, array in _results(program, stage, tensors, run_graph, used).items():
            tensor = program.tensor(name)
            tensors[name] = _only_live(tensor, _fitting(tensor, array), tensors)
    return Run(tensors, used, encode(program, tensors, used))


def _results(
    program: Program, stage: Stage, tensors: Mapping[str, Array], run_graph: RunGraph, used: Mapping[str, int]
) -> dict[str, Array]:
    """What one stage writes, by the name of the tensor."""
    match stage:
        case Graph():
            inputs = [tensors[name].view(np.int8) for name in stage.inputs]
            results = (_each if stage.each else _once)(stage.name, inputs, run_graph)
            if len(results) != len(stage.outputs):
                raise ProgramError(
                    f"model {stage.name} must have {len(stage.outputs)} outputs", value=len(results)
                )
            return dict(zip(stage.outputs, results, strict=True))
        case Tail():
            table = stage.tables[0 if stage.chosen_by is None else used[stage.chosen_by]]
            return {stage.output: tails.codes(tensors[stage.source].view(np.int8), table)}
        case Order():
            source = tensors[stage.source]
            positions = order.order(tensors[stage.saliency].view(np.uint8), source.shape[-1], stage.step)
            return {stage.output: order.sort(source, positions)}
        case Modulate():
            modulation = stage.tables[0 if stage.chosen_by is None else used[stage.chosen_by]]
            ends = zero_point(program, stage.source), zero_point(program, stage.output)
            return {stage.output: modulate(tensors[stage.source].view(np.int8), modulation, *ends)}
        case Project():
            projection = stage.tables[0 if stage.chosen_by is None else used[stage.chosen_by]]
            ends = zero_point(program, stage.source), zero_point(program, stage.output)
            return {stage.output: project(tensors[stage.source].view(np.int8), projection, *ends)}
        case Normalise():
            values = tensors[stage.source].view(np.int8)
            return {stage.output: normalise(values, zero_point(program, stage.source), stage.gain)}
        case Select():
            return _selected(program, stage, tensors, used)
        case Patches():
            neutral = {name: codes_held(program.tensor(name)).neutral for name in stage.outputs}
            pixels, levels = tensors[stage.image].view(np.int8), tensors[stage.levels].view(np.uint8)
            shade = None
            if not isinstance(stage.background, UnsetType):
                shade = tensors[stage.background].view(np.uint8)
            return dict(patches.codes(stage, pixels, levels, neutral, shade))
        case SendTokens():
            return _sent(program, stage, tensors, used)


def _selected(
    program: Program, stage: Select, tensors: Mapping[str, Array], used: Mapping[str, int]
) -> dict[str, Array]:
    """Levels of the patches and the background."""
    pixels = tensors[stage.image].view(np.int8)
    weights = select.weights(stage, tensors[stage.scores].view(np.int8), pixels)
    protect = head_of(program.payload).protect
    protected = protect is not None and used[protect] > 0
    sizes, rate = program.map_sizes, used[stage.rate]
    background = select.background(pixels)
    if isinstance(stage.falls, UnsetType):
        levels = select.select(weights, stage.gains, sizes, rate, protected)
    else:
        values = patches.less_background(pixels, stage.side, background)
        coders = coders_of(program, stage).coders
        found = falls.falls(stage.falls, coders, values.reshape(-1, values.shape[2]))
        worth = falls.slopes(found, sizes.levels).reshape(*weights.shape, -1) * weights[..., None]
        levels = select.select_by_worth(worth, sizes, rate, protected)
    shape = (len(pixels), *program.tensor(stage.output).shape)
    return {stage.output: levels.reshape(shape), stage.background: background}


def _sent(
    program: Program, stage: SendTokens, tensors: Mapping[str, Array], used: Mapping[str, int]
) -> dict[str, Array]:
    """Levels of the tokens, and the symbols of those that are left."""
    widths = tuple(program.tensor(name).shape[1] for name in stage.symbols)
    levels, values = tokens.run(
        stage,
        tensors[stage.source].view(np.int8),
        zero_point(program, stage.source),
        used[stage.share],
        used[stage.choice],
        widths,
    )
    return {stage.output: levels, **dict(zip(stage.symbols, values, strict=True))}


def zero_point(program: Program, name: str) -> int:
    """Of a tensor of values.

    Raises:
        ProgramError: It holds codes.
    """
    holds = program.tensor(name).holds
    if isinstance(holds, Codes):
        raise ProgramError("codes have no zero point", value=name, remedy="check the program first")
    return holds.zero_point


def _once(name: str, inputs: Sequence[NDArray[np.int8]], run_graph: RunGraph) -> Sequence[NDArray[np.int8]]:
    return run_graph(name, inputs)


def _each(name: str, inputs: Sequence[NDArray[np.int8]], run_graph: RunGraph) -> Sequence[NDArray[np.int8]]:
    """Rows as if they were images of their own."""
    images, rows = inputs[0].shape[:2]
    results = run_graph(name, [array.reshape(images * rows, *array.shape[2:]) for array in inputs])
    return [array.reshape(images, rows, *array.shape[1:]) for array in results]


def _fitting(tensor: Tensor, array: Array) -> Array:
    wanted = np.uint8 if isinstance(tensor.holds, Codes) else np.int8
    if array.dtype != wanted or array.shape[1:] != tensor.shape:
        raise ProgramError(
            f"{tensor.name} must be {np.dtype(wanted).name} (N, {', '.join(map(str, tensor.shape))})",
            value=f"{array.dtype} {array.shape}",
            remedy="look whether model and program are of the same bundle",
        )
    return array


def _only_live(tensor: Tensor, array: Array, tensors: Mapping[str, Array]) -> Array:
    """The rows that are not in use hold neutral items, so that nothing depends on what stood there."""
    if tensor.live is None:
        return array
    live = np.arange(tensor.rows) < tensors[tensor.live].reshape(len(array), 1)
    neutral = tensor.holds.neutral if isinstance(tensor.holds, Codes) else tensor.holds.zero_point
    shape = live.shape + (1,) * (array.ndim - 2)
    return np.where(live.reshape(shape), array, array.dtype.type(neutral))
