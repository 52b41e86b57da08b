"""Sizes of TOSC, and the classes of the channel's state that follow from them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from semflash.codecs.layers.channel import BerRange
from semflash.codecs.layers.quantiser import bits_for
from semflash.codecs.sizes import CodecSizes
from semflash.errors import UsageError
from semflash.outputs.detections import GEOMETRY

Convolutions = tuple[tuple[int, int], ...]
#: A side from which on the first convolution has a stride of 4.
LARGE_SIDE = 64
#: What stands first for small and for large images, what follows, and what follows where all of the image is
#: looked at.
FIRST: dict[bool, Convolutions] = {False: ((24, 2),), True: ((24, 4),)}
LOCAL: Convolutions = ((32, 2), (48, 2))
GLOBAL: Convolutions = (*LOCAL, (64, 2))
#: Of a decoder that finds objects: places an eighth of a large image's side apart.
LOCAL_BOXES: Convolutions = ((32, 2), (48, 1))
#: How many classes of the channel's state there are.
STATES = 8
#: The lowest SNR of each class in dB; a class reaches 3 dB up.
SNR_CLASSES = (-6.0, -3.0, 0.0, 3.0, 6.0, 9.0, 12.0, 15.0)
#: The lowest bit error rate of each class.
BER_CLASSES = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 2.5e-2, 5e-2)
#: Values of an item where nothing else is said: a byte of I or Q, or centres.
BYTE, CENTRES = 256, 8
PAIR, GLOBAL_VALUES = 2, 32
PAYLOAD_MAX_BYTES = 65_535


@dataclasses.dataclass(frozen=True)
class ToscSizes(CodecSizes):
    """Sizes that decide the structure, and the switches of the experiments.

    Attributes:
        image_shape: (H, W, C) of the device's input.
        feature_shape: Empty: there is no task network whose features could be decoded.
        classes: Labels that the decoder tells apart.
        channel: ``symbols``: I and Q values over noise; ``bits``: codes of K centres.
        fading: ``rayleigh``: all symbols of an image meet one gain, which the receiver divides by.
        snr_low: The least ratio of the training in dB, for symbols.
        snr_high: The largest one.
        ber: Bit error rates of the training, for bits.
        adaptive: Whether encoder and decoder adapt to the channel's state.
        bottleneck: beta, the weight of the bottleneck's term in the loss; 0: none.
        places: ``global``: a last convolution looks at the whole map, so that every sent value can depend on
            all of the image; ``local``: each position of the map sends what it sees.
        middle: (channels, stride) of the encoder's convolutions, 3x3, with a stride of 4 4x4; empty: 24, 32,
            48
            and, for ``global``, 64 channels, with a stride of 2 each; for sides from 64 on the first has 4.
        summary: channels of the last convolution of ``global``.
        latent: values for each position of the last map, I and Q of symbols; 0: 32, of ``local`` 2.
        levels: K, 2..16, for bits; 256 for symbols, the values of a byte; 0: 8 and 256.
        decoder_width: of both hidden layers of the decoder.
        dropout: of the decoder in training, 0..1.
        task: ``labels``: the decoder names the image; ``boxes``: it gives a detector's maps of twice the
            encoder's places in each direction, and ``decoder_width`` are the channels of its convolutions.

    Raises:
        UsageError: a combination that cannot be built.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    feature_shape: tuple[int, ...] = ()
    classes: int = 10
    channel: Literal["symbols", "bits"] = "symbols"
    fading: Literal["none", "rayleigh"] = "none"
    snr_low: float = -6.0
    snr_high: float = 18.0
    ber: BerRange = dataclasses.field(default_factory=BerRange)
    adaptive: bool = True
    bottleneck: float = 2e-3
    places: Literal["global", "local"] = "global"
    middle: Convolutions = ()
    summary: int = 96
    latent: int = 0
    levels: int = 0
    decoder_width: int = 128
    dropout: float = 0.2
    task: Literal["labels", "boxes"] = "labels"

    def __post_init__(self) -> None:
        if self.levels == 0:
            object.__setattr__(self, "levels", BYTE if self.channel == "symbols" else CENTRES)
        if self.latent == 0:
            object.__setattr__(self, "latent", GLOBAL_VALUES if self.places == "global" else PAIR)
        self._check_channel()
        self._check_task()
        if self.bottleneck < 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                "bottleneck is 0 or more, dropout a share below 1", value=(self.bottleneck, self.dropout)
            )
        apart = self.classes - 1 if self.task == "labels" else self.classes
        widths = (self.summary, apart, self.latent, self.decoder_width)
        if min((*widths, *(number for each in self.middle for number in each))) < 1:
            raise UsageError(
                "channels and widths start at 1, classes at 2, of boxes at 1",
                value=(self.middle, self.classes),
            )
        if self.payload_bytes > PAYLOAD_MAX_BYTES:
            raise UsageError(
                "the payload is larger than 65,535 bytes",
                value=self.payload_bytes,
                remedy="more stride in sizes.middle",
            )

    def _check_channel(self) -> None:
        if self.places not in ("global", "local"):
            raise UsageError("unknown places", value=self.places, remedy="global or local")
        if self.channel not in ("symbols", "bits"):
            raise UsageError("unknown channel", value=self.channel, remedy="symbols or bits")
        if self.fading not in ("none", "rayleigh"):
            raise UsageError("unknown fading", value=self.fading, remedy="none or rayleigh")
        if self.fading != "none" and self.channel == "bits":
            raise UsageError("bits do not fade", value=self.fading, remedy="fading=none, or channel=symbols")
        if not self.snr_low < self.snr_high:
            raise UsageError("snr_low lies below snr_high", value=(self.snr_low, self.snr_high))
        if self.channel == "bits":
            bits_for(self.levels)
        elif self.latent % PAIR or self.levels != BYTE:
            raise UsageError(
                "a symbol is a pair of I and Q, a byte each",
                value=f"latent {self.latent}, levels {self.levels}",
                remedy="an even latent, levels=256",
            )

    def _check_task(self) -> None:
        if self.task not in ("labels", "boxes"):
            raise UsageError("unknown task", value=self.task, remedy="labels or boxes")
        if self.task == "labels":
            return
        if self.places != "local":
            raise UsageError(
                "boxes need values that say where they are from", value=self.places, remedy="places=local"
            )
        (height, width), (rows, columns) = self.image_shape[:2], self.output_shape[:2]
        if height % rows or width % columns or height // rows != width // columns:
            raise UsageError(
                "cells of the maps are squares of whole pixels",
                value=f"{rows}x{columns} cells of {height}x{width} pixels",
                remedy="other strides in sizes.middle, or sides that are multiples of them",
            )

    def plain(self) -> dict[str, Any]:
        """Without the task where it is labels, so that runs and results from before there was a choice stay
        what they were."""
        return {key: value for key, value in super().plain().items() if (key, value) != ("task", "labels")}

    @property
    def convolutions(self) -> Convolutions:
        """(channels, stride) of the encoder's convolutions."""
        large = min(self.image_shape[:2]) >= LARGE_SIDE
        local = LOCAL if self.task == "labels" else LOCAL_BOXES
        return self.middle or (*FIRST[large], *(GLOBAL if self.places == "global" else local))

    @property
    def map_sides(self) -> tuple[int, int]:
        """(h, w) of what the convolutions give."""
        height, width = self.image_shape[:2]
        for _, stride in self.convolutions:
            height, width = -(-height // stride), -(-width // stride)
        return height, width

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(h, w, latent), of ``global`` (1, 1, latent)."""
        height, width = (1, 1) if self.places == "global" else self.map_sides
        return height, width, self.latent

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of what the decoder gives: (classes,), or maps (h, w, classes + 4)."""
        if self.task == "labels":
            return (self.classes,)
        rows, columns = self.map_sides
        return 2 * rows, 2 * columns, self.classes + GEOMETRY

    @property
    def symbols(self) -> int:
        """Values of an image, each an item of the payload."""
        return math.prod(self.latent_shape)

    @property
    def bits(self) -> int:
        """Of an item of the payload."""
        return (self.levels - 1).bit_length()

    @property
    def payload_bytes(self) -> int:
        """Bytes per image."""
        return -(-self.symbols * self.bits // 8)

    def turns(self) -> dict[str, dict[str, Any]]:
        """Other numbers of centres, for bits."""
        if self.channel == "symbols":
            return {}
        return {f"levels={levels}": {"levels": levels} for levels in (2, 4, 8, 16) if levels != self.levels}

    @property
    def state_levels(self) -> tuple[float, ...]:
        """The quality at which each class of the channel's state begins."""
        return SNR_CLASSES if self.channel == "symbols" else BER_CLASSES
