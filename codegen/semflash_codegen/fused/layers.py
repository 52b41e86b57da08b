"""What the streaming engine knows about a layer: plain numbers, no graph.

Every tensor between two layers is a sequence of rows, width x channels bytes. Inside the engine a value is
stored as *code + 128* (0..255), so that one unsigned form serves convolution and pooling; zero points here
are TFLite's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """Rows, columns and channels of one feature map."""

    height: int
    width: int
    channels: int

    @property
    def row_bytes(self) -> int:
        return self.width * self.channels


@dataclass(frozen=True)
class Window:
    """Kernel size, stride and explicit padding, in rows and columns."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    pad_value: int = 0
    """int8 value of the padding."""


@dataclass(frozen=True, eq=False)
class Conv:
    """CONV_2D or DEPTHWISE_CONV_2D.

    Attributes:
        weights: int8 (out_channels, kernel_h, kernel_w, in_channels); of a depthwise convolution
            (kernel_h, kernel_w, out_channels).
        bias: int64 (out_channels,).
        multiplier: int64 in [2^30, 2^31), or 0.
        shift: TFLite's exponent; above 0 it shifts to the left.
        low: The lower int8 bound of the fused activation.
        high: The upper one.
        macs: Multiply-accumulates of one image, as :func:`semflash_codegen.macs.macs` counts them.
    """

    name: str
    source: Shape
    output: Shape
    window: Window
    weights: NDArray[np.int8]
    bias: NDArray[np.int64]
    input_zero: int
    output_zero: int
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    low: int = -128
    high: int = 127
    depthwise: bool = False
    macs: int = 0


@dataclass(frozen=True)
class Pool:
    """MAX_POOL_2D or AVERAGE_POOL_2D.

    Attributes:
        explicit_padding: The padding comes from a PAD operator, so that its pixels count; otherwise
            windows are clipped (SAME).
    """

    name: str
    source: Shape
    output: Shape
    window: Window
    average: bool
    low: int = -128
    high: int = 127
    explicit_padding: bool = False

    macs = 0


@dataclass(frozen=True)
class Table:
    """RELU or RELU6 on its own: int8 table of 256, indexed by code + 128."""

    name: str
    source: Shape
    values: NDArray[np.int8]

    macs = 0

    @property
    def output(self) -> Shape:
        return self.source


Layer = Conv | Pool | Table
