"""Seeded random encoders that stress the streaming engine: shapes, strides, padding, zero points, scales."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from codegen.fused.tflite_builder import Builder
from semflash_codegen.fused.chain import find_chain
from semflash_codegen.tflite_reader import read_model

_STRIDES = (1, 1, 1, 2, 2, 3, 4)


def random_model(seed: int) -> bytes:
    """A chain of 1 to 4 layers on a small image, all of which can stream."""
    for attempt in range(seed, seed + 10_000_000, 100_000):
        model = _random_model(attempt)
        if find_chain(read_model(model)).complete:
            return model
    raise AssertionError("no model that streams")


def _random_model(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    channels = int(rng.choice([1, 1, 2, 3, 3, 4, 5, 8]))
    size = (int(rng.integers(3, 28)), int(rng.integers(3, 28)), channels)
    builder = Builder(size, float(rng.choice([1 / 255, 0.02])), int(rng.choice([-128, 0, 7, -3, 127])))
    if channels == 1 and rng.random() < 0.4:
        _conv(builder, rng, depthwise=False, kernel=(3, 3), stride=(1, 1), same=True)
    for _ in range(int(rng.integers(1, 5))):
        _layer(builder, rng)
    return builder.finish()


def _layer(builder: Builder, rng: Generator) -> None:
    kind = rng.choice(
        ["conv", "conv", "conv", "strip", "pooled", "depthwise", "max", "average", "relu", "pad"]
    )
    h, w, _ = builder.shape
    if kind == "pad":
        if h + w < 40:
            builder.pad(_pair(rng, 0, 3), _pair(rng, 0, 3))
        kind = str(rng.choice(["conv", "depthwise", "max", "average"]))
        h, w, _ = builder.shape
    if kind in ("conv", "depthwise"):
        _conv(builder, rng, depthwise=kind == "depthwise")
    elif kind == "strip":
        _conv(builder, rng, depthwise=False, kernel=(3, 3), stride=(1, 1), same=True)
        size = int(rng.integers(2, 5))
        if min(builder.shape[:2]) >= size:
            _conv(builder, rng, depthwise=False, kernel=(size, size), stride=(size, size), same=False)
    elif kind == "pooled":
        _conv(builder, rng, depthwise=False)
        if min(builder.shape[:2]) >= 2:
            builder.pool("MAX_POOL_2D", (2, 2), stride=(2, 2), same=bool(rng.random() < 0.5))
    elif kind == "relu":
        scale, zero = builder.quantisation
        if rng.random() < 0.5:
            builder.activation("RELU6", scale, zero)
        else:
            builder.activation("RELU", scale * float(rng.uniform(0.3, 3)), int(rng.integers(-128, 20)))
    else:
        kernel = (int(rng.integers(1, min(4, h) + 1)), int(rng.integers(1, min(4, w) + 1)))
        behind_pad = builder.graph.operators and builder.graph.tensors[builder.last].name.startswith("PAD")
        builder.pool(
            "MAX_POOL_2D" if kind == "max" else "AVERAGE_POOL_2D",
            kernel,
            stride=_pair(rng, 1, 3),
            same=bool(rng.random() < 0.5) and not behind_pad,
            activation=str(rng.choice(["none", "none", "relu", "relu6"])),
        )


def _pair(rng: Generator, low: int, high: int) -> tuple[int, int]:
    return int(rng.integers(low, high)), int(rng.integers(low, high))


def _conv(
    builder: Builder,
    rng: Generator,
    *,
    depthwise: bool,
    kernel: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    same: bool | None = None,
) -> None:
    h, w, channels = builder.shape
    same = bool(rng.random() < 0.5) if same is None else same
    limit = (7, 7) if same else (min(7, h), min(7, w))
    kernel = kernel or (int(rng.integers(1, limit[0] + 1)), int(rng.integers(1, limit[1] + 1)))
    stride = stride or (int(rng.choice(_STRIDES)), int(rng.choice(_STRIDES)))
    if depthwise:
        out = channels * int(rng.choice([1, 1, 1, 2, 3])) if channels < 12 else channels
        weights = rng.integers(-127, 128, (1, *kernel, out)).astype(np.int8)
        taps = kernel[0] * kernel[1]
    else:
        out = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 12, 16, 21, 24]))
        weights = rng.integers(-127, 128, (out, *kernel, channels)).astype(np.int8)
        taps = kernel[0] * kernel[1] * channels
    scales = rng.uniform(0.5, 1.5, out) * 0.01
    style = rng.random()
    if style < 0.25:  # a wide spread of scales
        scales = scales * 10.0 ** rng.uniform(-3, 0, out)
    if style < 0.35 and out > 1:  # a dead channel
        dead = int(rng.integers(out))
        (weights if not depthwise else np.moveaxis(weights, 3, 0))[dead] = 0
        scales[dead] = 1e-8
    scale, zero = builder.quantisation
    scales = scales.astype(np.float32)
    spread = float(np.sqrt(taps)) * 73 * 90 * scale * 0.01 / 100
    out_scale = float(np.float32(max(spread, 1e-4) * rng.uniform(0.5, 3)))
    bias = np.clip(rng.normal(0, 1, out) * 60 * out_scale / (scale * scales), -2e8, 2e8).astype(np.int32)
    bound = np.abs(bias.astype(np.int64)) + 400 * np.abs(weights.astype(np.int64)).sum(
        axis=(0, 1, 2) if depthwise else (1, 2, 3)
    )
    bias = np.where(bound < 1 << 30, bias, 0).astype(np.int32)
    activation = str(rng.choice(["none", "none", "relu", "relu", "relu6"]))
    zero = -128 if activation != "none" and rng.random() < 0.7 else int(rng.integers(-128, 127))
    build = builder.depthwise if depthwise else builder.conv
    build(weights, bias, scales, stride=stride, same=same, activation=activation, scale=out_scale, zero=zero)
