"""Float and uint8 ends: the device takes and gives int8, and the host converts."""

from __future__ import annotations

from dataclasses import replace

from semflash_codegen.ir import Model, Operator, Quantisation, Tensor
from semflash_codegen.schema import TensorType

#: From uint8 to int8: code - 128, and the zero point with it.
UNSIGNED_OFFSET = 128


def drop_ends(model: Model) -> Model:
    """Let a model begin behind the QUANTIZE of its input and end before the conversion of its output.

    A float interface: real = scale * (value - zero point) of the tensors left at the ends. A uint8 interface
    becomes int8: codes and zero point are smaller by 128. Where its scale differs from that of the network
    inside, the QUANTIZE stays and works on int8.
    """
    operators = list(model.operators)
    inputs, outputs = model.inputs, model.outputs
    if len(inputs) == 1:
        readers = [op for op in operators if inputs[0] in op.inputs]
        if len(readers) == 1 and _only_converts(model, readers[0], "QUANTIZE", inputs, readers[0].outputs):
            operators.remove(readers[0])
            inputs = readers[0].outputs
    if len(outputs) == 1:
        writers = [op for op in operators if outputs[0] in op.outputs]
        name = "DEQUANTIZE" if model.tensors[outputs[0]].dtype is TensorType.FLOAT32 else "QUANTIZE"
        if len(writers) == 1 and _only_converts(model, writers[0], name, outputs, writers[0].inputs):
            operators.remove(writers[0])
            outputs = writers[0].inputs
    model = replace(model, operators=tuple(operators), inputs=inputs, outputs=outputs)
    return _signed(model, {*inputs, *outputs})


def _only_converts(
    model: Model, op: Operator, name: str, outside: tuple[int, ...], inside: tuple[int, ...]
) -> bool:
    """Whether an operator is the named conversion of the same numbers, with one int8 activation inside."""
    if op.name != name or len(inside) != 1 or inside[0] < 0:
        return False
    outer, inner = model.tensors[outside[0]], model.tensors[inside[0]]
    if inner.dtype is not TensorType.INT8 or inner.data is not None:
        return False
    if outer.dtype is TensorType.FLOAT32:
        return True
    return outer.dtype is TensorType.UINT8 and _shifted(outer) == inner.quantisation


def _shifted(tensor: Tensor) -> Quantisation | None:
    """The quantisation of the same real numbers in int8."""
    quant = tensor.quantisation
    if quant is None or len(quant.scales) != 1:
        return None
    return replace(quant, zero_points=(quant.zero_points[0] - UNSIGNED_OFFSET,))


def _signed(model: Model, ends: set[int]) -> Model:
    """Ends of type uint8 that only a QUANTIZE reads or writes, as int8."""
    tensors = list(model.tensors)
    for index in ends:
        tensor = tensors[index]
        users = [op for op in model.operators if index in op.inputs or index in op.outputs]
        if tensor.dtype is TensorType.UINT8 and all(op.name == "QUANTIZE" for op in users):
            tensors[index] = replace(tensor, dtype=TensorType.INT8, quantisation=_shifted(tensor))
    return replace(model, tensors=tuple(tensors))
