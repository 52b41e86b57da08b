"""Whether graphs, program and board fit."""

from __future__ import annotations

from semflash.program.patch_stages import Patches, Select
from semflash.program.program import Program
from semflash.program.stages import Graph, inputs_of, outputs_of
from semflash.program.tensors import Tensor as ProgramTensor
from semflash.program.tensors import Values
from semflash_codegen.errors import CapacityError, RequestError, UnsupportedModelError
from semflash_codegen.ir import Tensor
from semflash_codegen.plan import Plan
from semflash_codegen.request import CodegenRequest, Report

#: SF_GRAPHS_MAX of device/include/semflash/program.h.
GRAPHS_MAX = 4


def check_runs(program: Program) -> None:
    """Refuse what a program may say and the device runtime does not do yet.

    Raises:
        UnsupportedModelError: A graph runs row by row, has several inputs or outputs, or there are too many.
    """
    for graph in program.graphs:
        if graph.each or len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise UnsupportedModelError(
                f"graph {graph.name} must run once and have one input and one output on a device",
                value=(graph.inputs, graph.outputs),
                remedy="split it into several graphs",
            )
    if len(program.graphs) > GRAPHS_MAX:
        raise UnsupportedModelError(
            f"a device runs at most {GRAPHS_MAX} graphs", value=len(program.graphs), remedy="join some"
        )
    for stage in program.stages:
        if program.image in inputs_of(stage) and not isinstance(stage, Graph | Select | Patches):
            raise UnsupportedModelError(
                "on a device only graphs and the stages of patches read the image",
                value=", ".join(outputs_of(stage)),
                remedy="put a graph before the stage that writes it",
            )
    for tensor in program.tensors:
        if tensor.live is not None:
            raise UnsupportedModelError(
                "a device computes all rows of a tensor", value=tensor.name, remedy="leave its count out"
            )


def check_graph(program: Program, stage: Graph, plan: Plan) -> None:
    """Compare a model's two ends with the program's tensors.

    Raises:
        RequestError: They differ in size, scale or zero point.
    """
    source, output = program.tensor(stage.inputs[0]), program.tensor(stage.outputs[0])
    _check_end(stage, source, plan.model.tensors[plan.model.inputs[0]])
    _check_end(stage, output, plan.model.tensors[plan.model.outputs[0]])
    if (source.rows, source.items) != (plan.rows, plan.rows * plan.row_bytes):
        raise RequestError(f"graph {stage.name} takes other rows than the program gives", value=source.shape)
    if output.shape[-1] != plan.latent_channels:
        raise RequestError(
            f"graph {stage.name} gives {plan.latent_channels} channels at a time",
            value=output.shape,
            remedy="export the bundle again",
        )


def _check_end(stage: Graph, tensor: ProgramTensor, end: Tensor) -> None:
    assert isinstance(tensor.holds, Values)
    found = (end.elements, end.zero_point)
    if found != (tensor.items, tensor.holds.zero_point):
        raise RequestError(
            f"tensor {tensor.name} does not fit graph {stage.name}: elements, zero point {found}",
            value=(tensor.items, tensor.holds.zero_point),
            remedy="export the bundle again",
        )


def check_capacity(request: CodegenRequest, report: Report, constants: str, activations: str) -> None:
    """Compare what the model needs with the board; `constants` and `activations` say what takes the room.

    Raises:
        CapacityError: the board's flash or RAM is too small; says by how much.
    """
    rooms = (
        ("flash", report.constant_bytes, request.flash_bytes, constants),
        ("RAM", report.state_bytes, request.ram_bytes, activations),
    )
    for room, need, have, what in rooms:
        if have is not None and need > have:
            raise CapacityError(
                f"the model's {what} need {need} bytes of {room}, the board has {have}: "
                f"{need - have} bytes too much",
                value=need,
                remedy="use a smaller encoder or a larger board",
            )
