"""ONNX classifiers with random weights, written node by node: independent of any framework's exporter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and weights of a network under construction; every method returns the tensor it makes."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, shape: tuple[int, ...], scale: float = 0.4) -> str:
        return self.constant(self.random.standard_normal(shape).astype(np.float32) * np.float32(scale))

    def constant(self, value: np.ndarray) -> str:
        name = f"constant{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        domain = attributes.pop("domain", "")
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{output}_node", domain=domain, **attributes)
        )
        return output

    def conv(self, x: str, output: str, channels: tuple[int, int], kernel: int = 3, **more: Any) -> str:
        """SAME for odd kernels; channels: (in, out)."""
        groups, half = more.pop("group", 1), kernel // 2
        weights = self.weight((channels[1], channels[0] // groups, kernel, kernel))
        more = {"kernel_shape": [kernel, kernel], "pads": [half] * 4, "group": groups} | more
        return self.node("Conv", [x, weights, self.weight((channels[1],))], output, **more)

    def norm(self, x: str, output: str, channels: int) -> str:
        variance = self.constant(np.abs(self.random.standard_normal(channels)).astype(np.float32) + 0.5)
        inputs = [x, *(self.weight((channels,)) for _ in range(3)), variance]
        return self.node("BatchNormalization", inputs, output)

    def model(
        self, image: list[Any], output: str, classes: int, opset: int = 17, domains: tuple[str, ...] = ()
    ) -> Any:
        """image, classes: shape of ``image`` and length of ``output``."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [image[0], classes])],
            self.weights,
        )
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def residual_classifier(side: int = 16, classes: int = 4, batch: Any = 1) -> Any:
    """Stem with BatchNorm, a residual block, maximum with padding, average, dense, softmax."""
    graph = Graph()
    x = graph.conv("image", "stem", (3, 6), strides=[2, 2])
    x = graph.node("Relu", [graph.norm(x, "stem_norm", 6)], "features")
    y = graph.node("Relu", [graph.conv(x, "inner", (6, 6))], "inner_relu")
    y = graph.conv(y, "outer", (6, 6))
    x = graph.node("Relu", [graph.node("Add", [x, y], "sum")], "block")
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "average")], "flat")
    dense = [x, graph.weight((classes, 6), 1.0), graph.weight((classes,))]
    x = graph.node("Gemm", dense, "logits", transB=1)
    graph.node("Softmax", [x], "probabilities", axis=1)
    return graph.model([batch, 3, side, side], "probabilities", classes)


def many_operators(side: int = 32, classes: int = 5) -> Any:
    """What mobile networks are made of: depthwise, ReLU6, hard swish, squeeze and excite, and the like."""
    graph = Graph(1)
    x = graph.conv("image", "stem", (3, 8), strides=[2, 2])
    x = graph.node("HardSwish", [x], "stem_swish")
    x = graph.conv(x, "depthwise", (8, 8), group=8)
    low, high = (graph.constant(np.float32(value)) for value in (0, 6))
    x = graph.node("Clip", [x, low, high], "features")
    s = graph.node("GlobalAveragePool", [x], "squeeze")
    s = graph.node("LeakyRelu", [graph.conv(s, "reduce", (8, 4), 1)], "reduce_leaky", alpha=0.1)
    s = graph.node("Sigmoid", [graph.conv(s, "expand", (4, 8), 1)], "gate")
    x = graph.node("Mul", [x, s], "excited")
    p = graph.node("PRelu", [x, graph.weight((8, 1, 1))], "prelu")
    q = graph.node("Tanh", [graph.conv(x, "grouped", (8, 6), group=2)], "grouped_tanh")
    x = graph.node("Concat", [p, q], "joined", axis=1)
    x = graph.node("AveragePool", [x], "average", kernel_shape=[2, 2], strides=[2, 2])
    x = graph.node("Sub", [graph.norm(x, "loose_norm", 14), graph.weight((14, 1, 1))], "shifted")
    x = graph.node(
        "ConvTranspose", [x, graph.weight((14, 6, 2, 2))], "up", kernel_shape=[2, 2], strides=[2, 2]
    )
    x = graph.node("Elu", [graph.conv(x, "down", (6, 4), strides=[4, 4])], "down_elu")
    x = graph.node("Flatten", [x], "flat")
    x = graph.node("MatMul", [x, graph.weight((4 * (side // 8) ** 2, classes))], "product")
    graph.node("Add", [x, graph.weight((classes,))], "logits")
    return graph.model([1, 3, side, side], "logits", classes)


def mobile_three(side: int = 16, classes: int = 4) -> Any:
    """What MobileNetV3 gates with (Howard et al. 2019, arXiv 1905.02244), a sum of three, a maximum."""
    graph = Graph(2)
    x = graph.node("HardSwish", [graph.conv("image", "stem", (3, 6), strides=[2, 2])], "features")
    s = graph.conv(graph.node("GlobalAveragePool", [x], "squeeze"), "expand", (6, 6), 1)
    x = graph.node("Mul", [x, graph.node("HardSigmoid", [s], "gate", alpha=1 / 6, beta=0.5)], "gated")
    y = graph.node("HardSigmoid", [graph.conv(x, "inner", (6, 6))], "inner_gate")
    x = graph.node("Sum", [x, y, graph.conv(y, "outer", (6, 6))], "sum")
    largest = graph.node("ReduceMax", [x], "largest", axes=[2, 3], keepdims=0)
    graph.node("Gemm", [largest, graph.weight((6, classes), 1.0), graph.weight((classes,))], "logits")
    return graph.model([1, 3, side, side], "logits", classes)


def write(model: Any, path: Path) -> Path:
    """Save a model, unchecked: some are broken on purpose."""
    onnx.save(model, path)
    return path
