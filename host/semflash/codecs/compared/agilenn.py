"""AgileNN-style codec (Huang and Gao, MobiCom 2022, arXiv 2312.14229): skewed importance, local head."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.bundle.schema import GraphInput, ReceivedInput
from semflash.codecs.compared.bit_codec import BitCodec, BitCodecSizes, build_trunk, latent_convolution
from semflash.codecs.device_side import IMAGE, DeviceSpec, GraphSpec, Neutral, TableTailSpec, TailStage
from semflash.codecs.edge_side import TASK_TAIL, EdgeGraphSpec
from semflash.codecs.layers.blocks import conv_bn_relu, residual_pair, sizes_upwards, upsample
from semflash.codecs.layers.channel import BinarySymmetricChannel
from semflash.codecs.layers.quality_attention import QualityAttention
from semflash.codecs.layers.quantiser import CentreQuantiser
from semflash.codecs.training_side import StageContext
from semflash.errors import UsageError
from semflash.program.layout import Layout, Region


@dataclasses.dataclass(frozen=True)
class AgileNNSizes(BitCodecSizes):
    """As all, and those of the split by importance.

    Attributes:
        classes: of the task.
        features: channels of the extractor. local_share: of them that stay on the device.
        skewness: rho, the share of the importance that the local channels are to have, 0..1.
        task_share: lambda, of the task's loss against the skewness and disorder losses, 0..1.
    """

    classes: int = 10
    features: int = 24
    local_share: float = 0.2
    skewness: float = 0.8
    task_share: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(stride != 1 for _, stride in self.middle) or not 0 < self.local < self.features:
            raise UsageError(
                "convolutions before the extractor have a stride of 1, and some of its channels stay local",
                value=(self.middle, self.local_share),
            )

    @property
    def symbols(self) -> int:
        """Scores and latent."""
        return self.classes + super().symbols

    @property
    def local(self) -> int:
        """Channels that stay on the device."""
        return max(1, round(self.local_share * self.features))


class AgileNN(BitCodec):
    """Sections 4 to 6 of the paper; names of layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      stem          Conv 3x3, ReLU                                              (28, 28, 16)
      pool          MaxPool 2                                                   (14, 14, 16)
      | extractor of 24 channels
      local         the 5 important ones: Conv 3x3 stride 2, BatchNorm, ReLU    (7, 7, 5)
      remote        the other 19, likewise                                      (7, 7, 19)
      latent        of the remote ones: Conv 3x3 stride 2                       (4, 4, 8)
      average       of the local ones: global average                           (1, 1, 5)
      local_head    dense, to the scores of the classes                         (1, 1, 10)
      | scores: tanh and K = 8 uniform levels; latent: nearest of K = 8 learned centres
    codes           10 scores, then the latent                                  (138,)
    values          levels of the scores, centres of the latent                 (138,)
      | decoder of the remote part, which is told the BER
      widen         Conv 3x3, BatchNorm, ReLU                                   (4, 4, 64)
      pair          two Conv 3x3 beside an identity                             (4, 4, 64)
      gate          attention on channel means and BER                          (4, 4, 64)
      up_1          transposed Conv 4x4 stride 2, BatchNorm, ReLU               (7, 7, 64)
    features        transposed Conv 4x4 stride 2, ReLU                          (14, 14, 16)
      | tail of the task network: remote logits
      | fusion: label = argmax of a local scores + (1 - a) remote logits, a learned

    The split is trained: importance of a channel by integrated gradients of an evaluator; the skewness loss
    max(0, rho - share of the local channels) and the disorder loss max(0, (greatest of the rest - least of
    the local) / all) enforce that a few channels carry most of it; lambda weighs them against the task.
    Deviations: the evaluator is a linear classifier on the channels' means, trained beside the codec on
    features that get no gradient from it. Integrated gradients of a linear function are exact in closed form
    (weight times mean), so that no second derivative is needed. The paper combines the two results on the
    device; here the label is wanted on the edge, so the local scores are sent, too, as codes that count
    and can be damaged. Codes have a fixed length instead of LZW; training sees bit errors. The loss of the
    remote part alone stays beside that of the combined result.
    """

    family = "agilenn"
    family_version = 2

    def __init__(self, sizes: AgileNNSizes) -> None:
        image, x = build_trunk(sizes)
        local = conv_bn_relu(x, sizes.local, 2, name="local")
        remote = conv_bn_relu(x, sizes.features - sizes.local, 2, name="remote")
        latent = latent_convolution(remote, sizes.latent, 2)
        graph = keras.Model(image, latent, name="device_graph")
        super().__init__(sizes, graph, _decoder(sizes), learn_centres=True)
        mean = layers.AveragePooling2D(local.shape[1:3], name="average")(local)
        scores = layers.Conv2D(sizes.classes, 1, name="local_head")(mean)
        self.local_graph = keras.Model(image, scores, name="local_graph")
        self.network = keras.Model(image, [x, latent, scores], name="network")
        self.extractor = keras.Model(image, [local, remote], name="extractor")
        self.evaluator = keras.layers.Dense(sizes.classes, name="evaluator")
        self.evaluator.build((None, sizes.features))
        self.fusion = Fusion(name="fusion")
        self.fusion.build((None, sizes.classes))
        self.score_levels = CentreQuantiser(sizes.levels, learn=False, name="score_levels")
        self.score_levels.build((None, sizes.classes))
        self.bit_channel = BinarySymmetricChannel(self.quantiser.bits, name="channel")

    @property
    def code_shape(self) -> tuple[int, ...]:
        """(classes + h w C,): local scores first."""
        return (self.sizes.classes + math.prod(self.sizes.latent_shape),)

    def analyse(self, images: Any, *, training: bool = False) -> Any:
        """Images to scores in (-1, 1) and latent, float (B, *code_shape)."""
        latent = ops.reshape(self.device_graph(images, training=training), (-1, self.code_shape[0] - self._n))
        scores = ops.reshape(self.local_graph(images, training=training), (-1, self._n))
        return ops.concatenate([ops.tanh(scores), latent], axis=-1)

    @property
    def _n(self) -> int:
        classes: int = self.sizes.classes
        return classes

    def codes(self, images: Any) -> Any:
        """Codes int32 (B, *code_shape) of float images."""
        return self._codes(self.analyse(images))

    def _codes(self, x: Any) -> Any:
        scores, latent = self.score_levels.codes(x[:, : self._n]), self.quantiser.codes(x[:, self._n :])
        return ops.concatenate([scores, latent], axis=-1)

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Levels of the scores, centres of the rest; 0 and the mean centre where a code was lost."""
        n = self._n
        scores, latent = self.score_levels.values(codes[:, :n]), self.quantiser.values(codes[:, n:])
        if erased is not None:
            scores = ops.where(erased[:, :n], 0.0, scores)
            latent = ops.where(erased[:, n:], ops.mean(self.quantiser.centres), latent)
        return ops.concatenate([scores, latent], axis=-1)

    def decode(self, codes: Any, quality: Any, erased: Any = None, *, training: bool = False) -> Any:
        """Features (B, h', w', c') of the remote part of received codes."""
        values = self.values(ops.convert_to_tensor(codes), erased)[:, self._n :]
        latent = ops.reshape(values, (-1, *self.sizes.latent_shape))
        return self.feature_decoder([latent, ops.convert_to_tensor(quality)], training=training)

    def outputs(
        self, tail: Any, codes: Any, quality: Any, erased: Any = None, *, training: bool = False
    ) -> Any:
        """The combined logits (B, classes) of received codes."""
        codes = ops.convert_to_tensor(codes)
        logits = super().outputs(tail, codes, quality, erased, training=training)
        return self.fusion([self.values(codes, erased)[:, : self._n], logits])

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """Decoder, task tail, and the fusion of its logits with the local scores."""
        scores = keras.Input((1, 1, self._n), name="scores")
        remote = keras.Input((self._n,), name="remote")
        fused = self.fusion([layers.Reshape((self._n,))(scores), remote])
        inputs = (ReceivedInput("scores", "score_codes"), GraphInput("remote", TASK_TAIL))
        model = keras.Model([scores, remote], fused, name="fusion")
        return (*super().edge_graphs(tail), EdgeGraphSpec("fusion", model, inputs))

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The trace: ``latent``, ``scores`` as received (B, classes), ``means`` of the channels (B, F)."""
        images, quality, n = ops.convert_to_tensor(images), ops.convert_to_tensor(quality), self._n
        x = self.analyse(images, training=training)
        received = self.bit_channel(self._codes(x), quality, noise)
        scores = self.score_levels(x[:, :n], received[:, :n])
        values = ops.reshape(self.quantiser(x[:, n:], received[:, n:]), (-1, *self.sizes.latent_shape))
        told = quality if told is None else ops.convert_to_tensor(told)
        decoded = self.feature_decoder([values, told], training=training)
        maps = self.extractor(images, training=training)
        means = ops.concatenate([ops.mean(m, axis=(1, 2)) for m in maps], axis=-1)
        return decoded, {"latent": x[:, n:], "scores": scores, "means": means}

    def stage_loss(self, stage: str, context: StageContext) -> Any:
        """Combined result, evaluator, skewness and disorder."""
        del stage
        trace, labels, share = context.trace, context.labels, self.sizes.task_share
        target = ops.one_hot(labels, self._n)
        loss = _cross_entropy(target, self.fusion([trace["scores"], context.logits]))
        loss += _cross_entropy(target, self.evaluator(ops.stop_gradient(trace["means"])))
        return loss + (1 - share) / share * self.split_loss(trace["means"], target)

    def split_loss(self, means: Any, target: Any) -> Any:
        """Skewness plus disorder of the channels' importance, a scalar.

        Args:
            means: of the channels, float (B, F). target: one-hot labels (B, classes).
        """
        weights = ops.stop_gradient(self.evaluator.kernel)
        margin = ops.matmul(target - 1.0 / self._n, ops.transpose(weights))
        importance = ops.abs(means * margin)
        share = importance / (ops.sum(importance, axis=-1, keepdims=True) + 1e-6)
        local, rest = share[:, : self.sizes.local], share[:, self.sizes.local :]
        skew = ops.relu(self.sizes.skewness - ops.sum(local, axis=-1))
        disorder = ops.relu(ops.max(rest, axis=-1) - ops.min(local, axis=-1))
        return ops.mean(skew + disorder)

    def device(self) -> DeviceSpec:
        """Three graphs, so that the shared convolutions run once: trunk, encoder and local head."""
        centres = ops.convert_to_numpy(self.quantiser.centres)
        bits = self.quantiser.bits
        return DeviceSpec(
            network=self.network,
            values=("map", "latent", "scores"),
            stages=(
                GraphSpec("trunk", IMAGE, "map"),
                GraphSpec("encoder", "map", "latent"),
                TailStage("latent", "codes", self.device_tail()),
                GraphSpec("local", "map", "scores"),
                TailStage("scores", "score_codes", self.local_tail()),
            ),
            payload=Layout((Region("score_codes", bits), Region("codes", bits))),
            quality=self.quality(),
            neutral={"score_codes": Neutral(value=0.0), "codes": Neutral(value=float(centres.mean()))},
        )

    def local_tail(self) -> TableTailSpec:
        """What turns the local head's output into codes: midpoints of the levels through tanh."""
        centres = ops.convert_to_numpy(self.score_levels.centres)
        middle = np.arctanh((centres[1:] + centres[:-1]) / 2).astype(np.float32)
        return TableTailSpec(np.tile(middle, (self._n, 1)), centres)

    def parts(self) -> dict[str, Any]:
        """As all; the local graph (which shares its first layers), evaluator and fusion."""
        own = {"local_graph": self.local_graph, "evaluator": self.evaluator, "fusion": self.fusion}
        return super().parts() | own

    def edge_parts(self) -> frozenset[str]:
        """Decoder and fusion."""
        return super().edge_parts() | {"fusion"}


