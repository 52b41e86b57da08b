"""One operator of a graph at work: what is known of its operands, and refusals that name it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from semflash.errors import BundleError
from semflash_codegen.ir import Model, Operator
from semflash_codegen.schema import Activation, TensorType

REAL = TensorType.FLOAT32
WHOLE = (TensorType.INT32, TensorType.INT64)
TRUTH = TensorType.BOOL
KINDS = (REAL, *WHOLE, TRUTH)
#: Numbers of one activation of one image: 256 MiB as float32.
ELEMENTS_MAX = 1 << 26
#: Values that are computed along with the shapes: sides, axes, indices.
KNOWN_MAX = 1 << 16
RANK_MAX = 6
_ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU_N1_TO_1, Activation.RELU6)

Shape = tuple[int, ...]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Value:
    """What is known of a tensor.

    Attributes:
        known: its numbers where they do not depend on the image (whole numbers and truths only).
        constant: its numbers stand in the file.
    """

    shape: Shape
    kind: TensorType = REAL
    known: NDArray[np.int64] | None = None
    constant: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Call:
    """An operator with its operands.

    Attributes:
        file: Name of the .tflite file, for refusals.
        inputs: None where an optional one is absent.
    """

    file: str
    model: Model
    op: Operator
    inputs: tuple[Value | None, ...]

    def refuse(self, what: str, value: object = None) -> BundleError:
        """A refusal that names file, layer and operator."""
        return BundleError(
            f"{self.file}, {self.model.layer_name(self.op)}: {what}",
            value=value,
            remedy="export the bundle again; no export of semflash makes this",
        )

    def expect(self, holds: bool, what: str, value: object = None) -> None:
        """BundleError unless it holds."""
        if not holds:
            raise self.refuse(what, value)

    def operands(self, least: int, most: int | None = None) -> None:
        """Refuse another number of inputs."""
        most = least if most is None else most
        self.expect(least <= len(self.inputs) <= most, "a wrong number of inputs", len(self.inputs))

    def input(self, number: int) -> Value:
        """An input that must be there."""
        value = self.inputs[number] if number < len(self.inputs) else None
        if value is None:
            raise self.refuse(f"input {number} is absent")
        return value

    def real(self, number: int, *ranks: int) -> Value:
        """A float32 input of one of the ranks (any up to RANK_MAX)."""
        value = self.input(number)
        self.expect(value.kind is REAL, f"input {number} is not float32", value.kind.name)
        self.expect(len(value.shape) in (ranks or range(RANK_MAX + 1)), "an input's rank", value.shape)
        return value

    def weights(self, number: int, rank: int) -> Value:
        """A float32 constant of that rank."""
        value = self.real(number, rank)
        self.expect(value.constant, f"input {number} is not a constant")
        return value

    def bias(self, number: int, channels: int) -> None:
        """An optional constant, one number per channel."""
        if number < len(self.inputs) and self.inputs[number] is not None:
            shape = self.weights(number, 1).shape
            self.expect(shape == (channels,), f"a bias for {channels} channels", shape)

    def whole(self, number: int, *ranks: int) -> NDArray[np.int64]:
        """Whole numbers that do not depend on the image, in one of the ranks (0 or 1)."""
        value = self.input(number)
        self.expect(value.kind in WHOLE, f"input {number} holds no whole numbers", value.kind.name)
        self.expect(len(value.shape) in (ranks or (0, 1)), "an input's rank", value.shape)
        if value.known is None:
            raise self.refuse(f"input {number} depends on the image")
        return value.known

    def list(self, number: int, count: int, low: int, high: int) -> Shape:
        """`count` whole numbers within low..high."""
        values = tuple(int(v) for v in self.whole(number, 1))
        self.expect(len(values) == count, f"{count} numbers expected", values)
        self.expect(all(low <= v <= high for v in values), f"a number outside {low}..{high}", values)
        return values

    def scalar(self, number: int) -> int:
        """One whole number, as a scalar or a list of one."""
        values = self.whole(number)
        self.expect(values.size == 1, "one number expected", values.shape)
        return int(values.reshape(-1)[0])

    def axis(self, axis: int, rank: int) -> int:
        """An axis, counted from the front."""
        self.expect(-rank <= axis < rank, f"an axis outside {rank} dimensions", axis)
        return axis % rank

    def option(self, tag: int, field: int, fmt: str, default: int = 0) -> int:
        """A field of the options; the default where the operator has none."""
        if self.op.options is None or self.op.options_type == 0:
            return default
        self.expect(self.op.options_type == tag, "options of another operator", self.op.options_type)
        return self.op.options.integer(field, fmt, default)

    def needs_options(self) -> None:
        """Refuse an operator without options: an interpreter takes zeros for all of them."""
        self.expect(self.op.options is not None and self.op.options_type != 0, "options are absent")

    def activation(self, tag: int, field: int) -> None:
        """Refuse a fused activation that no export makes."""
        code = self.option(tag, field, "<b")
        self.expect(code in _ACTIVATIONS, "an unknown fused activation", code)

    def choice(self, tag: int, field: int, allowed: Sequence[_T]) -> _T:
        """allowed[n] by a one-byte field n."""
        code = self.option(tag, field, "<b")
        self.expect(0 <= code < len(allowed), "an unknown option", code)
        return allowed[code]

    def made(self, shape: Sequence[int], kind: TensorType = REAL, known: object = None) -> Value:
        """An output, within bounds."""
        sides = tuple(int(side) for side in shape)
        self.expect(len(sides) <= RANK_MAX, f"a result of more than {RANK_MAX} dimensions", sides)
        self.expect(all(side >= 1 for side in sides), "a result without elements", sides)
        self.expect(math.prod(sides) <= ELEMENTS_MAX, f"a result of more than {ELEMENTS_MAX} numbers", sides)
        if known is None or kind is REAL:
            return Value(sides, kind)
        numbers = np.asarray(known, np.int64)
        self.expect(numbers.shape == sides, "numbers of another shape", numbers.shape)
        limit = 1 << (31 if kind is TensorType.INT32 else 62)
        self.expect(bool((np.abs(numbers) < limit).all()), "a whole number that does not fit")
        return Value(sides, kind, numbers)

    def folded(self, function: Callable[..., object], *values: Value) -> object:
        """function of the values' numbers; None where one of them is not known, or there are too many."""
        known = [value.known for value in values]
        if any(numbers is None or numbers.size > KNOWN_MAX for numbers in known):
            return None
        return function(*known)

    def same_kind(self, *values: Value) -> TensorType:
        """Their common kind."""
        kinds = {value.kind for value in values}
        self.expect(len(kinds) == 1, "inputs of several kinds", sorted(kind.name for kind in kinds))
        return values[0].kind

    def broadcast(self, *values: Value) -> Shape:
        """The shape to which all are broadcast."""
        try:
            return tuple(np.broadcast_shapes(*(value.shape for value in values)))
        except ValueError as error:
            raise self.refuse("inputs whose shapes do not fit", [value.shape for value in values]) from error


#: What an operator makes of its inputs; refuses what it could not do.
Rule = Callable[[Call], list[Value]]
