"""Plan -> sf_model.h and sf_model.c."""

from __future__ import annotations

from semflash_codegen.c_text import array, comment, define, struct
from semflash_codegen.fused.streamed import graph_text
from semflash_codegen.layer import Layer
from semflash_codegen.plan import Plan
from semflash_codegen.request import CodegenRequest, GdnTail, Report
from semflash_codegen.segments import Segment

RUNTIME_API = 1


def header(plan: Plan, request: CodegenRequest, report: Report, payload_bytes: int) -> str:
    """Text of sf_model.h: sizes, version guard, static asserts against the board."""
    constants = (
        ("ROWS", plan.rows),
        ("ROW_BYTES", plan.row_bytes),
        ("LATENT_POSITIONS", plan.latent_positions),
        ("LATENT_CHANNELS", plan.latent_channels),
        ("BITS_PER_SYMBOL", request.bits_per_symbol),
        ("PAYLOAD_BYTES", payload_bytes),
        ("STATE_BYTES", report.state_bytes),
        ("FLASH_BYTES", f"{report.constant_bytes} /* weights and tables */"),
        ("MACS", report.macs),
        ("BUNDLE_HASH", f"{request.bundle_hash32:#010x}u"),
    )
    parts = [
        banner(request, "sf_model.h"),
        '#ifndef SF_MODEL_H\n#define SF_MODEL_H\n\n#include "semflash/encoder.h"\n\n',
        f"#if SF_RUNTIME_API != {RUNTIME_API}\n"
        f'#error "generated for semflash runtime API {RUNTIME_API}: generate it again"\n#endif\n\n',
        "".join(define(f"SF_MODEL_{name}", value) for name, value in constants),
        "\n",
        _board_asserts(request),
        "extern const sf_model_t sf_model;\n\n#endif\n",
    ]
    return "".join(parts)


def source(plan: Plan, request: CodegenRequest, report: Report) -> str:
    """Text of sf_model.c: tables, the plan, the model."""
    parts = [
        banner(request, "sf_model.c"),
        '#include "sf_model.h"\n\n#include <string.h>\n\n',
        '#include "semflash/bench.h"\n#include "semflash/kernels.h"\n\n',
        *(_layer(layer) for layer in plan.layers),
        _graph(plan),
        tail_text(request),
        model_text(report),
    ]
    return "".join(parts)


def banner(request: CodegenRequest, name: str) -> str:
    return (
        f"/* {name}: made by semflash from bundle {comment(request.model_name)}. Do not edit.\n"
        f" * bundle hash {request.bundle_hash} */\n"
    )


def _board_asserts(request: CodegenRequest) -> str:
    text = ""
    for what, limit in (("FLASH", request.flash_bytes), ("STATE", request.ram_bytes)):
        if limit is not None:
            room = {"FLASH": "flash", "STATE": "RAM"}[what]
            text += (
                f"_Static_assert(SF_MODEL_{what}_BYTES <= {limit}, "
                f'"the model does not fit into the {limit} bytes of the board\'s {room}");\n'
            )
    return text + "\n" if text else ""


def _layer(layer: Layer) -> str:
    """A layer's tables and parameter struct."""
    name = f"layer{layer.index}"
    parts = [
        f"/* {name}: {layer.operator} {comment(layer.name)} on {layer.kernel.runs_on}, {layer.macs} MACs */\n"
    ]
    if isinstance(layer, Segment):
        return "".join(parts) + layer.text + "\n"
    fields = list(layer.fields)
    for table in layer.arrays:
        parts.append(array(table.ctype, f"{name}_{table.field}", table.values.reshape(-1).tolist()))
        fields.append((table.field, f"{name}_{table.field}"))
    parts.append(struct(layer.struct, name, fields))
    return "".join(parts) + "\n"


def _graph(plan: Plan) -> str:
    """The graph's functions: all layers after the last row, or what streams and then the other layers."""
    if plan.streamed is None:
        return _reset(plan, "graph_reset") + _run(plan) + _push_row(plan) + GRAPH
    if plan.streamed.complete:
        return graph_text(plan.streamed, 0) + GRAPH
    others = _reset(plan, "layers_reset") + _run(plan) + _layers_emit(plan)
    return others + graph_text(plan.streamed, plan.offset(plan.streamed.output)) + GRAPH


def _reset(plan: Plan, name: str) -> str:
    """Nothing lives from image to image; scratch is compared with what the kernels ask for on this core."""
    body = ""
    for layer in plan.layers:
        if layer.kernel.scratch_function:
            body += (
                f"    if ({layer.kernel.scratch_function}(&{layer.symbol}) > {layer.scratch_bytes}u) {{\n"
                "        return SF_ERR_MEMORY;\n    }\n"
            )
    return f"static sf_status_t {name}(void *state) {{\n    (void)state;\n{body}    return SF_OK;\n}}\n\n"


