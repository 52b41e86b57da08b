"""Passes from IR to plan: validate, fold, lower, liveness, placement. Each can be run and tested alone."""

from __future__ import annotations

from semflash_codegen.errors import CapacityError, MalformedModelError, UnsupportedModelError
from semflash_codegen.fused.streamed import FUSED, not_streamed, stream
from semflash_codegen.in_place import share
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.layer import AUTO, Layer
from semflash_codegen.memory_plan import Buffer, place
from semflash_codegen.operators import ALIASES, LOWER, SUPPORTED, Context
from semflash_codegen.plan import Plan, image_rows
from semflash_codegen.schema import TensorType
from semflash_codegen.segments import join, shorten
from semflash_codegen.simplify import simplify

_ROW_BYTES_MAX = 65535
#: More than any flash this is for; bounds time and memory of the generator.
MAX_CONSTANT_BYTES = 8 << 20
MAX_ARENA_BYTES = 1 << 30


def validate(model: Model) -> None:
    """One int8 image in, one int8 latent out, static shapes, known operators, a file in execution order."""
    validate_ends(model)
    for op in model.operators:
        if op.name not in SUPPORTED:
            raise UnsupportedModelError(
                f"{model.layer_name(op)}: operator {op.name} is not supported",
                value=op.name,
                remedy="use " + ", ".join(SUPPORTED),
            )
    validate_order(model)


def validate_ends(model: Model) -> None:
    """One int8 image in rows that are not too long, one int8 latent."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedModelError(
            "the encoder must have one input and one output", value=(len(model.inputs), len(model.outputs)),
            remedy="export the device graph alone: image in, latent out",
        )  # fmt: skip
    source, output = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    for role, tensor in (("input", source), ("output", output)):
        _validate_end(role, tensor)
        if len(tensor.shape) not in (2, 3, 4) or tensor.shape[0] != 1:
            raise UnsupportedModelError(
                f"the encoder's {role} must be (1, h, w, c), (1, w, c) or (1, c)",
                value=tensor.shape, remedy="export with batch size 1",
            )  # fmt: skip
    if image_rows(source)[1] > _ROW_BYTES_MAX:
        raise UnsupportedModelError(
            f"a row of the encoder's input is larger than {_ROW_BYTES_MAX} bytes",
            value=source.shape, remedy="use a smaller image",
        )  # fmt: skip


def _validate_end(role: str, tensor: Tensor) -> None:
    if tensor.dtype is not TensorType.INT8:
        raise UnsupportedModelError(
            f"the encoder's {role} is not int8", value=tensor.dtype.name.lower(),
            remedy="export with full int8 quantisation, inference_input_type and inference_output_type int8",
        )  # fmt: skip
    if tensor.data is not None:
        raise MalformedModelError(
            f"the encoder's {role} is a constant", value=tensor.name, remedy="export the model again"
        )
    if not -128 <= tensor.zero_point <= 127:
        raise MalformedModelError(
            f"the zero point of the encoder's {role} is outside int8", value=tensor.zero_point
        )


def validate_order(model: Model) -> None:
    """Every activation is written once, before it is read; none is dynamic, all are int8."""
    written = {model.inputs[0]}
    for op in model.operators:
        for i in op.inputs:
            if i >= 0 and model.tensors[i].data is None and i not in written:
                raise MalformedModelError(
                    f"{model.layer_name(op)} reads '{model.tensors[i].name}' before it is written",
                    remedy="export the model again",
                )
        for i in op.outputs:
            tensor = model.tensors[i]
            if i in written or tensor.data is not None:
                raise MalformedModelError(
                    f"{model.layer_name(op)} overwrites '{tensor.name}'", remedy="export the model again"
                )
            written.add(i)
    if model.outputs[0] not in written or not model.operators:
        raise MalformedModelError("no layer writes the encoder's output", remedy="export the model again")
    for i in sorted(written):
        if model.tensors[i].dynamic:
            raise UnsupportedModelError(
                f"tensor '{model.tensors[i].name}' has a dynamic shape", value=model.tensors[i].shape,
                remedy="export with a static input shape",
            )  # fmt: skip


def fold_aliases(model: Model) -> dict[int, int]:
    """RESHAPE moves no data: output tensor -> the tensor whose memory it shares."""
    alias: dict[int, int] = {}
    for op in model.operators:
        if op.name not in ALIASES:
            continue
        source, output = _alias_pair(model, op)
        alias[output] = alias.get(source, source)
    return alias


def _alias_pair(model: Model, op: Operator) -> tuple[int, int]:
    if not op.inputs or op.inputs[0] < 0 or len(op.outputs) != 1:
        raise MalformedModelError(f"{model.layer_name(op)} has no input", remedy="export the model again")
    source, output = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    if (
        source.elements != output.elements
        or source.dtype is not TensorType.INT8
        or output.dtype is not TensorType.INT8
    ):
        raise MalformedModelError(
            f"{model.layer_name(op)}: input and output differ in type or number of elements",
            value=(source.shape, output.shape), remedy="export the model again",
        )  # fmt: skip
    if source.data is not None:
        raise UnsupportedModelError(
            f"{model.layer_name(op)}: reshapes a constant", remedy="export the model again"
        )
    if source.quantisation != output.quantisation:
        raise UnsupportedModelError(
            f"{model.layer_name(op)}: input and output differ in quantisation",
            remedy="export the model again",
        )
    return source.index, output.index


def lower(model: Model, kernels: str) -> tuple[Layer, ...]:
    """Operators that move data, as kernel calls."""
    context = Context(model, kernels)
    layers: list[Layer] = []
    room = MAX_CONSTANT_BYTES
    for op in model.operators:
        if op.name in ALIASES:
            continue
        room -= sum(
            model.tensors[i].elements for i in op.inputs if i >= 0 and model.tensors[i].data is not None
        )
        if room < 0:
            raise CapacityError(
                f"the model's constants need more than {MAX_CONSTANT_BYTES} bytes",
                value=model.layer_name(op),
                remedy="use a smaller encoder",
            )
        layers.append(LOWER[op.name](context, op))
    if not layers:
        raise UnsupportedModelError("the encoder computes nothing", remedy="export the device graph")
    return tuple(layers)


def liveness(model: Model, layers: tuple[Layer, ...], alias: dict[int, int]) -> list[Buffer]:
    """Buffers with the steps (0, 1, ... in the order of layers) in which they are needed.

    The input is filled before step 0 and the output is read after the last step.
    """
    source, output = model.inputs[0], alias.get(model.outputs[0], model.outputs[0])
    first, last = {source: -1}, {source: -1}
    for step, layer in enumerate(layers):
        for i in layer.inputs:
            last[alias.get(i, i)] = step
        target = alias.get(layer.output, layer.output)
        first.setdefault(target, step)
        last[target] = step
    last[output] = len(layers)
    buffers = [Buffer(tensor_key(i), model.tensors[i].elements, first[i], last[i]) for i in sorted(first)]
    for step, layer in enumerate(layers):
        if layer.scratch_bytes:
            buffers.append(Buffer(scratch_key(layer), layer.scratch_bytes, step, step))
    return buffers


def tensor_key(index: int) -> str:
    """Name of a tensor's buffer in the arena."""
    return f"tensor{index}"


