"""Models within a Keras model, as transfer learning makes them, flattened into one graph.

``Sequential([base_model, GlobalAveragePooling2D(), Dense(3)])`` has three layers for Keras; flattened, the
layers of ``base_model`` stand in the place of the first, to any depth, and each can be named as a split.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import keras

from semflash.errors import TrainingError

#: Keras allows no slash in a name.
SEPARATOR = "."


@dataclass(frozen=True)
class FlatModel:
    """A functional model in which no layer is a model.

    Attributes:
        model: the one that was given, where nothing is nested; else of layers of its own, the same weights.
        original: the one that was given.
        aliases: name of a nested model -> name of the tensor that it gives; and the names that Keras's own
            numbers would give the tensors of the original.
        shared: name of several nested layers -> their names here, ``outer.inner``.
        routes: tensor of ``model`` -> how the original makes it: input and output of one graph after another,
            each graph nested in the one before. Empty where nothing is nested.
    """

    model: Any
    original: Any
    aliases: dict[str, str] = field(default_factory=dict)
    shared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    routes: dict[str, tuple[tuple[Any, Any], ...]] = field(default_factory=dict)


def flattened(model: Any) -> FlatModel:
    """Nested functional and sequential models with one input and one output become their layers.

    A ``training`` argument of a nested call is not kept: Keras puts that of the outer call in its place.

    Raises:
        TrainingError: the model has no graph, or not one input and one output.
    """
    graph = graph_of(model)
    if graph is None:
        raise TrainingError(
            "only functional and sequential Keras models have a graph that can be cut",
            value=type(model).__name__,
            remedy="build the model by calling layers on keras.Input",
        )
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise TrainingError(
            "a task network has one input and one output",
            value=f"{len(graph.inputs)} inputs, {len(graph.outputs)} outputs",
        )
    if not any(_inner(operation) for operation in graph.operations) and not _used_elsewhere(graph):
        return FlatModel(graph, model)
    made = _Flattening(graph)
    return FlatModel(made.model, model, made.aliases, made.shared, made.routes)


def _used_elsewhere(graph: Any) -> bool:
    """Whether layers were called outside this graph, which Keras's numbers of uses count: a sequential model
    calls its layers again whenever one is added."""
    nodes = {id(node) for level in graph._nodes_by_depth.values() for node in level}
    return any(id(node) not in nodes for operation in graph.operations for node in operation._inbound_nodes)


def graph_of(model: Any) -> Any:
    """The functional model behind a sequential one, or itself; None: it has no graph."""
    graph = getattr(model, "_functional", None) or model
    return graph if hasattr(graph, "_nodes_by_depth") else None


def nodes_of(graph: Any) -> list[Any]:
    """Calls of layers in execution order, without inputs."""
    depths = sorted(graph._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input]


def tensor_name(tensor: Any) -> str:
    """Layer name, with the number of the use and of the output where that is not the first."""
    history = tensor._keras_history
    numbers = [str(number) for number in (history.node_index, history.tensor_index)]
    suffix = "" if numbers == ["0", "0"] else ":" + ":".join(numbers)
    return f"{history.operation.name}{suffix}"


def _inner(operation: Any) -> Any:
    """The graph of a nested model that can be flattened, or None."""
    graph = graph_of(operation) if isinstance(operation, keras.Model) else None
    return graph if graph is not None and len(graph.inputs) == len(graph.outputs) == 1 else None


class _Flattening:
    """Attributes: see :class:`FlatModel`."""

    def __init__(self, graph: Any) -> None:
        self.aliases: dict[str, str] = {}
        self.routes: dict[str, tuple[tuple[Any, Any], ...]] = {}
        self._names, self.shared = _names(graph)
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._numbered: dict[str, str] = {}
        source = graph.inputs[0]
        name = source._keras_history.operation.name
        start = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=name)
        self.model = keras.Model(start, self._walk(graph, start, ()), name=graph.name)
        known = set(self._numbered.values())
        self.aliases = {old: new for old, new in self._numbered.items() if old not in known} | self.aliases
        for old, new in self._copies.values():
            if getattr(old, "weights", None):
                new.set_weights(old.get_weights())

    def _walk(self, graph: Any, start: Any, route: tuple[tuple[Any, Any], ...]) -> Any:
        """The graph's layers called on ``start``; returns its output. ``route``: to the graph's input."""
        source = graph.inputs[0]
        made = {id(source): start}
        for node in nodes_of(graph):
            operation, inner = node.operation, _inner(node.operation)
            if inner is None:
                args, kwargs = node.arguments.fill_in(made)
                outputs = keras.tree.flatten(self._copy(operation)(*args, **kwargs))
            else:
                given = node.input_tensors[0]
                outputs = [self._walk(inner, made[id(given)], (*route, (source, given)))]
                self.aliases.setdefault(self._names[id(operation)], tensor_name(outputs[0]))
            for old, new in zip(node.outputs, outputs, strict=True):
                made[id(old)] = new
                if not route:
                    self._numbered[tensor_name(old)] = tensor_name(new)
                self.routes.setdefault(tensor_name(new), (*route, (source, old)))
        return made[id(graph.outputs[0])]

    def _copy(self, operation: Any) -> Any:
        """The layer's counterpart, the same one for each of its calls."""
        if id(operation) not in self._copies:
            copy = type(operation).from_config(operation.get_config())
            copy.name = self._names[id(operation)]
            self._copies[id(operation)] = operation, copy
        return self._copies[id(operation)][1]


def _names(graph: Any) -> tuple[dict[int, str], dict[str, tuple[str, ...]]]:
    """What every layer and nested model is called in one graph: its own name, or ``outer.inner`` where
    several have it; and those several. The outermost layers keep their names."""
    found: dict[int, tuple[str, ...]] = {}

    def visit(part: Any, path: tuple[str, ...]) -> None:
        for operation in part.operations:
            if id(operation) in found or (path and isinstance(operation, keras.layers.InputLayer)):
                continue
            found[id(operation)] = (*path, operation.name)
            inner = _inner(operation)
            if inner is not None:
                visit(inner, (*path, operation.name))

    visit(graph, ())
    uses = Counter(path[-1] for path in found.values())
    taken = {path[-1] for path in found.values() if len(path) == 1 or uses[path[-1]] == 1}
    names, shared = dict[int, str](), dict[str, tuple[str, ...]]()
    for key, path in found.items():
        names[key] = path[-1]
        if len(path) > 1 and uses[path[-1]] > 1:
            name = SEPARATOR.join(path)
            while name in taken:
                name += "_"
            taken.add(name)
            names[key] = name
            shared[path[-1]] = (*shared.get(path[-1], ()), name)
    return names, shared
