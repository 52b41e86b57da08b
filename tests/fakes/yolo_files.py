"""ONNX detectors of YOLO's structure with random weights: backbone, SPPF, neck, and both export forms."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from fakes.onnx_files import Graph

HEIGHT, WIDTH = 48, 64
STRIDES = (8, 16)
CELLS = tuple((HEIGHT // stride, WIDTH // stride) for stride in STRIDES)
CLASSES = 2
REACH = 5  # DFL bins
V5_ANCHORS = 3


def yolov8(
    *, dfl: bool = False, silu: str = "", classes: int = CLASSES, batch: Any = 1, attention: bool = False
) -> Any:
    """(1, 4 + classes, 60): distances to the sides at each cell's centre, class scores after a sigmoid."""
    graph = Graph(3)
    levels, rows = _backbone(graph, silu, attention), []
    sides = 4 * REACH if dfl else 4
    for level, x in enumerate(levels):
        boxes = graph.conv(x, f"boxes{level}", (11 + 2 * level, sides), 1)
        scores = graph.conv(x, f"scores{level}", (11 + 2 * level, classes), 1)
        x = graph.node("Concat", [boxes, scores], f"both{level}", axis=1)
        shape = graph.constant(np.array([1, sides + classes, -1]))
        rows.append(graph.node("Reshape", [x, shape], f"rows{level}"))
    x = graph.node("Concat", rows, "rows", axis=2)
    boxes, scores = _split(graph, x, "head", [sides, classes], axis=1)
    if dfl:
        distances = _expectation(graph, boxes)
    else:
        small = graph.node("Mul", [boxes, graph.constant(np.float32(0.1))], "logarithms")
        distances = graph.node("Exp", [small], "distances")
    cells, strides = _grid()
    low = graph.node("Sub", [graph.constant(cells), _slice(graph, distances, "low", 0, 2)], "corner")
    high = graph.node("Add", [_slice(graph, distances, "high", 2, 4), graph.constant(cells)], "other_corner")
    middle = graph.node("Add", [low, high], "middle_twice")
    middle = graph.node("Div", [middle, graph.constant(np.float32(2))], "middle")
    size = graph.node("Sub", [high, low], "size")
    boxes = graph.node("Concat", [middle, size], "boxes_in_cells", axis=1)
    boxes = graph.node("Mul", [boxes, graph.constant(strides)], "boxes")
    graph.node("Concat", [boxes, graph.node("Sigmoid", [scores], "scores")], "output", axis=1)
    return _model(graph, [1, 4 + classes, cells.shape[2]], batch)


def yolov5(*, silu: str = "", classes: int = CLASSES) -> Any:
    """(1, 180, 5 + classes): three anchors a cell, everything through a sigmoid first."""
    graph = Graph(4)
    levels, rows = _backbone(graph, silu), []
    values = 5 + classes
    for level, (x, stride, (height, width)) in enumerate(zip(levels, STRIDES, CELLS, strict=True)):
        x = graph.conv(x, f"detect{level}", (11 + 2 * level, V5_ANCHORS * values), 1)
        shape = graph.constant(np.array([1, V5_ANCHORS, values, height, width]))
        x = graph.node("Reshape", [x, shape], f"anchors{level}")
        x = graph.node("Transpose", [x], f"moved{level}", perm=[0, 1, 3, 4, 2])
        x = graph.node("Sigmoid", [x], f"sigmoid{level}")
        place, size, rest = _split(graph, x, f"parts{level}", [2, 2, values - 4], axis=4)
        two, strides = (graph.constant(np.float32(value)) for value in (2, stride))
        down, right = np.mgrid[:height, :width].astype(np.float32)
        grid = np.broadcast_to(np.stack([right, down], -1) - 0.5, (1, V5_ANCHORS, height, width, 2))
        anchors = np.array([[1.2, 1.6], [2.0, 3.7], [4.1, 2.9]], np.float32) * stride
        anchors = np.broadcast_to(anchors[None, :, None, None], grid.shape)
        place = graph.node("Mul", [place, two], f"twice{level}")
        place = graph.node("Add", [place, graph.constant(np.ascontiguousarray(grid))], f"placed{level}")
        place = graph.node("Mul", [place, strides], f"place{level}")
        size = graph.node("Mul", [size, two], f"size_twice{level}")
        size = graph.node("Pow", [size, graph.constant(np.float32(2))], f"size_squared{level}")
        size = graph.node("Mul", [size, graph.constant(np.ascontiguousarray(anchors))], f"size{level}")
        x = graph.node("Concat", [place, size, rest], f"level{level}", axis=4)
        shape = graph.constant(np.array([1, V5_ANCHORS * height * width, values]))
        rows.append(graph.node("Reshape", [x, shape], f"rows{level}"))
    graph.node("Concat", rows, "output", axis=1)
    return _model(graph, [1, V5_ANCHORS * sum(h * w for h, w in CELLS), values], 1)


def with_names(model: Any, names: dict[int, str]) -> Any:
    """Class names as exporters write them."""
    helper.set_model_props(model, {"names": str(names), "task": "detect"})
    return model


