"""Tensors, constants and names of a .tflite file, as layers are made of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from semflash.errors import TrainingError
from semflash_codegen.ir import Tensor
from semflash_codegen.schema import TensorType
from semflash_codegen.tflite_reader import COMPUTER, read_model

_DTYPES: dict[TensorType, type[np.generic]] = {
    TensorType.FLOAT32: np.float32,
    TensorType.INT32: np.int32,
    TensorType.INT64: np.int64,
}


class TfliteGraph:
    """The only subgraph of a file, for a batch of one.

    Attributes:
        graph: As it was read.
        values: What the operators made so far, by tensor index; every other tensor is a constant.

    Raises:
        ModelError: The file is damaged, or larger than :data:`~semflash_codegen.tflite_reader.COMPUTER`.
    """

    def __init__(self, data: bytes) -> None:
        self.graph = read_model(data, COMPUTER)
        self.values: dict[int, Any] = {}

    def tensor(self, index: int) -> Any:
        """What an operator made. TrainingError: it is a constant."""
        if index not in self.values:
            raise TrainingError("an operator reads a constant as its image", value=self.label(index))
        return self.values[index]

    def is_constant(self, index: int) -> bool:
        """Whether no operator makes it."""
        return index not in self.values

    def constant(self, index: int) -> np.ndarray:
        """Its value. TrainingError: none, or of a type that graphs of float32 do not have."""
        tensor = self._entry(index)
        if tensor.data is None or tensor.dtype not in _DTYPES:
            raise TrainingError("a constant of the converted network cannot be read", value=self.label(index))
        return np.frombuffer(tensor.data, _DTYPES[tensor.dtype]).reshape(tensor.shape)

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape without the batch."""
        return self._entry(index).shape[1:]

    def fits(self, found: tuple[int, ...], index: int) -> bool:
        """Whether a shape without the batch is the file's; sides that the file leaves open fit."""
        known = self._entry(index).signature[1:]
        return len(found) == len(known) and all(k in (-1, side) for k, side in zip(known, found, strict=True))

    def label(self, index: int) -> str:
        """Its name, for errors: printable and not long, for it may come from strangers."""
        return self._entry(index).name

    def _entry(self, index: int) -> Tensor:
        if index < 0:
            raise TrainingError("an operator of the converted network lacks an input", value=index)
        return self.graph.tensors[index]
