"""The program as C: where its tensors lie in the state, its stages, regions and controls.

The structs are those of device/include/semflash/program.h, layout.h and stages.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UnsetType

from semflash.program.controls import Control
from semflash.program.layout import CountOf, Every, Exactly, OnesOf, Region, Rest
from semflash.program.patch_stages import Patches, Select
from semflash.program.program import Program
from semflash.program.stages import (
    GdnTail,
    Graph,
    Modulate,
    Normalise,
    Order,
    Project,
    Stage,
    Tail,
    inputs_of,
    outputs_of,
)
from semflash.program.tensors import Tensor
from semflash.program.tokens.stages import SendTokens
from semflash_codegen.c_text import struct, structs
from semflash_codegen.errors import RequestError
from semflash_codegen.graph import CompiledGraph
from semflash_codegen.patch_text import (
    coders_name,
    head_names,
    head_text,
    pairs_bytes,
    patches_text,
    select_bytes,
    select_text,
)
from semflash_codegen.stage_text import (
    Fields,
    Integers,
    modulate_text,
    normalise_text,
    order_text,
    project_text,
    tail_text,
)
from semflash_codegen.token_text import memory_bytes, tokens_text

RUNTIME_API = 2
_ALIGNMENT = 8
_UINT16_MAX = 65_535
_SCORES_PER_LEVEL = 16
#: SF_CONTROLS_BYTES: the request from which values hold; three values of each control, and whether one waits.
_CONTROLS_HEAD, _PER_CONTROL = 4, 7
#: In the names of constant data.
_WORDS: dict[type[Integers], str] = {
    Tail: "tail",
    Order: "order",
    Modulate: "modulate",
    Project: "project",
    Normalise: "normalise",
    Select: "select",
    Patches: "patches",
    SendTokens: "tokens",
}
_RULES = {
    Every: "SF_ITEMS_EVERY",
    CountOf: "SF_ITEMS_COUNT",
    OnesOf: "SF_ITEMS_ONES",
    Rest: "SF_ITEMS_REST",
    Exactly: "SF_ITEMS_EXACTLY",
}
_PROTECTIONS = {"none": "SF_PLAIN", "repeat-3": "SF_REPEAT_3", "hamming-7-4": "SF_HAMMING_7_4"}


@dataclass
class Memory:
    """The state that the caller lends: who has which part of it.

    Attributes:
        tensors: Offset of each kept tensor, by name.
        stages: Offset of the memory that a graph or an order works in, by the number of the stage.
        controls: Offset of the controls' values.
        size_bytes: All of it, a multiple of 8.
    """

    tensors: dict[str, int] = field(default_factory=dict)
    stages: dict[int, int] = field(default_factory=dict)
    controls: int = 0
    size_bytes: int = 0

    def take(self, size_bytes: int) -> int:
        """The offset of so many bytes more."""
        offset = self.size_bytes
        self.size_bytes += -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
        return offset


def place(program: Program, graphs: Sequence[CompiledGraph]) -> Memory:
    """Lay out the state. Graphs that read the image run interleaved, so nothing of theirs lies over anything
    else; only a selection by falls works where codes that it chooses are written afterwards."""
    memory = Memory()
    compiled = {graph.name: graph for graph in graphs}
    for number, stage in enumerate(program.stages):
        if isinstance(stage, Graph):
            memory.stages[number] = memory.take(compiled[stage.name].state_bytes)
        elif isinstance(stage, Order):
            memory.stages[number] = memory.take(2 * _scores(program, stage))
        elif isinstance(stage, Patches):
            memory.stages[number] = memory.take(pairs_bytes(program, stage))
        elif isinstance(stage, SendTokens):
            memory.stages[number] = memory.take(memory_bytes(program, stage))
    late = _written_late(program)
    for tensor in program.tensors:
        if tensor.name not in late and _is_kept(program, tensor):
            memory.tensors[tensor.name] = memory.take(tensor.items)
    _place_late(program, memory, late)
    head = _CONTROLS_HEAD if program.controls else 0
    memory.controls = memory.take(head + _PER_CONTROL * len(program.controls))
    return memory


def _has_falls(stage: Stage) -> bool:
    return isinstance(stage, Select) and not isinstance(stage.falls, UnsetType)


def _written_late(program: Program) -> tuple[str, ...]:
    """The codes of patches whose levels a selection by falls has chosen: it is done when they are written."""
    if not any(_has_falls(stage) for stage in program.stages):
        return ()
    return tuple(name for stage in program.stages if isinstance(stage, Patches) for name in stage.outputs)


def _place_late(program: Program, memory: Memory, late: Sequence[str]) -> None:
    """Codes that are written late, and the selections that work where these codes will lie."""
    start = memory.size_bytes
    ends = [start]
    for number, stage in enumerate(program.stages):
        if isinstance(stage, Select) and _has_falls(stage):
            memory.size_bytes = start
            memory.stages[number] = memory.take(select_bytes(program, stage))
            ends.append(memory.size_bytes)
    memory.size_bytes = start
    for name in late:
        memory.tensors[name] = memory.take(program.tensor(name).items)
    memory.size_bytes = max(*ends, memory.size_bytes)


def _is_kept(program: Program, tensor: Tensor) -> bool:
    """Whether a tensor lies in the state: its numbers are not used up one by one as they come."""
    if tensor.name == program.image:
        return any(isinstance(stage, Select | Patches) for stage in program.stages)
    if tensor.name in head_names(program):
        return True
    for stage in program.stages:
        match stage:
            case Select() | Patches() | SendTokens() if tensor.name in (
                *inputs_of(stage),
                *outputs_of(stage),
            ):
                return True
            case Graph() if tensor.name in stage.inputs:
                return True
            case Order() if tensor.name in (stage.saliency, stage.source, stage.output):
                return True
            case Modulate() | Project() if tensor.name == stage.output:
                return True
            case Normalise() if tensor.name in (stage.source, stage.output):
                return True
    uses = [region for region in program.payload.regions if tensor.name in _names_of(region)]
    return bool(uses) and not (uses == [program.payload.regions[0]] and _goes_by(program, uses[0]))


def _names_of(region: Region) -> tuple[str, ...]:
    match region.items:
        case CountOf(name) | OnesOf(name) | Exactly(name):
            return region.source, name
    return (region.source,)


def _goes_by(program: Program, first: Region) -> bool:
    """Whether the first region's codes can go into the payload as a graph on the image gives them."""
    tails = [s for s in program.stages if isinstance(s, Tail) and s.output == first.source]
    graphs = [g for g in program.graphs if tails and tails[0].source in g.outputs]
    return (
        not head_names(program)
        and isinstance(first.items, Every)
        and bool(graphs)
        and graphs[0].inputs == (program.image,)
    )


