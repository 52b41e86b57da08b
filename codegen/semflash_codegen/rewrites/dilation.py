"""SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND are one convolution with dilation.

TensorFlow computes dilated convolutions so (Conv1D with ``dilation_rate``; Conv2D where the batch is open).
The image is dealt out to a batch of images, each of which holds every n-th row and column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash_codegen.flatbuffer import Table
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.options import fused_activation, option
from semflash_codegen.rewrites.making import Maker, options_table
from semflash_codegen.schema import Options, Padding, TensorType

_CONVOLUTIONS = {"CONV_2D": Options.CONV_2D, "DEPTHWISE_CONV_2D": Options.DEPTHWISE_CONV_2D}
_SAME_VALUES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
_FACTOR_MAX = 255
_SIDE_MAX = 65535
Pair = tuple[int, int]


@dataclass(frozen=True)
class _Pattern:
    """What was found.

    Attributes:
        operators: All of it in order, from SPACE_TO_BATCH_ND to BATCH_TO_SPACE_ND.
        convolution: The convolution among them.
        source: What goes in, (1, h, w, c) or (1, w, c).
        output: What comes out.
        dilation: Of rows and columns.
        padding: Of rows and columns, before and after; what is cropped is taken off.
    """

    operators: tuple[Operator, ...]
    convolution: Operator
    source: Tensor
    output: Tensor
    dilation: Pair
    padding: tuple[Pair, Pair]


def fold_dilation(model: Model) -> Model:
    """Replace every such chain; one that is not quite of this form stays."""
    for start in [op for op in model.operators if op.name == "SPACE_TO_BATCH_ND"]:
        pattern = _find(model, start)
        if pattern is not None:
            model = _replace(model, pattern)
    return model


def _find(model: Model, start: Operator) -> _Pattern | None:
    """The pattern that begins with an operator."""
    chain = _chain(model, start)
    convolutions = [op for op in chain if op.name in _CONVOLUTIONS]
    if len(convolutions) != 1 or chain[-1].name != "BATCH_TO_SPACE_ND" or not _plain(model, convolutions[0]):
        return None
    source, output = model.tensors[start.inputs[0]], model.tensors[chain[-1].outputs[0]]
    blocks = [_integers(model, op, 1) for op in (start, chain[-1])]
    pads, crops = _integers(model, start, 2), _integers(model, chain[-1], 2)
    dimensions = len(source.shape) - 2
    if blocks[0] != blocks[1] or dimensions not in (1, 2) or len(blocks[0]) != dimensions:
        return None
    if len(pads) != 2 * dimensions or len(crops) != 2 * dimensions or source.shape[0] != 1:
        return None
    rest = [pad - crop for pad, crop in zip(pads, crops, strict=True)]
    if min(rest) < 0 or not 1 <= min(blocks[0]) <= max(blocks[0]) <= _FACTOR_MAX:
        return None
    rest, blocks[0] = [0, 0, 0, 0][: 4 - len(rest)] + rest, [1, 1][: 2 - dimensions] + blocks[0]
    found = _Pattern(
        tuple(chain),
        convolutions[0],
        source,
        output,
        (blocks[0][0], blocks[0][1]),
        ((rest[0], rest[1]), (rest[2], rest[3])),
    )
    return found if _consistent(model, found) else None


def _chain(model: Model, start: Operator) -> list[Operator]:
    """From an operator along tensors with one reader, up to BATCH_TO_SPACE_ND or what may not be between."""
    chain = [start]
    while chain[-1].name != "BATCH_TO_SPACE_ND":
        tensor = chain[-1].outputs[0]
        readers = [op for op in model.operators if tensor in op.inputs]
        allowed = (*_CONVOLUTIONS, *_SAME_VALUES, "BATCH_TO_SPACE_ND")
        if len(readers) != 1 or tensor in model.outputs or readers[0].name not in allowed:
            break
        if readers[0].inputs[0] != tensor or readers[0] in chain:
            break
        chain.append(readers[0])
    return chain


def _plain(model: Model, op: Operator) -> bool:
    """Stride 1, no padding and no dilation of its own, weights that can be read."""
    if op.options is None or op.options_type != _CONVOLUTIONS[op.name] or len(op.inputs) < 2:
        return False
    names = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor", "padding")
    return all(option(op, name) == 1 for name in names) and op.inputs[1] >= 0


def _integers(model: Model, op: Operator, number: int) -> list[int]:
    """A constant list of int32, empty where it is none."""
    tensor = model.tensors[op.inputs[number]] if number < len(op.inputs) and op.inputs[number] >= 0 else None
    if tensor is None or tensor.data is None or tensor.dtype is not TensorType.INT32:
        return []
    return [int(v) for v in np.frombuffer(tensor.data, "<i4")]


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(1, w, c) as (1, 1, w, c)."""
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