class Fusion(keras.layers.Layer):
    """[local scores (B, classes), remote logits (B, classes)] to a scale * local + (1 - a) remote; a and the
    scale are learned and start at 1/2 and 4."""

    def build(self, input_shape: Any) -> None:
        """Create the two scalars."""
        del input_shape
        self.balance = self.add_weight(shape=(), initializer="zeros", name="balance")
        self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(4.0), name="scale")

    def call(self, inputs: list[Any]) -> Any:
        """Float (B, classes)."""
        local, remote = inputs
        share = ops.sigmoid(self.balance)
        return share * self.scale * local + (1.0 - share) * remote


def _cross_entropy(target: Any, logits: Any) -> Any:
    return -ops.mean(ops.sum(target * ops.log_softmax(logits, axis=-1), axis=-1))


def _decoder(sizes: AgileNNSizes) -> keras.Model:
    """[latent (B, h, w, C), ber (B, 1)] to features."""
    latent, ber = keras.Input(sizes.latent_shape, name="latent"), keras.Input((1,), name="ber")
    x = conv_bn_relu(latent, sizes.decoder_width, 1, name="widen")
    x = QualityAttention(name="gate")([residual_pair(x, sizes.decoder_width, name="pair"), ber])
    targets = sizes_upwards(sizes.latent_shape[:2], sizes.feature_shape[:2])
    for place, target in enumerate(targets[:-1], 1):
        x = upsample(x, sizes.decoder_width, target)
        x = layers.ReLU(name=f"up_{place}")(layers.BatchNormalization(momentum=0.95)(x))
    x = layers.ReLU(name="features")(upsample(x, sizes.feature_shape[2], targets[-1]))
    return keras.Model([latent, ber], x, name="decoder")
