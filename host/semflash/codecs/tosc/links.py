"""What lies between encoder and decoder: symbols over noise, or bits of centres.

Both say the same few things, so that the codec asks neither for its type: what arrives in training and with
which noise power, what is sent in numbers, and how the device makes it.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.codecs.device_side import NormaliseStage, TableTailSpec, TailStage
from semflash.codecs.layers.channel import BinarySymmetricChannel
from semflash.codecs.layers.quality_attention import log_ber
from semflash.codecs.layers.quantiser import CentreQuantiser
from semflash.codecs.layers.symbol_channel import AwgnChannel, RayleighChannel, gaussian
from semflash.codecs.tosc.sizes import ToscSizes
from semflash.program.quality import Ber, Quality, Snr

#: Tensors of the device: what the projection writes, and what is sent.
PROJECTED, SENT = "projected", "sent"
#: Power of a real value: a complex symbol has I^2 + Q^2 = 1 on average.
VALUE_POWER = 0.5
#: Where values are clipped: four times their standard deviation.
REACH = 4.0 * math.sqrt(VALUE_POWER)
#: A real value for one step of an int8 number.
STEP = REACH / 127.0
#: Equalising a deep fade enlarges noise without bound; for the bottleneck it counts up to 20 dB above a
#: symbol.
POWER_MAX = 100.0 * VALUE_POWER


@dataclass(frozen=True)
class Arrival:
    """What a link makes of the values that it is to carry, each float (B, h, w, C).

    Attributes:
        sent: As sent, real values.
        received: As they arrive.
        power: Of the noise, broadcast to them, above 0.
    """

    sent: Any
    received: Any
    power: Any


class Link(keras.layers.Layer, abc.ABC):
    """Carries values from encoder to decoder.

    Attributes:
        start_power: Of a sent value before anything is learnt.
    """

    start_power: float

    def __init__(self, sizes: ToscSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes

    @abc.abstractmethod
    def carry(self, values: Any, quality: Any, noise: Any) -> Arrival:
        """What arrives in training, differentiable.

        Args:
            values: Of the projection, float (B, h, w, C).
            quality: Of the channel, float (B, 1).
            noise: Float (B, *noise_shape), uniform in [0, 1).
        """

    @abc.abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Of one image."""

    @abc.abstractmethod
    def codes(self, values: Any) -> Any:
        """Numbers that are sent, int32 (B, h, w, C)."""

    @abc.abstractmethod
    def values(self, codes: Any, erased: Any = None) -> Any:
        """Real values of received numbers, float (B, h, w, C); 0 where they were lost."""

    @abc.abstractmethod
    def resent(self, codes: Any, quality: Any, noise: Any) -> Any:
        """What arrives of numbers that a device has sent, float (B, h, w, C); arguments as of
        :meth:`carry`."""

    @abc.abstractmethod
    def known(self, quality: Any) -> Any:
        """The quality as networks see it, about -1 to 1."""

    @abc.abstractmethod
    def quality(self) -> Quality:
        """Kind and range that the decoder is told."""

    @abc.abstractmethod
    def device_stage(self) -> NormaliseStage | TailStage:
        """What the device does with the tensor ``projected``; it writes :data:`SENT`."""


