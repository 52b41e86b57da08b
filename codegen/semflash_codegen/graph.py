"""A graph of the program and its C: layers, functions, and the sf_graph_t that the program points to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from semflash_codegen.c_text import array, comment, struct
from semflash_codegen.fused.streamed import FUSED, StreamedLayer, graph_text
from semflash_codegen.layer import Layer
from semflash_codegen.plan import Plan
from semflash_codegen.request import LayerReport
from semflash_codegen.segments import Segment


@dataclass(frozen=True)
class CompiledGraph:
    """One graph, ready to be written.

    Attributes:
        name: Of the graph in the program.
        symbol: The name of its sf_graph_t, which all other names of it begin with.
        rows: Rows of its input.
        row_bytes: Bytes of one such row.
        positions: Positions of its output.
        channels: Channels of its output.
        state_bytes: RAM it works in, a multiple of 8.
        arena_bytes: The part of it that holds tensors and scratch.
        constant_bytes: Weights and tables.
        layers: For the report; steps are counted from 0.
        write: Gives its C, all but the sf_graph_t.
    """

    name: str
    symbol: str
    rows: int
    row_bytes: int
    positions: int
    channels: int
    state_bytes: int
    arena_bytes: int
    constant_bytes: int
    layers: tuple[LayerReport, ...]
    write: Callable[[], str]

    @property
    def steps(self) -> int:
        """Kernel calls and streaming stages of one image."""
        return 1 + max(layer.step for layer in self.layers)

    def text(self) -> str:
        """The graph's C."""
        fields = (
            ("rows", str(self.rows)),
            ("row_bytes", str(self.row_bytes)),
            ("latent_positions", str(self.positions)),
            ("latent_channels", str(self.channels)),
            ("state_bytes", str(self.state_bytes)),
            ("reset", f"{self.symbol}_reset"),
            ("push_row", f"{self.symbol}_push_row"),
        )
        return self.write() + struct("sf_graph_t", self.symbol, fields) + "\n"


def compile_graph(name: str, symbol: str, plan: Plan) -> CompiledGraph:
    """A planned graph of the engine aot."""
    streamed_bytes = plan.streamed.state_bytes if plan.streamed is not None else 0
    layers = _reports(plan)
    return CompiledGraph(
        name=name,
        symbol=symbol,
        rows=plan.rows,
        row_bytes=plan.row_bytes,
        positions=plan.latent_positions,
        channels=plan.latent_channels,
        state_bytes=streamed_bytes + plan.arena.size_bytes,
        arena_bytes=plan.arena.size_bytes,
        constant_bytes=sum(layer.weights_bytes for layer in layers),
        layers=layers,
        write=lambda: _text(plan, symbol),
    )


def _reports(plan: Plan) -> tuple[LayerReport, ...]:
    layers: list[LayerReport] = []
    if plan.streamed is not None:
        stages = plan.streamed.plan.stages
        steps = [step for step, stage in enumerate(stages) for _ in stage.layers]
        layers += [_streamed(part, step) for part, step in zip(plan.streamed.layers(), steps, strict=True)]
    for step, la in enumerate(plan.layers, plan.streamed_steps):
        if isinstance(la, Segment):
            layers += [_streamed(part, step) for part in la.parts]
        else:
            runs_on, why = la.kernel.runs_on, la.kernel.why
            layers.append(LayerReport(la.name, la.operator, runs_on, why, la.macs, la.weights_bytes, step))
    return tuple(layers)


def _streamed(part: StreamedLayer, step: int) -> LayerReport:
    return LayerReport(part.name, part.operator, FUSED, part.why, part.macs, part.table_bytes, step)


def _text(plan: Plan, prefix: str) -> str:
    """Layers, then the functions: all layers after the last row, or what streams and then the others."""
    layers = "".join(_layer(layer, prefix) for layer in plan.layers)
    if plan.streamed is None:
        return layers + _reset(plan, prefix, "reset") + _run(plan, prefix) + _push_row(plan, prefix)
    if plan.streamed.complete:
        return layers + graph_text(plan.streamed, prefix, 0, plan.rows)
    others = _reset(plan, prefix, "layers_reset") + _run(plan, prefix) + _layers_emit(plan, prefix)
    boundary = plan.offset(plan.streamed.output)
    return layers + others + graph_text(plan.streamed, prefix, boundary, plan.rows)


