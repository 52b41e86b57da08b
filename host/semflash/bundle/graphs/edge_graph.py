"""The float32 graphs of the edge: structure, operators, shapes and constants, before LiteRT sees them.

The graph is followed with shapes instead of images, for one image and for several. What a converter computes
on the way (the sides of a RESHAPE, say) is computed here too: nothing depends on numbers nobody looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from semflash.bundle.graphs import elementwise, movement, parts, sums, windows
from semflash.bundle.graphs.call import KINDS, KNOWN_MAX, REAL, TRUTH, WHOLE, Call, Rule, Shape, Value
from semflash.errors import BundleError
from semflash_codegen.errors import CodegenError
from semflash_codegen.ir import Model, Operator, Tensor
from semflash_codegen.tflite_reader import COMPUTER, read_model
from semflash_codegen.tflite_verify import verify

#: All operators that a bundle's edge graphs may hold.
RULES: dict[str, Rule] = elementwise.RULES | windows.RULES | sums.RULES | movement.RULES | parts.RULES
#: Numbers of images the shapes are followed for; a graph that only works for one is of no use to the edge.
BATCHES = (1, 3)
_REMEDY = "export the bundle again"


@contextlib.contextmanager
def as_bundle_error(file: str) -> Iterator[None]:
    """What the readers of .tflite files refuse, as a BundleError that names the file."""
    try:
        yield
    except CodegenError as error:
        raise BundleError(
            f"{file}: {error.what}", value=error.value, remedy=error.remedy or _REMEDY
        ) from error


@dataclass(frozen=True)
class EdgeGraph:
    """A graph that passed the checks that need no shapes.

    Attributes:
        inputs: tensors by the graph's order; output: the only one.
    """

    file: str
    model: Model

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(self.model.tensors[i] for i in self.model.inputs)

    def follow(self, shapes: Mapping[int, Shape]) -> tuple[Shape, int]:
        """Follow the graph for inputs of these shapes, by tensor index.

        Returns:
            shape of the output, and the most numbers in any tensor on the way.

        Raises:
            BundleError: an operator cannot do that, or the file says another shape.
        """
        values: dict[int, Value] = {}
        for tensor in self.model.tensors:
            if tensor.data is not None:
                values[tensor.index] = _constant(tensor)
        for index, shape in shapes.items():
            values[index] = self._fits(self.model.tensors[index], Value(shape))
        largest = max(value.elements for index, value in values.items() if index in shapes)
        for op in self.model.operators:
            for index, value in zip(op.outputs, self._results(op, values), strict=True):
                if index in values:
                    raise self._refuse(f"{self.model.layer_name(op)} overwrites a tensor", index)
                values[index] = self._fits(self.model.tensors[index], value)
                largest = max(largest, value.elements)
        output = self.model.outputs[0]
        if output not in values or values[output].constant or values[output].kind is not REAL:
            raise self._refuse("no layer writes a float32 output", self.model.tensors[output].name)
        return values[output].shape, largest

    def _results(self, op: Operator, values: dict[int, Value]) -> list[Value]:
        for index in op.inputs:
            if index >= 0 and index not in values:
                raise self._refuse(f"{self.model.layer_name(op)} reads what is not written yet", index)
        inputs = tuple(values[index] if index >= 0 else None for index in op.inputs)
        call = Call(self.file, self.model, op, inputs)
        results = RULES[op.name](call)
        call.expect(len(results) == len(op.outputs), "a wrong number of outputs", len(op.outputs))
        return results

    def _fits(self, tensor: Tensor, value: Value) -> Value:
        """The value, whose kind and sides must be what the file says; open sides may be any."""
        signature = tensor.signature
        fits = len(signature) == len(value.shape) and all(
            said in (-1, side) for said, side in zip(signature, value.shape, strict=True)
        )
        if not fits or tensor.dtype is not value.kind:
            raise self._refuse(
                f"tensor '{tensor.name}' should be {value.kind.name.lower()} {value.shape}",
                f"{tensor.dtype.name.lower()} {signature}",
            )
        return value

    def _refuse(self, what: str, value: object) -> BundleError:
        return BundleError(f"{self.file}: {what}", value=value, remedy=_REMEDY)


def read_edge_graph(data: bytes, file: str) -> EdgeGraph:
    """Read a float32 graph and check what needs no shapes.

    Args:
        data: Content of the .tflite file.
        file: Its name, for refusals.

    Raises:
        BundleError: damaged or forged, an operator or a type that no export makes, several outputs.
    """
    with as_bundle_error(file):
        verify(data)
        model = read_model(data, COMPUTER)
    for op in model.operators:
        if op.name not in RULES:
            raise BundleError(
                f"{file}, {model.layer_name(op)}: an operator that bundles may not hold",
                value=op.name,
                remedy="export a network without it (docs/bundle.md lists the operators)",
            )
    for tensor in model.tensors:
        if tensor.dtype not in KINDS or tensor.quantisation is not None:
            raise BundleError(
                f"{file}: tensor '{tensor.name}' is not a float32, whole number or truth",
                value=tensor.dtype.name.lower() + (", quantised" if tensor.quantisation else ""),
                remedy=_REMEDY,
            )
    for index in model.inputs:
        if model.tensors[index].data is not None:
            raise BundleError(
                f"{file}: an input is a constant", value=model.tensors[index].name, remedy=_REMEDY
            )
    if len(set(model.inputs)) != len(model.inputs) or len(model.outputs) != 1:
        raise BundleError(
            f"{file} needs inputs of their own and one output",
            value=(len(model.inputs), len(model.outputs)),
            remedy=_REMEDY,
        )
    return EdgeGraph(file, model)


def _constant(tensor: Tensor) -> Value:
    known = None
    if tensor.dtype in (*WHOLE, TRUTH) and tensor.elements <= KNOWN_MAX:
        assert tensor.data is not None
        kind = {WHOLE[0]: "<i4", WHOLE[1]: "<i8"}.get(tensor.dtype, "<i1")
        known = np.frombuffer(tensor.data, kind).astype(np.int64).reshape(tensor.shape)
    return Value(tensor.shape, tensor.dtype, known, constant=True)
