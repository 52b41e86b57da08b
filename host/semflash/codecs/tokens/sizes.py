"""Sizes of the family ``tokens``."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any, Literal

from semflash.codecs.layers.channel import BerRange
from semflash.codecs.sizes import CodecSizes
from semflash.errors import UsageError
from semflash.program.patch_stages import PATCH_LEVELS_MAX, PATCHES_MAX
from semflash.program.tokens.stages import SHARE_MAX, kept_at_most

#: Pixels of a side that become one token: three convolutions of stride 2.
STRIDE = 8
#: I and Q of a symbol are bytes.
BYTE, PAIR = 256, 2


@dataclasses.dataclass(frozen=True)
class TokensSizes(CodecSizes):
    """Sizes that decide the structure, and the range of the channel.

    Attributes:
        image_shape: (H, W, C) of the device's input; H and W are multiples of 8.
        feature_shape: Empty: the decoder gives labels.
        classes: Labels that the edge tells apart.
        stem: Channels of the first two convolutions; the third gives tokens.
        width: Of a token, a multiple of ``heads`` and of 4.
        heads: Of the attention.
        hidden: Width of a block's perceptron.
        device_blocks: Blocks on the device, each with a gate before it.
        edge_blocks: Blocks behind the channel.
        decoder_width: Hidden width of what turns received symbols into a token.
        symbols_each: The choices of complex symbols per token, rising.
        symbols_default: The choice that holds where the host says nothing.
        share_default: alpha in 1/255 that holds where the host says nothing.
        slack: By how many tokens an image may exceed alpha of all.
        fading: ``rayleigh``: all symbols of an image meet one gain, which the receiver divides by.
        snr_low: The least ratio of the training in dB.
        snr_high: The largest one.
        levels: Values of a number that is sent: a byte.
        ber: Not used: symbols meet noise.

    Raises:
        UsageError: A combination that cannot be built.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    feature_shape: tuple[int, ...] = ()
    classes: int = 10
    stem: tuple[int, ...] = (12, 24)
    width: int = 64
    heads: int = 4
    hidden: int = 128
    device_blocks: int = 2
    edge_blocks: int = 1
    decoder_width: int = 96
    symbols_each: tuple[int, ...] = (2, 4, 8, 24)
    symbols_default: int = 8
    share_default: int = 51
    slack: int = 8
    fading: Literal["none", "rayleigh"] = "none"
    snr_low: float = -20.0
    snr_high: float = 20.0
    levels: int = BYTE
    ber: BerRange = dataclasses.field(default_factory=BerRange)

    def __post_init__(self) -> None:
        for name in ("stem", "symbols_each"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if any(side % STRIDE for side in self.image_shape[:2]) or self.tokens > PATCHES_MAX:
            raise UsageError(
                f"sides are multiples of {STRIDE}, and an image has at most {PATCHES_MAX} tokens",
                value=self.image_shape,
                remedy="an image_size of 64, say",
            )
        widths = (*self.stem, self.width, self.heads, self.hidden, self.device_blocks, self.decoder_width)
        if len(self.stem) != 2 or min((*widths, self.edge_blocks, self.classes - 1)) < 1 or self.slack < 0:
            raise UsageError(
                "two channels of the stem; widths and blocks start at 1, classes at 2", value=widths
            )
        if self.width % 4 or self.hidden % 4 or self.width % self.heads or (self.width // self.heads) % 4:
            raise UsageError(
                "width, hidden and the width of a head are multiples of 4",
                value=(self.width, self.hidden, self.heads),
                remedy="sizes.width=64, sizes.heads=4, sizes.hidden=128",
            )
        self._check_symbols()
        if self.fading not in ("none", "rayleigh"):
            raise UsageError("unknown fading", value=self.fading, remedy="none or rayleigh")
        if not self.snr_low < self.snr_high:
            raise UsageError("snr_low lies below snr_high", value=(self.snr_low, self.snr_high))

    def _check_symbols(self) -> None:
        each = self.symbols_each
        rising = all(low < high for low, high in pairwise(each))
        if (
            not 1 <= len(each) < PATCH_LEVELS_MAX
            or not rising
            or min(each) < 1
            or PAIR * each[-1] > self.width
        ):
            raise UsageError(
                f"symbols of a token rise from 1 to at most {self.width // PAIR}, "
                f"in up to {PATCH_LEVELS_MAX - 1} choices",
                value=each,
                remedy="sizes.symbols_each=[2,4,8,24]",
            )
        if self.symbols_default not in each or not 1 <= self.share_default <= SHARE_MAX:
            raise UsageError(
                f"the default is one of the choices of symbols, its share 1 to {SHARE_MAX}",
                value=(self.symbols_default, self.share_default),
            )
        if self.levels != BYTE:
            raise UsageError("I and Q are a byte each", value=self.levels, remedy="leave sizes.levels out")

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of tokens."""
        return self.image_shape[0] // STRIDE, self.image_shape[1] // STRIDE

    @property
    def tokens(self) -> int:
        """Of an image, the budget's not among them."""
        rows, columns = self.grid
        return rows * columns

    @property
    def choice_default(self) -> int:
        """Number of the default among the choices of symbols."""
        return self.symbols_each.index(self.symbols_default)

    def kept_at_most(self, share: int) -> int:
        """The most tokens that an image sends at alpha in 1/255."""
        return kept_at_most(self.tokens, share, self.slack)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """I and Q of all tokens at the most symbols."""
        return (self.tokens, PAIR * self.symbols_each[-1])

    @property
    def symbols(self) -> int:
        """Bytes of I and Q that an image has at most at the defaults."""
        return self.kept_at_most(self.share_default) * PAIR * self.symbols_default

    @property
    def code_items(self) -> int:
        """Choice of each token, and I and Q of every choice."""
        return self.tokens * (1 + PAIR * sum(self.symbols_each))

    def turns(self) -> dict[str, dict[str, Any]]:
        """Nothing: alpha and the symbols are the moment's."""
        return {}

    @property
    def values_each(self) -> tuple[int, ...]:
        """Real values of a token by choice, I and Q."""
        return tuple(PAIR * each for each in self.symbols_each)

    @property
    def feature_width(self) -> int:
        """Real values of a token at the most symbols."""
        return PAIR * self.symbols_each[-1]
