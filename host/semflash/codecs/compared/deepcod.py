"""DeepCOD-style codec (Yao et al., Deep compressive offloading, SenSys 2020, doi 10.1145/3384419.3430898)."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.compared.bit_codec import BitCodec, BitCodecSizes, build_trunk, latent_convolution
from semflash.codecs.layers.blocks import conv_bn_relu, residual_pair, sizes_upwards, upsample
from semflash.codecs.training_side import StageContext, StageSpec


@dataclasses.dataclass(frozen=True)
class DeepCODSizes(BitCodecSizes):
    """As all; ``isometry``: weight of the term that keeps the measurement matrix near an isometry."""

    isometry: float = 1e-2


class DeepCOD(BitCodec):
    """Compressive offloading: a linear measurement on the device, a deep decoder on the edge.

    Written from the paper's abstract and what others report of it, so that no section can be cited. Names of
    layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      | the layers of the task network that run on the device
      stem          Conv 3x3, ReLU                                              (28, 28, 16)
      pool          MaxPool 2                                                   (14, 14, 16)
      latent        the measurement: one linear Conv 4x4 stride 4, no bias      (4, 4, 8)
      | nearest of K = 8 learned centres
    codes           fixed length, 3 bits                                        (4, 4, 8)
    values          centres of the received codes                               (4, 4, 8)
      | decoder
      widen         Conv 3x3, BatchNorm, ReLU                                   (4, 4, 64)
      pair_1        two Conv 3x3 beside an identity                             (4, 4, 64)
      pair_2        two Conv 3x3 beside an identity                             (4, 4, 64)
      up_1          transposed Conv 4x4 stride 2, BatchNorm, ReLU, residual pair  (7, 7, 64)
    features        transposed Conv 4x4 stride 2, ReLU                          (14, 14, 16)
      | tail of the task network

    Kept from the paper: the encoder is a single convolution, so that its cost on the device is negligible;
    compressive sensing asks the measurement matrix A for a restricted isometry, which the term
    ||A A^T - I||^2 / C encourages; quantisation is learned with the network; the decoder is deep; training
    reconstructs the features and keeps the task network's outputs (distillation).
    Deviations: fixed-length codes instead of entropy coding (what that does under bit errors is shown by the
    baseline ``entropy-coded``), residual pairs at our scale in the decoder, no adversarial parts. The
    paper's links do not damage bits: the decoder is not told the BER, and whether training sees bit errors
    is one of the trials.
    """

    family = "deepcod"
    family_version = 1

    def __init__(self, sizes: DeepCODSizes) -> None:
        image, x = build_trunk(sizes)
        latent = latent_convolution(x, sizes.latent, sizes.last_stride, bias=False)
        graph = keras.Model(image, latent, name="device_graph")
        super().__init__(sizes, graph, _decoder(sizes), learn_centres=True)
        self.measurement = graph.get_layer("latent")

    def stages(self) -> tuple[StageSpec, ...]:
        """Reconstruction of the features, then with the task."""
        return (StageSpec("autoencoder", False), StageSpec("task", True))

    def stage_loss(self, stage: str, context: StageContext) -> Any:
        """Distance of the measurement matrix (C, kernel) from an isometry, in every stage."""
        del stage, context
        rows = ops.transpose(ops.reshape(self.measurement.kernel, (-1, self.sizes.latent)))
        gram = ops.matmul(rows, ops.transpose(rows))
        return (
            self.sizes.isometry * ops.sum(ops.square(gram - ops.eye(self.sizes.latent))) / self.sizes.latent
        )


def _decoder(sizes: DeepCODSizes) -> keras.Model:
    latent, ber = keras.Input(sizes.latent_shape, name="latent"), keras.Input((1,), name="ber")
    width = sizes.decoder_width
    x = conv_bn_relu(latent, width, 1, name="widen")
    for place in (1, 2):
        x = residual_pair(x, width, name=f"pair_{place}")
    targets = sizes_upwards(sizes.latent_shape[:2], sizes.feature_shape[:2])
    for place, target in enumerate(targets[:-1], 1):
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.95)(upsample(x, width, target)))
        x = residual_pair(x, width, name=f"up_{place}")
    x = layers.ReLU(name="features")(upsample(x, sizes.feature_shape[2], targets[-1]))
    return keras.Model([latent, ber], x, name="decoder")
