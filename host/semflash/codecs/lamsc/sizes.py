"""Sizes of the family ``lamsc``."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any, Literal

from semflash.codecs.layers.channel import BerRange
from semflash.codecs.sizes import CodecSizes
from semflash.errors import UsageError
from semflash.program.controls import CONTROL_MAX
from semflash.program.map_sizes import MapSizes
from semflash.program.patch_stages import BACKGROUND_LEVELS, PATCH_LEVELS_MAX, PATCHES_MAX

#: A code of a level is a byte of its bits.
BYTE = 256
#: Side of a block.
BLOCK = 8
#: Beyond them a coefficient of a block has hardly any variance.
COEFFICIENTS_MAX = 64


@dataclasses.dataclass(frozen=True)
class LamscSizes(CodecSizes):
    """Sizes that decide the structure, and the choices of the selector.

    Attributes:
        image_shape: (H, W, C) of the device's input; H and W are multiples of 8, C is 1 or 3.
        feature_shape: Empty: what the classifier gets is the picture.
        coefficients: Of the transform of a block.
        level_bits: Bits of a block at each level, 0 first, rising, multiples of 8.
        classes: Labels that the tail tells apart.
        classifier: Kind of the tail, a task network as a whole.
        classifier_head: Channels of its head, where it is ``residual``.
        classifier_widths: Channels of its stages.
        asi: Whether importance weighs the blocks; otherwise all count alike.
        floor: What a block of no importance weighs, against 1.
        mask: ``levels``: the student learns the importance itself; ``learned``: the paper's learned mask, the
            student goes on learning from the picture's error through the selection, with a gradient passed
            straight through.
        restoring: Whether a network restores the picture behind the inverse transform.
        restoring_widths: Its channels at the blocks, at twice and at eight times their number.
        rate_low: The smallest payload that may be asked for, bytes.
        rate_high: The largest one.
        rate_default: What holds where nothing is asked for.
        levels: Values of a code: a byte.
        ber: Bit error rates of the training, and of what the decoder is told.

    Raises:
        UsageError: A combination that cannot be built.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    feature_shape: tuple[int, ...] = ()
    coefficients: int = 40
    level_bits: tuple[int, ...] = (0, 8, 16, 24, 40, 64, 104, 152)
    classes: int = 10
    classifier: Literal["residual", "vit"] = "residual"
    classifier_head: int = 16
    classifier_widths: tuple[int, ...] = (32, 64, 128)
    asi: bool = True
    floor: float = 0.02
    mask: Literal["levels", "learned"] = "levels"
    restoring: bool = True
    restoring_widths: tuple[int, int, int] = (64, 32, 8)
    rate_low: int = 24
    rate_high: int = 700
    rate_default: int = 159
    levels: int = BYTE
    ber: BerRange = dataclasses.field(default_factory=BerRange)

    def __post_init__(self) -> None:
        for name in ("level_bits", "classifier_widths", "restoring_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        height, width, channels = self.image_shape
        if height % BLOCK or width % BLOCK or channels not in (1, 3) or self.patches > PATCHES_MAX:
            raise UsageError(
                f"sides are multiples of {BLOCK}, at most {PATCHES_MAX} blocks, channels 1 or 3",
                value=self.image_shape,
                remedy="an image_size of 64, say",
            )
        self._check_bits()
        for name, kinds in (("mask", ("levels", "learned")), ("classifier", ("residual", "vit"))):
            if getattr(self, name) not in kinds:
                raise UsageError(f"unknown {name}", value=getattr(self, name), remedy=" or ".join(kinds))
        if not 0 < self.floor <= 1:
            raise UsageError(
                "floor is above 0, at most 1", value=self.floor, remedy="sizes.floor=0.02, sizes.asi=false"
            )
        if self.mask == "learned" and not self.asi:
            raise UsageError("a learned mask needs importance", value="asi=false", remedy="sizes.asi=true")
        if len(self.restoring_widths) != 3 or min(self.restoring_widths) < 1:
            raise UsageError("restoring_widths has three widths", value=self.restoring_widths)
        least = -(-self.map_sizes.least(True) // 8)
        if not least <= self.rate_low <= self.rate_default <= self.rate_high <= CONTROL_MAX:
            raise UsageError(
                f"rates rise from {least} bytes, which an empty map takes: low, default, high",
                value=(self.rate_low, self.rate_default, self.rate_high),
                remedy=f"sizes.rate_low={least}",
            )

    def _check_bits(self) -> None:
        rising = all(low < high for low, high in pairwise(self.level_bits))
        many = 2 <= len(self.level_bits) <= PATCH_LEVELS_MAX
        if not many or not rising or self.level_bits[0] != 0 or any(bits % 8 for bits in self.level_bits):
            raise UsageError(
                f"level_bits has 2 to {PATCH_LEVELS_MAX} rising multiples of 8, 0 first",
                value=self.level_bits,
                remedy="sizes.level_bits=[0,8,16,24,40,64,104,152]",
            )
        if not 1 <= self.coefficients <= min(COEFFICIENTS_MAX, self.patch_values):
            raise UsageError(
                f"a block has 1 to {min(COEFFICIENTS_MAX, self.patch_values)} coefficients",
                value=self.coefficients,
            )
        if self.level_bits[-1] > 6 * self.coefficients:
            raise UsageError(
                "a coefficient takes at most 6 bits", value=self.level_bits[-1], remedy="more coefficients"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of blocks."""
        return self.image_shape[0] // BLOCK, self.image_shape[1] // BLOCK

    @property
    def patches(self) -> int:
        """Blocks of an image."""
        rows, columns = self.grid
        return rows * columns

    @property
    def patch_values(self) -> int:
        """Pixels of a block times channels."""
        return BLOCK**2 * self.image_shape[2]

    @property
    def map_sizes(self) -> MapSizes:
        """What a payload takes by its counts of levels, as the layout of :meth:`Lamsc.device` has it."""
        background = self.image_shape[2] * (BACKGROUND_LEVELS - 1).bit_length()
        return MapSizes(self.patches, background, True, 0, self.level_bits)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Bytes of all blocks at the highest level."""
        return (self.patches, self.level_bits[-1] // 8)

    @property
    def symbols(self) -> int:
        """The most bytes of an image."""
        return self.rate_high

    def turns(self) -> dict[str, dict[str, Any]]:
        """Nothing: the rate is the moment's."""
        return {}
