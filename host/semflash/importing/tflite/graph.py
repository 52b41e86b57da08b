"""Tensors, constants and names of a .tflite file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from semflash.errors import TrainingError
from semflash.printable import printable

_DTYPES: dict[int, type[np.generic]] = {0: np.float32, 2: np.int32, 4: np.int64}


class TfliteGraph:
    """The only subgraph of a file, for a batch of one.

    Attributes:
        values: what the operators made so far, by tensor index; every other tensor is a constant.
        names: operator names by their code.
    """

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        file = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        self.graph = file.subgraphs[0]
        self.buffers = file.buffers
        names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
        self.names = [names.get(max(c.builtinCode, c.deprecatedBuiltinCode), "?") for c in file.operatorCodes]
        self.values: dict[int, Any] = {}

    def tensor(self, index: int) -> Any:
        """What an operator made. TrainingError: it is a constant."""
        if int(index) not in self.values:
            raise TrainingError("an operator reads a constant as its image", value=self.label(index))
        return self.values[int(index)]

    def is_constant(self, index: int) -> bool:
        """Whether no operator makes it."""
        return int(index) not in self.values

    def constant(self, index: int) -> np.ndarray:
        """Its value. TrainingError: none, or of a type that graphs of float32 do not have."""
        tensor = self.graph.tensors[index]
        data = self.buffers[tensor.buffer].data
        shape = () if tensor.shape is None else tuple(int(side) for side in tensor.shape)
        if (
            data is None
            or tensor.type not in _DTYPES
            or len(data) != 4 * math.prod(shape) * (2 if tensor.type == 4 else 1)
        ):
            raise TrainingError("a constant of the converted network cannot be read", value=self.label(index))
        return np.frombuffer(bytes(data), _DTYPES[tensor.type]).reshape(shape)

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape without the batch."""
        return tuple(int(side) for side in self.graph.tensors[index].shape[1:])

    def fits(self, found: tuple[int, ...], index: int) -> bool:
        """Whether a shape without the batch is the file's; sides that the file leaves open fit."""
        signature = self.graph.tensors[index].shapeSignature
        expected = self.shape(index)
        known = expected if signature is None or len(signature) == 0 else signature[1:]
        return len(found) == len(expected) and all(
            k == -1 or k == side for k, side in zip(known, found, strict=True)
        )

    def label(self, index: int) -> str:
        """Its name, for errors: printable and not long, for it may come from strangers."""
        name = self.graph.tensors[index].name
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        return printable(text[:200])
