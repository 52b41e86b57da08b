"""ADJSCC-style codec (Xu et al., arXiv 2012.00533, 2020): attention on the channel's quality."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.compared.bit_codec import BitCodec, BitCodecSizes, build_trunk, latent_convolution
from semflash.codecs.device_side import GdnTailSpec
from semflash.codecs.layers.blocks import sizes_upwards, upsample
from semflash.codecs.layers.gdn import GDN, PositivePReLU
from semflash.codecs.layers.quality_attention import QualityAttention


class ADJSCC(BitCodec):
    """Section III of the paper: feature-learning (FL) and attention-feature (AF) modules in turn.

    Names of layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      stem          Conv 3x3, ReLU                                              (28, 28, 16)
      pool          MaxPool 2                                                   (14, 14, 16)
      latent        last FL module: Conv 4x4 stride 4; GDN, PReLU               (4, 4, 8)
      | nearest of K = 8 uniform levels in [-1, 1]
    codes           bits through the binary symmetric channel                   (4, 4, 8)
    values          levels of the received codes                                (4, 4, 8)
      | decoder, which is told the BER
      module_1      FL: Conv 3x3, BatchNorm, inverse GDN, PReLU; AF             (4, 4, 64)
      module_2      FL and AF once more                                         (4, 4, 64)
      up_1          FL: transposed Conv 4x4 stride 2, inverse GDN, PReLU; AF    (7, 7, 64)
    features        FL: transposed Conv 4x4 stride 2, ReLU                      (14, 14, 16)
      | tail of the task network

    AF: channel means and the channel's quality through two dense layers give a factor per channel, so that
    one network serves all qualities: the layer :class:`QualityAttention`.
    Digital adaptation, and deviations: the paper sends complex symbols of constant mean power over Gaussian
    noise and gives its AF modules the SNR; here GDN and PReLU are followed by K fixed levels whose bits
    flip, and the AF modules get the BER. The encoder's AF modules are left out: a device does not know the
    BER of the frame it is about to send, and its int8 graph has the image as its only input. The task's loss
    and distillation take the place of the image's squared error, for a label is what is asked for.
    """

    family = "adjscc"
    family_version = 1

    def __init__(self, sizes: BitCodecSizes) -> None:
        image, x = build_trunk(sizes)
        latent = latent_convolution(x, sizes.latent, sizes.last_stride)
        graph = keras.Model(image, latent, name="device_graph")
        super().__init__(sizes, graph, _decoder(sizes), learn_centres=False)
        self.gdn = GDN(gamma_init=0.5, name="gdn")
        self.prelu = PositivePReLU(name="prelu")
        for layer in (self.gdn, self.prelu):
            layer.build(graph.output_shape)

    def activate(self, latent: Any) -> Any:
        """GDN and PReLU, the end of the last FL module."""
        return self.prelu(self.gdn(latent))

    def device_tail(self) -> GdnTailSpec:
        """GDN, PReLU and the fixed levels."""
        parts = (self.gdn.beta, self.gdn.gamma, self.prelu.alpha, self.quantiser.centres)
        return GdnTailSpec(*(ops.convert_to_numpy(part) for part in parts))

    def parts(self) -> dict[str, Any]:
        """As all, GDN and PReLU."""
        return super().parts() | {"gdn": self.gdn, "prelu": self.prelu}


def _decoder(sizes: BitCodecSizes) -> keras.Model:
    latent, ber = keras.Input(sizes.latent_shape, name="latent"), keras.Input((1,), name="ber")
    width = sizes.decoder_width

    def end_of_module(x: Any, name: str) -> Any:
        x = PositivePReLU(alpha_init=0.25)(GDN(inverse=True)(layers.BatchNormalization(momentum=0.95)(x)))
        return QualityAttention(name=name)([x, ber])

    x = end_of_module(layers.Conv2D(width, 3, padding="same")(latent), "module_1")
    x = end_of_module(layers.Conv2D(width, 3, padding="same")(x), "module_2")
    targets = sizes_upwards(sizes.latent_shape[:2], sizes.feature_shape[:2])
    for place, target in enumerate(targets[:-1], 1):
        x = end_of_module(upsample(x, width, target), f"up_{place}")
    x = layers.ReLU(name="features")(upsample(x, sizes.feature_shape[2], targets[-1]))
    return keras.Model([latent, ber], x, name="decoder")