def _scores(program: Program, stage: Order) -> int:
    """sf_order_scores()."""
    levels = program.tensor(stage.saliency).holds.levels  # type: ignore[union-attr]
    channels = program.tensor(stage.source).shape[-1]
    return _SCORES_PER_LEVEL * (levels - 1) + stage.step * (channels - 1) + 1


def program_text(
    program: Program, graphs: Sequence[CompiledGraph], memory: Memory, prefix: str, engine: str
) -> str:
    """Everything behind the graphs, down to the constant sf_program_t `prefix`."""
    numbers = {tensor.name: number for number, tensor in enumerate(_in_order(program))}
    controls = {control.name: number for number, control in enumerate(program.controls)}
    compiled = {graph.name: (index, graph) for index, graph in enumerate(graphs)}
    given = frozenset(name for graph in program.graphs for name in graph.outputs)
    places = _Places(numbers, controls, memory, given)
    text, rows = "", list[Fields]()
    names = {
        number: f"{prefix}_{_WORDS[type(stage)]}{number}"
        for number, stage in enumerate(program.stages)
        if not isinstance(stage, Graph)
    }
    for number, stage in enumerate(program.stages):
        if isinstance(stage, Graph):
            rows.append(_graph_row(stage, number, compiled, places))
        else:
            rows.append(_row(stage, number, names[number], places))
    # A selection by falls reads the coders' tables, which stand first.
    for number in sorted(names, key=lambda each: _has_falls(program.stages[each])):
        stage = program.stages[number]
        assert not isinstance(stage, Graph)
        text += _integers_text(program, stage, number, names, places)
    tensors = [
        [("bytes", f"{tensor.items}u"), ("offset", _offset(memory, tensor))] for tensor in _in_order(program)
    ]
    regions = [_region(program, region, numbers, controls) for region in program.payload.regions]
    text += structs("sf_tensor_t", f"{prefix}_tensors", tensors)
    text += structs("sf_stage_t", f"{prefix}_stages", rows)
    text += structs("sf_region_t", f"{prefix}_regions", regions)
    text += head_text(program, f"{prefix}_head", numbers, places.choice)
    if program.controls:
        text += structs("sf_control_t", f"{prefix}_controls", [_control(c) for c in program.controls])
    return text + "\n" + _program(program, memory, prefix, engine)


