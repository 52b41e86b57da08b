"""Encoders with fixed weights: a small one for the golden text, and the shape of a ResNet-50 head."""

from __future__ import annotations

import numpy as np

from codegen.fused.tflite_builder import Builder
from codegen.golden import request_for
from semflash_codegen import generate


def _conv(builder: Builder, out: int, kernel: int, stride: int, *, same: bool, relu: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = builder.shape[2]
    weights = rng.integers(-127, 128, (out, kernel, kernel, depth)).astype(np.int8)
    bias = rng.integers(-2000, 2000, out).astype(np.int32)
    scales = rng.uniform(0.004, 0.012, out).astype(np.float32)
    scale = float(np.float32(builder.quantisation[0] * np.sqrt(kernel * kernel * depth) * 0.6))
    builder.conv(
        weights,
        bias,
        scales,
        stride=(stride, stride),
        same=same,
        activation="relu" if relu else "none",
        scale=scale,
        zero=-128 if relu else 3,
    )


def fixed_model() -> bytes:
    """Image 9x8x3, convolution 3x3 stride 2 to 6 channels, then 2x2 stride 2 to 3 channels."""
    builder = Builder((9, 8, 3), 1 / 255, -128)
    _conv(builder, 6, 3, 2, same=True, relu=True, seed=1)
    _conv(builder, 3, 2, 2, same=False, relu=False, seed=2)
    return builder.finish()


def fixed_text() -> str:
    """Header and source that the generator writes for the fixed model."""
    files = generate(request_for(fixed_model(), "auto")).files
    return files["sf_model.h"] + files["sf_model.c"]


def stem_and_encoder(size: int) -> bytes:
    """size x size x 3, convolution 3x3 stride 2 to 24, convolution 4x4 stride 4 to 12."""
    builder = Builder((size, size, 3), 1 / 255, -128)
    _conv(builder, 24, 3, 2, same=True, relu=True, seed=5)
    _conv(builder, 12, 4, 4, same=False, relu=False, seed=6)
    return builder.finish()


def fashion_encoder() -> bytes:
    """28x28x1 as in the zoo: convolution 3x3 to 16, maximum 2x2, 3x3 stride 2 to 24, 3x3 stride 2 to 8."""
    builder = Builder((28, 28, 1), 1 / 255, -128)
    _conv(builder, 16, 3, 1, same=True, relu=True, seed=7)
    builder.pool("MAX_POOL_2D", (2, 2), stride=(2, 2), same=False)
    _conv(builder, 24, 3, 2, same=True, relu=True, seed=8)
    _conv(builder, 8, 3, 2, same=True, relu=False, seed=9)
    return builder.finish()


def extremes() -> list[bytes]:
    """Shapes at the limits of the generated kernels: longest frames, most channels, widest steps."""
    strip = Builder((21, 35, 3), 1 / 255, -128)
    _conv(strip, 12, 7, 1, same=True, relu=True, seed=10)
    _conv(strip, 5, 7, 7, same=False, relu=False, seed=11)
    wide = Builder((3, 5, 42), 1 / 255, -128)
    _conv(wide, 256, 3, 1, same=True, relu=True, seed=12)
    _conv(wide, 6, 1, 4, same=True, relu=False, seed=13)
    tall = Builder((9, 6, 18), 1 / 255, -128)
    _conv(tall, 7, 7, 4, same=True, relu=False, seed=14)
    deep = Builder((4, 3, 200), 1 / 255, -128)
    _conv(deep, 9, 2, 1, same=False, relu=False, seed=15)
    return [model.finish() for model in (strip, wide, tall, deep)]


def resnet_head() -> bytes:
    """224x224x3, convolution 7x7 stride 2 to 64, maximum 3x3 stride 2, convolution 4x4 stride 4 to 32."""
    builder = Builder((224, 224, 3), 1 / 255, -128)
    _conv(builder, 64, 7, 2, same=True, relu=True, seed=3)
    builder.pool("MAX_POOL_2D", (3, 3), stride=(2, 2), same=True)
    _conv(builder, 32, 4, 4, same=False, relu=False, seed=4)
    return builder.finish()
