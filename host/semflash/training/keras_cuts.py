"""A functional Keras model as head and tail, cut at the output of a named layer.

The two are new models with copies of the weights: training one does not change what it was cut from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from semflash.errors import TrainingError
from semflash.training.graph_cuts import Step, check_cut, single_cuts, unknown_name

_SOFTMAX = ("softmax", "log_softmax")


def cut(model: keras.Model, split: str, how_to_list: str = "model.summary()") -> tuple[Any, Any]:
    """Head (image to features) and tail (features to logits).

    Args:
        model: functional or sequential, one image (B, H, W, C) in, logits or probabilities (B, classes) out.
            A softmax at its end, or its logarithm, is left out of the tail.
        split: name of the layer whose output is sent, (B, h, w, c).
        how_to_list: for the error message, what lists the layers.

    Raises:
        TrainingError: no such layer (near ones are named), the cut is not a single tensor (what crosses it is
            named), or the model is none that can be cut.
    """
    graph = _functional(model)
    steps, tensors = steps_of(graph)
    source, result = graph.inputs[0], _before_softmax(graph)
    check_ends(source, graph.outputs[0])
    if split not in tensors:
        raise _unknown(graph, split, tensors, how_to_list)
    check_cut(steps, _name(source), _name(result), split)
    features = tensors[split]
    if len(features.shape) != 4 or None in features.shape[1:]:
        raise TrainingError(
            "features are maps (h, w, channels) of a fixed size", value=f"{split}: {features.shape[1:]}"
        )
    head = _copy(keras.Model(source, features), "head")
    tail = _copy(keras.Model(features, result), "tail", linear=_name(result))
    return head, tail


def head_and_whole(model: keras.Model, split: str) -> keras.Model:
    """The uncut model with the split's features as a first output; shares its weights."""
    graph = _functional(model)
    return keras.Model(graph.inputs[0], [steps_of(graph)[1][split], graph.outputs[0]])


def softmax_at_end(model: keras.Model) -> str:
    """``softmax`` or ``log_softmax`` where the model ends in it, else empty: the tail of its cut gives logits."""
    operation = _functional(model).outputs[0]._keras_history.operation
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    return activation if activation in _SOFTMAX else ""


def split_points(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes (h, w, c) of the layers at which a model can be cut, from the image on."""
    graph = _functional(model)
    steps, tensors = steps_of(graph)
    names = single_cuts(steps, _name(graph.inputs[0]), _name(graph.outputs[0]))
    shapes = [(name, tuple(tensors[name].shape[1:])) for name in names]
    return [(name, shape) for name, shape in shapes if len(shape) == 3]


def steps_of(model: keras.Model) -> tuple[list[Step], dict[str, Any]]:
    """The operations in execution order, and the symbolic tensor behind every name.

    A tensor is called after the operation that makes it; a second use or output adds ``:number``.
    """
    steps, tensors = [], {_name(tensor): tensor for tensor in model.inputs}
    for nodes in reversed([model._nodes_by_depth[depth] for depth in sorted(model._nodes_by_depth)]):
        for node in nodes:
            if node.is_input:
                continue
            outputs = {_name(tensor): tensor for tensor in node.outputs}
            inputs = tuple(_name(tensor) for tensor in node.input_tensors)
            steps.append(Step(node.operation.name, inputs, tuple(outputs)))
            tensors |= outputs
    return steps, tensors


def check_ends(image: Any, result: Any) -> None:
    """One image with 1 or 3 channels behind the last axis in, one vector out."""
    shape = tuple(image.shape[1:])
    if len(shape) != 3 or None in shape or shape[-1] not in (1, 3):
        raise TrainingError(
            "a task network takes one image (height, width, 1 or 3) of a fixed size",
            value=shape,
            remedy="build it with channels last and a fixed input shape",
        )
    if len(result.shape) != 2 or result.shape[-1] is None:
        raise TrainingError(
            "a classifier gives one number per class",
            value=tuple(result.shape[1:]),
            remedy="detectors are imported from ONNX files",
        )


def _functional(model: Any) -> Any:
    """The functional model behind a sequential one, or itself.

    Raises:
        TrainingError: it has no graph, several inputs or outputs, or channels first.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
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
    first = [layer.name for layer in graph.layers if getattr(layer, "data_format", "") == "channels_first"]
    if first:
        raise TrainingError(
            "channels stand first in this model", value=first[0], remedy="build it with channels_last"
        )
    return graph


def _name(tensor: Any) -> str:
    """Layer name, with the number of the use and of the output where that is not the first."""
    history = tensor._keras_history
    numbers = [str(number) for number in (history.node_index, history.tensor_index)]
    suffix = "" if numbers == ["0", "0"] else ":" + ":".join(numbers)
    return f"{history.operation.name}{suffix}"


def _before_softmax(graph: Any) -> Any:
    """The output, or what goes into a softmax layer that makes it."""
    output = graph.outputs[0]
    operation = output._keras_history.operation
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    alone = isinstance(operation, (keras.layers.Softmax, keras.layers.Activation))
    if isinstance(operation, keras.layers.Softmax) or (alone and activation in _SOFTMAX):
        return operation._inbound_nodes[output._keras_history.node_index].input_tensors[0]
    return output


def _unknown(graph: Any, split: str, tensors: dict[str, Any], how_to_list: str) -> TrainingError:
    for layer in graph.layers:
        if isinstance(layer, keras.Model) and split in [inner.name for inner in layer.layers]:
            return TrainingError(
                f"the split lies inside the model {layer.name!r}, which is one layer here",
                value=split,
                remedy=f"build the network without nesting, or split at {layer.name}",
            )
    return unknown_name(split, list(tensors), how_to_list)


def _copy(model: keras.Model, name: str, linear: str = "") -> keras.Model:
    """Layers of its own with the same weights; the layer called ``linear`` loses its softmax."""

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        if layer.name == linear and activation in _SOFTMAX:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    clone = keras.models.clone_model(model, clone_function=copied)
    clone.set_weights(model.get_weights())
    return named(clone, name)


def named(model: keras.Model, name: str) -> keras.Model:
    """The same layers as a model of another name."""
    return keras.Model(model.inputs[0], model.outputs[0], name=name)


def layer_names(model: keras.Model) -> Sequence[str]:
    """All names that :func:`cut` knows."""
    return list(steps_of(_functional(model))[1])