class SymbolLink(Link):
    """I and Q values of mean power 1 per symbol, clipped at four sigma, over white noise or Rayleigh
    fading."""

    start_power = VALUE_POWER

    def __init__(self, sizes: ToscSizes, **kwargs: Any) -> None:
        super().__init__(sizes, **kwargs)
        self.pairs = sizes.symbols // 2
        self.awgn, self.rayleigh = AwgnChannel(name="awgn"), RayleighChannel(name="rayleigh")

    @staticmethod
    def normalise(values: Any) -> Any:
        """Values of mean power 1/2 in every image, clipped at four sigma; an image of zeros stays zero."""
        mean = ops.mean(ops.square(values), axis=(1, 2, 3), keepdims=True)
        return ops.clip(values * ops.rsqrt(mean / VALUE_POWER + 1e-12), -REACH, REACH)

    def carry(self, values: Any, quality: Any, noise: Any) -> Arrival:
        """Uniform noise becomes Gaussian pairs; the first pair is the image's gain where the channel
        fades."""
        sent, pairs = self.normalise(values), gaussian(noise)
        power = self.noise_power(quality, pairs)
        return Arrival(sent, self._received(sent, quality, pairs), ops.reshape(power, (-1, 1, 1, 1)))

    def noise_power(self, quality: Any, pairs: Any) -> Any:
        """Of each real value at the receiver, float (B, 1): half of 10^(-snr/10), over the gain where the
        channel fades, for the receiver divides by it.

        Args:
            quality: SNR in dB, float (B, 1).
            pairs: Of :func:`gaussian`.
        """
        power = VALUE_POWER * ops.power(10.0, -quality / 10.0)
        if self.sizes.fading == "none":
            return power
        gain = 0.5 * ops.sum(ops.square(pairs[:, 0]), axis=-1, keepdims=True)
        return ops.minimum(power / ops.maximum(gain, 1e-12), POWER_MAX)

    def _received(self, sent: Any, quality: Any, pairs: Any) -> Any:
        symbols = ops.reshape(sent, (-1, self.pairs, 2))
        if self.sizes.fading == "none":
            received = self.awgn(symbols, quality, pairs)
        else:
            received = self.rayleigh(symbols, quality, pairs[:, 1:], pairs[:, :1])
        return ops.reshape(received, (-1, *self.sizes.latent_shape))

    def resent(self, codes: Any, quality: Any, noise: Any) -> Any:
        """Noise on the steps."""
        return self._received(self.values(codes), quality, gaussian(noise))

    def noise_shape(self) -> tuple[int, ...]:
        """Two numbers for each symbol, and two for the gain where the channel fades."""
        return self.pairs + (self.sizes.fading != "none"), 2

    def codes(self, values: Any) -> Any:
        """Int8 numbers, steps of 4 sigma / 127."""
        return ops.cast(ops.clip(ops.round(self.normalise(values) / STEP), -127, 127), "int32")

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Steps as real values."""
        values = ops.cast(codes, "float32") * STEP
        return values if erased is None else ops.where(erased, 0.0, values)

    def known(self, quality: Any) -> Any:
        """Decibels over the range of the training, -1 to 1."""
        low, high = self.sizes.snr_low, self.sizes.snr_high
        return (2.0 * ops.clip(quality, low, high) - (low + high)) / (high - low)

    def quality(self) -> Snr:
        """SNR."""
        return Snr(self.sizes.snr_low, self.sizes.snr_high)

    def device_stage(self) -> NormaliseStage:
        """Power normalisation."""
        return NormaliseStage(PROJECTED, SENT, REACH)


class BitLink(Link):
    """K learned centres whose codes go through the binary symmetric channel."""

    def __init__(self, sizes: ToscSizes, **kwargs: Any) -> None:
        super().__init__(sizes, **kwargs)
        self.quantiser = CentreQuantiser(sizes.levels, name="quantiser")
        self.quantiser.build((None, *sizes.latent_shape))
        self.channel = BinarySymmetricChannel(self.quantiser.bits, name="channel")
        self.start_power = float(np.linspace(-1.0, 1.0, sizes.levels).var())

    def carry(self, values: Any, quality: Any, noise: Any) -> Arrival:
        """Bits of the codes flip; gradients pass around the channel."""
        received = self.channel(self.quantiser.codes(values), quality, noise)
        power = self.noise_power(self.quantiser.ranks(values), quality)
        return Arrival(values, self.quantiser(values, received), power)

    def resent(self, codes: Any, quality: Any, noise: Any) -> Any:
        """Centres of damaged codes."""
        return self.values(self.channel(codes, quality, noise))

    def noise_power(self, ranks: Any, ber: Any) -> Any:
        """Expected squared error of what is received for sent ranks, float (B, h, w, C), above 0.

            sum_k P(k | r) (c_k - c_r)^2 + d^2 / 12

        P is the transition matrix of b bits that flip independently, ``e^n (1 - e)^(b - n)`` for codes that
        differ in n bits; d^2 is the mean square of the distance between neighbouring centres, whose twelfth
        is the error of the quantiser itself, so that the power is above 0 without bit errors, too.

        Args:
            ranks: int32 (B, h, w, C).
            ber: float (B, 1).
        """
        centres, bits = self.quantiser.centres, self.quantiser.bits
        rate = ops.reshape(ops.clip(ber, 0.0, 0.5), (-1, 1, 1))
        flips = ops.convert_to_tensor(differing_bits(self.sizes.levels, bits))
        likely = ops.power(rate, flips) * ops.power(1.0 - rate, bits - flips)
        distance = ops.square(centres_of(centres, bits)[None, :] - centres[:, None])
        errors = ops.sum(likely * distance, axis=-1)
        index = ops.reshape(ranks, (-1, math.prod(self.sizes.latent_shape)))
        chosen = ops.take_along_axis(
            ops.broadcast_to(errors, (ops.shape(ranks)[0], self.sizes.levels)), index, 1
        )
        step = ops.mean(ops.square(centres[1:] - centres[:-1]))
        return ops.reshape(chosen, (-1, *self.sizes.latent_shape)) + step / 12.0 + 1e-6

    def noise_shape(self) -> tuple[int, ...]:
        """One number for each bit."""
        return (*self.sizes.latent_shape, self.quantiser.bits)

    def codes(self, values: Any) -> Any:
        """Ranks of the nearest centres."""
        return self.quantiser.codes(values)

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Centres."""
        values = self.quantiser.values(codes)
        return values if erased is None else ops.where(erased, 0.0, values)

    def known(self, quality: Any) -> Any:
        """The logarithm of the rate."""
        return log_ber(quality)

    def quality(self) -> Ber:
        """BER 0 and those of the training."""
        return Ber(0.0, self.sizes.ber.high)

    def device_stage(self) -> TailStage:
        """The nearest centre: a table on the device."""
        centres = ops.convert_to_numpy(self.quantiser.centres)
        tail = TableTailSpec.nearest_centre(centres, np.ones(self.sizes.latent, np.float32))
        return TailStage(PROJECTED, SENT, tail)


def differing_bits(levels: int, bits: int) -> np.ndarray:
    """Float32 (levels, 2^bits): in how many bits a received number differs from a sent code."""
    sent, received = np.arange(levels)[:, None], np.arange(1 << bits)[None]
    counts = [((sent ^ received) >> place) & 1 for place in range(bits)]
    return np.asarray(sum(counts), np.float32)


def centres_of(centres: Any, bits: int) -> Any:
    """Float (2^bits,): the centre that each received number stands for; those beyond the last, the last
    one."""
    last = int(centres.shape[0]) - 1
    return ops.take(centres, np.minimum(np.arange(1 << bits), last))
