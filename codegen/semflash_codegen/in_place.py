"""The pass that lets a layer write its result over an input that nobody needs afterwards."""

from __future__ import annotations

from semflash_codegen.ir import Model
from semflash_codegen.layer import Layer
from semflash_codegen.segments import Segment

#: Kernels that read element i of an input of the output's size for the last time before they write element i.
_STRUCTS = (
    "sf_add_broadcast_t",
    "sf_add_t",
    "sf_clamp_t",
    "sf_linear_add_t",
    "sf_lookup_t",
    "sf_mul_t",
    "sf_prelu_t",
    "sf_softmax_t",
)


def share(model: Model, layers: tuple[Layer, ...], alias: dict[int, int]) -> dict[int, int]:
    """More aliases (tensor -> tensor whose memory it shares): elementwise layers write over dying inputs."""
    shared = dict(alias)
    last = {alias.get(i, i): step for step, layer in enumerate(layers) for i in layer.inputs}
    end = alias.get(model.outputs[0], model.outputs[0])
    for step, layer in enumerate(layers):
        root = _dying(model, layer, step, last, shared) if _may_overwrite(layer) else None
        if root is None or root == end:
            continue
        for tensor, target in shared.items():
            if target == layer.output:
                shared[tensor] = root
        shared[layer.output] = root
        last[root] = last.pop(layer.output, len(layers))
    return shared


def _may_overwrite(layer: Layer) -> bool:
    return layer.in_place if isinstance(layer, Segment) else layer.struct in _STRUCTS


def _dying(model: Model, layer: Layer, step: int, last: dict[int, int], alias: dict[int, int]) -> int | None:
    """The memory of an input that is large enough and read for the last time here, else None.

    A small input may lie in a large tensor's memory; where it is broadcast, it is read to the end.
    """
    size = model.tensors[layer.output].elements
    for i in layer.inputs:
        root = alias.get(i, i)
        large = min(model.tensors[i].elements, model.tensors[root].elements) >= size
        if large and last[root] == step:
            return root
    return None