@dataclass(frozen=True)
class _Places:
    """Numbers of tensors and of controls by name, the state, and the tensors that graphs give."""

    tensors: dict[str, int]
    controls: dict[str, int]
    memory: Memory
    given: frozenset[str]

    def choice(self, control: str | None) -> str:
        """The number of the control that chooses one of several sets."""
        return "SF_NONE" if control is None else str(self.controls[control])


def _graph_row(
    stage: Graph, number: int, compiled: dict[str, tuple[int, CompiledGraph]], places: _Places
) -> Fields:
    index, graph = compiled[stage.name]
    first = sum(other.steps for at, other in compiled.values() if at < index)
    ends = (places.tensors[stage.inputs[0]], places.tensors[stage.outputs[0]], str(index))
    more = [("layer", str(first)), ("state", f"{places.memory.stages[number]}u")]
    return [*_stage("GRAPH", *ends), *more, ("as.graph", f"&{graph.symbol}")]


def _integers_text(
    program: Program, stage: Integers, number: int, names: dict[int, str], places: _Places
) -> str:
    """The constant data of a stage that is no graph."""
    name = names[number]
    match stage:
        case Tail():
            return tail_text(stage, name)
        case Order():
            return order_text(program, stage, name)
        case Modulate():
            return modulate_text(program, stage, name)
        case Project():
            return project_text(program, stage, name)
        case Normalise():
            return normalise_text(program, stage, name)
        case Select():
            coders = [
                coders_name(names[at])
                for at, other in enumerate(program.stages)
                if isinstance(other, Patches) and other.levels == stage.output
            ]
            return select_text(program, stage, name, places.tensors, "".join(coders))
        case Patches():
            return patches_text(program, stage, name, places.tensors)
        case SendTokens():
            return tokens_text(program, stage, name, places.tensors, places.controls)


def _row(stage: Integers, number: int, name: str, places: _Places) -> Fields:
    """The sf_stage_t of a stage that is no graph."""
    source, output = places.tensors[_source(stage)], places.tensors[outputs_of(stage)[0]]
    of_graph = _source(stage) in places.given
    match stage:
        case Tail():
            kind = "GDN" if isinstance(stage.tables[0], GdnTail) else "TABLE"
            by = places.choice(stage.chosen_by)
            row = [*_stage(kind, source, output, by), (f"as.{kind.lower()}", name)]
            return row if of_graph else [*row, ("ops", "&sf_tail_of_values")]
        case Order():
            by = str(places.tensors[stage.saliency])
            state = ("state", f"{places.memory.stages[number]}u")
            return [*_stage("ORDER", source, output, by), state, ("as.order", f"&{name}")]
        case Modulate():
            by = places.choice(stage.chosen_by)
            ops = "&sf_modulate_of_graph" if of_graph else "&sf_modulate_of_values"
            return [*_stage("MODULATE", source, output, by), ("as.modulate", name), ("ops", ops)]
        case Project():
            by = places.choice(stage.chosen_by)
            ops = "&sf_project_of_graph" if of_graph else "&sf_project_of_values"
            return [*_stage("PROJECT", source, output, by), ("as.project", name), ("ops", ops)]
        case Normalise():
            row = [*_stage("NORMALISE", source, output, "SF_NONE"), ("as.normalise", f"&{name}")]
            return [*row, ("ops", "&sf_normalise_of_values")]
        case Select():
            row = [*_stage("SELECT", source, output, places.choice(stage.rate)), ("as.select", f"&{name}")]
            if number in places.memory.stages:
                row.append(("state", f"{places.memory.stages[number]}u"))
            return [*row, ("ops", "&sf_select_of_image")]
        case Patches():
            state = ("state", f"{places.memory.stages[number]}u")
            row = [*_stage("PATCHES", source, output, "SF_NONE"), state, ("as.patches", f"&{name}")]
            return [*row, ("ops", "&sf_patches_of_image")]
        case SendTokens():
            state = ("state", f"{places.memory.stages[number]}u")
            row = [*_stage("TOKENS", source, output, places.choice(stage.share)), state]
            return [*row, ("as.tokens", f"&{name}"), ("ops", "&sf_tokens_of_values")]


