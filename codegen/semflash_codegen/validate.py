"""The first passes: one int8 image in, one latent out, in order; and which operators move no data."""

from __future__ import annotations

from semflash_codegen.errors import MalformedModelError, UnsupportedModelError
from semflash_codegen.ir import Model, Operator, Tensor, image_rows
from semflash_codegen.operators import ALIASES, SUPPORTED
from semflash_codegen.schema import TensorType

_ROW_BYTES_MAX = 65535


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
            "the encoder must have one input and one output",
            value=(len(model.inputs), len(model.outputs)),
            remedy="export the device graph alone: image in, latent out",
        )
    source, output = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    for role, tensor in (("input", source), ("output", output)):
        _validate_end(role, tensor)
        if len(tensor.shape) not in (2, 3, 4) or tensor.shape[0] != 1:
            raise UnsupportedModelError(
                f"the encoder's {role} must be (1, h, w, c), (1, w, c) or (1, c)",
                value=tensor.shape,
                remedy="export with batch size 1",
            )
    if image_rows(source)[1] > _ROW_BYTES_MAX:
        raise UnsupportedModelError(
            f"a row of the encoder's input is larger than {_ROW_BYTES_MAX} bytes",
            value=source.shape,
            remedy="use a smaller image",
        )


def _validate_end(role: str, tensor: Tensor) -> None:
    if tensor.dtype is not TensorType.INT8:
        raise UnsupportedModelError(
            f"the encoder's {role} is not int8",
            value=tensor.dtype.name.lower(),
            remedy="export with full int8 quantisation, inference_input_type and inference_output_type int8",
        )
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
                f"tensor '{model.tensors[i].name}' has a dynamic shape",
                value=model.tensors[i].shape,
                remedy="export with a static input shape",
            )


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
            value=(source.shape, output.shape),
            remedy="export the model again",
        )
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
