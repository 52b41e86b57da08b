"""TOSC (Liu et al., "Lightweight Task-Oriented Semantic Communication Empowered by Large-Scale AI Models",
arXiv 2506.13243) as a family: symbols or bits, no task network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.bundle.schema import ControlInput, EdgeInput, QualityInput, ReceivedInput
from semflash.codecs.base import Codec
from semflash.codecs.device_side import (
    IMAGE,
    DeviceSpec,
    GraphSpec,
    ModulationStage,
    Neutral,
    ProjectionStage,
)
from semflash.codecs.edge_side import DECODER, EdgeGraphSpec
from semflash.codecs.tosc.adaptation import ChannelAdaptive, folded, seen_state
from semflash.codecs.tosc.bottleneck import Bottleneck
from semflash.codecs.tosc.links import PROJECTED, SENT, BitLink, Link, SymbolLink
from semflash.codecs.tosc.networks import build_decoder, build_encoder
from semflash.codecs.tosc.sizes import STATES, ToscSizes
from semflash.codecs.tosc.tasks import purpose_of
from semflash.codecs.training_side import StageContext, StageSpec
from semflash.data.dataset import Dataset
from semflash.errors import DatasetError
from semflash.outputs.kinds import Task
from semflash.program.controls import Control
from semflash.program.layout import Layout, Region

#: The tensor of the map as the state has changed it.
ADAPTED = "adapted"
#: The control by which the host tells the device its class.
STATE = "state"


class Tosc(keras.Model, Codec):
    """Section III of the paper: a small encoder, a channel-adaptive module on both sides, a small decoder.

    Names of layers and shapes for the default sizes:

    image           [0, 1]                                              (28, 28, 1)
      conv_1        Conv 3x3 stride 2, BatchNorm, ReLU                  (14, 14, 24)
      conv_2        Conv 3x3 stride 2, BatchNorm, ReLU                  (7, 7, 32)
      conv_3        Conv 3x3 stride 2, BatchNorm, ReLU                  (4, 4, 48)
      conv_4        Conv 3x3 stride 2, BatchNorm, ReLU                  (2, 2, 64)
      summary       Conv over the whole map, BatchNorm, ReLU            (1, 1, 96)
      | channel-adaptive module, told the state; 1x1 projection; mean power 1 per symbol
    codes           int8 I and Q over noise (or bits of K = 8 centres)  (1, 1, 32)
    values          what arrives                                        (1, 1, 32)
      hidden_1      Dense ReLU                                          (128,)
      adapted       channel-adaptive module, told quality and state     (128,)
      hidden_2      Dense ReLU                                          (128,)
      logits        Dense                                               (10,)

    The state is the class of the channel's quality, one of 8: the host tells the device, and the device sends
    along which one it used. With ``places="local"`` there are no conv_4 and summary, and each of the 4x4
    places sends one symbol. With ``task="boxes"`` the decoder gives maps where logits are spoken of
    (:mod:`semflash.codecs.tosc.box_decoder`). Deviation: the paper's encoder is an 11 M vision transformer on
    the sender; here it is what a microcontroller runs.
    """

    family = "tosc"
    family_version = 1

    def __init__(self, sizes: ToscSizes) -> None:
        super().__init__(name="tosc")
        self.sizes = sizes
        self.purpose = purpose_of(sizes)
        self.encoder = build_encoder(sizes)
        map_shape = self.encoder.output_shape
        self.adaptation = ChannelAdaptive(name="adaptation") if sizes.adaptive else None
        if self.adaptation is not None:
            self.adaptation.build([map_shape, (None, 1)])
        self.projection = keras.layers.Conv2D(sizes.latent, 1, name="projection")
        self.projection.build(map_shape)
        kinds: dict[str, type[Link]] = {"symbols": SymbolLink, "bits": BitLink}
        self.link: Any = kinds[sizes.channel](sizes, name="link")
        self.edge = build_decoder(sizes, self.link.known)
        self.bottleneck = Bottleneck(self.link.start_power, name="bottleneck") if sizes.bottleneck else None
        if self.bottleneck is not None:
            self.bottleneck.build((None, *sizes.latent_shape))

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits; inputs: image (B, H, W, C), quality (B, 1), noise (B, *noise_shape)."""
        return self.transmit(inputs["image"], inputs["quality"], inputs["noise"], training=training)

    def state_of(self, quality: Any) -> Any:
        """The class of a quality, float (B, 1), 0 to 7."""
        levels = np.asarray(self.sizes.state_levels, np.float32)
        above = ops.sum(ops.cast(quality >= levels, "float32"), axis=-1, keepdims=True)
        return ops.clip(above - 1.0, 0.0, STATES - 1.0)

    def project(self, found: Any, state: Any) -> Any:
        """The encoder's map to the values that the link carries, float (B, h, w, C), for a state (B, 1)."""
        if self.adaptation is not None:
            found = self.adaptation([found, seen_state(state)])
        return self.projection(found)

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None, state: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Logits, and the trace: ``sent`` and ``power`` of the link.

        Args:
            images, quality, noise, training, told: As for every family.
            state: What encoder and decoder adapt to, float (B, 1); None: the class of what is told.
        """
        images, quality = ops.convert_to_tensor(images), ops.convert_to_tensor(quality)
        told = quality if told is None else ops.convert_to_tensor(told)
        state = self.state_of(told) if state is None else ops.convert_to_tensor(state)
        values = self.project(self.encoder(images, training=training), state)
        there = self.link.carry(values, quality, ops.convert_to_tensor(noise))
        logits = self.answer(there.received, told, state, training=training)
        return logits, {"sent": there.sent, "power": there.power}

    def answer(self, received: Any, told: Any, state: Any, *, training: bool = False) -> Any:
        """Logits (B, classes) of received values (B, h, w, C), quality told and state used, each (B, 1)."""
        known = [told, state] if self.adaptation is not None else [told]
        inputs = [ops.convert_to_tensor(each) for each in (received, *known)]
        return self.edge(inputs, training=training)

    def divergence(self, trace: dict[str, Any]) -> Any:
        """KL of each sent value from the prior in nats, float (B, h, w, C)."""
        assert self.bottleneck is not None  # who asks has looked at sizes.bottleneck
        return self.bottleneck(trace["sent"], trace["power"])

    def stage_loss(self, stage: str, context: StageContext) -> Any | None:
        """beta times the divergence of an image, summed over its values."""
        del stage
        if self.bottleneck is None:
            return None
        each = ops.sum(self.divergence(context.trace), axis=(1, 2, 3))
        return self.sizes.bottleneck * ops.mean(each)

    @property
    def decoder(self) -> keras.Model:
        """[received (B, h, w, C), quality (B, 1), state (B, 1) where it adapts] to logits."""
        return self.edge

    @property
    def code_shape(self) -> tuple[int, ...]:
        """(h, w, C)."""
        return self.sizes.latent_shape

    def values_shape(self) -> tuple[int, ...]:
        """As the codes."""
        return self.code_shape

    def codes(self, images: Any, state: Any = None) -> Any:
        """Numbers that are sent, int32 (B, h, w, C): int8 values of symbols, or codes of centres.

        Args:
            images: float (B, H, W, C).
            state: float (B, 1); None: that of the best channel, the control's default.
        """
        images = ops.convert_to_tensor(images)
        if state is None:
            state = ops.full((ops.shape(images)[0], 1), float(self.default_state))
        return self.link.codes(self.project(self.encoder(images), ops.convert_to_tensor(state)))

    @property
    def default_state(self) -> int:
        """That of the best channel."""
        return STATES - 1 if self.sizes.channel == "symbols" else 0

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Real values of received numbers; 0 where one was lost."""
        return self.link.values(codes, erased)

    def decode(
        self, codes: Any, quality: Any, erased: Any = None, *, training: bool = False, state: Any = None
    ) -> Any:
        """Logits (B, classes) of received numbers.

        Args:
            codes, quality, erased, training: As for every family.
            state: That the encoder used, float (B, 1); None: the default.
        """
        quality = ops.convert_to_tensor(quality)
        if state is None:
            state = ops.full_like(quality, float(self.default_state))
        values = self.values(ops.convert_to_tensor(codes), erased)
        return self.answer(values, quality, ops.convert_to_tensor(state), training=training)

    def outputs(
        self, tail: Any, codes: Any, quality: Any, erased: Any = None, *, training: bool = False
    ) -> Any:
        """The logits; there is no task tail."""
        del tail
        return self.decode(codes, quality, erased, training=training)

    def modulation(self) -> tuple[np.ndarray, np.ndarray]:
        """What each channel of the map is multiplied by and what is added, each float32 (S, C), by state."""
        if self.adaptation is None:
            channels = self.encoder.output_shape[-1]
            return np.ones((1, channels), np.float32), np.zeros((1, channels), np.float32)
        states = np.arange(STATES, dtype=np.float32)[:, None]
        scale, shift = (ops.convert_to_numpy(g) for g in self.adaptation.modulation(seen_state(states)))
        return 1.0 + scale, shift

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """The projection of each state with its adaptation folded in: weights float32 (S, J, C), bias (S,
        J)."""
        kernel, bias = (ops.convert_to_numpy(weight) for weight in self.projection.weights)
        scale, shift = self.modulation()
        return folded(scale - 1.0, shift, kernel[0, 0], bias)

    def device(self) -> DeviceSpec:
        """One graph, modulation by the state, projection, then normalised symbols or the nearest centres."""
        kernel, bias = (ops.convert_to_numpy(weight) for weight in self.projection.weights)
        adapts = self.adaptation is not None
        modulation = ModulationStage("map", ADAPTED, *self.modulation(), STATE if adapts else None)
        levels = self.sizes.state_levels
        state = Control(STATE, 1, 0, STATES - 1, self.default_state, "entry", sticky=True, follows=levels)
        return DeviceSpec(
            network=self.encoder,
            values=("map",),
            stages=(
                GraphSpec("encoder", IMAGE, "map"),
                *([modulation] if adapts else []),
                ProjectionStage(ADAPTED if adapts else "map", PROJECTED, kernel[0, 0].T[None], bias[None]),
                self.link.device_stage(),
            ),
            payload=Layout((Region(SENT, self.sizes.bits),)),
            quality=self.link.quality(),
            controls=(state,) if adapts else (),
            neutral={SENT: Neutral(value=0.0)},
        )

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """The decoder, which is told the state that the encoder used, where there is one."""
        del tail
        inputs: tuple[EdgeInput, ...] = (ReceivedInput("received", SENT), QualityInput("quality"))
        if self.adaptation is not None:
            inputs += (ControlInput("state", STATE),)
        return (EdgeGraphSpec(DECODER, self.edge, inputs),)

    def task(self, tail: Any) -> Task:
        """Classification, or detection."""
        del tail
        return self.purpose.task

    def check_data(self, tail: Any, data: Dataset) -> None:
        """Labels of the decoder's kind, and as many classes as it has."""
        del tail
        misfit = self.purpose.misfit(data)
        if misfit is not None:
            raise DatasetError(
                f"this codec {self.purpose.told()}, and the data set has {misfit}",
                value=data.name,
                remedy="use the data set of the training",
            )

    def bits_per_code(self) -> int:
        """Of an item of the payload."""
        return self.sizes.bits

    def levels(self) -> int:
        """How many numbers an item can be."""
        return self.sizes.levels

    def stages(self) -> tuple[StageSpec, ...]:
        """All at once; the training has stages of its own."""
        return (StageSpec("distil", True),)

    def noise_shape(self) -> tuple[int, ...]:
        """Of the link."""
        shape: tuple[int, ...] = self.link.noise_shape()
        return shape

    def parts(self) -> dict[str, Any]:
        """Encoder, projection, link and decoder; adaptation and bottleneck where there are any."""
        parts = {
            "encoder": self.encoder,
            "projection": self.projection,
            "link": self.link,
            "decoder": self.edge,
        }
        more = {"adaptation": self.adaptation, "bottleneck": self.bottleneck}
        return parts | {name: part for name, part in more.items() if part is not None}

    def edge_parts(self) -> frozenset[str]:
        """The decoder."""
        return frozenset({"decoder"})
