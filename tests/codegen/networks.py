"""Small networks built like MLPerf-Tiny's four, with random weights, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np

from codegen.graph_builder import GraphBuilder, Quantisation

Rng = np.random.Generator
Tensor = tuple[int, tuple[int, ...], tuple[float, int]]


class Network:
    """A graph that grows layer by layer; tensors are (index, shape, quantisation)."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, float_ends: bool = False) -> None:
        self.rng, self.float_ends = rng, float_ends
        quantisation = (1.0 / 64.0, -3)
        self.graph = GraphBuilder(shape, quantisation, dtype="FLOAT32" if float_ends else "INT8")
        self.image: Tensor = (self.graph.source, shape, quantisation)
        if float_ends:
            index = self.graph.activation(shape, quantisation)
            self.image = (self.graph.operator("QUANTIZE", [self.graph.source], index), shape, quantisation)

    def conv(self, x: Tensor, channels: int, kernel: int, *, stride: int = 1, relu: bool = True) -> Tensor:
        """SAME convolution."""
        h, w, depth = x[1][1:]
        weights = self.rng.integers(-127, 128, (channels, kernel, kernel, depth)).astype(np.int8)
        shape = (1, -(-h // stride), -(-w // stride), channels)
        options = {"strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1}
        return self._multiply("CONV_2D", "Conv2D", x, weights, 0, shape, kernel**2 * depth, relu, options)

    def depthwise(self, x: Tensor, *, stride: int = 1) -> Tensor:
        """SAME depthwise 3x3 with ReLU."""
        h, w, depth = x[1][1:]
        weights = self.rng.integers(-127, 128, (1, 3, 3, depth)).astype(np.int8)
        options = {
            "strideH": stride,
            "strideW": stride,
            "dilationHFactor": 1,
            "dilationWFactor": 1,
            "depthMultiplier": 1,
        }
        shape = (1, -(-h // stride), -(-w // stride), depth)
        return self._multiply("DEPTHWISE_CONV_2D", "DepthwiseConv2D", x, weights, 3, shape, 9, True, options)

    def logits(self, x: Tensor, outputs: int) -> Tensor:
        """A dense layer whose real outputs are so small that SOFTMAX does not saturate."""
        return self.dense(x, outputs, scale=1.0 / 40.0)

    def dense(self, x: Tensor, outputs: int, *, relu: bool = False, scale: float | None = None) -> Tensor:
        """FULLY_CONNECTED with one weight scale; scale: of the output, where it matters."""
        inputs = x[1][-1]
        weights = self.rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        return self._multiply(
            "FULLY_CONNECTED", "FullyConnected", x, weights, None, (1, outputs), inputs, relu, {}, scale
        )

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """ADD with ReLU."""
        quantisation = (float(np.float32(a[2][0] + b[2][0])), -128)
        out = self.graph.activation(a[1], quantisation)
        self.graph.operator("ADD", [a[0], b[0]], out, "Add", fusedActivationFunction=1)
        return out, a[1], quantisation

    def max_pool(self, x: Tensor) -> Tensor:
        """MAX_POOL_2D 2x2, stride 1, SAME."""
        out = self.graph.activation(x[1], x[2])
        options = {"filterHeight": 2, "filterWidth": 2, "strideH": 1, "strideW": 1, "padding": 0}
        self.graph.operator("MAX_POOL_2D", [x[0]], out, "Pool2D", **options)
        return out, x[1], x[2]

    def average(self, x: Tensor) -> Tensor:
        """AVERAGE_POOL_2D over everything."""
        h, w, depth = x[1][1:]
        out = self.graph.activation((1, 1, 1, depth), x[2])
        options = {"filterHeight": h, "filterWidth": w, "strideH": h, "strideW": w, "padding": 1}
        self.graph.operator("AVERAGE_POOL_2D", [x[0]], out, "Pool2D", **options)
        return out, (1, 1, 1, depth), x[2]

    def reshape(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """RESHAPE with a constant shape."""
        out = self.graph.activation(shape, x[2])
        self.graph.operator("RESHAPE", [x[0], self.graph.constant(np.array(shape, np.int32))], out)
        return out, shape, x[2]

    def softmax(self, x: Tensor) -> Tensor:
        """SOFTMAX."""
        out = self.graph.activation(x[1], (1.0 / 256.0, -128))
        self.graph.operator("SOFTMAX", [x[0]], out, "Softmax", beta=1.0)
        return out, x[1], (1.0 / 256.0, -128)

    def finish(self, x: Tensor) -> bytes:
        """The file."""
        if not self.float_ends:
            return self.graph.finish(x[0])
        out = self.graph.activation(x[1], None, "FLOAT32")
        return self.graph.finish(self.graph.operator("DEQUANTIZE", [x[0]], out))

    def _multiply(
        self,
        name: str,
        options: str,
        x: Tensor,
        weights: np.ndarray[tuple[int, ...], np.dtype[np.int8]],
        axis: int | None,
        shape: tuple[int, ...],
        fan_in: int,
        relu: bool,
        more: dict[str, int],
        scale: float | None = None,
    ) -> Tensor:
        """A layer with weights whose output uses most of int8."""
        channels = shape[-1]
        scales = self.rng.uniform(0.005, 0.02, channels if axis is not None else 1).astype(np.float32)
        spread = 40.0 * sqrt(fan_in) * 73.0 / 64.0
        if scale is not None:
            scales[:] = scale / (x[2][0] * spread)
        quantisation: Quantisation = (
            float(np.float32(x[2][0] * float(scales.max()) * spread)),
            -128 if relu else 5,
        )
        bias = self.rng.integers(-2000, 2000, channels).astype(np.int32)
        inputs = [
            x[0],
            self.graph.constant(weights, (list(scales), 0), axis or 0),
            self.graph.constant(bias, (list(np.float32(x[2][0]) * scales), 0)),
        ]
        out = self.graph.activation(shape, quantisation)
        self.graph.operator(name, inputs, out, options, fusedActivationFunction=int(relu), **more)
        return out, shape, quantisation  # type: ignore[return-value]


def resnet8(rng: Rng) -> bytes:
    """Three residual blocks, the second and third with a 1x1 shortcut."""
    n = Network((1, 12, 12, 3), rng)
    x = n.conv(n.image, 8, 3)
    for channels, stride in ((8, 1), (12, 2), (16, 2)):
        y = n.conv(n.conv(x, channels, 3, stride=stride), channels, 3, relu=False)
        x = n.add(x if stride == 1 else n.conv(x, channels, 1, stride=stride, relu=False), y)
    return n.finish(n.softmax(n.logits(n.reshape(n.average(x), (1, 16)), 10)))


def ds_cnn(rng: Rng) -> bytes:
    """A wide stem, separable blocks, float interface."""
    n = Network((1, 20, 10, 1), rng, float_ends=True)
    x = n.conv(n.image, 16, 9, stride=2)
    for _ in range(3):
        x = n.conv(n.depthwise(x), 16, 1)
    return n.finish(n.softmax(n.logits(n.reshape(n.average(x), (1, 16)), 12)))


def mobilenet(rng: Rng) -> bytes:
    """Separable blocks with strides, float interface."""
    n = Network((1, 24, 24, 3), rng, float_ends=True)
    x = n.conv(n.image, 8, 3, stride=2)
    for channels, stride in ((16, 1), (24, 2), (24, 1), (32, 2)):
        x = n.conv(n.depthwise(x, stride=stride), channels, 1)
    return n.finish(n.softmax(n.logits(n.reshape(n.average(x), (1, 32)), 2)))


def autoencoder(rng: Rng) -> bytes:
    """A vector in, a longer vector out than one latent position may have."""
    n = Network((1, 320), rng)
    x = n.image
    for outputs in (32, 32, 8, 32, 32):
        x = n.dense(x, outputs, relu=True)
    return n.finish(n.dense(x, 320))


def shape_arithmetic(rng: Rng) -> bytes:
    """A RESHAPE whose shape the graph computes: SHAPE, STRIDED_SLICE, PACK."""
    n = Network((1, 6, 5, 4), rng)
    x = n.dense(n.reshape(n.conv(n.image, 4, 3), (1, 120)), 24)
    g = n.graph
    shape = g.operator("SHAPE", [x[0]], g.activation((2,), None, "INT32"), "Shape", outType=2)
    ends = [g.constant(np.array([v], np.int32)) for v in (0, 1, 1)]
    batch = g.operator(
        "STRIDED_SLICE", [shape, *ends], g.activation((), None, "INT32"), "StridedSlice", shrinkAxisMask=1
    )
    sizes = [g.constant(np.array(v, np.int32)) for v in (2, 3, 4)]
    packed = g.operator(
        "PACK", [batch, *sizes], g.activation((4,), None, "INT32"), "Pack", valuesCount=4, axis=0
    )
    out = g.activation((1, 2, 3, 4), x[2])
    return g.finish(g.operator("RESHAPE", [x[0], packed], out))


def random_network(rng: Rng) -> bytes:
    """Random blocks: plain, separable, residual, residual with a shortcut, pooled; odd sizes and channels."""
    n = Network((1, int(rng.integers(4, 15)), int(rng.integers(3, 15)), int(rng.integers(1, 5))), rng)
    x = n.image
    for _ in range(int(rng.integers(2, 6))):
        kind, channels = int(rng.integers(5)), int(rng.integers(1, 11))
        kernel, stride = int(rng.integers(1, 6)), int(rng.integers(1, 3))
        if kind == 0:
            x = n.conv(x, channels, kernel, stride=stride)
        elif kind == 1:
            x = n.conv(n.depthwise(x, stride=stride), channels, 1)
        elif kind == 2:
            y = n.conv(n.conv(x, channels, kernel), x[1][3], 3, relu=False)
            x = n.add(x, y) if rng.random() < 0.5 else n.add(y, x)
        elif kind == 3:
            y = n.depthwise(n.conv(x, channels, kernel, stride=stride))
            x = n.add(n.conv(x, channels, 1, stride=stride, relu=False), y)
        else:
            x = n.max_pool(x)
    return n.finish(x)


NETWORKS: dict[str, Callable[[Rng], bytes]] = {
    "ResNet8": resnet8,
    "DS-CNN": ds_cnn,
    "MobileNet": mobilenet,
    "autoencoder": autoencoder,
    "shape arithmetic": shape_arithmetic,
}
