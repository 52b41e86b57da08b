"""C text of a streaming plan: tables, layer descriptions, stages, and the two functions of sf_graph_t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semflash_codegen.fused import depthwise
from semflash_codegen.fused.assembly import FINISHED, function_text, kernel_name, kernels, strip_kernel
from semflash_codegen.fused.convolution import (
    STORES,
    ConvTables,
    requantisation,
)
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.layers import Conv, Pool, Table
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.stages import RUN, Plan, Stage

_PER_LINE = 8


@dataclass(frozen=True)
class FusedC:
    """Text of one streaming graph; reset and push_row are the names of its two functions."""

    text: str
    reset: str
    push_row: str
    state_bytes: int


def write(plan: Plan, prefix: str = "fused", *, functions: bool = True) -> FusedC:
    """The C text of a plan, with or without its two functions. Same plan, same bytes."""
    parts = ['#include "semflash/fused.h"\n']
    for index, stage in enumerate(plan.stages):
        parts.append(_stage_text(stage, f"{prefix}_s{index}"))
    parts.append(_graph_text(plan, prefix))
    if functions:
        parts.append(_functions_text(prefix))
    return FusedC("\n".join(parts), f"{prefix}_reset", f"{prefix}_push_row", plan.state_bytes)


def words(name: str, values: Sequence[int]) -> str:
    """A const table of 32-bit words."""
    lines = [
        "    " + ", ".join(f"0x{value & 0xFFFFFFFF:08X}u" for value in values[at : at + _PER_LINE]) + ","
        for at in range(0, len(values), _PER_LINE)
    ]
    return f"static const uint32_t {name}[{len(values)}] = {{\n" + "\n".join(lines) + "\n};\n"


def integers(name: str, kind: str, values: Sequence[int]) -> str:
    """A const table of signed integers."""
    texts = [f"{value}" if value > -(1 << 31) else "INT32_MIN" for value in values]
    lines = [
        "    " + ", ".join(texts[at : at + 2 * _PER_LINE]) + "," for at in range(0, len(texts), 2 * _PER_LINE)
    ]
    return f"static const {kind} {name}[{len(values)}] = {{\n" + "\n".join(lines) + "\n};\n"


def _stage_text(stage: Stage, name: str) -> str:
    comment = " + ".join(layer.name for layer in stage.layers)
    parts = [f"/* {comment}: {stage.kind} */"]
    if isinstance(stage.layers[0], Table):
        values = [(int(v) + 128) & 0xFF for v in stage.layers[0].values]
        parts.append(integers(f"{name}_layer", "uint8_t", values))
    elif isinstance(stage.layers[0], Pool):
        parts.append(_pool(stage.layers[0], name))
    elif stage.kind == "depthwise":
        parts.append(_depthwise(stage, name))
    elif stage.kind == "strip":
        first_conv, second_conv = stage.convs
        parts += [
            _conv(first_conv, f"{name}_first", joined=True),
            _conv(second_conv, f"{name}_second", joined=True),
        ]
        parts.append(strip_kernel(first_conv, second_conv, name))
        second = stage.layers[1]
        assert isinstance(second, Conv)
        parts.append(
            f"static const sf_fused_strip_t {name}_layer = {{\n"
            f"    SF_FUSED_KERNEL({name}_kernel, sf_fused_strip_c), &{name}_first, &{name}_second, "
            f"{second.output.height}u, {second.window.kernel[1]}u}};\n"
        )
    else:
        parts.append(_conv(stage.convs[0], f"{name}_layer"))
    return "\n".join(parts)


def _requant(layer: Conv, form: CheapForm | ExactForm | None, name: str, cheap: str) -> tuple[str, str]:
    """(tables, initialiser) of an sf_fused_requant_t."""
    zero, low, high = layer.output_zero + 128, layer.low + 128, layer.high + 128
    if form is not None:
        mixed = isinstance(form, ExactForm)
        shift = form.shift if isinstance(form, ExactForm) else form.s
        flags = f"0u, {int(form.signed)}u, {shift}u, {int(mixed)}u"
        return "", f"{{{flags}, {low}u, {high}u, {zero}, 0, 0, {cheap}}}"
    spec = requantisation(layer)
    tables = integers(f"{name}_multiplier", "int32_t", [int(v) for v in spec.multiplier])
    tables += integers(f"{name}_exponent", "int8_t", [max(int(v), -62) for v in spec.shift])
    flags = "1u, 0u, 0u, 0u"
    return tables, f"{{{flags}, {low}u, {high}u, {zero}, {name}_multiplier, {name}_exponent, 0}}"


def _conv(tables: ConvTables, name: str, *, joined: bool = False) -> str:
    layer = tables.layer
    text = kernels(tables, name, joined=joined) + words(f"{name}_weights", tables.weights)
    cheap = bias = "0"
    if tables.bias:
        bias = f"{name}_bias"
        text += integers(bias, "int32_t", tables.bias)
    if tables.coefficients:
        cheap = f"{name}_coefficients"
        text += words(cheap, tables.coefficients)
    more, requant = _requant(layer, tables.form, name, cheap)
    twins = {"whole": "sf_fused_conv_c", "rows": "sf_fused_rows_c", "quads": "sf_fused_quads_c"}
    twin = twins.get(tables.mode, "sf_fused_accumulate_c")
    kernel = "0" if joined else f"SF_FUSED_KERNEL({kernel_name(name, tables.mode)}, {twin})"
    finish = "0"
    if tables.mode not in FINISHED:
        cheap_finish = f"SF_FUSED_KERNEL({kernel_name(name, 'finish')}, sf_fused_finish_c)"
        finish = cheap_finish if tables.form is not None else "sf_fused_finish_general"
    fields = {
        "kernel": kernel,
        "finish": finish,
        "weights": f"{name}_weights",
        "bias": bias,
        "chunk_words": f"{tables.chunk_words}u",
        "weight_words": f"{len(tables.weights)}u",
        "steps": f"{tables.gather.steps}u",
        "padding": f"{tables.steps - tables.gather.steps}u",
        "groups": f"{tables.group_count}u",
        "out_channels": f"{layer.output.channels}u",
        "out_width": f"{tables.out_width or layer.output.width}u",
        "out_rows": f"{layer.output.height}u",
        "run_bytes": f"{tables.gather.run}u",
        "column_bytes": f"{layer.window.stride[1] * layer.source.channels}u",
        "kernel_rows": f"{layer.window.kernel[0]}u",
        "chunks": f"{tables.chunks}u",
        "gain": f"{tables.gain}u",
        "store": f"{STORES.index(tables.store)}u",
        "pixels": "4u" if tables.mode == "quads" else "2u",
        "requant": requant,
    }
    return text + more + _struct("sf_fused_conv_t", name, fields)


def _depthwise(stage: Stage, name: str) -> str:
    layer = stage.layers[0]
    assert isinstance(layer, Conv)
    weights = depthwise.table(layer, stage.form)
    text = words(f"{name}_weights", weights)
    kernel = "sf_fused_depthwise_c"
    pixels = depthwise.pixels_at_once(layer, stage.form)
    if stage.form is not None and pixels:
        function = function_text(
            f"{name}_kernel", depthwise.kernel(layer, stage.form), layer="sf_fused_depthwise_t"
        )
        text += f"#if SF_FUSED_ASSEMBLY\n{function}#endif\n"
        kernel = f"SF_FUSED_KERNEL({name}_kernel, sf_fused_depthwise_c)"
    more, requant = _requant(layer, stage.form, name, "0")
    fields = {
        "kernel": kernel,
        "weights": f"{name}_weights",
        "weight_words": f"{len(weights)}u",
        "channels": f"{layer.output.channels}u",
        "in_channels": f"{layer.source.channels}u",
        "out_width": f"{layer.output.width}u",
        "column_bytes": f"{layer.window.stride[1] * layer.source.channels}u",
        "kernel_rows": f"{layer.window.kernel[0]}u",
        "kernel_columns": f"{layer.window.kernel[1]}u",
        "multiplier": f"{layer.output.channels // layer.source.channels}u",
        "pixels": f"{max(pixels, 1)}u",
        "requant": requant,
    }
    return text + more + _struct("sf_fused_depthwise_t", f"{name}_layer", fields)


def _pool(layer: Pool, name: str) -> str:
    window = layer.window
    fields = {
        "channels": layer.source.channels,
        "in_width": layer.source.width,
        "in_rows": layer.source.height,
        "out_width": layer.output.width,
        "kernel_rows": window.kernel[0],
        "kernel_columns": window.kernel[1],
        "stride_rows": window.stride[0],
        "stride_columns": window.stride[1],
        "pad_top": window.top,
        "pad_left": window.left,
        "count_padding": int(layer.explicit_padding),
        "low": layer.low + 128,
        "high": layer.high + 128,
    }
    return _struct("sf_fused_pool_t", f"{name}_layer", {key: f"{value}u" for key, value in fields.items()})


def _struct(kind: str, name: str, fields: dict[str, str]) -> str:
    inside = "\n".join(f"    .{key} = {value}," for key, value in fields.items())
    return f"static const {kind} {name} = {{\n{inside}\n}};\n"


def _graph_text(plan: Plan, prefix: str) -> str:
    rows = []
    for index, stage in enumerate(plan.stages):
        layer = f"{prefix}_s{index}_layer"
        reference = layer if stage.kind == "table" else f"&{layer}"
        last = stage.layers[-1].output
        numbers = (
            stage.ring,
            stage.scratch,
            stage.pitch,
            stage.left,
            stage.source_row_bytes,
            stage.layers[0].source.height,
            last.height,
            stage.slots,
            stage.kernel_rows,
            stage.stride_rows,
            stage.pad_top,
            stage.pad_bottom,
            stage.pad_value,
            stage.spill,
        )
        table, words_in_ram = "NULL", 0
        if stage.table:
            table = f"{prefix}_s{index}_{'first' if stage.kind == 'strip' else 'layer'}_weights"
            words_in_ram = len(stage.convs[0].weights)
        copied = f"{table}, {stage.table}u, {words_in_ram}u"
        rows.append(f"    {{{RUN[stage.kind]}, {reference}, {copied}, {_numbers(numbers)}}},")
    latent = plan.stages[-1].layers[-1].output
    first = plan.stages[0]
    return (
        f"static const sf_fused_stage_t {prefix}_stages[{len(rows)}] = {{\n" + "\n".join(rows) + "\n};\n\n"
        f"static const sf_fused_graph_t {prefix}_graph = {{\n"
        f"    {prefix}_stages, {len(rows)}u, {plan.state_bytes}u, {plan.latent}u,\n"
        f"    {first.source_row_bytes}u, {latent.width}u, {latent.channels}u,\n}};\n"
    )


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(f"{value}u" for value in values)


def _functions_text(prefix: str) -> str:
    return (
        f"static sf_status_t {prefix}_reset(void *state) {{\n"
        f"    return sf_fused_reset(&{prefix}_graph, state);\n}}\n\n"
        f"static sf_status_t {prefix}_push_row(void *state, uint16_t row, const int8_t *values,\n"
        f"                                     sf_latent_fn emit, void *context) {{\n"
        f"    return sf_fused_push_row(&{prefix}_graph, state, row, values, emit, context);\n}}\n"
    )
