"""Passes from IR to plan: validate and fold (validate.py), lower, liveness, placement; each for itself."""

from __future__ import annotations

from dataclasses import replace

from semflash_codegen.errors import CapacityError, UnsupportedModelError
from semflash_codegen.fused.streamed import FUSED, not_streamed, stream
from semflash_codegen.in_place import share
from semflash_codegen.ir import Model
from semflash_codegen.layer import AUTO, Layer
from semflash_codegen.macs import macs
from semflash_codegen.memory_plan import Buffer, place
from semflash_codegen.operators import ALIASES, LOWER, Context
from semflash_codegen.plan import Plan
from semflash_codegen.segments import join, shorten
from semflash_codegen.simplify import simplify
from semflash_codegen.validate import fold_aliases, validate

#: More than any flash this is for; bounds time and memory of the generator.
MAX_CONSTANT_BYTES = 8 << 20
MAX_ARENA_BYTES = 1 << 30


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
        layers.append(replace(LOWER[op.name](context, op), macs=macs(model, op)))
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
        streamed, behind = shorten(model, streamed, lowered, small=small)
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
