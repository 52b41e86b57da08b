"""Request -> the files of the `tflm` engine: sf_model.h, sf_model.c, sf_tflm_model.c, sf_tflm.cc."""

from __future__ import annotations

from semflash_codegen import c_writer
from semflash_codegen.c_text import array
from semflash_codegen.errors import RequestError, UnsupportedModelError
from semflash_codegen.fit import check_capacity, payload_bytes
from semflash_codegen.ir import Model
from semflash_codegen.memory_plan import place
from semflash_codegen.plan import Plan
from semflash_codegen.request import TFLM, CodegenRequest, Generated, LayerReport, Report
from semflash_codegen.schema import TensorType
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.tflm import glue
from semflash_codegen.tflm.operators import OPERATORS, convolution_symbols, macs, scratch_bytes

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
            "the engine tflm needs the arena's size as TFLite-Micro measured it", value=request.arena_bytes,
            remedy="export the bundle with semflash[train] installed",
        )  # fmt: skip
    model = read_model(request.encoder)
    operators = _operators(model)
    _validate(model)
    plan = Plan(model=model, layers=(), alias={}, arena=place([]))
    arena = arena_bytes(model, request.arena_bytes)
    objects = glue.object_bytes(len(operators))
    report = _report(request, model, operators, arena, arena + objects)
    check_capacity(request, report, "file and tables", "arena under TFLM")
    payload = payload_bytes(plan, request)
    header = c_writer.header(plan, request, report, payload)
    return Generated(
        {
            "sf_model.h": header,
            "sf_model.c": _model_c(request, report),
            "sf_tflm.h": c_writer.banner(request, "sf_tflm.h") + glue.HEADER,
            "sf_tflm_model.c": _weights_c(request),
            "sf_tflm.cc": c_writer.banner(request, "sf_tflm.cc") + glue.source(operators, arena, objects),
        },
        report,
    )


def _operators(model: Model) -> tuple[str, ...]:
    for op in model.operators:
        if op.name not in OPERATORS:
            raise UnsupportedModelError(
                f"{model.layer_name(op)}: the engine tflm does not know operator {op.name}", value=op.name,
                remedy="use " + ", ".join(OPERATORS),
            )  # fmt: skip
    if not model.operators:
        raise UnsupportedModelError("the encoder computes nothing", remedy="export the device graph")
    return tuple(dict.fromkeys(op.name for op in model.operators))


def _validate(model: Model) -> None:
    """One int8 tensor in, one out, batch 1, static."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedModelError(
            "the encoder must have one input and one output", value=(len(model.inputs), len(model.outputs)),
            remedy="export the device graph alone: image in, latent out",
        )  # fmt: skip
    for index in (model.inputs[0], model.outputs[0]):
        tensor = model.tensors[index]
        if tensor.dtype is not TensorType.INT8:
            raise UnsupportedModelError(
                f"'{tensor.name}' is not int8", value=tensor.dtype.name.lower(),
                remedy="export with full int8 quantisation",
            )  # fmt: skip
        if tensor.dynamic or len(tensor.shape) not in (2, 3, 4) or tensor.shape[0] != 1:
            raise UnsupportedModelError(
                f"'{tensor.name}' must have a static shape with batch 1", value=tensor.shape,
                remedy="export with batch size 1",
            )  # fmt: skip


def _report(
    request: CodegenRequest, model: Model, operators: tuple[str, ...], arena: int, state: int
) -> Report:
    layers = []
    for op in model.operators:
        weights = sum(len(data) for i in op.inputs if i >= 0 and (data := model.tensors[i].data) is not None)
        name = model.tensors[op.outputs[0]].name
        layers.append(LayerReport(name, op.name, ENGINE, _WHY, macs(model, op), weights, op.index))
    return Report(
        layers=tuple(layers),
        arena_bytes=arena,
        state_bytes=state,
        macs=sum(layer.macs for layer in layers),
        constant_bytes=len(request.encoder) + request.tail.table_bytes,
        cmsis_sources=(),
        cmsis_symbols=convolution_symbols(operators),
        engine=f"{ENGINE}/cmsis-nn",
        tflm_operators=operators,
    )


def _model_c(request: CodegenRequest, report: Report) -> str:
    return "".join(
        [
            c_writer.banner(request, "sf_model.c"),
            '#include "sf_model.h"\n\n#include "sf_tflm.h"\n\n',
            c_writer.GRAPH.replace("graph_reset", "sf_tflm_reset").replace(
                "graph_push_row", "sf_tflm_push_row"
            ),
            c_writer.tail_text(request),
            c_writer.model_text(report),
        ]
    )


def _weights_c(request: CodegenRequest) -> str:
    """The .tflite file as it is, aligned as flatbuffers wants it."""
    text = array("uint8_t", "sf_tflm_model", request.encoder)
    table = text.replace(
        "static const uint8_t sf_tflm_model",
        "const uint8_t sf_tflm_model",
        1,
    ).replace("] = {", "] __attribute__((aligned(16))) = {", 1)
    return c_writer.banner(request, "sf_tflm_model.c") + '#include "sf_tflm.h"\n\n' + table
