"""The pass that lets chains in the middle of a network stream: from a tensor in the arena to another one.

What branches (a residual connection) or has no streaming form runs layer by layer; between such layers
every chain with a convolution in it becomes one call of the streaming engine, without memory for the tensors
inside.
"""

from __future__ import annotations

from dataclasses import dataclass

from semflash_codegen.fused.chain import Chain, find_chain
from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.plan import make_plan
from semflash_codegen.fused.streamed import FUSED, Streamed, StreamedLayer
from semflash_codegen.fused.writer import write
from semflash_codegen.ir import Model, Operator
from semflash_codegen.layer import Kernel, Layer


@dataclass(frozen=True)
class Segment(Layer):
    """Several layers as one kernel call."""

    parts: tuple[StreamedLayer, ...] = ()
    text: str = ""

    @property
    def symbol(self) -> str:
        """Name of the C constant that describes it."""
        return f"layer{self.index}_graph"

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tables."""
        return sum(part.table_bytes for part in self.parts)


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
        if chain is not None and any(isinstance(item, Conv) for item in chain.layers):
            result.append(_segment(model, chain, small))
        else:
            result += [
                kept[o.index] for o in model.operators[position : position + length] if o.index in kept
            ]
        position += length
    return tuple(result)


def _is_image(model: Model, op: Operator) -> bool:
    shape = model.tensors[op.inputs[0]].shape if op.inputs else ()
    return len(shape) == 4 and shape[0] == 1


def _segment(model: Model, chain: Chain, small: bool) -> Segment:
    streamed = Streamed(chain, make_plan(chain.layers, small=small))
    first = chain.operators[0]
    parts = tuple(streamed.layers())
    return Segment(
        index=first.index,
        operator=first.name,
        name=model.tensors[chain.output].name,
        inputs=(first.inputs[0],),
        output=chain.output,
        kernel=Kernel(FUSED, "sf_fused_segment", "streams", "sf_fused_segment_scratch"),
        struct="sf_fused_graph_t",
        fields=(),
        scratch_bytes=streamed.plan.state_bytes,
        macs=sum(part.macs for part in parts),
        parts=parts,
        text=write(streamed.plan, f"layer{first.index}", functions=False).text,
    )
