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
        labels: uint8 (K,), a permutation: the code sent for each rank; None: the rank itself, the only
            labelling the device's threshold tests have.
    """

    beta: np.ndarray
    gamma: np.ndarray
    alpha: np.ndarray
    centres: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class TableTailSpec:
    """Device tail without coupling between channels: a table of 256 codes per channel on the device.

    Attributes:
        thresholds: float32 (C, K-1), not descending; the rank of a value is the number of thresholds of its
            channel below it.
        centres: float32 (K,), ascending: what the decoder gets for each rank.
        labels: uint8 (K,), a permutation: the code sent for each rank; None: the rank itself.
    """

    thresholds: np.ndarray
    centres: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def nearest_centre(
        cls, centres: np.ndarray, alpha: np.ndarray, labels: np.ndarray | None = None
    ) -> TableTailSpec:
        """PReLU with slopes ``alpha`` (C,), > 0, then the nearest of ``centres`` (K,), ascending: midpoints
        below 0 are pulled back through the PReLU."""
        middle = (centres[1:] + centres[:-1]) / 2
        thresholds = np.where(middle >= 0, middle, middle / alpha[:, None])
        return cls(thresholds.astype(np.float32), centres, labels)


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


@dataclass(frozen=True)
class StageContext:
    """What a training step knows, for a family's own loss terms (:meth:`Codec.stage_loss`).

    Attributes:
        images: float (B, H, W, C) in [0, 1]. labels: int (B,).
        quality, noise: of the channel, see :meth:`Codec.transmit`.
        features: of the task network's own head, float (B, h, w, c); None: not computed in this stage.
        importance: of the features for the task's loss, mean 1 per image, float (B, h, w, 1) or
            (B, 1, 1, c); None: not asked for.
        decoded: decoded features (B, h, w, c).
        logits: float (B, classes); None in stages without the task.
        trace: what :meth:`Codec.forward` handed over.
    """

    images: Any
    labels: Any
    quality: Any
    noise: Any
    features: Any
    importance: Any
    decoded: Any
    logits: Any
    trace: dict[str, Any]


class Codec(abc.ABC):
    """The interface of all codec families. Models and tensors are Keras's, whatever the backend.

    A family is constructed from a frozen dataclass of its sizes, which has ``image_shape``,
    ``feature_shape``, ``ber`` and a class method ``from_dict``; the same sizes give the same structure, so
    that weights saved by :meth:`parts` can be loaded again.

    Attributes:
        sizes: the dataclass.
        needs_importance: whether :meth:`stage_loss` reads the importance of the features.
    """

    family: str
    family_version: int
    sizes: Any
    needs_importance: bool = False

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
    def transmit(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> Any:  # fmt: skip
        """The whole way, differentiable: images to decoded features.

        Args:
            images: float (B, H, W, C) in [0, 1].
            quality: of the channel, float (B, 1), see :meth:`quality_input`.
            noise: float (B, *noise_shape), uniform in [0, 1).
            told: what the decoder is told of the quality, float (B, 1); None: the truth.
        """

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """:meth:`transmit`, and tensors on the way that :meth:`stage_loss` reads (by default none)."""
        return self.transmit(images, quality, noise, training=training, told=told), {}

    def stage_loss(self, stage: str, context: StageContext) -> Any | None:
        """A scalar loss of the family's own, added to that of the stage; None: none.

        Args:
            stage: name out of :meth:`stages` (``polish`` for the repeated last stage).
        """
        del stage, context
        return None

    def code_loss(self, trace: dict[str, Any], quality: Any, importance: Any) -> Any | None:
        """Expected damage of the codes, weighed by the importance (B, h, w, 1) of where they stand; a scalar.

        None: the family has no such term. ``quality``: BER (B, 1).
        """
        del trace, quality, importance
        return None

    def usage_loss(self, trace: dict[str, Any]) -> Any | None:
        """How far the use of the codes is from even, a scalar >= 0; None: the family has no such term."""
        del trace
        return None

    def levels(self) -> int:
        """How many codes there are; by default all that the bits of a symbol can hold."""
        payload = self.payload()
        if not isinstance(payload, FixedPayloadSpec):
            raise NotImplementedError(f"{self.family} says itself how many codes it has")
        return 1 << payload.bits_per_symbol

    @abc.abstractmethod
    def codes(self, images: Any) -> Any:
        """Codes that the float encoder sends, int32 (B, ...), bits and order of :meth:`payload`."""

    @abc.abstractmethod
    def values_shape(self) -> tuple[int, ...]:
        """Shape of the values the decoder gets for one image."""

    @abc.abstractmethod
    def values(self, codes: Any, erased: Any = None) -> Any:
        """What the decoder gets for received codes, float (B, *values_shape).

        Args:
            codes: int32 (B, ...) as :meth:`codes` gives them, bit errors included.
            erased: bool of the same shape, True where the code was lost: a neutral value stands there.
        """

    def decode(self, codes: Any, quality: Any, erased: Any = None) -> Any:
        """Features (B, h, w, c) of received codes: the path of inference.

        Args:
            codes, erased: see :meth:`values`.
            quality: what the decoder is told, float (B, 1).
        """
        from keras import ops

        return self.decoder([self.values(codes, erased), ops.convert_to_tensor(quality)], training=False)

    @abc.abstractmethod
    def parts(self) -> dict[str, Any]:
        """Everything with weights, by name, for saving and loading."""