def _run(plan: Plan) -> str:
    """All layers in order, over the arena."""
    body = ""
    for step, layer in enumerate(plan.layers, plan.streamed_steps):
        inputs = [f"arena + {plan.offset(i)}" for i in layer.inputs]
        if layer.inputs_as_list:
            inputs = [f"(const int8_t *const[]){{{', '.join(inputs)}}}"]
        arguments = [f"&{layer.symbol}", *inputs, f"arena + {plan.offset(layer.output)}"]
        if layer.kernel.scratch_function:
            scratch = f"arena + {plan.scratch_offset(layer)}" if layer.scratch_bytes else "NULL"
            arguments += [scratch, f"{layer.scratch_bytes}u"]
        body += (
            f"    SF_BENCH_ENTER({step}u);\n"
            f"    status = {layer.kernel.function}({', '.join(arguments)});\n"
            "    SF_BENCH_LEAVE();\n"
            "    if (status != SF_OK) {\n        return status;\n    }\n"
        )
    head = "static sf_status_t graph_run(int8_t *arena) {\n    sf_status_t status = SF_OK;\n"
    head += "" if plan.layers else "    (void)arena;\n"
    return f"{head}{body}    return status;\n}}\n\n"


def _push_row(plan: Plan) -> str:
    """Collect rows; after the last one run the layers."""
    source_offset = plan.offset(plan.model.inputs[0])
    return (
        _layers_emit(plan)
        + f"""\
static sf_status_t graph_push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                                  void *context) {{
    int8_t *arena = (int8_t *)state;
    if (row >= SF_MODEL_ROWS) {{
        return SF_ERR_ROW;
    }}
    memcpy(arena + {source_offset} + (size_t)row * SF_MODEL_ROW_BYTES, values, SF_MODEL_ROW_BYTES);
    if (row + 1 < SF_MODEL_ROWS) {{
        return SF_OK;
    }}
    return layers_emit(arena, emit, context);
}}

"""
    )


def _layers_emit(plan: Plan) -> str:
    """Run the layers and hand out the latent vectors in raster order."""
    latent_offset = plan.offset(plan.model.outputs[0])
    return f"""\
static sf_status_t layers_emit(int8_t *arena, sf_latent_fn emit, void *context) {{
    sf_status_t status = graph_run(arena);
    const int8_t *latent = arena + {latent_offset};
    for (uint32_t i = 0; i < SF_MODEL_LATENT_POSITIONS && status == SF_OK; i++) {{
        status = emit(context, latent);
        latent += SF_MODEL_LATENT_CHANNELS;
    }}
    return status;
}}

"""


GRAPH = """\
static const sf_graph_t graph = {
    .rows = SF_MODEL_ROWS,
    .row_bytes = SF_MODEL_ROW_BYTES,
    .latent_positions = SF_MODEL_LATENT_POSITIONS,
    .latent_channels = SF_MODEL_LATENT_CHANNELS,
    .state_bytes = SF_MODEL_STATE_BYTES,
    .reset = graph_reset,
    .push_row = graph_push_row,
};

"""


def tail_text(request: CodegenRequest) -> str:
    tail = request.tail
    fields = [
        ("channels", str(tail.channels)),
        ("levels", str(tail.levels)),
        ("zero_point", str(tail.zero_point)),
    ]
    if isinstance(tail, GdnTail):
        tables = (
            ("beta", "int64_t", tail.beta),
            ("gamma", "int32_t", tail.gamma),
            ("threshold", "int32_t", tail.threshold),
        )
        text = "".join(array(ctype, f"tail_{name}", values) for name, ctype, values in tables)
        fields = [("kind", "SF_TAIL_GDN"), *fields, *((name, f"tail_{name}") for name, _, _ in tables)]
    else:
        text = array("uint8_t", "tail_table", tail.table)
        fields = [("kind", "SF_TAIL_TABLE"), *fields, ("table", "tail_table")]
    return text + struct("sf_tail_t", "tail", fields) + "\n"


def model_text(report: Report) -> str:
    fields = (
        ("runtime_api", str(RUNTIME_API)),
        ("bundle_hash", "SF_MODEL_BUNDLE_HASH"),
        ("graph", "&graph"),
        ("tail", "&tail"),
        ("payload_bytes", "SF_MODEL_PAYLOAD_BYTES"),
        ("bits_per_symbol", "SF_MODEL_BITS_PER_SYMBOL"),
        ("engine", f'"{report.engine}"'),
    )
    return struct("sf_model_t", "sf_model", fields).removeprefix("static ")
