"""Sizes of SemanticNN, and what follows from them without building anything: strides, latent, payload."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from semflash.codecs.layers.channel import BerRange
from semflash.codecs.layers.quantiser import bits_for
from semflash.codecs.sizes import CodecSizes
from semflash.errors import UsageError

PAYLOAD_MAX_BYTES = 65_535
PAPER = "paper"
#: Side and stride of the convolution that stands behind the head in the paper.
PAPER_STRIDE = 4
_POOL = 2


@dataclasses.dataclass(frozen=True)
class SemanticNNSizes(CodecSizes):
    """Sizes that decide the structure, and the switches of the ablations.

    Attributes:
        image_shape: (H, W, C) of the device's input.
        feature_shape: (h, w, c) of the features at the split, what the decoder gives back.
        stem: channels of the device's first convolution, before the maximum pool.
        middle: (channels, stride) of the 3x3 convolutions between stem and latent.
        latent: channels C of the latent, sent.
        levels: centres K, 2..16.
        decoder_width: channels inside the decoder.
        ber: error rates it is trained for.
        encoder: ``staged``: stem, pool, middle, latent; ``paper``: the task network's own head, frozen, and
            one 4x4 convolution with stride 4. stem, middle and stride are not read then.
        head: structure of that head (:func:`semflash.tasks.keras.config.describe`); the training puts it
            in, with the task network's weights.
        stride: of the whole encoder, image to latent, a power of two: the last convolutions share it out and
            the strides in ``middle`` are not read; None: the pool's 2, those of ``middle``, and 2.
        crop: share of the height and of the width, in the middle of the pooled map, that is encoded, 0..1;
            the decoder puts 0 around it.
        gdn: GDN in the encoder and its inverse in the decoder.
        labels: ``natural``: a code is its centre's rank; ``gray``: ranks that stand side by side differ in
            one bit (K a power of two).
        learn_centres: whether the centres are trained.
        decoder_ber: whether the decoder makes use of the BER it is told.
        usage_gradient: the usage term counts softly, with a gradient; False: as the paper's released code
            does, by comparing codes, which gives none.

    Raises:
        UsageError: a combination that cannot be built.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    feature_shape: tuple[int, int, int] = (14, 14, 16)
    stem: int = 16
    middle: tuple[tuple[int, int], ...] = ((24, 2),)
    latent: int = 8
    levels: int = 8
    decoder_width: int = 64
    ber: BerRange = dataclasses.field(default_factory=BerRange)
    encoder: str = "staged"
    head: dict[str, Any] | None = None
    stride: int | None = None
    crop: float = 1.0
    gdn: bool = True
    labels: str = "natural"
    learn_centres: bool = True
    decoder_ber: bool = True
    usage_gradient: bool = True

    def __post_init__(self) -> None:
        bits = bits_for(self.levels)
        if not 0.0 < self.crop <= 1.0:
            raise UsageError("crop is a share above 0, at most 1", value=self.crop, remedy="try 0.75")
        if self.encoder not in ("staged", PAPER):
            raise UsageError("unknown encoder", value=self.encoder, remedy="staged or paper")
        if self.labels not in ("natural", "gray"):
            raise UsageError("unknown labelling of the codes", value=self.labels, remedy="natural or gray")
        if self.labels == "gray" and self.levels != 1 << bits:
            raise UsageError(
                "Gray labels need 2, 4, 8 or 16 centres", value=self.levels, remedy="or labels=natural"
            )
        if min(self.stem, self.latent, self.decoder_width, *(c for c, _ in self.middle), 1) < 1:
            raise UsageError("channels start at 1", value=(self.stem, self.middle, self.latent))
        self._check_sides()
        if self.payload_bytes > PAYLOAD_MAX_BYTES:
            raise UsageError(
                "the payload is larger than 65,535 bytes",
                value=self.payload_bytes,
                remedy="fewer latent channels or a larger stride",
            )

    @property
    def begins_with_head(self) -> bool:
        """Whether the encoder is the paper's: the task network's head and one convolution."""
        return self.encoder == PAPER

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the middle convolutions and of the latent's, in order."""
        if self.stride is None:
            return (*(stride for _, stride in self.middle), 2)
        count, halvings = len(self.middle) + 1, int(math.log2(max(1, self.stride // _POOL)))
        if self.stride < _POOL or _POOL << halvings != self.stride:
            raise UsageError(
                "the encoder's stride is a power of two from 2", value=self.stride, remedy="try 4, 8 or 16"
            )
        if halvings > count:
            raise UsageError(
                f"{count} convolutions after the pool reach a stride of {_POOL << count}",
                value=self.stride,
                remedy="add convolutions to sizes.middle, or a smaller stride",
            )
        return (1,) * (count - halvings) + (2,) * halvings

    @property
    def cropped_map(self) -> tuple[int, int]:
        """Height and width of the part of the pooled map (``paper``: of the features) that is encoded."""
        if self.encoder == PAPER:
            return self.cropped_features
        height, width = (side // _POOL for side in self.image_shape[:2])
        return _share(height, self.crop), _share(width, self.crop)

    @property
    def cropped_features(self) -> tuple[int, int]:
        """Height and width of the part of the features that the decoder gives back."""
        return _share(self.feature_shape[0], self.crop), _share(self.feature_shape[1], self.crop)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(h, w, C)."""
        height, width = self.cropped_map
        for stride in (PAPER_STRIDE,) if self.encoder == PAPER else self.strides:
            height, width = -(-height // stride), -(-width // stride)
        return height, width, self.latent

    @property
    def symbols(self) -> int:
        """Codes per image."""
        return math.prod(self.latent_shape)

    @property
    def payload_bytes(self) -> int:
        """Bytes per image."""
        return -(-self.symbols * bits_for(self.levels) // 8)

    def _check_sides(self) -> None:
        if min(self.image_shape[:2]) < _POOL:
            raise UsageError("the image is smaller than the pool", value=self.image_shape)
        latent, features = self.latent_shape[:2], self.cropped_features
        if self.encoder == PAPER:
            return
        if latent[0] > features[0] or latent[1] > features[1]:
            raise UsageError(
                f"the latent {latent} would be larger than the features {features}",
                value=f"stride {math.prod(self.strides) * _POOL}",
                remedy="a larger stride, or a split point with larger features",
            )

    def turns(self) -> dict[str, dict[str, Any]]:
        """Neighbours in size by what is turned, each as the fields to replace."""
        stride = 0 if self.encoder == PAPER else math.prod(self.strides) * 2
        turns: dict[str, dict[str, Any]] = {}
        for latent in (self.latent // 2, self.latent * 2):
            turns[f"latent={latent}"] = {"latent": latent}
        for levels in (2, 4, 8, 16):
            if levels != self.levels:
                turns[f"levels={levels}"] = {"levels": levels}
        for other in (stride // 2, stride * 2) if stride else ():
            turns[f"stride={other}"] = {"stride": other}
        turns |= {f"crop={crop}": {"crop": crop} for crop in (0.75, 0.5) if crop < self.crop}
        return turns


def _share(side: int, crop: float) -> int:
    return max(1, round(side * crop))
