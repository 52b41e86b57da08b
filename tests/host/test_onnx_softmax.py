"""Which softmax at the end of an ONNX classifier is taken off. Needs onnx; nothing is converted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("keras")

from fakes.onnx_files import Graph, write  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.importing.onnx.graph import read_onnx  # noqa: E402


def classifier(flat: bool, opset: int, axis: int | None) -> Any:
    """Four classes; probabilities (1, 4), or (1, 4, 1, 1) where they are not flat."""
    graph = Graph()
    x = graph.node("GlobalAveragePool", [graph.conv("image", "stem", (3, 4))], "average")
    x = graph.node("Flatten", [x], "flat") if flat else x
    graph.node("Softmax", [x], "probabilities", **({} if axis is None else {"axis": axis}))
    model = graph.model([1, 3, 16, 16], "probabilities", 4, opset=opset)
    for _ in range(0 if flat else 2):
        model.graph.output[0].type.tensor_type.shape.dim.add(dim_value=1)
    return model


@pytest.mark.parametrize(
    ("flat", "opset", "axis"),
    [
        (True, 17, None),
        (True, 17, 1),
        (True, 17, -1),
        (True, 11, None),
        (True, 11, -1),
        (False, 17, 1),
        (False, 17, -3),
        (False, 11, None),
        (False, 11, 1),
    ],
)
def test_a_softmax_over_the_classes_is_taken_off(
    flat: bool, opset: int, axis: int | None, tmp_path: Path
) -> None:
    network = read_onnx(write(classifier(flat, opset, axis), tmp_path / "net.onnx"))
    assert network.result_shape == (1, 4)
    assert "Softmax" not in [node.op_type for node in network.model.graph.node]


@pytest.mark.parametrize(
    ("flat", "opset", "axis"),
    [(True, 17, 0), (True, 11, 0), (False, 17, None), (False, 17, -1), (False, 17, 0), (False, 11, 2)],
)
def test_a_softmax_over_another_axis_is_refused_with_its_node_and_axis(
    flat: bool, opset: int, axis: int | None, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="not over the classes") as caught:
        read_onnx(write(classifier(flat, opset, axis), tmp_path / "net.onnx"))
    assert f"probabilities_node: axis {-1 if axis is None else axis}" in str(caught.value.value)
    assert "softmax over the classes" in caught.value.remedy