def _backbone(graph: Graph, silu: str, attention: bool = False) -> list[str]:
    """Maps at strides 8 (11 channels) and 16 (13). SiLU in place of Relu: ``behind`` the tensor ``features``
    at stride 4, or ``everywhere`` before and behind it."""
    x = _block(graph, "image", "stem", (3, 5), silu == "everywhere", strides=[2, 2])
    x = graph.node("Relu", [graph.conv(x, "early", (5, 7), strides=[2, 2])], "features")
    x = near = _block(graph, x, "p3", (7, 10), bool(silu), strides=[2, 2])
    x = _block(graph, x, "p4", (10, 9), bool(silu), strides=[2, 2])
    pooled = [x]
    for number in range(3):
        pooled.append(graph.node("MaxPool", pooled[-1:], f"sppf{number}", kernel_shape=[5, 5], pads=[2] * 4))
    far = _block(graph, graph.node("Concat", pooled, "sppf", axis=1), "p4_out", (36, 13), bool(silu))
    far = _attention(graph, far) if attention else far
    factors = graph.constant(np.array([1, 1, 2, 2], np.float32))
    up = graph.node(
        "Resize",
        [far, "", factors],
        "up",
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    near = _block(graph, graph.node("Concat", [up, near], "neck", axis=1), "p3_out", (23, 11), bool(silu))
    return [near, far]


def _block(graph: Graph, x: str, name: str, channels: tuple[int, int], silu: bool, **more: Any) -> str:
    """Convolution, BatchNorm, and SiLU as exporters write it, or ReLU."""
    x = graph.norm(graph.conv(x, f"{name}_conv", channels, **more), f"{name}_norm", channels[1])
    if not silu:
        return graph.node("Relu", [x], name)
    return graph.node("Mul", [x, graph.node("Sigmoid", [x], f"{name}_gate")], name)


def _attention(graph: Graph, x: str) -> str:
    """Two heads over the positions of the 13 channels at stride 16, as in v11."""
    height, width = CELLS[1]
    places = height * width
    rows = graph.constant(np.array([1, 2, 10, places]))
    qkv = graph.node("Reshape", [graph.conv(x, "qkv", (13, 20), 1), rows], "qkv_rows")
    query, key, value = _split(graph, qkv, "qkv_parts", [2, 2, 6], axis=2)
    query = graph.node("Transpose", [query], "query", perm=[0, 1, 3, 2])
    near = graph.node("MatMul", [query, key], "likeness")
    near = graph.node("Mul", [near, graph.constant(np.float32(0.7))], "likeness_scaled")
    near = graph.node("Softmax", [near], "attention", axis=-1)
    near = graph.node("Transpose", [near], "attention_turned", perm=[0, 1, 3, 2])
    y = graph.node("MatMul", [value, near], "attended")
    y = graph.node("Reshape", [y, graph.constant(np.array([1, 12, height, width]))], "attended_map")
    return graph.node("Add", [x, graph.conv(y, "projected", (12, 13), 1)], "p4_attended")


def _expectation(graph: Graph, boxes: str) -> str:
    """Distribution focal loss: the expected bin, (1, 4, anchors)."""
    shape = graph.constant(np.array([1, 4, REACH, -1]))
    x = graph.node("Reshape", [boxes, shape], "bins")
    x = graph.node("Transpose", [x], "bins_first", perm=[0, 2, 1, 3])
    x = graph.node("Softmax", [x], "shares", axis=1)
    weights = graph.constant(np.arange(REACH, dtype=np.float32).reshape(1, REACH, 1, 1))
    x = graph.node("Conv", [x, weights], "expected", kernel_shape=[1, 1])
    return graph.node("Reshape", [x, graph.constant(np.array([1, 4, -1]))], "distances")


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Cell centres (1, 2, anchors), x then y, and strides (1, anchors)."""
    centres, strides = [], []
    for stride, (height, width) in zip(STRIDES, CELLS, strict=True):
        down, right = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
        centres.append(np.stack([right.ravel(), down.ravel()]))
        strides.append(np.full(height * width, stride, np.float32))
    return np.concatenate(centres, 1)[None], np.concatenate(strides)[None]


def _split(graph: Graph, x: str, name: str, sizes: list[int], axis: int) -> list[str]:
    outputs = [f"{name}_{index}" for index in range(len(sizes))]
    inputs = [x, graph.constant(np.array(sizes))]
    graph.nodes.append(helper.make_node("Split", inputs, outputs, name=f"{name}_node", axis=axis))
    return outputs


def _slice(graph: Graph, x: str, name: str, start: int, stop: int) -> str:
    bounds = [graph.constant(np.array([value])) for value in (start, stop, 1)]
    return graph.node("Slice", [x, *bounds], name)


def _model(graph: Graph, output: list[int], batch: Any) -> Any:
    model = graph.model([batch, 3, HEIGHT, WIDTH], "output", output[2])
    del model.graph.output[:]
    value = helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, *output[1:]])
    model.graph.output.append(value)
    return model
