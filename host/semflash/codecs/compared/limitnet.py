"""LimitNet-style codec (Hojjat et al., MobiSys 2024, arXiv 2504.13736): what matters is sent first."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.compared.bit_codec import BitCodec, BitCodecSizes, build_trunk, latent_convolution
from semflash.codecs.device_side import IMAGE, DeviceSpec, GraphSpec, Neutral, TableTailSpec, TailStage
from semflash.codecs.layers.blocks import conv_bn_relu, residual_pair, sizes_upwards, upsample
from semflash.codecs.layers.quantiser import CentreQuantiser
from semflash.codecs.training_side import StageContext, StageSpec
from semflash.program.controls import Control
from semflash.program.layout import Layout, Region, Rest
from semflash.program.stages import Order


@dataclasses.dataclass(frozen=True)
class LimitNetSizes(BitCodecSizes):
    """As all, and those of the progressive order.

    Attributes:
        keep_low: in training a share of the values, uniform over [keep_low, 1], is kept, the most important
            ones; the paper has 0.
        channel_step: by how much a channel's score falls below that of the one before it.
        saliency_weight: of the saliency's cross entropy.
    """

    keep_low: float = 0.0
    channel_step: float = 0.2
    saliency_weight: float = 0.05

    @property
    def symbols(self) -> int:
        """Saliency and latent."""
        return math.prod(self.latent_shape[:2]) + super().symbols


class LimitNet(BitCodec):
    """Sections 3 and 4 of the paper: progressive, content-aware offloading.

    Names of layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      stem          Conv 3x3, ReLU                                              (28, 28, 16)
      pool          MaxPool 2                                                   (14, 14, 16)
      latent        Conv 4x4 stride 4, to K = 8 learned centres                 (4, 4, 8)
      | saliency branch on the latent
      saliency_hidden  Conv 3x3, ReLU                                           (4, 4, 8)
      saliency      Conv 3x3, sigmoid, K = 8 uniform levels                     (4, 4, 1)
      | gradual scoring: score = saliency + 0.2 (C - channel), values sorted by it, greatest first
    codes           16 of the saliency, then 128 values in that order           (144,)
      | the payload is cut anywhere; the receiver computes the same order from the saliency it got
    values          centres back in their places, 0 for what is missing         (4, 4, 8)
      | decoder
      widen         Conv 3x3, BatchNorm, ReLU                                   (4, 4, 64)
      pair_1        two Conv 3x3 beside an identity                             (4, 4, 64)
      pair_2        two Conv 3x3 beside an identity                             (4, 4, 64)
      up_1          transposed Conv 4x4 stride 2, BatchNorm, ReLU               (7, 7, 64)
    features        transposed Conv 4x4 stride 2, ReLU                          (14, 14, 16)
      | tail of the task network

    Kept from the paper: the order by content and channel, so that the first channels and salient places
    arrive first; training drops the least important values, a random share of them per image; a teacher
    makes the saliency maps, learned with weight 0.05 beside the reconstruction; then training with the task.
    Deviations: the teacher's saliency is the importance of the split features (integrated gradients), pooled
    to the latent's size, for no salient-object network knows these images; the saliency has the same K levels
    as the values and its bytes count; the decoder gives features instead of an image; training may see
    bit errors (a trial), and one that hits the saliency misplaces values, as it would; the saliency goes on
    learning with the task instead of being frozen; the trunk may have more convolutions.
    """

    family = "limitnet"
    family_version = 1
    needs_importance = True

    def __init__(self, sizes: LimitNetSizes) -> None:
        image, x = build_trunk(sizes)
        latent = latent_convolution(x, sizes.latent, sizes.last_stride)
        graph = keras.Model(image, latent, name="device_graph")
        super().__init__(sizes, graph, _decoder(sizes), learn_centres=True)
        y = layers.Conv2D(8, 3, padding="same", activation="relu", name="saliency_hidden")(latent)
        y = layers.Conv2D(1, 3, padding="same", name="saliency")(y)
        self.saliency_graph = keras.Model(image, y, name="saliency_graph")
        self.both = keras.Model(image, [latent, y], name="both")
        self.saliency_levels = CentreQuantiser(sizes.levels, learn=False, name="saliency_levels")
        self.saliency_levels.build(graph.output_shape)

    @property
    def places(self) -> int:
        """h w, symbols of the saliency."""
        return math.prod(self.sizes.latent_shape[:2])

    @property
    def code_shape(self) -> tuple[int, ...]:
        """(h w + h w C,): saliency first."""
        return (self.places * (1 + self.sizes.latent),)

    def noise_shape(self) -> tuple[int, ...]:
        """A row of bits per symbol, and one whose first number says how much is kept."""
        return (self.code_shape[0] + 1, self.quantiser.bits)

    @property
    def channel_step(self) -> int:
        """By how much a channel scores less than the one before it, in sixteenths of a level."""
        return round(self.sizes.channel_step * (self.sizes.levels - 1) * 16)

    def order(self, saliency_codes: Any) -> Any:
        """Raster positions (h, w, C) in the order of sending, int32 (B, h w C).

        Args:
            saliency_codes: int32 (B, h w), as sent or as received.
        """
        channels = self.sizes.latent
        falling = ops.convert_to_tensor(np.arange(channels, dtype=np.int32) * self.channel_step)
        score = ops.expand_dims(saliency_codes, -1) * 16 - falling
        count = self.places * channels
        unique = ops.reshape(score, (-1, count)) * count - ops.arange(count, dtype="int32")
        return ops.cast(ops.argsort(-unique, axis=-1), "int32")

    def codes(self, images: Any) -> Any:
        """Codes int32 (B, *code_shape) of float images."""
        latent, logits = self.both(ops.convert_to_tensor(images))
        saliency, order = self._saliency(logits)[1:]
        values = ops.reshape(self.quantiser.codes(latent), (-1, self.places * self.sizes.latent))
        return ops.concatenate([saliency, ops.take_along_axis(values, order, axis=1)], axis=1)

    def _saliency(self, logits: Any) -> tuple[Any, Any, Any]:
        """Saliency in (-1, 1) float (B, h w), its codes, and the order that follows."""
        saliency = ops.reshape(2.0 * ops.sigmoid(logits) - 1.0, (-1, self.places))
        codes = self.saliency_levels.codes(saliency)
        return saliency, codes, self.order(codes)

    def values_shape(self) -> tuple[int, ...]:
        """(h, w, C)."""
        shape: tuple[int, ...] = self.sizes.latent_shape
        return shape

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Centres back in their places; 0 where a code was lost. Lost saliency counts as the middle level."""
        codes = ops.convert_to_tensor(codes)
        saliency, sent = codes[:, : self.places], self.quantiser.values(codes[:, self.places :])
        if erased is not None:
            saliency = ops.where(erased[:, : self.places], self.sizes.levels // 2, saliency)
            sent = ops.where(erased[:, self.places :], 0.0, sent)
        return self._in_place(sent, self.order(saliency))

    def _in_place(self, sent: Any, order: Any) -> Any:
        values = ops.take_along_axis(sent, ops.argsort(order, axis=-1), axis=1)
        return ops.reshape(values, (-1, *self.sizes.latent_shape))

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The trace: ``latent``, and ``saliency`` as logits (B, h, w, 1)."""
        images, quality = ops.convert_to_tensor(images), ops.convert_to_tensor(quality)
        noise = ops.convert_to_tensor(noise)
        latent, logits = self.both(images, training=training)
        _, saliency, order = self._saliency(logits)
        count = self.places * self.sizes.latent
        x = ops.take_along_axis(ops.reshape(latent, (-1, count)), order, axis=1)
        codes = ops.concatenate([saliency, self.quantiser.codes(x)], axis=1)
        received = self.bit_channel(codes, quality, noise[:, :-1])
        sent = self.quantiser(x, received[:, self.places :])
        if training:
            low = self.sizes.keep_low
            kept = (low + (1.0 - low) * noise[:, -1:, 0]) * count
            sent = sent * ops.cast(ops.arange(count, dtype="float32") < kept, sent.dtype)
        values = self._in_place(sent, self.order(received[:, : self.places]))
        told = quality if told is None else ops.convert_to_tensor(told)
        decoded = self.feature_decoder([values, told], training=training)
        return decoded, {"latent": latent, "saliency": logits}

    def stages(self) -> tuple[StageSpec, ...]:
        """Reconstruction with saliency, then with the task."""
        return (StageSpec("autoencoder", False), StageSpec("task", True))

    def stage_loss(self, stage: str, context: StageContext) -> Any | None:
        """Binary cross entropy of the saliency against the importance, scaled to 0..1 per image."""
        del stage
        if context.importance is None:
            return None
        shapes = zip(self.sizes.feature_shape[:2], self.sizes.latent_shape[:2], strict=True)
        side = tuple(-(-features // places) for features, places in shapes)
        pooled = ops.average_pool(context.importance, side, strides=side, padding="same")
        target = pooled / (ops.max(pooled, axis=(1, 2, 3), keepdims=True) + 1e-6)
        logits = context.trace["saliency"]
        entropy = ops.relu(logits) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
        return self.sizes.saliency_weight * ops.mean(entropy)

    def device(self) -> DeviceSpec:
        """Two graphs, the second on the latent; codes in the order of what matters, cut by ``bytes``."""
        bits, middle = self.quantiser.bits, self.sizes.levels // 2
        least = -(-self.places * bits // 8)
        limit = Control("bytes", 1, least, self.payload_bytes, self.payload_bytes, "bytes")
        return DeviceSpec(
            network=self.both,
            values=("latent", "saliency"),
            stages=(
                GraphSpec("encoder", IMAGE, "latent"),
                TailStage("latent", "codes", self.device_tail()),
                GraphSpec("saliency", "latent", "saliency"),
                TailStage("saliency", "saliency_codes", self.saliency_tail()),
                Order("saliency_codes", "codes", "sorted", self.channel_step),
            ),
            payload=Layout((Region("saliency_codes", bits), Region("sorted", bits, Rest(limit.name)))),
            quality=self.quality(),
            controls=(limit,),
            neutral={"saliency_codes": Neutral(code=middle), "codes": Neutral(value=0.0)},
        )

    def saliency_tail(self) -> TableTailSpec:
        """What turns the saliency graph's output into codes: midpoints of the levels through the sigmoid."""
        centres = ops.convert_to_numpy(self.saliency_levels.centres)
        middle = 2.0 * np.arctanh((centres[1:] + centres[:-1]) / 2)
        return TableTailSpec(middle.astype(np.float32)[None], centres)

    def parts(self) -> dict[str, Any]:
        """As all, and the saliency graph (which shares the encoder)."""
        return super().parts() | {"saliency_graph": self.saliency_graph}


def _decoder(sizes: LimitNetSizes) -> keras.Model:
    latent, ber = keras.Input(sizes.latent_shape, name="latent"), keras.Input((1,), name="ber")
    width = sizes.decoder_width
    x = conv_bn_relu(latent, width, 1, name="widen")
    for place in (1, 2):
        x = residual_pair(x, width, name=f"pair_{place}")
    targets = sizes_upwards(sizes.latent_shape[:2], sizes.feature_shape[:2])
    for place, target in enumerate(targets[:-1], 1):
        x = layers.ReLU(name=f"up_{place}")(
            layers.BatchNormalization(momentum=0.95)(upsample(x, width, target))
        )
    x = layers.ReLU(name="features")(upsample(x, sizes.feature_shape[2], targets[-1]))
    return keras.Model([latent, ber], x, name="decoder")
