"""Random one-operator models for the operators beyond the first set: any quantisation, odd shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codegen.graph_builder import GraphBuilder, Quantisation

Rng = np.random.Generator


def quantisation(rng: Rng) -> tuple[float, int]:
    """A scale over two decades and any zero point."""
    return float(np.float32(10.0 ** rng.uniform(-2.5, -0.5))), int(rng.integers(-128, 128))


def image(rng: Rng, channels: int = 6) -> tuple[int, int, int, int]:
    """(1, h, w, c), small and odd."""
    return 1, int(rng.integers(1, 8)), int(rng.integers(1, 8)), int(rng.integers(1, channels + 1))


def mul(rng: Rng) -> bytes:
    """Two branches of one image, or an image and a constant, dense or broadcast either way."""
    shape, q = image(rng), quantisation(rng)
    other = tuple(int(n) if rng.random() < 0.5 else 1 for n in shape)
    g = GraphBuilder(shape, q)
    output = g.activation(shape, quantisation(rng))
    kind = rng.integers(3)
    if kind == 0:
        operands = [g.source, g.source]
    else:
        values = rng.integers(-128, 128, other).astype(np.int8)
        operands = [g.source, g.constant(values, quantisation(rng))]
    if kind == 2:
        operands.reverse()
    return g.finish(
        g.operator("MUL", operands, output, "Mul", fusedActivationFunction=int(rng.choice([0, 1, 3])))
    )


def mul_by_its_mean(rng: Rng) -> bytes:
    """Squeeze and excite: an image times its own mean, an activation that is broadcast."""
    shape, q = image(rng), quantisation(rng)
    g = GraphBuilder(shape, q)
    axes = g.constant(np.array([1, 2], np.int32))
    mean = g.operator(
        "MEAN", [g.source, axes], g.activation((1, 1, 1, shape[3]), q), "Reducer", keepDims=True
    )
    return g.finish(
        g.operator("MUL", [mean, g.source], g.activation(shape, (3.0 * q[0] * q[0] * 64, -3)), "Mul")
    )


def softmax(rng: Rng) -> bytes:
    """Rows of 1 to 40 values; scales from flat to winner takes all."""
    shape = (1, int(rng.integers(1, 4)), int(rng.integers(1, 40)))
    scale = float(np.float32(10.0 ** rng.uniform(-4, 1.5)))
    g = GraphBuilder(shape, (scale, int(rng.integers(-128, 128))))
    beta = float(rng.choice([1.0, 0.5, 2.25]))
    output = g.activation(shape, (1.0 / 256.0, -128))
    return g.finish(g.operator("SOFTMAX", [g.source], output, "Softmax", beta=beta))


def mean(rng: Rng) -> bytes:
    """Every run of neighbouring axes, with and without keep_dims, negative axes too."""
    shape = image(rng)
    first = int(rng.integers(1, 4))
    axes = list(range(first, int(rng.integers(first, 4)) + 1))
    keep = bool(rng.random() < 0.5) or len(axes) == 3
    out = (
        tuple(1 if i in axes else n for i, n in enumerate(shape))
        if keep
        else tuple(n for i, n in enumerate(shape) if i not in axes)
    )
    given = np.array([a - 4 if rng.random() < 0.3 else a for a in axes], np.int32)
    g = GraphBuilder(shape, quantisation(rng))
    output = g.activation(out, quantisation(rng))
    return g.finish(g.operator("MEAN", [g.source, g.constant(given)], output, "Reducer", keepDims=keep))


def rsqrt(rng: Rng) -> bytes:
    """Positive inputs only: the zero point is the smallest value."""
    shape = image(rng)
    g = GraphBuilder(shape, (quantisation(rng)[0], -128))
    return g.finish(g.operator("RSQRT", [g.source], g.activation(shape, quantisation(rng))))


def prelu(rng: Rng) -> bytes:
    """Alpha per channel, per pixel and channel, or one for all."""
    shape = image(rng)
    alpha_shape = [(1, 1, shape[3]), shape[1:], (1, 1, 1)][int(rng.integers(3))]
    g = GraphBuilder(shape, quantisation(rng))
    alpha = g.constant(rng.integers(-128, 128, alpha_shape).astype(np.int8), quantisation(rng))
    return g.finish(g.operator("PRELU", [g.source, alpha], g.activation(shape, quantisation(rng))))


def quantize(rng: Rng) -> bytes:
    """From one int8 quantisation to another."""
    shape = image(rng)
    g = GraphBuilder(shape, quantisation(rng))
    return g.finish(g.operator("QUANTIZE", [g.source], g.activation(shape, quantisation(rng))))


def leaky_relu(rng: Rng) -> bytes:
    """Slopes from 0 to above 1."""
    shape = image(rng)
    g = GraphBuilder(shape, quantisation(rng))
    alpha = float(rng.choice([0.0, 0.01, 0.1, 0.3, 1.5]))
    output = g.activation(shape, quantisation(rng))
    return g.finish(g.operator("LEAKY_RELU", [g.source], output, "LeakyRelu", alpha=alpha))


def concatenation(rng: Rng) -> bytes:
    """The image, its maximum pool and itself again, along any axis."""
    shape, q = image(rng), quantisation(rng)
    axis = int(rng.integers(1, 4))
    g = GraphBuilder(shape, q)
    pool = g.operator(
        "MAX_POOL_2D",
        [g.source],
        g.activation(shape, q),
        "Pool2D",
        padding=0,
        strideW=1,
        strideH=1,
        filterWidth=2,
        filterHeight=2,
    )
    parts = [g.source, pool, g.source][: int(rng.integers(1, 4))]
    out = tuple(n * len(parts) if i == axis else n for i, n in enumerate(shape))
    given = axis - 4 if rng.random() < 0.3 else axis
    return g.finish(g.operator("CONCATENATION", parts, g.activation(out, q), "Concatenation", axis=given))


def transpose_conv(rng: Rng) -> bytes:
    """Kernels 1 to 4, strides 1 to 3, SAME and VALID, per-channel scales, with and without bias."""
    _, h, w, depth = image(rng, 4)
    channels, same = int(rng.integers(1, 6)), bool(rng.random() < 0.5)
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    size = [
        int(n * s) if same else int(n * s + max(k - s, 0))
        for n, k, s in zip((h, w), kernel, stride, strict=True)
    ]
    q_in, q_out = (quantisation(rng)[0] * 0.2, int(rng.integers(-128, 128))), quantisation(rng)
    scales = (10.0 ** rng.uniform(-2, -1, channels)).astype(np.float32)
    g = GraphBuilder((1, h, w, depth), q_in)
    weights = rng.integers(-127, 128, (channels, *kernel, depth)).astype(np.int8)
    inputs = [
        g.constant(np.array([1, *size, channels], np.int32)),
        g.constant(weights, (list(scales), 0)),
        g.source,
    ]
    if rng.random() < 0.7:
        bias = rng.integers(-4000, 4000, channels).astype(np.int32)
        inputs.append(g.constant(bias, (list(np.float32(q_in[0]) * scales), 0)))
    output = g.activation((1, *size, channels), q_out)
    return g.finish(
        g.operator(
            "TRANSPOSE_CONV",
            inputs,
            output,
            "TransposeConv",
            padding=0 if same else 1,
            strideH=int(stride[0]),
            strideW=int(stride[1]),
        )
    )


def resize_bilinear(rng: Rng) -> bytes:
    """Up and down, with align_corners, half_pixel_centers or neither."""
    shape, q = image(rng), quantisation(rng)
    size = rng.integers(1, 14, 2).astype(np.int32)
    align, half = [(False, False), (True, False), (False, True)][int(rng.integers(3))]
    g = GraphBuilder(shape, q)
    output = g.activation((1, int(size[0]), int(size[1]), shape[3]), q)
    return g.finish(
        g.operator(
            "RESIZE_BILINEAR",
            [g.source, g.constant(size)],
            output,
            "ResizeBilinear",
            alignCorners=align,
            halfPixelCenters=half,
        )
    )


MODELS: dict[str, Callable[[Rng], bytes]] = {
    "MUL": mul,
    "MUL by MEAN": mul_by_its_mean,
    "SOFTMAX": softmax,
    "MEAN": mean,
    "RSQRT": rsqrt,
    "PRELU": prelu,
    "QUANTIZE": quantize,
    "LEAKY_RELU": leaky_relu,
    "CONCATENATION": concatenation,
    "TRANSPOSE_CONV": transpose_conv,
    "RESIZE_BILINEAR": resize_bilinear,
}

__all__ = ["MODELS", "GraphBuilder", "Quantisation"]
