"""Tensors, operators and options that no file holds: what a rewriting pass puts into a model."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from semflash_codegen.flatbuffer import Table
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.options import FIELDS
from semflash_codegen.schema import Options, TensorType


class Maker:
    """Collects what is added to a model; nothing of the model itself changes."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tensors = list(model.tensors)
        self._next = 1 + max((op.index for op in model.operators), default=-1)

    def integers(self, name: str, values: Sequence[Sequence[int]] | Sequence[int]) -> int:
        """A constant of type int32; its index."""
        array = np.array(values, "<i4")
        return self._add(name, array.shape, TensorType.INT32, None, memoryview(array.tobytes()))

    def activation(self, like: int, shape: tuple[int, ...]) -> int:
        """A tensor with the name, type and quantisation of another and a shape of its own; its index."""
        other = self._tensors[like]
        return self._add(other.name, shape, other.dtype, other, None)

    def operator(
        self,
        origin: Operator,
        name: str,
        inputs: tuple[int, ...],
        output: int,
        options: tuple[Options, Table] | None = None,
    ) -> Operator:
        """An operator that stands for one of the file, which messages name."""
        kind, table = options if options is not None else (0, None)
        self._next += 1
        return Operator(self._next - 1, name, inputs, (output,), int(kind), table, origin=origin.number)

    def model(self, operators: Sequence[Operator]) -> Model:
        """The model with the new tensors and these operators."""
        return replace(self._model, tensors=tuple(self._tensors), operators=tuple(operators))

    def _add(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: TensorType,
        like: Tensor | None,
        data: memoryview | None,
    ) -> int:
        index = len(self._tensors)
        quantisation = None if like is None else like.quantisation
        self._tensors.append(Tensor(index, name, shape, dtype, quantisation, data, shape))
        return index


def options_table(kind: Options, **values: int) -> tuple[Options, Table]:
    """An operator's options by the names of :data:`semflash_codegen.options.FIELDS`; the others are absent.

    >>> kind, table = options_table(Options.CONV_2D, stride_w=2, dilation_w_factor=3)
    >>> table.integer(1, "<i"), table.integer(4, "<i", 1), table.integer(5, "<i", 1)
    (2, 3, 1)
    """
    numbered = {FIELDS[kind][name].number: value for name, value in values.items()}
    slots = 1 + max(numbered, default=-1)
    offsets = [4 + 4 * number if number in numbered else 0 for number in range(slots)]
    vtable = struct.pack(f"<{2 + slots}H", 4 + 2 * slots, 4 + 4 * slots, *offsets)
    body = struct.pack(f"<{slots}i", *(numbered.get(number, 0) for number in range(slots)))
    return kind, Table(vtable + struct.pack("<i", len(vtable)) + body, len(vtable))
