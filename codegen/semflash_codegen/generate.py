"""The whole generator: request in, C text and report out."""

from __future__ import annotations

from semflash_codegen import c_writer
from semflash_codegen.errors import CapacityError, RequestError
from semflash_codegen.fused.streamed import FUSED
from semflash_codegen.passes import make_plan
from semflash_codegen.plan import Plan
from semflash_codegen.request import SMALL, CodegenRequest, Generated, LayerReport, Report
from semflash_codegen.tflite_reader import read_model

_UINT16_MAX = 65535


def generate(request: CodegenRequest) -> Generated:
    """Turn an int8 encoder and its device tail into C for the runtime in device/.

    The text depends on the request alone.

    Raises:
        MalformedModelError, UnsupportedModelError: the model; the message names the layer.
        RequestError: tail, bits or names are inconsistent.
        CapacityError: the board's flash or RAM is too small; says by how much.
    """
    request.check()
    plan = make_plan(read_model(request.encoder), request.kernels, small=request.weights == SMALL)
    payload_bytes = _payload_bytes(plan, request)
    report = _report(plan, request)
    _check_capacity(request, report)
    return Generated(
        {
            "sf_model.h": c_writer.header(plan, request, report, payload_bytes),
            "sf_model.c": c_writer.source(plan, request, report),
        },
        report,
    )


def _payload_bytes(plan: Plan, request: CodegenRequest) -> int:
    """Size of the packed codes; checks that tail and latent fit."""
    output = plan.model.tensors[plan.model.outputs[0]]
    if (request.tail.channels, request.tail.zero_point) != (plan.latent_channels, output.zero_point):
        raise RequestError(
            f"the tail does not fit the encoder's output ({plan.latent_channels} channels, zero point "
            f"{output.zero_point})",
            value=(request.tail.channels, request.tail.zero_point),
            remedy="export the bundle again",
        )
    payload = -(-plan.latent_positions * plan.latent_channels * request.bits_per_symbol // 8)
    if plan.latent_positions > _UINT16_MAX or payload > _UINT16_MAX:
        raise RequestError(
            f"the payload is larger than {_UINT16_MAX} bytes", value=payload, remedy="use a smaller latent"
        )
    return payload


def _report(plan: Plan, request: CodegenRequest) -> Report:
    streamed = plan.streamed.layers() if plan.streamed is not None else []
    layers = [LayerReport(la.name, la.operator, FUSED, la.why, la.macs, la.table_bytes) for la in streamed]
    layers += [
        LayerReport(la.name, la.operator, la.kernel.runs_on, la.kernel.why, la.macs, la.weights_bytes)
        for la in plan.layers
    ]
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


def _check_capacity(request: CodegenRequest, report: Report) -> None:
    rooms = (
        ("flash", report.constant_bytes, request.flash_bytes, "weights and tables"),
        ("RAM", report.state_bytes, request.ram_bytes, "activations"),
    )
    for room, need, have, what in rooms:
        if have is not None and need > have:
            raise CapacityError(
                f"the model's {what} need {need} bytes of {room}, the board has {have}: "
                f"{need - have} bytes too much",
                value=need, remedy="use a smaller encoder or a larger board",
            )  # fmt: skip
