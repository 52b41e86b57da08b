"""EfficientNet-Lite0 in plain float64 numpy with random weights: independent of the graph under test."""

from __future__ import annotations

import numpy as np

#: kernel, stride, expansion, channels in, channels out of the 16 blocks, written out from the paper's table 1
#: (width 1.0) without squeeze-and-excitation.
BLOCKS = (
    (3, 1, 1, 32, 16),
    (3, 2, 6, 16, 24),
    (3, 1, 6, 24, 24),
    (5, 2, 6, 24, 40),
    (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80),
    (3, 1, 6, 80, 80),
    (3, 1, 6, 80, 80),
    (5, 1, 6, 80, 112),
    (5, 1, 6, 112, 112),
    (5, 1, 6, 112, 112),
    (5, 2, 6, 112, 192),
    (5, 1, 6, 192, 192),
    (5, 1, 6, 192, 192),
    (5, 1, 6, 192, 192),
    (3, 1, 6, 192, 320),
)


def random_state(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by the published file's names, float32, in sizes that keep values near 1."""
    rng = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def conv(name: str, norm: str, shape: tuple[int, int, int, int]) -> None:
        fan = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = (rng.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32)
        state[f"{norm}.weight"] = rng.uniform(0.7, 1.3, shape[0]).astype(np.float32)
        state[f"{norm}.bias"] = rng.uniform(-0.3, 0.5, shape[0]).astype(np.float32)
        state[f"{norm}.running_mean"] = rng.uniform(-0.2, 0.2, shape[0]).astype(np.float32)
        state[f"{norm}.running_var"] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)
        state[f"{norm}.num_batches_tracked"] = np.array(7, np.int64)

    conv("_conv_stem", "_bn0", (32, 3, 3, 3))
    for index, (kernel, _, expansion, channels, out) in enumerate(BLOCKS):
        block, wide = f"_blocks.{index}.", channels * expansion
        if expansion != 1:
            conv(f"{block}_expand_conv", f"{block}_bn0", (wide, channels, 1, 1))
        conv(f"{block}_depthwise_conv", f"{block}_bn1", (wide, 1, kernel, kernel))
        conv(f"{block}_project_conv", f"{block}_bn2", (out, wide, 1, 1))
    conv("_conv_head", "_bn1", (1280, 320, 1, 1))
    state["_fc.weight"] = (rng.standard_normal((1000, 1280)) / 36).astype(np.float32)
    state["_fc.bias"] = rng.standard_normal(1000).astype(np.float32)
    return state


def forward(state: dict[str, np.ndarray], image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (1280,) and logits (1000,) in float64 of one uint8 image (H, W, 3)."""
    x = (image.astype(np.float64).transpose(2, 0, 1) - 127) / 128
    x = _relu6(_norm(state, "_bn0", _conv(x, state["_conv_stem.weight"], 2)))
    for index, (_, stride, expansion, channels, out) in enumerate(BLOCKS):
        block, y = f"_blocks.{index}.", x
        if expansion != 1:
            y = _relu6(_norm(state, f"{block}_bn0", _conv(y, state[f"{block}_expand_conv.weight"], 1)))
        y = _relu6(_norm(state, f"{block}_bn1", _each(y, state[f"{block}_depthwise_conv.weight"], stride)))
        y = _norm(state, f"{block}_bn2", _conv(y, state[f"{block}_project_conv.weight"], 1))
        x = x + y if stride == 1 and channels == out else y
    x = _relu6(_norm(state, "_bn1", _conv(x, state["_conv_head.weight"], 1)))
    features = x.mean(axis=(1, 2))
    return features, state["_fc.weight"].astype(np.float64) @ features + state["_fc.bias"]


def _relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 6)


def _norm(state: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    scale, bias, mean, variance = (
        state[f"{name}.{part}"].astype(np.float64)[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * scale + bias


def _patches(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """(C, h, w, kernel, kernel) with TensorFlow's "SAME": what is odd of the padding goes below and right."""
    pads = []
    for side in x.shape[1:]:
        whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads.append((whole // 2, whole - whole // 2))
    padded = np.pad(x, ((0, 0), *pads))
    return np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))[:, ::stride, ::stride]


def _conv(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    return np.einsum("cyxij,ocij->oyx", _patches(x, weights.shape[2], stride), weights.astype(np.float64))


def _each(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    return np.einsum(
        "cyxij,cij->cyx", _patches(x, weights.shape[2], stride), weights[:, 0].astype(np.float64)
    )
