"""Exact rewrites of an ONNX network where onnx2tf gives wrong axes, shapes or operators a device has not.

| in the file | instead |
| --- | --- |
| auto_pad SAME_LOWER | explicit pads |
| AveragePool without its padding, stride above 1 | the same with stride 1, then every n-th |
| Flatten or Reshape of a whole map, then Gemm or MatMul | a convolution as large as the map |
| names such as /layer1/Relu_output_0 | t0, t1, ... |

The third: onnx2tf tells axes by their lengths, and flattens a map with as many channels as rows or columns in
the wrong order; a convolution has no order to be wrong about. The last: onnx2tf makes paths of names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

_DENSE = ("Gemm", "MatMul")
_FLATTENING = ("Flatten", "Reshape", "Squeeze")


def rewrite(model: Any) -> Any:
    """The same network, for onnx2tf.

    Args:
        model: with known shapes, for a batch of one.

    Returns:
        A new model; names of inputs and outputs are kept.
    """
    for change in (_explicit_pads, _exclusive_average, _dense_of_map):
        model = _Rewriting(model).by(change)
    return model


def plain_names(model: Any) -> dict[str, str]:
    """Rename tensors and nodes to t0, t1, ... and n0, n1, ...; changes ``model``.

    Returns:
        New name -> old name, of tensors and nodes.
    """
    graph = model.graph
    del graph.value_info[:]
    tensors: dict[str, str] = {}

    def plain(name: str) -> str:
        return tensors.setdefault(name, f"t{len(tensors)}") if name else ""

    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = plain(value.name)
    nodes = {}
    for index, node in enumerate(graph.node):
        nodes[f"n{index}"] = node.name or (node.output[0] if node.output else "")
        node.name = f"n{index}"
        for names in (node.input, node.output):
            names[:] = [plain(name) for name in names]
    return {new: old for old, new in tensors.items()} | nodes


class _Rewriting:
    """A graph while nodes in it are replaced.

    Attributes:
        shapes: Of the tensors, where known.
        constants: Values of the initialisers.
    """

    def __init__(self, model: Any) -> None:
        self.model = shape_inference.infer_shapes(model, data_prop=True)
        graph = self.model.graph
        self.constants = {one.name: one for one in graph.initializer}
        self.shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        self._readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {value.name for value in graph.output}
        self._count = 0

    def by(self, change: Callable[[_Rewriting, Any], list[Any] | None]) -> Any:
        """The model with the nodes that ``change`` gives in place of one; None keeps it."""
        nodes: list[Any] = []
        for node in self.model.graph.node:
            made = change(self, node)
            nodes.extend([node] if made is None else made)
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)
        return self.model

    def only_reader(self, name: str) -> Any:
        """The node that alone reads a tensor, or None."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self._outputs else None

    def maker(self, name: str) -> Any:
        """The node that makes a tensor, or None."""
        return next((node for node in self.model.graph.node if name in node.output), None)

    def constant(self, name: str) -> np.ndarray | None:
        """The value of an initialiser."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def add_constant(self, value: np.ndarray) -> str:
        """A new initialiser; returns its name."""
        name = self.fresh()
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def fresh(self) -> str:
        """A name that no tensor has."""
        known = (
            self.shapes.keys() | self.constants.keys() | {o for n in self.model.graph.node for o in n.output}
        )
        while f"semflash_{self._count}" in known:
            self._count += 1
        self._count += 1
        return f"semflash_{self._count - 1}"


def _attributes(node: Any) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _explicit_pads(graph: _Rewriting, node: Any) -> list[Any] | None:
    """SAME_LOWER: an odd row or column of padding stands before the map."""
    given = _attributes(node)
    if given.get("auto_pad") != b"SAME_LOWER" or node.op_type not in ("Conv", "MaxPool", "AveragePool"):
        return None
    sides = graph.shapes[node.input[0]][2:]
    kernel = given.get("kernel_shape") or _kernel(graph, node)
    ones = [1] * len(sides)
    strides, dilations = given.get("strides", ones), given.get("dilations", ones)
    before, after = [], []
    for side, k, stride, dilation in zip(sides, kernel, strides, dilations, strict=True):
        total = max((-(-side // stride) - 1) * stride + (k - 1) * dilation + 1 - side, 0)
        before.append(total - total // 2)
        after.append(total // 2)
    return [_with(node, node.input, node.output, auto_pad=None, pads=[*before, *after])]


def _kernel(graph: _Rewriting, node: Any) -> list[int]:
    weights = graph.constant(node.input[1])
    return list(weights.shape[2:]) if weights is not None else list(graph.shapes[node.input[1]][2:])


def _exclusive_average(graph: _Rewriting, node: Any) -> list[Any] | None:
    """A mean without what is padded: with stride 1 it is TensorFlow's SAME."""
    given = _attributes(node)
    if node.op_type != "AveragePool" or given.get("count_include_pad", 0) or given.get("ceil_mode", 0):
        return None
    kernel, pads = list(given["kernel_shape"]), list(given.get("pads", ()))
    strides = list(given.get("strides", [1] * len(kernel)))
    half = [side // 2 for side in kernel]
    odd = all(side % 2 for side in kernel) and not any(d != 1 for d in given.get("dilations", ()))
    if len(kernel) != 2 or not odd or pads != half + half or not any(half) or strides == [1, 1]:
        return None
    every = graph.fresh()
    return [
        _with(node, node.input, [every], strides=[1, 1]),
        helper.make_node(
            "MaxPool",
            [every],
            list(node.output),
            name=f"{node.name}_every",
            kernel_shape=[1, 1],
            strides=strides,
        ),
    ]


def _dense_of_map(graph: _Rewriting, node: Any) -> list[Any] | None:
    """Flatten and Gemm: dropped at the first, a convolution and a Flatten of (1, n, 1, 1) at the second."""
    if node.op_type in _FLATTENING:
        dense = graph.only_reader(node.output[0])
        return [] if dense is not None and _flat_source(graph, dense) is node else None
    flattening = _flat_source(graph, node)
    if flattening is None:
        return None
    given = _attributes(node)
    weights = graph.constant(node.input[1])
    assert weights is not None
    rows = (weights if given.get("transB", 0) else weights.T) * np.float32(given.get("alpha", 1.0))
    shape = graph.shapes[flattening.input[0]][1:]
    inputs = [flattening.input[0], graph.add_constant(rows.reshape(len(rows), *shape).astype(np.float32))]
    if node.op_type == "Gemm" and len(node.input) > 2 and node.input[2]:
        bias = graph.constant(node.input[2])
        assert bias is not None
        value = np.broadcast_to(np.ravel(bias) * np.float32(given.get("beta", 1.0)), (len(rows),))
        inputs.append(graph.add_constant(value.astype(np.float32)))
    whole = graph.fresh()
    return [
        helper.make_node("Conv", inputs, [whole], name=node.name, kernel_shape=list(shape[1:])),
        helper.make_node("Flatten", [whole], list(node.output), name=f"{node.name}_flat", axis=1),
    ]


def _flat_source(graph: _Rewriting, dense: Any) -> Any:
    """The node that flattens a map, with axes that can be mistaken, for a Gemm or MatMul alone; or None."""
    if dense.op_type not in _DENSE:
        return None
    given = _attributes(dense)
    weights = graph.constant(dense.input[1])
    bias_known = len(dense.input) < 3 or not dense.input[2] or graph.constant(dense.input[2]) is not None
    if weights is None or weights.ndim != 2 or given.get("transA", 0) or not bias_known:
        return None
    node = graph.maker(dense.input[0])
    if node is None or node.op_type not in _FLATTENING or graph.only_reader(node.output[0]) is not dense:
        return None
    source, flat = graph.shapes.get(node.input[0], ()), graph.shapes.get(node.output[0], ())
    mistakable = len(source) == 4 and source[1] > 1 and source[1] in source[2:]
    return node if mistakable and flat == (1, int(np.prod(source))) and source[0] == 1 else None


def _with(node: Any, inputs: Any, outputs: Any, **changed: Any) -> Any:
    """The node with other inputs, outputs and attributes; None takes an attribute away."""
    attributes = {key: value for key, value in (_attributes(node) | changed).items() if value is not None}
    return helper.make_node(node.op_type, list(inputs), list(outputs), name=node.name, **attributes)


def save(model: Any, path: Any) -> dict[str, str]:
    """Write the rewritten model with plain names; returns new name -> old name."""
    changed = rewrite(model)
    names = plain_names(changed)
    onnx.save(changed, path)
    return names
