"""Adaptive Semantic Token Communication (Devoto et al., arXiv 2505.17604) as a family: a transformer of which
the device runs the first blocks, and sends only the tokens that matter."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.bundle.schema import QualityInput, ReceivedInput
from semflash.codecs.base import Codec
from semflash.codecs.classes import check_classes
from semflash.codecs.device_side import IMAGE, DeviceSpec, GraphSpec
from semflash.codecs.edge_side import DECODER, EdgeGraphSpec
from semflash.codecs.layers.symbol_channel import AwgnChannel, RayleighChannel, gaussian
from semflash.codecs.tokens.device_parts import stage_of
from semflash.codecs.tokens.networks import build_stem
from semflash.codecs.tokens.receiver import LEVELS, SNR, Receiver, build_decoder, symbols_name, use_table
from semflash.codecs.tokens.sender import Sender
from semflash.codecs.tokens.sizes import PAIR, TokensSizes
from semflash.codecs.training_side import StageSpec
from semflash.data.dataset import Dataset
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.program.controls import Control
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.quality import Snr
from semflash.program.tokens.stages import LARGEST, SHARE_MAX, VALUE_STEP

#: What the stem writes.
FEATURES = "features"
#: Controls: alpha in 1/255, the choice of symbols per token, and whether the payload's head is protected.
ALPHA, CHOICE, PROTECT = "alpha", "symbols", "protect"


class Tokens(keras.Model, Codec):
    """Tokens of an image, of which a budget alpha says how many are sent (sections III and IV of the paper).

    Names and shapes for the default sizes:

    image           [0, 1]                                              (64, 64, 3)
      stem          convolutions of stride 2: 12, 24, 64                (8, 8, 64)
      sender        places, budget token, two blocks with gates         (64, 64)
    levels          0 dropped, else one more than the choice            (8, 8)
    symbols_1..4    I and Q of 2, 4, 8 or 24 symbols of a kept token    (64, 4), (64, 8), (64, 16), (64, 48)
      receiver      decoder told SNR and use, places, CLS, a block      (10,)

    Deviations from the paper and its release, each with its reason, are in docs/tokens.md.
    """

    family = "tokens"
    family_version = 1

    def __init__(self, sizes: TokensSizes) -> None:
        super().__init__(name="tokens")
        self.sizes = sizes
        self.stem = build_stem(sizes)
        self.sender = Sender(sizes, name="sender")
        self.sender.build((None, *sizes.grid, sizes.width))
        self.receiver = Receiver(sizes, name="receiver")
        self.receiver.build((None, *sizes.latent_shape))
        self.awgn, self.rayleigh = AwgnChannel(name="awgn"), RayleighChannel(name="rayleigh")

    def build(self, input_shape: Any) -> None:
        """Everything is built in the constructor."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits at the defaults; inputs: image (B, H, W, C), quality (B, 1), noise (B, *noise_shape)."""
        return self.transmit(inputs["image"], inputs["quality"], inputs["noise"], training=training)

    def use_of(self, choice: int) -> np.ndarray:
        """Float32 (1, 1, values): 1 for the values that a choice of symbols sends."""
        return use_table(self.sizes)[choice][None, None]

    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Logits at the defaults, and the trace: ``keep``, and ``shares`` behind each gate."""
        share = ops.full((ops.shape(images)[0], 1), float(self.sizes.share_default))
        use = ops.convert_to_tensor(self.use_of(self.sizes.choice_default))
        return self.carry(
            images, share, use, quality, gaussian(ops.convert_to_tensor(noise)), told=told, training=training
        )

    def carry(
        self,
        images: Any,
        share: Any,
        use: Any,
        quality: Any,
        noise: Any,
        *,
        keep: Any = None,
        told: Any = None,
        training: bool = False,
    ) -> tuple[Any, dict[str, Any]]:
        """Logits, and the trace.

        Args:
            images: Float (B, H, W, C) in [0, 1].
            share: alpha in 1/255, whole numbers as float (B, 1).
            use: Float (B, 1, values) or (1, 1, values), 1 for the values that are sent.
            quality: SNR in dB, float (B, 1); None: no noise.
            noise: Standard normal numbers, float (B, *noise_shape).
            keep: A mask in place of the gates', float (B, n); None: theirs.
            told: The SNR that the receiver is told; None: the true one.
        """
        features = self.stem(ops.convert_to_tensor(images), training=training)
        selected = self.sender.select(features, share, keep)
        use = ops.convert_to_tensor(use)
        values = self.sender.symbols(selected.tokens, use)
        quality = ops.convert_to_tensor(quality)
        arrived = self.over_the_air(values, quality, ops.convert_to_tensor(noise)) * use
        told = quality if told is None else ops.convert_to_tensor(told)
        logits = self.receiver(arrived, use, selected.keep, told)
        return logits, {"keep": selected.keep, "shares": selected.shares}

    def over_the_air(self, values: Any, snr: Any, noise: Any) -> Any:
        """What arrives, float (B, n, values); where the channel fades, the noise's first pair is the gain."""
        symbols = ops.reshape(values, (-1, self.sizes.tokens * self.sizes.feature_width // PAIR, PAIR))
        if self.sizes.fading == "none":
            arrived = self.awgn(symbols, snr, noise)
        else:
            arrived = self.rayleigh(symbols, snr, noise[:, 1:], noise[:, :1])
        return ops.reshape(arrived, (-1, *self.sizes.latent_shape))

    @property
    def decoder(self) -> keras.Model:
        """[symbols of each choice, levels, SNR] to logits."""
        return build_decoder(self.sizes, self.receiver)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The level of each token and the symbols of all choices, one behind the other."""
        return (self.sizes.code_items,)

    def values_shape(self) -> tuple[int, ...]:
        """As the codes."""
        return self.code_shape

    def codes(self, images: Any, share: int | None = None, choice: int | None = None) -> Any:
        """What is sent, int32 (B, *code_shape): levels and int8 numbers; 0 for what is not sent.

        Args:
            images: Float (B, H, W, C).
            share: alpha in 1/255; None: the default.
            choice: Of symbols; None: the default.
        """
        sizes = self.sizes
        share = sizes.share_default if share is None else share
        choice = sizes.choice_default if choice is None else choice
        images = ops.convert_to_tensor(images)
        features = self.stem(images, training=False)
        wanted = ops.full((ops.shape(images)[0], 1), float(share))
        values, keep = self.sender(features, wanted, ops.convert_to_tensor(self.use_of(choice)))
        steps = ops.clip(ops.round(values / VALUE_STEP), -LARGEST, LARGEST)
        steps = ops.where(keep[..., None] > 0.5, steps, 0.0)
        parts = [ops.cast(keep > 0.5, "float32") * (choice + 1)]
        for number, each in enumerate(sizes.values_each):
            sent = steps[..., :each]
            sent = sent if number == choice else ops.zeros_like(sent)
            parts.append(ops.reshape(sent, (-1, sizes.tokens * each)))
        return ops.cast(ops.concatenate(parts, axis=1), "int32")

    def values(self, codes: Any, erased: Any = None) -> Any:
        """Levels as they are, and numbers in their steps; 0 where one was lost."""
        count = self.sizes.tokens
        found = ops.cast(codes, "float32")
        found = ops.concatenate([found[:, :count], found[:, count:] * VALUE_STEP], axis=1)
        return found if erased is None else ops.where(erased, 0.0, found)

    def outputs(
        self, tail: Any, codes: Any, quality: Any, erased: Any = None, *, training: bool = False
    ) -> Any:
        """Logits of received codes; there is no task tail."""
        del tail
        sizes, received, parts = self.sizes, self.values(ops.convert_to_tensor(codes), erased), []
        start = sizes.tokens
        for each in sizes.values_each:
            end = start + sizes.tokens * each
            parts.append(ops.reshape(received[:, start:end], (-1, sizes.tokens, each)))
            start = end
        levels = ops.reshape(received[:, : sizes.tokens], (-1, *sizes.grid))
        return self.decoder([*parts, levels, ops.convert_to_tensor(quality)], training=training)

    def device(self) -> DeviceSpec:
        """The stem, and blocks, gates and encoder as one stage; the map of levels in the payload's head."""
        sizes = self.sizes
        names = tuple(symbols_name(choice) for choice in range(len(sizes.symbols_each)))
        regions = (Region(name, 8, items=Exactly(LEVELS, level)) for level, name in enumerate(names, 1))
        return DeviceSpec(
            network=self.stem,
            values=(FEATURES,),
            stages=(
                GraphSpec("stem", IMAGE, FEATURES),
                stage_of(self.sender, FEATURES, LEVELS, names, ALPHA, CHOICE),
            ),
            payload=Layout(tuple(regions), head=Head(LEVELS, (), PROTECT)),
            quality=Snr(sizes.snr_low, sizes.snr_high),
            controls=(
                Control(ALPHA, 1, 1, SHARE_MAX, sizes.share_default, "share"),
                Control(CHOICE, 2, 0, len(names) - 1, sizes.choice_default, "entry"),
                Control(PROTECT, 3, 0, 1, 1, "entry"),
            ),
        )

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """The receiver."""
        del tail
        names = [symbols_name(choice) for choice in range(len(self.sizes.symbols_each))]
        inputs = tuple(ReceivedInput(name, name) for name in (*names, LEVELS))
        return (EdgeGraphSpec(DECODER, self.decoder, (*inputs, QualityInput(SNR))),)

    @property
    def level_map(self) -> str | None:
        """The tensor of codes that says which tokens were kept."""
        return LEVELS

    def task(self, tail: Any) -> Task:
        """Classification."""
        del tail
        return CLASSIFICATION

    def check_data(self, tail: Any, data: Dataset) -> None:
        """One class per image, and as many classes as the receiver has."""
        del tail
        check_classes(self.sizes.classes, data)

    def bits_per_code(self) -> int:
        """A byte."""
        return 8

    def levels(self) -> int:
        """Of a byte."""
        return self.sizes.levels

    def stages(self) -> tuple[StageSpec, ...]:
        """The training has stages of its own."""
        return (StageSpec("channel", True),)

    def noise_shape(self) -> tuple[int, ...]:
        """Two numbers for each symbol, and two for the gain where the channel fades."""
        symbols = self.sizes.tokens * self.sizes.feature_width // PAIR
        return (symbols + (self.sizes.fading != "none"), PAIR)

    def parts(self) -> dict[str, Any]:
        """Stem, sender and receiver."""
        return {"stem": self.stem, "sender": self.sender, "receiver": self.receiver}

    def edge_parts(self) -> frozenset[str]:
        """The receiver."""
        return frozenset({"receiver"})
