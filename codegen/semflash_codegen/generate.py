"""The whole generator: request in, C text and report out."""

from __future__ import annotations

from dataclasses import replace

from semflash_codegen import c_writer, tflm
from semflash_codegen.fit import check_capacity, check_graph, check_runs
from semflash_codegen.fused.streamed import FUSED
from semflash_codegen.graph import CompiledGraph, compile_graph
from semflash_codegen.layer import CMSIS_NN, REFERENCE
from semflash_codegen.passes import make_plan
from semflash_codegen.plan import Plan
from semflash_codegen.program import place
from semflash_codegen.request import SMALL, TFLM, CodegenRequest, Generated, LayerReport, Report
from semflash_codegen.stage_text import table_bytes
from semflash_codegen.tflite_reader import read_model

_INCLUDE = '#include <string.h>\n\n#include "semflash/bench.h"\n#include "semflash/kernels.h"\n\n'


def generate(request: CodegenRequest) -> Generated:
    """Turn a device program and its int8 graphs into C for the runtime in device/.

    The text depends on the request alone.

    Raises:
        MalformedModelError, UnsupportedModelError: a model; the message names the layer.
        RequestError: program, models or names are inconsistent.
        CapacityError: the board's flash or RAM is too small; says by how much.
    """
    request.check()
    check_runs(request.program)
    if request.engine == TFLM:
        return tflm.generate(request)
    plans, graphs = list[Plan](), list[CompiledGraph]()
    for number, stage in enumerate(request.program.graphs):
        model = read_model(request.models[stage.name])
        plan = make_plan(model, request.kernels, small=request.weights == SMALL)
        check_graph(request.program, stage, plan)
        plans.append(plan)
        graphs.append(compile_graph(stage.name, f"{request.prefix}_g{number}", plan))
    memory = place(request.program, graphs)
    report = _report(request, plans, graphs, memory.size_bytes)
    check_capacity(request, report, "weights and tables", "activations")
    return Generated(
        {
            f"{request.prefix}.h": c_writer.header(graphs, request, report),
            f"{request.prefix}.c": c_writer.source(graphs, memory, request, report, _INCLUDE),
        },
        report,
    )


def _report(
    request: CodegenRequest, plans: list[Plan], graphs: list[CompiledGraph], state_bytes: int
) -> Report:
    layers, first = list[LayerReport](), 0
    for graph in graphs:
        where = f"{graph.name}/" if len(graphs) > 1 else ""
        layers += [replace(la, name=where + la.name, step=first + la.step) for la in graph.layers]
        first += graph.steps
    kernels = [layer.kernel for plan in plans for layer in plan.layers]
    runs_on = {plan.kernels for plan in plans}
    return Report(
        layers=tuple(layers),
        arena_bytes=sum(graph.arena_bytes for graph in graphs),
        state_bytes=state_bytes,
        macs=sum(layer.macs for layer in layers),
        constant_bytes=sum(graph.constant_bytes for graph in graphs) + table_bytes(request.program),
        cmsis_sources=tuple(dict.fromkeys(s for kernel in kernels for s in kernel.sources)),
        cmsis_symbols=tuple(dict.fromkeys(s for kernel in kernels for s in kernel.symbols)),
        engine=f"{request.engine}/{next(k for k in (FUSED, CMSIS_NN, REFERENCE) if k in runs_on)}",
    )
