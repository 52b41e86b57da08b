"""What every codec family is: device graphs, device tail, payload, channel, decoder, training stages.

The small dataclasses name the variants that the five families need; each family states its own.
How a new family is added: docs/codecs.md.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DeviceGraphSpec:
    """A graph that becomes one int8 .tflite on the device.

    Attributes:
        name: lower case, unique in the codec.
        model: Keras model, image float (B, H, W, C) in [0, 1] to latent float (B, h, w, c); only
            convolutions, pooling, additions and ReLU, so that it quantises to pure int8.
    """

    name: str
    model: Any


@dataclass(frozen=True)
class GdnTailSpec:
    """Device tail of coupled channels: GDN, PReLU, nearest centre (integer threshold tests on the device).

    Attributes:
        beta: float32 (C,), > 0. gamma: float32 (C, C), >= 0, den_j = beta_j + sum_i x_i^2 gamma[i, j].
        alpha: float32 (C,), > 0. centres: float32 (K,), ascending.
    """

    beta: np.ndarray
    gamma: np.ndarray
    alpha: np.ndarray
    centres: np.ndarray


@dataclass(frozen=True)
class TableTailSpec:
    """Device tail without coupling: each channel's value goes to its nearest centre.

    Attributes:
        centres: float32 (K,), ascending.
    """

    centres: np.ndarray


DeviceTailSpec = GdnTailSpec | TableTailSpec


@dataclass(frozen=True)
class FixedPayloadSpec:
    """Every image gives the same number of symbols of the same width, in raster order (h, w, c)."""

    symbols: int
    bits_per_symbol: int

    @property
    def size_bytes(self) -> int:
        """Payload bytes; the last byte is filled with zero bits."""
        return (self.symbols * self.bits_per_symbol + 7) // 8


@dataclass(frozen=True)
class CountedPayloadSpec:
    """The payload says how long it is: tokens that vary in number, patches at several rates, masks.

    Attributes:
        header_bits: bits that hold the count or the mask; they are part of the payload and can be damaged.
        units_max: most units (tokens, patches) an image can give.
        bits_per_unit: payload bits of a unit, one entry per rate.
    """

    header_bits: int
    units_max: int
    bits_per_unit: tuple[int, ...]


PayloadSpec = FixedPayloadSpec | CountedPayloadSpec


@dataclass(frozen=True)
class BitChannelSpec:
    """Trained for flipped bits: BER 0 and log-uniform over [ber_low, ber_high]."""

    ber_low: float
    ber_high: float
    clean_share: float


@dataclass(frozen=True)
class SymbolChannelSpec:
    """Trained for real or complex symbols under additive noise at SNRs in [snr_low_db, snr_high_db]."""

    snr_low_db: float
    snr_high_db: float


ChannelSpec = BitChannelSpec | SymbolChannelSpec


@dataclass(frozen=True)
class QualityInput:
    """The decoder's input that tells it how good the channel is.

    Attributes:
        name: of the Keras input, float32 (B, 1).
        meaning: ``ber`` (0..0.5) or ``snr_db``.
    """

    name: str
    meaning: str


@dataclass(frozen=True)
class StageSpec:
    """A training stage: its name and whether the task's loss (and so the tail) takes part."""

    name: str
    uses_task: bool


class Codec(abc.ABC):
    """The interface of all codec families. Models and tensors are Keras's, whatever the backend.

    A family is constructed from a frozen dataclass of its sizes; the same sizes give the same structure, so
    that weights saved by :meth:`parts` can be loaded again.
    """

    family: str
    family_version: int

    @abc.abstractmethod
    def device_graphs(self) -> tuple[DeviceGraphSpec, ...]:
        """What becomes int8 .tflite files, one or several."""

    @abc.abstractmethod
    def device_tail(self) -> DeviceTailSpec:
        """What turns the last device graph's output into codes."""

    @abc.abstractmethod
    def payload(self) -> PayloadSpec:
        """How the codes of one image lie in bytes."""

    @abc.abstractmethod
    def channel_spec(self) -> ChannelSpec:
        """What the codec is trained for."""

    @abc.abstractmethod
    def quality_input(self) -> QualityInput:
        """What the decoder is told about the channel."""

    @property
    @abc.abstractmethod
    def decoder(self) -> Any:
        """Keras model [received values, quality] to features."""

    @abc.abstractmethod
    def stages(self) -> tuple[StageSpec, ...]:
        """Training stages in order."""

    @abc.abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the uniform noise that the channel takes for one image."""

    @abc.abstractmethod
    def transmit(self, images: Any, quality: Any, noise: Any, *, training: bool) -> Any:
        """The whole way, differentiable: images to decoded features.

        Args:
            images: float (B, H, W, C) in [0, 1].
            quality: float (B, 1), see :meth:`quality_input`.
            noise: float (B, *noise_shape), uniform in [0, 1).
        """

    @abc.abstractmethod
    def codes(self, images: Any) -> Any:
        """Codes that the float encoder sends, int32 (B, h, w, c)."""

    @abc.abstractmethod
    def parts(self) -> dict[str, Any]:
        """Everything with weights, by name, for saving and loading."""
