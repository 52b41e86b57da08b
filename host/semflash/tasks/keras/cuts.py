"""A functional Keras model as head and tail, cut at the output of a named layer.

The two are new models with copies of the weights: training one does not change what it was cut from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from semflash.errors import TrainingError
from semflash.tasks.keras.graph_cuts import Step, check_cut, single_cuts, unknown_name
from semflash.tasks.keras.input_range import Beginning, beginning_of
from semflash.tasks.keras.nested import SEPARATOR, FlatModel, flattened, nodes_of, tensor_name

_SOFTMAX = ("softmax", "log_softmax")


def cut(model: Any, split: str, how_to_list: str = "model.summary()") -> tuple[Any, Any]:
    """Head (image to features) and tail (features to logits); see :func:`cut_behind_scaling`."""
    return _cut(model, split, how_to_list, scaling=True)[:2]


def cut_behind_scaling(
    model: Any, split: str, how_to_list: str = "model.summary()"
) -> tuple[Any, Any, Beginning]:
    """Head and tail, and what the model does to its image before its first weights, which the head lacks.

    A head that begins with sums and products costs a device operators; preprocessing does the same in one.

    Args:
        model: functional or sequential, one image (B, H, W, C) in, logits or probabilities (B, classes) out.
            A softmax at its end, or its logarithm, is left out of the tail. Models in it are flattened
            (:mod:`semflash.tasks.keras.nested`), if it is no FlatModel yet.
        split: name of the layer whose output is sent, (B, h, w, c); it may lie in a nested model.
        how_to_list: for the error message, what lists the layers.

    Raises:
        TrainingError: no such layer (near ones are named), the cut is not a single tensor (what crosses it is
            named), or the model is none that can be cut.
    """
    return _cut(model, split, how_to_list, scaling=False)


def _cut(model: Any, split: str, how_to_list: str, *, scaling: bool) -> tuple[Any, Any, Beginning]:
    flat = _flat(model)
    graph = flat.model
    steps, tensors = steps_of(graph)
    source, result = graph.inputs[0], _before_softmax(graph)
    check_ends(source, graph.outputs[0])
    name = _find(flat, split, tensors, how_to_list)
    check_cut(steps, tensor_name(source), tensor_name(result), name)
    features = tensors[name]
    if len(features.shape) != 4 or None in features.shape[1:]:
        raise TrainingError(
            "features are maps (h, w, channels) of a fixed size", value=f"{split}: {features.shape[1:]}"
        )
    try:
        behind = keras.Model(features, result)
    except ValueError as error:  # Keras finds no way from the second use of a layer to the first
        raise TrainingError(
            "the layer at the split is used again behind it",
            value=split,
            remedy=f"{how_to_list} lists others",
        ) from error
    beginning = beginning_of(graph, until=name)
    head = _copy(keras.Model(source if scaling else beginning.tensor, features), "head")
    return head, _copy(behind, "tail", linear=tensor_name(result)), beginning


def find_split(model: Any, split: str) -> str:
    """The name, as in :func:`split_points`, of a split that :func:`cut` has taken."""
    flat = _flat(model)
    return _find(flat, split, steps_of(flat.model)[1], "")


def uncut(model: Any, split: str) -> Callable[[Any], tuple[Any, Any]]:
    """A function images (B, H, W, C) -> (features, output) of the model as it was given, nested as it was.

    Args:
        model: As for :func:`cut`, which has taken it.
        split: As for :func:`cut`, which has taken it.
    """
    flat = _flat(model)
    tensors = steps_of(flat.model)[1]
    name = _find(flat, split, tensors, "")
    route = flat.routes.get(name, ((flat.model.inputs[0], tensors[name]),))
    parts = [keras.Model(start, end) for start, end in route]

    def values(images: Any) -> tuple[Any, Any]:
        features = images
        for part in parts:
            features = part(features, training=False)
        return features, flat.original(images, training=False)

    return values


def softmax_at_end(model: Any) -> str:
    """``softmax`` or ``log_softmax`` where the model ends in it, else empty: its tail gives logits."""
    operation = _flat(model).model.outputs[0]._keras_history.operation
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    return activation if activation in _SOFTMAX else ""


def split_points(model: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes (h, w, c) of the layers at which a model can be cut, from the image on."""
    graph = _flat(model).model
    steps, tensors = steps_of(graph)
    names = single_cuts(steps, tensor_name(graph.inputs[0]), tensor_name(graph.outputs[0]))
    shapes = [(name, tuple(tensors[name].shape[1:])) for name in names]
    return [(name, shape) for name, shape in shapes if len(shape) == 3]


def steps_of(model: keras.Model) -> tuple[list[Step], dict[str, Any]]:
    """The operations in execution order, and the symbolic tensor behind every name.

    A tensor is called after the operation that makes it; a second use or output adds ``:number``.
    """
    steps, tensors = [], {tensor_name(tensor): tensor for tensor in model.inputs}
    for node in nodes_of(model):
        outputs = {tensor_name(tensor): tensor for tensor in node.outputs}
        inputs = tuple(tensor_name(tensor) for tensor in node.input_tensors)
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


def _flat(model: Any) -> FlatModel:
    """The model without models in it.

    Raises:
        TrainingError: it has no graph, several inputs or outputs, or channels first.
    """
    flat = model if isinstance(model, FlatModel) else flattened(model)
    first = [one.name for one in flat.model.layers if getattr(one, "data_format", "") == "channels_first"]
    if first:
        raise TrainingError(
            "channels stand first in this model", value=first[0], remedy="build it with channels_last"
        )
    return flat


def _before_softmax(graph: Any) -> Any:
    """The output, or what goes into a softmax layer that makes it."""
    output = graph.outputs[0]
    operation = output._keras_history.operation
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    alone = isinstance(operation, (keras.layers.Softmax, keras.layers.Activation))
    if isinstance(operation, keras.layers.Softmax) or (alone and activation in _SOFTMAX):
        return operation._inbound_nodes[output._keras_history.node_index].input_tensors[0]
    return output


def _find(flat: FlatModel, split: str, tensors: dict[str, Any], how_to_list: str) -> str:
    """The tensor that a split names: a layer's, or a nested model's last.

    Raises:
        TrainingError: no such layer, or several.
    """
    for name in (split, split.replace("/", SEPARATOR)):
        if name in tensors or name in flat.aliases:
            return name if name in tensors else flat.aliases[name]
    if split in flat.shared:
        raise TrainingError(
            "several layers of the nested models have this name",
            value=split,
            remedy=f"split at {' or '.join(flat.shared[split])}",
        )
    named = [name for name in flat.aliases if ":" not in name]
    raise unknown_name(split, [*tensors, *named], how_to_list)


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
