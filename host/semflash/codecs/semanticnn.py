"""SemanticNN (arXiv 2511.11038): a feature codec for the split after a network's first convolution stage."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.base import (
    BitChannelSpec,
    Codec,
    DeviceGraphSpec,
    FixedPayloadSpec,
    GdnTailSpec,
    QualityInput,
    StageSpec,
)
from semflash.codecs.layers.channel import BerRange, BinarySymmetricChannel
from semflash.codecs.layers.gdn import GDN, PositivePReLU
from semflash.codecs.layers.quality_attention import QualityAttention
from semflash.codecs.layers.quantiser import CentreQuantiser

BN_MOMENTUM = 0.95


@dataclasses.dataclass(frozen=True)
class SemanticNNSizes:
    """Sizes that decide the structure.

    Attributes:
        image_shape: (H, W, C) of the device's input.
        feature_shape: (h, w, c) of the features at the split, what the decoder gives back.
        stem: channels of the device's first convolution, before the maximum pool.
        middle: (channels, stride) of the 3x3 convolutions between stem and latent.
        latent: channels C of the latent, sent.
        levels: centres K, 2..16.
        decoder_width: channels inside the decoder.
        ber: error rates it is trained for.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    feature_shape: tuple[int, int, int] = (14, 14, 16)
    stem: int = 16
    middle: tuple[tuple[int, int], ...] = ((24, 2),)
    latent: int = 8
    levels: int = 8
    decoder_width: int = 64
    ber: BerRange = dataclasses.field(default_factory=BerRange)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SemanticNNSizes:
        """Rebuild from ``dataclasses.asdict`` or JSON (lists become tuples)."""
        given = dict(fields)
        for name in ("image_shape", "feature_shape"):
            if name in given:
                given[name] = tuple(given[name])
        if "middle" in given:
            given["middle"] = tuple((int(channels), int(stride)) for channels, stride in given["middle"])
        if isinstance(given.get("ber"), dict):
            given["ber"] = BerRange(**given["ber"])
        return cls(**given)


