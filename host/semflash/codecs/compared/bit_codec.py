"""What the learned baselines share: sizes, encoder ends, fixed-length codes through a bit channel."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.base import Codec
from semflash.codecs.device_side import DeviceSpec, DeviceTailSpec, Neutral, TableTailSpec
from semflash.codecs.layers.blocks import conv_bn_relu
from semflash.codecs.layers.channel import BerRange, BinarySymmetricChannel
from semflash.codecs.layers.quantiser import CentreQuantiser, bits_for
from semflash.codecs.sizes import CodecSizes
from semflash.codecs.training_side import StageSpec
from semflash.errors import UsageError
from semflash.program.quality import Ber


@dataclasses.dataclass(frozen=True)
class BitCodecSizes(CodecSizes):
    """Sizes that every learned baseline has.

    Attributes:
        image_shape: (H, W, C). feature_shape: (h, w, c) at the split.
        stem: channels of the device's first convolution.
        middle: (channels, stride) of the convolutions between pool and latent; the latent's own convolution
            takes what is left of a stride of 4.
        latent: channels C sent. levels: K, 2..16.
        decoder_width: channels inside the decoder.
        ber: error rates it is trained for.

    Raises:
        UsageError: a combination that cannot be built.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    feature_shape: tuple[int, int, int] = (14, 14, 16)
    stem: int = 16
    middle: tuple[tuple[int, int], ...] = ()
    latent: int = 8
    levels: int = 8
    decoder_width: int = 64
    ber: BerRange = dataclasses.field(default_factory=BerRange)

    def __post_init__(self) -> None:
        bits_for(self.levels)
        if min(self.stem, self.latent, self.decoder_width, *(c for c, _ in self.middle), 1) < 1:
            raise UsageError("channels start at 1", value=(self.stem, self.middle, self.latent))
        if self.last_stride not in (1, 2, 4) or 4 % math.prod(stride for _, stride in self.middle):
            raise UsageError("the convolutions after the pool have a stride of 4", value=self.middle)

    @property
    def last_stride(self) -> int:
        """Of the latent's convolution."""
        return 4 // math.prod(stride for _, stride in self.middle)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(h, w, C): a pool of 2, then strides of 4 together with SAME padding."""
        height, width = (-(-(side // 2) // 4) for side in self.image_shape[:2])
        return height, width, self.latent

    @property
    def symbols(self) -> int:
        """Codes of an image."""
        return math.prod(self.latent_shape)


def build_trunk(sizes: BitCodecSizes) -> tuple[Any, Any]:
    """Image input, and the map before the latent's convolution: Conv 3x3 ReLU, MaxPool 2, middle ones."""
    image = keras.Input(sizes.image_shape, name="image")
    x = layers.Conv2D(sizes.stem, 3, padding="same", activation="relu", name="stem")(image)
    x = layers.MaxPooling2D(name="pool")(x)
    for place, (channels, stride) in enumerate(sizes.middle, 1):
        x = conv_bn_relu(x, channels, stride, name=f"middle_{place}")
    return image, x


def latent_convolution(x: Any, channels: int, stride: int, *, name: str = "latent", bias: bool = True) -> Any:
    """The last convolution of an encoder: 4x4 with a stride of 4, otherwise 3x3."""
    kernel = 4 if stride == 4 else 3
    return layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=bias, name=name)(x)


class BitCodec(keras.Model, Codec):
    """Image, device graph, activation, K centres, bits, decoder.

    A family builds its parts and hands them over; by default its codes are (h, w, C) of the latent.

    Args:
        device_graph: image float (B, H, W, C) to the latent (B, h, w, C).
        decoder: [values (B, *values_shape), ber (B, 1)] to features.
        learn_centres: whether the centres are trained.
    """

    family = "bit-codec"
    family_version = 1
    terms = frozenset({"usage"})

    def __init__(
        self, sizes: Any, device_graph: keras.Model, decoder: keras.Model, *, learn_centres: bool
    ) -> None:
        super().__init__(name=self.family.replace("-", "_"))
        self.sizes = sizes
        self.device_graph = device_graph
        self.feature_decoder = decoder
        self.quantiser = CentreQuantiser(sizes.levels, learn=learn_centres, name="quantiser")
        self.quantiser.build(device_graph.output_shape)
        self.bit_channel = BinarySymmetricChannel(self.quantiser.bits, name="channel")

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Decoded features; inputs: image (B, H, W, C), ber (B, 1), noise (B, *noise_shape)."""
        return self.transmit(inputs["image"], inputs["ber"], inputs["noise"], training=training)

    def activate(self, latent: Any) -> Any:
        """Between the device graph and the quantiser, monotone per channel; by default nothing."""
        return latent

    def analyse(self, images: Any, *, training: bool = False) -> Any:
        """Images to what the quantiser sees, float (B, h, w, C)."""
        return self.activate(self.device_graph(images, training=training))

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """As :meth:`transmit`; the trace holds ``latent``, what the quantiser saw."""
        images, quality = ops.convert_to_tensor(images), ops.convert_to_tensor(quality)
        x = self.analyse(images, training=training)
        received = self.bit_channel(self.quantiser.codes(x), quality, noise)
        told = quality if told is None else ops.convert_to_tensor(told)
        return self.feature_decoder([self.quantiser(x, received), told], training=training), {"latent": x}

    def usage_loss(self, trace: dict[str, Any]) -> Any:
        """How far the use of the centres is from even, see :meth:`CentreQuantiser.usage_deficit`."""
        return self.quantiser.usage_deficit(trace["latent"])

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Of the codes of one image."""
        shape: tuple[int, ...] = self.sizes.latent_shape
        return shape

    def codes(self, images: Any) -> Any:
        """Codes int32 (B, *code_shape) of float images."""
        return self.quantiser.codes(self.analyse(images))

    def levels(self) -> int:
        """K."""
        count: int = self.sizes.levels
        return count

    def values_shape(self) -> tuple[int, ...]:
        """As the codes."""
        return self.code_shape

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Centres of the codes; the mean of all centres where a code was lost."""
        values = self.quantiser.values(codes)
        return values if erased is None else ops.where(erased, ops.mean(self.quantiser.centres), values)

    def bits_per_code(self) -> int:
        """ceil(log2 K)."""
        return self.quantiser.bits

    def noise_shape(self) -> tuple[int, ...]:
        """(*code_shape, bits)."""
        return (*self.code_shape, self.quantiser.bits)

    def quality(self) -> Ber:
        """BER 0 and those of the training."""
        return Ber(0.0, self.sizes.ber.high)

    def device(self) -> DeviceSpec:
        """One graph, one tail, all codes; lost codes are the mean of the centres."""
        mean = float(ops.convert_to_numpy(ops.mean(self.quantiser.centres)))
        return DeviceSpec.of_encoder(
            self.device_graph, self.device_tail(), self.quality(), self.quantiser.bits, Neutral(value=mean)
        )

    def device_tail(self) -> DeviceTailSpec:
        """Nearest centre without an activation: a table."""
        centres = ops.convert_to_numpy(self.quantiser.centres)
        ones = np.ones(self.device_graph.output_shape[-1], np.float32)
        return TableTailSpec.nearest_centre(centres, ones)

    @property
    def decoder(self) -> keras.Model:
        """[values (B, *values_shape), ber (B, 1)] to features."""
        return self.feature_decoder

    def stages(self) -> tuple[StageSpec, ...]:
        """End to end with the task's loss."""
        return (StageSpec("task", True),)

    def parts(self) -> dict[str, Any]:
        """Device graph, quantiser, decoder."""
        return {
            "device_graph": self.device_graph,
            "quantiser": self.quantiser,
            "decoder": self.feature_decoder,
        }

    def edge_parts(self) -> frozenset[str]:
        """The decoder."""
        return frozenset({"decoder"})