def _source(stage: Integers) -> str:
    """The tensor beside the image, or the first, that a stage reads."""
    match stage:
        case Select():
            return stage.scores
        case Patches():
            return stage.levels
        case _:
            return stage.source


def _in_order(program: Program) -> list[Tensor]:
    """The image first: it is tensor 0 in C."""
    image = program.tensor(program.image)
    return [image, *(tensor for tensor in program.tensors if tensor is not image)]


def _offset(memory: Memory, tensor: Tensor) -> str:
    return f"{memory.tensors[tensor.name]}u" if tensor.name in memory.tensors else "SF_NOT_KEPT"


def _stage(kind: str, source: int, output: int, by: str) -> Fields:
    return [
        ("kind", f"SF_STAGE_{kind}"),
        ("source", str(source)),
        ("output", str(output)),
        ("by", by),
    ]


def _region(program: Program, region: Region, numbers: dict[str, int], controls: dict[str, int]) -> Fields:
    tensor = program.tensor(region.source)
    each = tensor.items // tensor.rows
    if each > _UINT16_MAX:
        raise RequestError("a row of a region has more than 65,535 items", value=(tensor.name, each))
    told, at_least = 0, 1
    match region.items:
        case CountOf(count):
            told = numbers[count]
        case OnesOf(mask, at_least) | Exactly(mask, at_least):
            told = numbers[mask]
        case Rest(limit):
            told = controls[limit]
    return [
        ("rows", str(tensor.rows)),
        ("each", str(each)),
        ("source", str(numbers[tensor.name])),
        ("bits", str(region.bits)),
        ("items", _RULES[type(region.items)]),
        ("told_by", str(told)),
        ("at_least", str(at_least)),
        ("protection", _PROTECTIONS[region.protection]),
    ]


def _control(control: Control) -> Fields:
    return [
        ("low", str(control.low)),
        ("high", str(control.high)),
        ("standard", str(control.default)),
        ("id", str(control.id)),
        ("sticky", str(int(control.sticky))),
    ]


def _program(program: Program, memory: Memory, prefix: str, engine: str) -> str:
    macro = prefix.upper()
    fields = (
        ("runtime_api", str(RUNTIME_API)),
        ("bundle_hash", f"{macro}_BUNDLE_HASH"),
        ("rows", f"{macro}_ROWS"),
        ("row_bytes", f"{macro}_ROW_BYTES"),
        ("payload_bytes", f"{macro}_PAYLOAD_BYTES"),
        ("n_tensors", str(len(program.tensors))),
        ("n_stages", str(len(program.stages))),
        ("n_regions", str(len(program.payload.regions))),
        ("n_controls", str(len(program.controls))),
        ("state_bytes", f"{macro}_STATE_BYTES"),
        ("control_offset", f"{memory.controls}u"),
        ("tensors", f"{prefix}_tensors"),
        ("stages", f"{prefix}_stages"),
        ("regions", f"{prefix}_regions"),
        ("controls", f"{prefix}_controls" if program.controls else "NULL"),
        ("head", f"&{prefix}_head" if head_names(program) else "NULL"),
        ("engine", f'"{engine}"'),
    )
    return struct("sf_program_t", prefix, fields, shared=True)
