"""Request -> the files of the `tflm` engine: PREFIX.h and .c, PREFIX_tflm.h and .cc, PREFIX_tflm_model.c."""

from __future__ import annotations

from semflash_codegen import c_writer, memory_plan
from semflash_codegen.c_text import array
from semflash_codegen.errors import RequestError, UnsupportedModelError
from semflash_codegen.fit import check_capacity, check_graph
from semflash_codegen.graph import CompiledGraph
from semflash_codegen.ir import Model
from semflash_codegen.macs import macs
from semflash_codegen.plan import Plan
from semflash_codegen.program import place
from semflash_codegen.request import TFLM, CodegenRequest, Generated, LayerReport, Report
from semflash_codegen.schema import TensorType
from semflash_codegen.stage_text import table_bytes
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.tflm import glue
from semflash_codegen.tflm.operators import OPERATORS, convolution_symbols, scratch_bytes

ENGINE = TFLM
#: Added to what the host measured and to the scratch of CMSIS-NN's kernels, which the host's do not take.
MARGIN_BYTES = 1024
_ALIGN = 16
_WHY = "TFLM's interpreter; CMSIS-NN where its tree has the kernel"


def operators_of(data: bytes) -> tuple[str, ...]:
    """The distinct operators of a .tflite file in order of appearance: the resolver's list.

    Raises:
        MalformedModelError, UnsupportedModelError: the model.
    """
    return _operators(read_model(data))


def arena_bytes(model: Model, measured: int) -> int:
    """Size of the arena: measured on the host + the largest scratch of any layer + MARGIN_BYTES, aligned."""
    scratch = max(scratch_bytes(model, op) for op in model.operators)
    return -(-(measured + scratch + MARGIN_BYTES) // _ALIGN) * _ALIGN


def generate(request: CodegenRequest) -> Generated:
    """Files and report of the engine.

    Raises:
        MalformedModelError, UnsupportedModelError: the model; the message names the layer.
        RequestError: no arena was measured, or the tail does not fit.
        CapacityError: the board's flash or RAM is too small; says by how much.
    """
    request.check()
    if request.arena_bytes is None or request.arena_bytes < 0:
        raise RequestError(
            "the engine tflm needs the arena's size as TFLite-Micro measured it",
            value=request.arena_bytes,
            remedy="export the bundle with semflash[train] installed",
        )
    if len(request.program.graphs) != 1:
        raise UnsupportedModelError(
            "the engine tflm runs one graph", value=len(request.program.graphs), remedy="use the engine aot"
        )
    stage = request.program.graphs[0]
    data = request.models[stage.name]
    model = read_model(data)
    operators = _operators(model)
    _validate(model)
    plan = Plan(model=model, layers=(), alias={}, arena=memory_plan.place([]))
    check_graph(request.program, stage, plan)
    arena = arena_bytes(model, request.arena_bytes)
    graph = _graph(stage.name, f"{request.prefix}_tflm", plan, (arena, glue.object_bytes(len(operators))))
    memory = place(request.program, [graph])
    report = _report(request, graph, operators, memory.size_bytes)
    check_capacity(request, report, "file and tables", "arena under TFLM")
    tflm = graph.symbol
    names = glue.Names(tflm, request.macro, request.prefix)
    return Generated(
        {
            f"{request.prefix}.h": c_writer.header([graph], request, report),
            f"{request.prefix}.c": c_writer.source(
                [graph], memory, request, report, f'#include "{tflm}.h"\n\n'
            ),
            f"{tflm}.h": c_writer.banner(request, f"{tflm}.h") + glue.header(names),
            f"{tflm}_model.c": _weights_c(request, tflm, data),
            f"{tflm}.cc": c_writer.banner(request, f"{tflm}.cc")
            + glue.source(names, operators, graph, arena),
        },
        report,
    )


def _operators(model: Model) -> tuple[str, ...]:
    for op in model.operators:
        if op.name not in OPERATORS:
            raise UnsupportedModelError(
                f"{model.layer_name(op)}: the engine tflm does not know operator {op.name}",
                value=op.name,
                remedy="use " + ", ".join(OPERATORS),
            )
    if not model.operators:
        raise UnsupportedModelError("the encoder computes nothing", remedy="export the device graph")
    return tuple(dict.fromkeys(op.name for op in model.operators))


def _validate(model: Model) -> None:
    """One int8 tensor in, one out, batch 1, static."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedModelError(
            "the encoder must have one input and one output",
            value=(len(model.inputs), len(model.outputs)),
            remedy="export the device graph alone: image in, latent out",
        )
    for index in (model.inputs[0], model.outputs[0]):
        tensor = model.tensors[index]
        if tensor.dtype is not TensorType.INT8:
            raise UnsupportedModelError(
                f"'{tensor.name}' is not int8",
                value=tensor.dtype.name.lower(),
                remedy="export with full int8 quantisation",
            )
        if tensor.dynamic or len(tensor.shape) not in (2, 3, 4) or tensor.shape[0] != 1:
            raise UnsupportedModelError(
                f"'{tensor.name}' must have a static shape with batch 1",
                value=tensor.shape,
                remedy="export with batch size 1",
            )


def _graph(name: str, symbol: str, plan: Plan, sizes: tuple[int, int]) -> CompiledGraph:
    """The graph in the hands of TFLM's interpreter. sizes: bytes of the arena and of what lies before it."""
    model, layers = plan.model, list[LayerReport]()
    for op in model.operators:
        weights = sum(len(data) for i in op.inputs if i >= 0 and (data := model.tensors[i].data) is not None)
        tensor = model.tensors[op.outputs[0]].name
        layers.append(LayerReport(tensor, op.name, ENGINE, _WHY, macs(model, op), weights, op.index))
    return CompiledGraph(
        name=name,
        symbol=symbol,
        rows=plan.rows,
        row_bytes=plan.row_bytes,
        positions=plan.latent_positions,
        channels=plan.latent_channels,
        state_bytes=sum(sizes),
        arena_bytes=sizes[0],
        constant_bytes=0,
        layers=tuple(layers),
        write=str,
    )


def _report(
    request: CodegenRequest, graph: CompiledGraph, operators: tuple[str, ...], state_bytes: int
) -> Report:
    return Report(
        layers=graph.layers,
        arena_bytes=graph.arena_bytes,
        state_bytes=state_bytes,
        macs=sum(layer.macs for layer in graph.layers),
        constant_bytes=len(request.models[graph.name]) + table_bytes(request.program),
        cmsis_sources=(),
        cmsis_symbols=convolution_symbols(operators),
        engine=f"{ENGINE}/cmsis-nn",
        tflm_operators=operators,
    )


def _weights_c(request: CodegenRequest, tflm: str, data: bytes) -> str:
    """The .tflite file as it is, aligned as flatbuffers wants it."""
    table = array("uint8_t", f"{tflm}_model", data, shared=True, alignment=_ALIGN)
    return c_writer.banner(request, f"{tflm}_model.c") + f'#include "{tflm}.h"\n\n' + table
