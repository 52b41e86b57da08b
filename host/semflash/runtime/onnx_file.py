"""Reading an ONNX file of anybody's: limits, weights from beside it only, operators of the standard only.

No function, subgraph or custom operator is taken, and nothing of the network runs here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from semflash.errors import TrainingError

FILE_BYTES_MAX = 512 << 20
EXTERNAL_BYTES_MAX = 1 << 30
NODES_MAX = 20_000


def load_onnx(
    path: Path,
    check: Callable[[Any], None] = lambda model: None,
    *,
    external_max: int = EXTERNAL_BYTES_MAX,
    weights: bool = True,
) -> Any:
    """The model in a file.

    Args:
        check: of the caller, on the model before its weights are read.
        external_max: most bytes of weights that lie beside the file.
        weights: read those, and check the model as a whole; else they stay where they are.

    Raises:
        TrainingError: missing, damaged or too large, weights elsewhere than beside it, or an operator that is
            not of the standard or holds a graph.
    """
    if not path.is_file():
        raise TrainingError("there is no such ONNX file", value=path)
    if path.stat().st_size > FILE_BYTES_MAX:
        raise TrainingError(f"the file is larger than {FILE_BYTES_MAX >> 20} MiB", value=path)
    try:
        model = onnx.load(path, load_external_data=False)
        _check_contents(model)  # before anything else is read: subgraphs could name files, too
        check(model)
        _check_external(model, path.parent, external_max)
        if weights:
            onnx.load_external_data_for_model(model, str(path.parent))
            onnx.checker.check_model(model)
    except TrainingError:
        raise
    except Exception as error:  # protobuf and the checker raise types of their own
        raise TrainingError(
            f"not an ONNX model: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}",
            value=path.name,
            remedy="check it with onnx.checker",
        ) from error
    return model


def external_files(model: Any, folder: Path) -> list[Path]:
    """Files with weights that a checked model names, each once, in the order of their names."""
    fields = [
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in _tensors(model)
        if tensor.data_location == TensorProto.EXTERNAL
    ]
    return sorted({(folder.resolve() / one["location"]).resolve() for one in fields})


def _tensors(model: Any) -> list[Any]:
    """All of a model that holds numbers, those in nodes included."""
    inner = [tensor for node in model.graph.node for at in node.attribute for tensor in (at.t, *at.tensors)]
    return [*model.graph.initializer, *inner]


def _check_external(model: Any, folder: Path, most: int) -> None:
    """Weights outside the file lie beside it, and are not too many (tensors may share one file)."""
    total, root = 0, folder.resolve()
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        fields = {entry.key: entry.value for entry in tensor.external_data}
        location = fields.get("location", "")
        place = (root / location).resolve()
        if not location or Path(location).is_absolute() or not place.is_relative_to(root):
            raise TrainingError(
                "weights outside the folder of the ONNX file are not read", value=f"{tensor.name}: {location}"
            )
        if not place.is_file():
            raise TrainingError("a file with weights is missing", value=location)
        length = fields.get("length", "")
        total += (int(length) if length.isdecimal() else 0) or place.stat().st_size
    if total > most:
        raise TrainingError("the weights beside the file are too large", value=total)


def _check_contents(model: Any) -> None:
    if len(model.graph.node) > NODES_MAX:
        raise TrainingError(f"more than {NODES_MAX:,} nodes", value=len(model.graph.node))
    if model.functions:
        raise TrainingError("functions in ONNX files are not run", value=model.functions[0].name)
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx"):
            raise TrainingError(
                f"the operator {node.domain}.{node.op_type} is not of the ONNX standard, and is not run",
                value=f"node {node_name(node, index)}",
                remedy="export the network with standard operators",
            )
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise TrainingError(
                f"{node.op_type} holds a graph of its own, which is not run",
                value=f"node {node_name(node, index)}",
                remedy="export the network without loops and branches",
            )


def node_name(node: Any, index: int) -> str:
    """What a node is called in a message."""
    return node.name or f"{node.op_type} {index}"
