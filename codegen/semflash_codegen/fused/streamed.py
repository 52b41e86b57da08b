"""The seam to the rest of the generator: which layers leave the layer-wise plan, and their C."""

from __future__ import annotations

from dataclasses import dataclass, replace

from semflash_codegen.fused.chain import Chain, find_chain
from semflash_codegen.fused.convolution import ConvTables, depthwise_bytes
from semflash_codegen.fused.layers import Conv, Pool, Table
from semflash_codegen.fused.plan import make_plan
from semflash_codegen.fused.stages import Plan, Stage
from semflash_codegen.fused.writer import write
from semflash_codegen.ir import Model
from semflash_codegen.layer import Layer

FUSED = "fused"
_PLACE_BYTES = 8


@dataclass(frozen=True)
class StreamedLayer:
    """One operator of the chain, for the report."""

    name: str
    operator: str
    why: str
    macs: int
    table_bytes: int


@dataclass(frozen=True)
class Streamed:
    """The streaming part of a model: the chain from the image to the tensor `output`, and its plan."""

    chain: Chain
    plan: Plan

    @property
    def output(self) -> int:
        return self.chain.output

    @property
    def complete(self) -> bool:
        """Whether nothing is left for the layer-wise plan."""
        return self.chain.complete

    @property
    def state_bytes(self) -> int:
        """Bytes of the state; 8 of them remember the place in the arena of the other layers behind it."""
        return self.plan.state_bytes + (0 if self.complete else _PLACE_BYTES)

    @property
    def indices(self) -> frozenset[int]:
        """Operators that stream, by index."""
        return frozenset(op.index for op in self.chain.operators)

    def rest(self, model: Model) -> Model:
        """The model as the layer-wise plan sees it: it begins where the chain ends."""
        return replace(model, inputs=(self.chain.output,))

    def layers(self) -> list[StreamedLayer]:
        """What runs on what and why."""
        found = []
        for stage in self.plan.stages:
            for number, layer in enumerate(stage.layers):
                operator, _, name = layer.name.partition(" ")
                found.append(
                    StreamedLayer(
                        name, operator, _why(stage, number), layer.macs, _table_bytes(stage, number)
                    )
                )
        return found


def stream(model: Model, *, small: bool) -> tuple[Streamed | None, str]:
    """(the chain from the image on or None, why not more of the model streams)."""
    chain = find_chain(model)
    streamed = Streamed(chain, make_plan(chain.layers, small=small)) if chain.layers else None
    return streamed, chain.reason


def not_streamed(layers: tuple[Layer, ...], streamed: Streamed | None, reason: str) -> tuple[Layer, ...]:
    """Kernel calls that stay; the first one says why it does not stream."""
    gone = frozenset() if streamed is None else streamed.indices
    stay = [layer for layer in layers if layer.index not in gone]
    if stay:
        kernel = replace(stay[0].kernel, why=f"{stay[0].kernel.why}; not streamed: {reason}")
        stay[0] = replace(stay[0], kernel=kernel)
    return tuple(stay)


def graph_text(streamed: Streamed, prefix: str, boundary_offset: int, rows: int) -> str:
    """C of the streaming part, and of the graph's two functions.

    Args:
        prefix: what every name begins with.
        boundary_offset: where the chain's output lies in the arena of the other layers (if there are any).
        rows: of the image.
    """
    text = write(streamed.plan, f"{prefix}_fused")
    values = {
        "prefix": prefix,
        "indent": " " * len(f"static sf_status_t {prefix}_push_row("),
        "reset": text.reset,
        "push": text.push_row,
        "channels": streamed.chain.layers[-1].output.channels,
        "state": streamed.state_bytes,
        "place": streamed.state_bytes - _PLACE_BYTES,
        "offset": boundary_offset,
        "rows": rows,
    }
    return text.text + "\n" + (_ALONE if streamed.complete else _WITH_OTHERS).format(**values)


_ALONE = """\
static sf_status_t {prefix}_reset(void *state) {{
    return {reset}(state);
}}

static sf_status_t {prefix}_push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
{indent}void *context) {{
    return {push}(state, row, values, emit, context);
}}

"""

_WITH_OTHERS = """\
/* The streaming part ends in the arena of the other layers, which run after the last row. */
static sf_status_t {prefix}_collect(void *context, const int8_t *values) {{
    int8_t **next = (int8_t **)context;
    memcpy(*next, values, {channels}u);
    *next += {channels};
    return SF_OK;
}}

static sf_status_t {prefix}_reset(void *state) {{
    int8_t **next = (int8_t **)(void *)((uint8_t *)state + {place});
    *next = (int8_t *)state + {state} + {offset};
    const sf_status_t status = {reset}(state);
    return status < SF_OK ? status : {prefix}_layers_reset(state);
}}

static sf_status_t {prefix}_push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
{indent}void *context) {{
    const sf_status_t status = {push}(state, row, values, {prefix}_collect, (uint8_t *)state + {place});
    if (status < SF_OK || row + 1 < {rows}) {{
        return status;
    }}
    return {prefix}_layers_emit((int8_t *)state + {state}, emit, context);
}}

"""


def _why(stage: Stage, number: int) -> str:
    if isinstance(stage.layers[number], Table):
        return "table of 256 values"
    if stage.kind == "depthwise":
        exact = "" if stage.form else ", general requantisation"
        return f"row by row, four channels at a time{exact}"
    if isinstance(stage.layers[number], Pool) and stage.kind == "pooled":
        return "joined with the convolution before"
    if not stage.convs:
        return {"max": "running maximum, no rows kept"}.get(stage.kind, "row by row")
    tables = stage.convs[min(number, len(stage.convs) - 1)]
    how = {
        "whole": "row by row",
        "rows": f"row by row in runs of {tables.gather.run} bytes",
        "chunked": f"row by row in chunks of {tables.gather.run} bytes",
        "accumulate": "rows added to accumulators as they arrive",
        "strip": "joined with the next convolution",
        "pooled": "row by row, joined with its 2x2 maximum",
    }[stage.kind if number == 0 or stage.kind != "strip" else "accumulate"]
    return f"{how}; {tables.reason}"


def _table_bytes(stage: Stage, number: int) -> int:
    layer = stage.layers[number]
    if isinstance(layer, Table):
        return 256
    if isinstance(layer, Conv) and layer.depthwise:
        return depthwise_bytes(layer, stage.form)
    if not stage.convs or isinstance(layer, Pool):
        return 0
    tables: ConvTables = stage.convs[min(number, len(stage.convs) - 1)]
    return tables.table_bytes
