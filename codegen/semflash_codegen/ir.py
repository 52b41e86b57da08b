"""The intermediate representation: tensors and operators, as read, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from semflash_codegen.errors import UnsupportedModelError
from semflash_codegen.flatbuffer import Table
from semflash_codegen.schema import TensorType


@dataclass(frozen=True)
class Quantisation:
    """real = scale * (value - zero_point), per tensor (one scale) or per channel along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        data: None for activations, else a view of the constant's bytes in the file.
        signature: the shape, -1 for sides that are open until the model runs.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: TensorType
    quantisation: Quantisation | None
    data: memoryview | None
    signature: tuple[int, ...] = ()

    @property
    def dynamic(self) -> bool:
        """Whether a side behind the batch is open."""
        return any(side < 0 for side in self.signature[1:])

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantised tensor."""
        return self._one().scales[0]

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantised tensor."""
        return self._one().zero_points[0]

    def _one(self) -> Quantisation:
        if self.quantisation is None or len(self.quantisation.scales) != 1:
            raise UnsupportedModelError(
                f"tensor '{self.name}' must have exactly one scale and zero point",
                value=0 if self.quantisation is None else len(self.quantisation.scales),
                remedy="export with full int8 quantisation",
            )
        return self.quantisation

    def int8_values(self) -> npt.NDArray[np.int8]:
        """The constant's values, int8, in the tensor's shape."""
        return self._values("<i1").astype(np.int8)

    def int32_values(self) -> npt.NDArray[np.int32]:
        """The constant's values, int32, in the tensor's shape."""
        return self._values("<i4").astype(np.int32)

    def _values(self, dtype: str) -> npt.NDArray[np.generic]:
        if self.data is None:
            raise UnsupportedModelError(
                f"tensor '{self.name}' must be a constant", remedy="export the model again"
            )
        return np.frombuffer(self.data, dtype=dtype).reshape(self.shape)


@dataclass(frozen=True)
class Operator:
    """One operator: indices into Model.tensors (-1: an optional input that is absent).

    Attributes:
        index: Its position in the file; one that no other has where a pass made it.
        origin: Of one that a pass made, the position of the operator in the file that it stands for.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int = 0
    options: Table | None = field(repr=False, default=None)
    origin: int | None = None

    @property
    def number(self) -> int:
        """The position in the file that messages name."""
        return self.index if self.origin is None else self.origin


@dataclass(frozen=True)
class Model:
    """One subgraph in execution order.

    Attributes:
        tensors: In the file's order.
        operators: In the order in which they run.
        inputs: Indices of the graph's inputs among the tensors.
        outputs: Indices of its outputs.
        named_outputs: Names and indices of the outputs as the file's first signature has them; nothing
            where the file has no signature.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    named_outputs: tuple[tuple[str, int], ...] = ()

    def layer_name(self, operator: Operator) -> str:
        """What to call an operator in messages: number, operator and the name of its output."""
        name = self.tensors[operator.outputs[0]].name if operator.outputs else ""
        return f"layer {operator.number} {operator.name} '{short(name)}'"


def image_rows(source: Tensor) -> tuple[int, int]:
    """(rows, bytes per row) of an input (1, h, w, c), (1, w, c) or (1, c)."""
    rows = source.shape[1] if len(source.shape) == 4 else 1
    return rows, source.elements // rows


def short(name: str, limit: int = 60) -> str:
    """A tensor's name for messages and comments: one line, harmless characters, the end of a long one."""
    clean = "".join(c if c.isascii() and (c.isalnum() or c in "_./:;-") else "_" for c in name)
    return clean if len(clean) <= limit else "..." + clean[-(limit - 3) :]
