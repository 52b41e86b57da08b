"""What every operator file needs: the model, the wanted kernels, and checks that name the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semflash_codegen.errors import CodegenError, MalformedModelError, UnsupportedModelError
from semflash_codegen.flatbuffer import Table
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.layer import CMSIS_NN, REFERENCE, Kernel, Layer
from semflash_codegen.schema import Activation, Options, TensorType


@dataclass(frozen=True)
class Context:
    """The model and the request's `kernels`: "auto", "cmsis-nn" or "reference"."""

    model: Model
    kernels: str

    def label(self, op: Operator) -> str:
        """How messages call the layer."""
        return self.model.layer_name(op)

    def unsupported(self, op: Operator, what: str, value: object = None) -> CodegenError:
        """An error about the layer."""
        return UnsupportedModelError(
            f"{self.label(op)}: {what}",
            value=value,
            remedy="change the encoder; docs/codegen.md lists what each operator may do",
        )

    def options(self, op: Operator, kind: Options) -> Table:
        """The operator's options, which must be of the kind."""
        if op.options is None or op.options_type != kind:
            raise MalformedModelError(
                f"{self.label(op)} lacks its options", value=op.options_type, remedy="export the model again"
            )
        return op.options

    def activation(self, op: Operator, field: int) -> Activation:
        """The fused activation in an options field."""
        code = 0 if op.options is None else op.options.integer(field, "<b")
        if code not in Activation.__members__.values():
            raise self.unsupported(op, "unknown fused activation", code)
        return Activation(code)

    def input(self, op: Operator, number: int) -> Tensor:
        """An input that must be there."""
        if number >= len(op.inputs) or op.inputs[number] < 0:
            raise MalformedModelError(
                f"{self.label(op)} lacks input {number}", remedy="export the model again"
            )
        return self.model.tensors[op.inputs[number]]

    def int8_input(self, op: Operator, number: int) -> Tensor:
        """An int8 activation with one scale and an int8 zero point."""
        tensor = self.input(op, number)
        if tensor.data is not None:
            raise self.unsupported(op, f"input {number} is a constant", tensor.name)
        return self.int8(op, tensor)

    def int8_output(self, op: Operator) -> Tensor:
        """The one int8 output."""
        if len(op.outputs) != 1:
            raise self.unsupported(op, "more than one output", len(op.outputs))
        return self.int8(op, self.model.tensors[op.outputs[0]])

    def int8(self, op: Operator, tensor: Tensor) -> Tensor:
        """The tensor, which must be int8 with one scale and an int8 zero point."""
        if tensor.dtype is not TensorType.INT8:
            raise self.unsupported(op, f"tensor '{tensor.name}' is not int8", tensor.dtype.name.lower())
        if not -128 <= tensor.zero_point <= 127:
            raise self.unsupported(
                op, f"tensor '{tensor.name}' has a zero point outside int8", tensor.zero_point
            )
        return tensor

    def integers(self, op: Operator, number: int, what: str) -> list[int]:
        """A constant list of whole numbers (int32 or int64), such as axes or paddings, flat."""
        tensor = self.input(op, number)
        dtype = {TensorType.INT32: "<i4", TensorType.INT64: "<i8"}.get(tensor.dtype)
        if tensor.data is None or dtype is None:
            raise self.unsupported(
                op, f"{what} are not a constant of type int32 or int64", tensor.dtype.name.lower()
            )
        return [int(value) for value in np.frombuffer(tensor.data, dtype)]

    def image(self, op: Operator, tensor: Tensor) -> tuple[int, int, int]:
        """(height, width, channels) of a (1, h, w, c) tensor."""
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            raise self.unsupported(op, "tensor must be one image (1, h, w, c)", tensor.shape)
        return tensor.shape[1], tensor.shape[2], tensor.shape[3]

    def expect_shape(self, op: Operator, tensor: Tensor, shape: tuple[int, ...]) -> None:
        """The file's shape must be the one the operator's arithmetic gives."""
        if tensor.shape != shape:
            raise MalformedModelError(
                f"{self.label(op)}: shape of '{tensor.name}' should be {shape}",
                value=tensor.shape,
                remedy="export the model again",
            )

    def choose(self, operator: str, function: str, cmsis: Kernel | None) -> Kernel:
        """CMSIS-NN where it has the operator, unless the request says reference."""
        if self.kernels == REFERENCE:
            return Kernel(REFERENCE, function, "plain C, as asked for")
        if cmsis is None:
            return Kernel(REFERENCE, function, f"plain C: CMSIS-NN 4.0.0 as packaged has no int8 {operator}")
        return cmsis


#: Lowers one operator: checks and parameters in, kernel call out.
Lower = Callable[[Context, Operator], Layer]

__all__ = ["CMSIS_NN", "REFERENCE", "Context", "Lower"]