def _layer(layer: Layer, prefix: str) -> str:
    """A layer's tables and parameter struct."""
    name = layer.name_in_c(prefix)
    about = f"{layer.operator} {comment(layer.name)} on {layer.kernel.runs_on}, {layer.macs} MACs"
    text = f"/* {name}: {about} */\n"
    if isinstance(layer, Segment):
        return text + layer.text(prefix) + "\n"
    fields = list(layer.fields)
    for table in layer.arrays:
        symbol = f"{name}_{table.field.rpartition('.')[2]}"
        text += array(table.ctype, symbol, table.values.reshape(-1).tolist())
        fields.append((table.field, symbol))
    return text + struct(layer.struct, name, fields) + "\n"


def _reset(plan: Plan, prefix: str, name: str) -> str:
    """Nothing lives from image to image; scratch is compared with what the kernels ask for on this core."""
    body = ""
    for layer in plan.layers:
        if layer.kernel.scratch_function:
            asked = f"{layer.kernel.scratch_function}(&{layer.symbol(prefix)})"
            body += f"    if ({asked} > {layer.scratch_bytes}u) {{\n        return SF_ERR_MEMORY;\n    }}\n"
    head = f"static sf_status_t {prefix}_{name}(void *state) {{\n    (void)state;\n"
    return f"{head}{body}    return SF_OK;\n}}\n\n"


def _run(plan: Plan, prefix: str) -> str:
    """All layers in order, over the arena."""
    body = ""
    for step, layer in enumerate(plan.layers, plan.streamed_steps):
        inputs = [f"arena + {plan.offset(i)}" for i in layer.inputs]
        if layer.inputs_as_list:
            inputs = [f"(const int8_t *const[]){{{', '.join(inputs)}}}"]
        arguments = [f"&{layer.symbol(prefix)}", *inputs, f"arena + {plan.offset(layer.output)}"]
        if layer.kernel.scratch_function:
            scratch = f"arena + {plan.scratch_offset(layer)}" if layer.scratch_bytes else "NULL"
            arguments += [scratch, f"{layer.scratch_bytes}u"]
        body += (
            f"    SF_BENCH_ENTER({step}u);\n"
            f"    status = {layer.kernel.function}({', '.join(arguments)});\n"
            "    SF_BENCH_LEAVE();\n"
            "    if (status != SF_OK) {\n        return status;\n    }\n"
        )
    head = f"static sf_status_t {prefix}_run(int8_t *arena) {{\n    sf_status_t status = SF_OK;\n"
    head += "" if plan.layers else "    (void)arena;\n"
    return f"{head}{body}    return status;\n}}\n\n"


def _push_row(plan: Plan, prefix: str) -> str:
    """Collect rows; after the last one run the layers."""
    source_offset = plan.offset(plan.model.inputs[0])
    indent = " " * len(f"static sf_status_t {prefix}_push_row(")
    return (
        _layers_emit(plan, prefix)
        + f"""\
static sf_status_t {prefix}_push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
{indent}void *context) {{
    int8_t *arena = (int8_t *)state;
    if (row >= {plan.rows}) {{
        return SF_ERR_ROW;
    }}
    memcpy(arena + {source_offset} + (size_t)row * {plan.row_bytes}, values, {plan.row_bytes});
    if (row + 1 < {plan.rows}) {{
        return SF_OK;
    }}
    return {prefix}_layers_emit(arena, emit, context);
}}

"""
    )


def _layers_emit(plan: Plan, prefix: str) -> str:
    """Run the layers and hand out the latent vectors in raster order."""
    latent_offset = plan.offset(plan.model.outputs[0])
    return f"""\
static sf_status_t {prefix}_layers_emit(int8_t *arena, sf_latent_fn emit, void *context) {{
    sf_status_t status = {prefix}_run(arena);
    const int8_t *latent = arena + {latent_offset};
    for (uint32_t i = 0; i < {plan.latent_positions}u && status == SF_OK; i++) {{
        status = emit(context, latent);
        latent += {plan.latent_channels};
    }}
    return status;
}}

"""