def scratch_key(layer: Layer) -> str:
    """Name of a layer's scratch in the arena."""
    return f"scratch{layer.index}"


def make_plan(model: Model, kernels: str, *, small: bool = False) -> Plan:
    """All passes in order. small: int8 weight tables in streaming kernels."""
    model = simplify(model)
    validate(model)
    alias = fold_aliases(model)
    lowered = layers = lower(model, AUTO if kernels == FUSED else kernels)
    streamed = None
    rest = model
    if kernels in (AUTO, FUSED):
        streamed, reason = stream(model, small=small)
        layers = not_streamed(layers, streamed, reason)
        streamed, behind = shorten(model, streamed, lowered)
        rest = model if streamed is None else streamed.rest(model)
        layers = (*behind, *join(model, layers, small=small))
        if kernels == FUSED and streamed is None and all(layer.kernel.runs_on != FUSED for layer in layers):
            raise UnsupportedModelError(
                f"no layer can stream: {reason}", remedy='build with kernels "auto" or "cmsis-nn"'
            )
    alias = share(model, layers, alias)
    arena = place([] if streamed is not None and streamed.complete else liveness(rest, layers, alias))
    if arena.size_bytes > MAX_ARENA_BYTES:
        raise CapacityError(
            f"the model's activations need more than {MAX_ARENA_BYTES} bytes",
            value=arena.size_bytes,
            remedy="use a smaller encoder",
        )
    return Plan(model, layers, alias, arena, streamed)