def _consistent(model: Model, found: _Pattern) -> bool:
    """Whether shapes are those of the dilated convolution, and no quantisation changes on the way."""
    weights = model.tensors[found.convolution.inputs[1]].shape
    inner, outer = (model.tensors[i] for i in (found.convolution.inputs[0], found.convolution.outputs[0]))
    if len(weights) != 4 or len(inner.shape) != 4 or len(outer.shape) != 4:
        return False
    if found.source.quantisation != inner.quantisation or found.output.quantisation != outer.quantisation:
        return False
    batch = found.dilation[0] * found.dilation[1]
    source, output = _image(found.source.shape), _image(found.output.shape)
    for axis, (dilation, pads) in enumerate(zip(found.dilation, found.padding, strict=True), 1):
        if output[axis] != source[axis] + sum(pads) - (weights[axis] - 1) * dilation:
            return False
        if inner.shape[axis] - outer.shape[axis] != weights[axis] - 1 or source[axis] + sum(pads) > _SIDE_MAX:
            return False
    channels = (inner.shape[3], outer.shape[3]) == (source[3], output[3])
    return channels and all(_holds(tensor, batch) for tensor in (inner, outer))


def _holds(tensor: Tensor, batch: int) -> bool:
    """Whether a tensor holds so many images; where the batch is open, the file says 1."""
    return tensor.shape[0] == batch or (tensor.shape[0] == 1 and tensor.signature[:1] == (-1,))


def _replace(model: Model, found: _Pattern) -> Model:
    """One convolution: behind a PAD if its padding is not SAME, between RESHAPEs if the image is a row."""
    maker, made = Maker(model), list[Operator]()
    op, weights = found.convolution, model.tensors[found.convolution.inputs[1]].shape
    totals = [(weights[axis] - 1) * found.dilation[axis - 1] for axis in (1, 2)]
    same = found.padding == tuple((total // 2, total - total // 2) for total in totals)
    at, shape = found.source.index, _image(found.source.shape)
    if len(found.source.shape) == 3:
        at = _append(maker, made, op, "RESHAPE", at, shape)
    if not same and any(map(sum, found.padding)):
        paddings = maker.integers("paddings", [(0, 0), *found.padding, (0, 0)])
        shape = (1, *(n + sum(p) for n, p in zip(shape[1:3], found.padding, strict=True)), shape[3])
        at = _append(maker, made, op, "PAD", at, shape, paddings)
    row = len(found.output.shape) == 3
    target = found.output.index
    convolved = maker.activation(target, _image(found.output.shape)) if row else target
    padding = Padding.SAME if same else Padding.VALID
    made.append(maker.operator(op, op.name, (at, *op.inputs[1:]), convolved, _options(op, found, padding)))
    if row:
        made.append(maker.operator(op, "RESHAPE", (convolved,), target))
    kept = list[Operator]()
    for other in model.operators:
        if other is found.operators[-1]:
            kept += made
        elif not any(other is gone for gone in found.operators):
            kept.append(other)
    return maker.model(kept)


def _append(
    maker: Maker,
    made: list[Operator],
    origin: Operator,
    name: str,
    source: int,
    shape: tuple[int, ...],
    *more: int,
) -> int:
    """One more operator; the index of its output."""
    output = maker.activation(source, shape)
    made.append(maker.operator(origin, name, (source, *more), output))
    return output


def _options(op: Operator, found: _Pattern, padding: Padding) -> tuple[Options, Table]:
    """The convolution's options with the dilation."""
    more = {"depth_multiplier": option(op, "depth_multiplier")} if op.name != "CONV_2D" else {}
    return options_table(
        _CONVOLUTIONS[op.name],
        padding=padding,
        stride_h=1,
        stride_w=1,
        dilation_h_factor=found.dilation[0],
        dilation_w_factor=found.dilation[1],
        fused_activation_function=fused_activation(op),
        **more,
    )
