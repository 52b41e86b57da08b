"""SemanticNN (arXiv 2511.11038): a feature codec for the split after a network's first convolution stage."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from semflash.codecs.base import Codec
from semflash.codecs.device_side import DeviceSpec, DeviceTailSpec, GdnTailSpec, Neutral, TableTailSpec
from semflash.codecs.layers.channel import BinarySymmetricChannel
from semflash.codecs.layers.gdn import GDN, PositivePReLU
from semflash.codecs.layers.quantiser import CentreQuantiser
from semflash.codecs.semanticnn.networks import build_decoder, build_device_graph, middle, on_grid
from semflash.codecs.semanticnn.sizes import SemanticNNSizes
from semflash.codecs.training_side import StageSpec
from semflash.program.quality import Ber

__all__ = ["SemanticNN", "SemanticNNSizes", "build_decoder", "build_device_graph"]


class SemanticNN(keras.Model, Codec):
    """Section 3 of the paper; names of layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      | device graph, int8
      stem          Conv 3x3, ReLU                                              (28, 28, 16)
      pool          MaxPool 2                                                   (14, 14, 16)
      middle_1      Conv 3x3 stride 2, BatchNorm, ReLU                          (7, 7, 24)
      latent        Conv 3x3 stride 2                                           (4, 4, 8)
      | device tail in integer thresholds: GDN, PReLU, nearest of K = 8 centres
    codes           0..K-1, natural binary on ascending centres                 (4, 4, 8)
      | payload of 3 bits a code, 48 bytes; binary symmetric channel
    values          centres of the received codes                               (4, 4, 8)
      | decoder, which is told the BER
      widen         Conv 3x3, BatchNorm, ReLU                                   (4, 4, 64)
      pair_1        two Conv 3x3 beside an identity                             (4, 4, 64)
      gate_1        attention on channel means and BER                          (4, 4, 64)
      pair_2        two Conv 3x3 beside an identity                             (4, 4, 64)
      gate_2        attention                                                   (4, 4, 64)
      up_1          transposed Conv 4x4 stride 2, BatchNorm, inverse GDN, PReLU, attention  (7, 7, 48)
    features        transposed Conv 4x4 stride 2, ReLU                          (14, 14, 16)
      | tail of the task network

    Deviations from the paper, and why: the encoder has two 3x3 convolutions behind the pool and BatchNorm
    (folded away) instead of one 4x4 stride 4, for accuracy at the same payload; no power normalisation,
    which would need a root and a division on the device; centres, bits and the BER range are trained as the
    paper describes them, not as its released code does; the decoder has residual pairs, and ReLU instead of
    a sigmoid at its end, because the features are ReLU outputs.

    The switches of the sizes take single mechanisms away, for ablations; without GDN the device tail is a
    table.
    """

    family = "semanticnn"
    family_version = 1
    terms = frozenset({"usage", "codes"})

    def __init__(self, sizes: SemanticNNSizes) -> None:
        super().__init__(name="semanticnn")
        self.sizes = sizes
        self.device_graph = build_device_graph(sizes)
        latent_shape = self.device_graph.output_shape
        self.gdn = GDN(gamma_init=0.5, name="gdn") if sizes.gdn else None
        self.prelu = PositivePReLU(name="prelu")
        self.quantiser = CentreQuantiser(
            sizes.levels, learn=sizes.learn_centres, labels=sizes.labels, name="quantiser"
        )
        for layer in (self.gdn, self.prelu, self.quantiser):
            if layer is not None:
                layer.build(latent_shape)
        self.bit_channel = BinarySymmetricChannel(self.quantiser.bits, name="channel")
        self.feature_decoder = build_decoder(
            latent_shape[1:],
            sizes.feature_shape,
            sizes.decoder_width,
            gdn=sizes.gdn,
            ber_aware=sizes.decoder_ber,
            inner=sizes.cropped_features,
        )

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Decoded features; inputs: image (B, H, W, C), ber (B, 1), noise (B, h, w, C, bits)."""
        return self.transmit(inputs["image"], inputs["ber"], inputs["noise"], training=training)

    def analyse(self, images: Any, *, training: bool = False) -> Any:
        """Images to what the quantiser sees, float (B, h, w, C)."""
        x = self.device_graph(images, training=training)
        return self.prelu(x if self.gdn is None else self.gdn(x))

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """As :meth:`transmit`; the trace holds ``latent``, what the quantiser saw, float (B, h, w, C)."""
        images, quality = ops.convert_to_tensor(images), ops.convert_to_tensor(quality)
        x = self.analyse(images, training=training)
        received = self.through_channel(self.quantiser.codes(x), quality, noise)
        told = quality if told is None else ops.convert_to_tensor(told)
        return self.feature_decoder([self.quantiser(x, received), told], training=training), {"latent": x}

    def through_channel(self, codes: Any, quality: Any, noise: Any) -> Any:
        """Codes as sent to codes as received in training, int32 (B, h, w, C)."""
        return self.bit_channel(codes, quality, noise)

    def usage_loss(self, trace: dict[str, Any]) -> Any:
        """How far the use of the centres is from even, see :meth:`CentreQuantiser.usage_deficit`."""
        if self.sizes.usage_gradient:
            return self.quantiser.usage_deficit(trace["latent"])
        return self.quantiser.counted_usage_error(trace["latent"])

    def code_loss(self, trace: dict[str, Any], quality: Any, importance: Any) -> Any:
        """Expected error of the received values, weighed by importance: what the task needs is given to codes
        that quantisation and flipped bits harm least.

        Args:
            importance: float (B, h', w', 1) on the grid of the features, mean 1 per image.
        """
        latent = trace["latent"]
        encoded = middle(importance, self.sizes.cropped_features)
        weights = on_grid(encoded, latent.shape[1:3])
        error = self.quantiser.expected_error(latent, ops.reshape(quality, (-1, 1, 1, 1)))
        return ops.mean(weights * error)

    def check_code_term(self) -> None:
        """The features' grid must reduce to the latent's. UsageError: it does not."""
        importance = ops.ones((1, *self.sizes.feature_shape[:2], 1))
        on_grid(middle(importance, self.sizes.cropped_features), self.sizes.latent_shape[:2])

    def adopt(self, head: Any) -> None:
        """The paper's encoder begins with the head, which stays as it is."""
        if self.sizes.begins_with_head:
            self.device_graph.get_layer(head.name).set_weights(head.get_weights())

    def codes(self, images: Any) -> Any:
        """Codes int32 (B, h, w, C) of float images."""
        return self.quantiser.codes(self.analyse(images))

    def levels(self) -> int:
        """K."""
        return self.sizes.levels

    @property
    def code_shape(self) -> tuple[int, ...]:
        """(h, w, C)."""
        return self.sizes.latent_shape

    def values_shape(self) -> tuple[int, ...]:
        """(h, w, C)."""
        return self.sizes.latent_shape

    def bits_per_code(self) -> int:
        """ceil(log2 K)."""
        return self.quantiser.bits

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Centres of the codes; the mean of all centres where a code was lost."""
        values = self.quantiser.values(codes)
        return values if erased is None else ops.where(erased, ops.mean(self.quantiser.centres), values)

    def noise_shape(self) -> tuple[int, ...]:
        """(h, w, C, bits)."""
        return (*self.device_graph.output_shape[1:], self.quantiser.bits)

    def device(self) -> DeviceSpec:
        """One graph, GDN with thresholds (or a table), all codes; lost codes are the mean of the centres."""
        mean = float(ops.convert_to_numpy(ops.mean(self.quantiser.centres)))
        quality = Ber(0.0, self.sizes.ber.high)
        return DeviceSpec.of_encoder(
            self.device_graph, self.device_tail(), quality, self.quantiser.bits, Neutral(value=mean)
        )

    def device_tail(self) -> DeviceTailSpec:
        """GDN, PReLU and centres as float32 arrays."""
        alpha, centres = (ops.convert_to_numpy(v) for v in (self.prelu.alpha, self.quantiser.centres))
        if self.gdn is None:
            return TableTailSpec.nearest_centre(centres, alpha, self.quantiser.labels_of_ranks)
        beta, gamma = (ops.convert_to_numpy(v) for v in (self.gdn.beta, self.gdn.gamma))
        return GdnTailSpec(beta, gamma, alpha, centres, self.quantiser.labels_of_ranks)

    @property
    def decoder(self) -> keras.Model:
        """[latent (B, h, w, C), ber (B, 1)] to features."""
        return self.feature_decoder

    def stages(self) -> tuple[StageSpec, ...]:
        """Denoising autoencoder on the features, then the task (two-stage feature-augmentation learning)."""
        return (StageSpec("autoencoder", False), StageSpec("task", True))

    def parts(self) -> dict[str, Any]:
        """Device graph, GDN (if there is one), PReLU, quantiser, decoder."""
        return {
            "device_graph": self.device_graph,
            **({} if self.gdn is None else {"gdn": self.gdn}),
            "prelu": self.prelu,
            "quantiser": self.quantiser,
            "decoder": self.feature_decoder,
        }

    def edge_parts(self) -> frozenset[str]:
        """The decoder."""
        return frozenset({"decoder"})
