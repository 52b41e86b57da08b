"""BottleNet++-style codec (Shao and Zhang, arXiv 1910.14315, 2019)."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.compared.bit_codec import BitCodec, BitCodecSizes, build_trunk, latent_convolution
from semflash.codecs.device_side import TableTailSpec
from semflash.codecs.layers.blocks import BN_MOMENTUM, conv_bn_relu, sizes_upwards, upsample
from semflash.codecs.layers.quality_attention import log_ber


@dataclasses.dataclass(frozen=True)
class BottleNetPPSizes(BitCodecSizes):
    """As all; ``decoder_convolutions``: 3x3 convolutions of the decoder before it upsamples (paper: none)."""

    decoder_convolutions: int = 0


class BottleNetPP(BitCodec):
    """Section III of the paper: joint source-channel coding of the features, trained end to end.

    Names of layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      | the layers of the task network that run on the device
      stem          Conv 3x3, ReLU                                              (28, 28, 16)
      pool          MaxPool 2                                                   (14, 14, 16)
      | encoder
      latent        Conv 4x4 stride 4                                           (4, 4, 8)
      latent_norm   BatchNorm, before the sigmoid                               (4, 4, 8)
      | nearest of K = 8 uniform levels over (0, 1)
    codes           through the channel as a layer that is not trained          (4, 4, 8)
    values          levels of the received codes                                (4, 4, 8)
      | decoder
      told          a plane with the channel's quality beside the values        (4, 4, 9)
      up_1          transposed Conv 4x4 stride 2, BatchNorm, ReLU               (7, 7, 64)
    features        transposed Conv 4x4 stride 2, BatchNorm, ReLU               (14, 14, 16)
      | tail of the task network

    Kept from the paper: convolution, BatchNorm and sigmoid reduce channels and size at once; the channel is
    part of the network in training; one loss, the task's; encoder and decoder are light.
    Deviations: bits flip (binary symmetric channel) where the paper erases them or adds Gaussian noise; the
    symbols have K levels instead of 256, to fit the bytes; the plane with the channel's state is the
    decoder's input, for the device does not know it; values are in (-1, 1) instead of (0, 1), which the next
    layer's weights absorb; from the task network comes distillation, as for every codec here.
    """

    family = "bottlenetpp"
    family_version = 1

    def __init__(self, sizes: BottleNetPPSizes) -> None:
        image, x = build_trunk(sizes)
        x = latent_convolution(x, sizes.latent, sizes.last_stride, bias=False)
        wide = keras.initializers.Constant(2.0)  # so that all levels are in use at the start
        x = layers.BatchNormalization(momentum=BN_MOMENTUM, gamma_initializer=wide, name="latent_norm")(x)
        graph = keras.Model(image, x, name="device_graph")
        super().__init__(sizes, graph, _decoder(sizes), learn_centres=False)

    def activate(self, latent: Any) -> Any:
        """Sigmoid, stretched to (-1, 1)."""
        return 2.0 * ops.sigmoid(latent) - 1.0

    def device_tail(self) -> TableTailSpec:
        """Midpoints of the levels, pulled back through the sigmoid."""
        centres = ops.convert_to_numpy(self.quantiser.centres)
        middle = 2.0 * np.arctanh((centres[1:] + centres[:-1]) / 2)
        thresholds = np.tile(middle.astype(np.float32), (self.sizes.latent, 1))
        return TableTailSpec(thresholds, centres)


def _decoder(sizes: BottleNetPPSizes) -> keras.Model:
    latent, ber = keras.Input(sizes.latent_shape, name="latent"), keras.Input((1,), name="ber")
    x = layers.Concatenate(name="told")([latent, QualityPlane()([latent, ber])])
    for place in range(1, sizes.decoder_convolutions + 1):
        x = conv_bn_relu(x, sizes.decoder_width, 1, name=f"convolution_{place}")
    targets = sizes_upwards(sizes.latent_shape[:2], sizes.feature_shape[:2])
    for place, target in enumerate(targets, 1):
        last = target == targets[-1]
        channels = sizes.feature_shape[2] if last else sizes.decoder_width
        name = "features" if last else f"up_{place}"
        x = layers.ReLU(name=name)(
            layers.BatchNormalization(momentum=BN_MOMENTUM)(upsample(x, channels, target))
        )
    return keras.Model([latent, ber], x, name="decoder")


class QualityPlane(keras.layers.Layer):
    """[map (B, h, w, C), BER (B, 1)] to a plane (B, h, w, 1) of the BER's logarithm."""

    def call(self, inputs: list[Any]) -> Any:
        """Float (B, h, w, 1)."""
        x, ber = inputs
        return ops.ones_like(x[..., :1]) * ops.reshape(log_ber(ber), (-1, 1, 1, 1))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """(B, h, w, 1)."""
        return (*input_shape[0][:-1], 1)
