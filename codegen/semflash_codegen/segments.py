"""The pass that lets chains in the middle of a network stream: from a tensor in the arena to another one.

What branches (a residual connection) or has no streaming form runs layer by layer; between such layers
every chain with a convolution in it becomes one call of the streaming engine, without memory for the tensors
inside.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from itertools import accumulate

from semflash_codegen.cuts import Part, cut, multiplies
from semflash_codegen.fused.chain import Chain, find_chain
from semflash_codegen.fused.plan import make_plan
from semflash_codegen.fused.shapes import regrouped
from semflash_codegen.fused.stages import Plan, place
from semflash_codegen.fused.streamed import FUSED, Streamed, StreamedLayer
from semflash_codegen.fused.writer import write
from semflash_codegen.ir import Model, Operator
from semflash_codegen.layer import Kernel, Layer


@dataclass(frozen=True)
class Segment(Layer):
    """Several layers as one kernel call. in_place: the output may lie over the first input."""

    parts: tuple[StreamedLayer, ...] = ()
    plan: Plan | None = None
    in_place: bool = False

    def symbol(self, prefix: str) -> str:
        """Name of the C constant that describes it."""
        return f"{self.name_in_c(prefix)}_graph"

    def text(self, prefix: str) -> str:
        """The segment's tables and the constant that describes it."""
        assert self.plan is not None
        return write(self.plan, self.name_in_c(prefix), functions=False).text

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tables."""
        return sum(part.table_bytes for part in self.parts)


def shorten(
    model: Model, streamed: Streamed | None, layers: tuple[Layer, ...], *, small: bool
) -> tuple[Streamed | None, tuple[Layer, ...]]:
    """End the chain from the image on where that saves memory: what still streams, and what follows it.

    A chain up to the output stays whole: its last tensor needs no memory at all.

    Args:
        layers: all operators layer by layer.
        small: int8 weight tables.
    """
    if streamed is None or streamed.complete:
        return streamed, ()
    parts = cut(streamed.plan, begins_in_memory=False, input_dies=False)
    first = _piece(streamed.chain, streamed.plan, parts[0])
    kept = {layer.index: layer for layer in layers}
    behind = [
        call for part in parts[1:] for call in _calls(model, streamed.chain, streamed.plan, part, kept, small)
    ]
    return Streamed(first, parts[0].plan), tuple(behind)


def join(model: Model, layers: tuple[Layer, ...], *, small: bool) -> tuple[Layer, ...]:
    """Replace chains by segments. small: int8 weight tables."""
    kept = {layer.index: layer for layer in layers}
    result: list[Layer] = []
    position = 0
    while position < len(model.operators):
        op = model.operators[position]
        layer = kept.get(op.index)
        chain = find_chain(model, start=position) if layer is not None and _is_image(model, op) else None
        length = max(1, len(chain.operators)) if chain is not None else 1
        if chain is not None and multiplies(chain.layers):
            result += _segments(model, chain, position, small, kept)
        else:
            passed = model.operators[position : position + length]
            result += [kept[item.index] for item in passed if item.index in kept]
        position += length
    return tuple(result)


def _is_image(model: Model, op: Operator) -> bool:
    shape = model.tensors[op.inputs[0]].shape if op.inputs else ()
    return len(shape) == 4 and shape[0] == 1


def _segments(model: Model, chain: Chain, position: int, small: bool, kept: dict[int, Layer]) -> list[Layer]:
    """A chain from memory to memory, cut where that saves memory."""
    source = chain.operators[0].inputs[0]
    others = model.operators[position + 1 :]
    dies = source != model.outputs[0] and not any(source in op.inputs for op in others)
    plan = make_plan(chain.layers, small=small)
    parts = cut(plan, begins_in_memory=True, input_dies=dies)
    return [call for part in parts for call in _calls(model, chain, plan, part, kept, small)]


def _calls(
    model: Model, chain: Chain, plan: Plan, part: Part, kept: dict[int, Layer], small: bool
) -> list[Layer]:
    """A part as one segment, or as it was where streaming it is no use."""
    piece = _piece(chain, plan, part)
    if part.last == part.first + 1 and not multiplies(piece.layers):
        return [kept[op.index] for op in piece.operators]
    return [_segment(model, piece, part, small)]


def _piece(chain: Chain, plan: Plan, part: Part) -> Chain:
    """The part of a chain that some of its stages stand for. A PAD belongs to the layer behind it."""
    ends = list(accumulate((len(stage.layers) for stage in plan.stages), initial=0))
    begin, end = ends[part.first], ends[part.last]
    places = [i for i, op in enumerate(chain.operators) if op.name not in ("PAD", "PADV2")]
    operators = chain.operators[places[begin - 1] + 1 if begin else 0 : places[end - 1] + 1]
    reason = chain.reason or "cut to save memory"
    return Chain(chain.layers[begin:end], operators, operators[-1].outputs[0], reason)


def _segment(model: Model, chain: Chain, part: Part, small: bool) -> Segment:
    first = chain.operators[0]
    plan = part.plan
    if len(chain.layers) == 1:
        plan = place([copy(stage) for stage in make_plan([regrouped(chain.layers[0])], small=small).stages])
    parts = tuple(Streamed(chain, plan).layers())
    return Segment(
        index=first.index,
        operator=first.name,
        name=model.tensors[chain.output].name,
        inputs=(first.inputs[0],),
        output=chain.output,
        kernel=Kernel(FUSED, "sf_fused_segment", "streams", "sf_fused_segment_scratch"),
        struct="sf_fused_graph_t",
        fields=(),
        scratch_bytes=plan.state_bytes,
        macs=sum(item.macs for item in parts),
        parts=parts,
        plan=plan,
        in_place=part.in_place,
    )
