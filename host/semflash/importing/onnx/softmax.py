"""The end of an ONNX classifier: tails give logits, so a softmax over the classes is taken off."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto, helper

from semflash.errors import TrainingError

_SOFTMAX = ("Softmax", "LogSoftmax")
#: From this version of the standard on, softmax is over one axis; before, over it and all that follow.
_ONE_AXIS_OPSET = 13


def take_off_softmax(model: Any) -> None:
    """End before a softmax, and flatten (1, classes, 1, 1). Changes ``model``.

    Raises:
        TrainingError: the softmax at the end is not over the classes, so that no logits go into it.
    """
    graph, output = model.graph, model.graph.output[0]
    makers = {name: node for node in graph.node for name in node.output}
    maker = makers.get(output.name)
    result = output.name
    dims = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
    if maker is not None and maker.op_type in _SOFTMAX:
        _check_axis(maker, dims, _opset(model))
        result = maker.input[0]
        graph.node.remove(maker)
    if len(dims) == 4 and makers.get(result) is not None:
        graph.node.append(helper.make_node("Flatten", [result], ["semflash_logits"], name="semflash_flatten"))
        result = "semflash_logits"
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))


def _check_axis(node: Any, dims: list[int], opset: int) -> None:
    """dims: of the output, 0 where a length is open; empty: unknown, and then it has to be (1, classes)."""
    rank = len(dims) or 2
    one_axis = opset >= _ONE_AXIS_OPSET
    given = next((at.i for at in node.attribute if at.name == "axis"), -1 if one_axis else 1)
    axis = given + rank if given < 0 else given
    classes = next((at for at in range(1, len(dims)) if dims[at] != 1), 1)
    if axis != classes and (one_axis or not 1 <= axis < classes):
        raise TrainingError(
            f"the {node.op_type} at the end is not over the classes",
            value=f"node {node.name or node.output[0]}: axis {given}, the classes are axis {classes}",
            remedy="export the network with a softmax over the classes, or with none",
        )


def _opset(model: Any) -> int:
    return max((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), default=1)
