"""The first passes: one int8 image in, one latent out, in order; and which operators move no data."""

from __future__ import annotations

from semflash_codegen.errors import MalformedModelError, UnsupportedModelError
from semflash_codegen.ir import Model, Operator, Tensor, image_rows
from semflash_codegen.operators import ALIASES, LOWER, REWRITTEN, SUPPORTED
from semflash_codegen.schema import TensorType

_ROW_BYTES_MAX = 65535
#: What helps where the number of images is open or more than one.
BATCH_REMEDY = "set batch_size=1 in the model's Input and convert it again"
#: Operators that keep something from image to image, or hold a graph of their own.
STATEFUL = (
    "ASSIGN_VARIABLE",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "CALL_ONCE",
    "IF",
    "LSTM",
    "READ_VARIABLE",
    "RNN",
    "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "VAR_HANDLE",
    "WHILE",
)
_AROUND = "but around one convolution of stride 1 without padding of its own, as dilation"
_OF_SHAPES = "but to compute shapes that do not change"
_OF_PARTS = "with a computed axis, or parts that do not add up to its input"
_REWRITTEN_ONLY = {
    "BATCH_TO_SPACE_ND": _AROUND,
    "PACK": _OF_SHAPES,
    "SHAPE": _OF_SHAPES,
    "SPACE_TO_BATCH_ND": _AROUND,
    "SPLIT": _OF_PARTS,
    "SPLIT_V": _OF_PARTS,
}
_REWRITE_REMEDY = "change the network there; docs/codegen.md lists what each operator may do"


def validate(model: Model) -> None:
    """One int8 image in, one int8 latent out, static shapes, known operators, a file in execution order."""
    validate_ends(model)
    validate_operators(model)
    validate_order(model)


def validate_operators(model: Model) -> None:
    """Only operators that a device has; those that keep state are named as such."""
    for op in model.operators:
        if op.name in LOWER or op.name in ALIASES:
            continue
        what, remedy = f"operator {op.name} is not supported", "use " + ", ".join(SUPPORTED)
        if op.name in REWRITTEN:
            what, remedy = f"operator {op.name} is not supported {_REWRITTEN_ONLY[op.name]}", _REWRITE_REMEDY
        elif op.name in STATEFUL:
            what = f"operator {op.name} keeps state between images, or loops"
            remedy = "use a network without memory (no LSTM, GRU, SVDF or variables), or unroll it"
        if _open_batch(model):
            remedy = f"{BATCH_REMEDY}; or {remedy}"
        raise UnsupportedModelError(f"{model.layer_name(op)}: {what}", value=op.name, remedy=remedy)


def _open_batch(model: Model) -> bool:
    """Whether the number of images is open, so that the converter wrote shape arithmetic."""
    return any(model.tensors[i].signature[:1] == (-1,) for i in model.inputs)


def validate_ends(model: Model) -> None:
    """One int8 image in rows that are not too long, one int8 latent."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        names = [
            ", ".join(f"'{model.tensors[i].name}'" for i in side) for side in (model.inputs, model.outputs)
        ]
        raise UnsupportedModelError(
            f"the encoder takes {names[0]} and gives {names[1]}, but must have one input and one output",
            value=(len(model.inputs), len(model.outputs)),
            remedy="export the device graph alone: image in, latent out; Concatenate joins several outputs",
        )
    source, output = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    for role, tensor in (("input", source), ("output", output)):
        _validate_end(role, tensor)
        if len(tensor.shape) not in (2, 3, 4) or tensor.shape[0] != 1:
            raise UnsupportedModelError(
                f"the encoder's {role} must be (1, h, w, c), (1, w, c) or (1, c)",
                value=tensor.shape,
                remedy=BATCH_REMEDY if tensor.shape[:1] != (1,) else "change the network's input or output",
            )
    if image_rows(source)[1] > _ROW_BYTES_MAX:
        raise UnsupportedModelError(
            f"a row of the encoder's input is larger than {_ROW_BYTES_MAX} bytes",
            value=source.shape,
            remedy="use a smaller image",
        )


def _validate_end(role: str, tensor: Tensor) -> None:
    if tensor.dtype is TensorType.UINT8:
        raise UnsupportedModelError(
            f"the encoder's {role} is uint8, and not only at its end: the network inside is not int8",
            value="uint8",
            remedy="convert it with a converter of TensorFlow 2, which quantises to int8",
        )
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