class SemanticNN(keras.Model, Codec):
    """Section 3 of the paper; shapes for 28x28x1 images and the default sizes.

    image (28, 28, 1) in [0, 1]
      | device graph, int8:  Conv 3x3 16 BN ReLU, MaxPool 2          (14, 14, 16)
      |                      Conv 3x3 24 stride 2 BN ReLU            (7, 7, 24)
      |                      Conv 3x3 C stride 2                     (4, 4, C)
      | device tail, integer thresholds:  GDN, PReLU, nearest of K centres
    codes (4, 4, C), 0..K-1, natural binary on ascending centres, ceil(log2 K) bits each
      | payload 16 C ceil(log2 K) bits: C = 8, K = 8: 48 bytes; C = 4: 24 bytes
      | channel: binary symmetric, BER
    received centres (4, 4, C), BER
      | decoder: Conv 3x3 W, residual pair W, attention(BER)         (4, 4, W)
      |          transposed Conv 4x4 stride 2, inverse GDN, PReLU, attention(BER); residual pair  (7, 7, W)
      |          transposed Conv 4x4 stride 2, inverse GDN, PReLU, attention(BER)  (14, 14, W/2)
      |          Conv 3x3 16 ReLU
    features (14, 14, 16), then the tail of the task network

    Deviations from the paper, and why: the encoder has a second 3x3 convolution and BatchNorm (folded away)
    instead of one 4x4 stride 4, for accuracy at the same payload; no power normalisation, which would need a
    root and a division on the device; centres, bits and the BER range are trained as the paper describes
    them, not as its released code does; the decoder has residual pairs, and ReLU instead of a sigmoid at
    its end, because the features are ReLU outputs.
    """

    family = "semanticnn"
    family_version = 1

    def __init__(self, sizes: SemanticNNSizes) -> None:
        super().__init__(name="semanticnn")
        self.sizes = sizes
        self.device_graph = build_device_graph(sizes)
        latent_shape = self.device_graph.output_shape
        self.gdn = GDN(gamma_init=0.5, name="gdn")
        self.prelu = PositivePReLU(name="prelu")
        self.quantiser = CentreQuantiser(sizes.levels, name="quantiser")
        for layer in (self.gdn, self.prelu, self.quantiser):
            layer.build(latent_shape)
        self.bit_channel = BinarySymmetricChannel(self.quantiser.bits, name="channel")
        self.feature_decoder = build_decoder(latent_shape[1:], sizes.feature_shape, sizes.decoder_width)

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Decoded features; inputs: image (B, H, W, C), ber (B, 1), noise (B, h, w, C, bits)."""
        return self.transmit(inputs["image"], inputs["ber"], inputs["noise"], training=training)

    def analyse(self, images: Any, *, training: bool = False) -> Any:
        """Images to what the quantiser sees, float (B, h, w, C)."""
        return self.prelu(self.gdn(self.device_graph(images, training=training)))

    def transmit(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> Any:  # fmt: skip
        """Images (B, H, W, C), BER (B, 1), uniform noise (B, h, w, C, bits) to features (B, h', w', c')."""
        return self.forward(images, quality, noise, training=training, told=told)[0]

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """As :meth:`transmit`; the trace holds ``latent``, what the quantiser saw, float (B, h, w, C)."""
        images, quality = ops.convert_to_tensor(images), ops.convert_to_tensor(quality)
        x = self.analyse(images, training=training)
        received = self.bit_channel(self.quantiser.codes(x), quality, noise)
        told = quality if told is None else ops.convert_to_tensor(told)
        return self.feature_decoder([self.quantiser(x, received), told], training=training), {"latent": x}

    def codes(self, images: Any) -> Any:
        """Codes int32 (B, h, w, C) of float images."""
        return self.quantiser.codes(self.analyse(images))

    def values_shape(self) -> tuple[int, ...]:
        """(h, w, C)."""
        return tuple(self.device_graph.output_shape[1:])

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Centres of the codes; the mean of all centres where a code was lost."""
        values = self.quantiser.values(codes)
        return values if erased is None else ops.where(erased, ops.mean(self.quantiser.centres), values)

    def noise_shape(self) -> tuple[int, ...]:
        """(h, w, C, bits)."""
        return (*self.device_graph.output_shape[1:], self.quantiser.bits)

    def device_graphs(self) -> tuple[DeviceGraphSpec, ...]:
        """One graph, ``encoder``."""
        return (DeviceGraphSpec("encoder", self.device_graph),)

    def device_tail(self) -> GdnTailSpec:
        """GDN, PReLU and centres as float32 arrays."""
        values = (self.gdn.beta, self.gdn.gamma, self.prelu.alpha, self.quantiser.centres)
        return GdnTailSpec(*(ops.convert_to_numpy(value) for value in values))

    def payload(self) -> FixedPayloadSpec:
        """h w C symbols of ceil(log2 K) bits."""
        height, width, channels = self.device_graph.output_shape[1:]
        return FixedPayloadSpec(height * width * channels, self.quantiser.bits)

    def channel_spec(self) -> BitChannelSpec:
        """BER 0 and the range of the sizes."""
        ber = self.sizes.ber
        return BitChannelSpec(ber.low, ber.high, ber.clean_share)

    def quality_input(self) -> QualityInput:
        """The BER."""
        return QualityInput("ber", "ber")

    @property
    def decoder(self) -> keras.Model:
        """[latent (B, h, w, C), ber (B, 1)] to features."""
        return self.feature_decoder

    def stages(self) -> tuple[StageSpec, ...]:
        """Denoising autoencoder on the features, then the task (two-stage feature-augmentation learning)."""
        return (StageSpec("autoencoder", False), StageSpec("task", True))

    def parts(self) -> dict[str, Any]:
        """Device graph, GDN, PReLU, quantiser, decoder."""
        return {
            "device_graph": self.device_graph, "gdn": self.gdn, "prelu": self.prelu,
            "quantiser": self.quantiser, "decoder": self.feature_decoder,
        }  # fmt: skip


def build_device_graph(sizes: SemanticNNSizes) -> keras.Model:
    """Image float (B, H, W, C) in [0, 1] to the latent before GDN, float (B, h, w, latent)."""
    image = keras.Input(sizes.image_shape, name="image")
    x = layers.Conv2D(sizes.stem, 3, padding="same", activation="relu", name="stem")(image)
    x = layers.MaxPooling2D(name="pool")(x)
    for channels, stride in sizes.middle:
        x = _conv_bn_relu(x, channels, stride)
    x = layers.Conv2D(sizes.latent, 3, strides=2, padding="same", name="latent")(x)
    return keras.Model(image, x, name="device_graph")


def build_decoder(
    latent_shape: tuple[int, int, int], feature_shape: tuple[int, int, int], width: int
) -> keras.Model:
    """[latent (B, h, w, C), ber (B, 1)] to features (B, *feature_shape), >= 0."""
    latent = keras.Input(latent_shape, name="latent")
    ber = keras.Input((1,), name="ber")
    x = _conv_bn_relu(latent, width, 1)
    for _ in range(2):
        x = QualityAttention()([_residual_pair(x, width), ber])
    targets = _sizes_upwards(latent_shape[:2], feature_shape[:2])
    for target in targets[:-1]:
        x = layers.BatchNormalization(momentum=BN_MOMENTUM)(_upsample(x, width * 3 // 4, target))
        x = QualityAttention()([PositivePReLU(alpha_init=0.25)(GDN(inverse=True)(x)), ber])
    x = layers.ReLU(name="features")(_upsample(x, feature_shape[2], targets[-1]))
    return keras.Model([latent, ber], x, name="decoder")


def _upsample(x: Any, channels: int, target: tuple[int, int]) -> Any:
    """Transposed Conv 4x4 stride 2, cut to ``target`` (height, width): the adjoint of a stride of two."""
    x = layers.Conv2DTranspose(channels, 4, strides=2, padding="valid")(x)
    return layers.Cropping2D(tuple((1, x.shape[1 + axis] - 1 - target[axis]) for axis in (0, 1)))(x)


def _sizes_upwards(start: tuple[int, ...], end: tuple[int, ...]) -> list[tuple[int, int]]:
    """Heights and widths after each doubling, from just above ``start`` up to ``end``: (4,4), (14,14) gives
    [(7, 7), (14, 14)], the sizes a stride of two with SAME padding passes on its way down."""
    sizes = [(end[0], end[1])]
    while (half := tuple((side + 1) // 2 for side in sizes[0])) > tuple(start):
        sizes.insert(0, (half[0], half[1]))
    return sizes


def _conv_bn_relu(x: Any, channels: int, stride: int) -> Any:
    x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=BN_MOMENTUM)(x))


def _residual_pair(x: Any, channels: int) -> Any:
    y = _conv_bn_relu(x, channels, 1)
    y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization(momentum=BN_MOMENTUM)(y)]))
