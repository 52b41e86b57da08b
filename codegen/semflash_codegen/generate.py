"""The whole generator: request in, C text and report out."""

from __future__ import annotations

from semflash_codegen import c_writer, tflm
from semflash_codegen.fit import check_capacity, payload_bytes
from semflash_codegen.fused.streamed import FUSED, StreamedLayer
from semflash_codegen.passes import make_plan
from semflash_codegen.plan import Plan
from semflash_codegen.request import SMALL, TFLM, CodegenRequest, Generated, LayerReport, Report
from semflash_codegen.segments import Segment
from semflash_codegen.tflite_reader import read_model


def generate(request: CodegenRequest) -> Generated:
    """Turn an int8 encoder and its device tail into C for the runtime in device/.

    The text depends on the request alone.

    Raises:
        MalformedModelError, UnsupportedModelError: the model; the message names the layer.
        RequestError: tail, bits or names are inconsistent.
        CapacityError: the board's flash or RAM is too small; says by how much.
    """
    request.check()
    if request.engine == TFLM:
        return tflm.generate(request)
    plan = make_plan(read_model(request.encoder), request.kernels, small=request.weights == SMALL)
    payload = payload_bytes(plan, request)
    report = _report(plan, request)
    check_capacity(request, report, "weights and tables", "activations")
    return Generated(
        {
            "sf_model.h": c_writer.header(plan, request, report, payload),
            "sf_model.c": c_writer.source(plan, request, report),
        },
        report,
    )


def _report(plan: Plan, request: CodegenRequest) -> Report:
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
    sources = dict.fromkeys(s for la in plan.layers for s in la.kernel.sources)
    symbols = dict.fromkeys(s for la in plan.layers for s in la.kernel.symbols)
    streamed_bytes = plan.streamed.state_bytes if plan.streamed is not None else 0
    return Report(
        layers=tuple(layers),
        arena_bytes=plan.arena.size_bytes,
        state_bytes=streamed_bytes + plan.arena.size_bytes,
        macs=sum(la.macs for la in layers),
        constant_bytes=sum(la.weights_bytes for la in layers) + request.tail.table_bytes,
        cmsis_sources=tuple(sources),
        cmsis_symbols=tuple(symbols),
        engine=f"{request.engine}/{plan.kernels}",
    )


def _streamed(part: StreamedLayer, step: int) -> LayerReport:
    return LayerReport(part.name, part.operator, FUSED, part.why, part.macs, part.table_bytes, step)
