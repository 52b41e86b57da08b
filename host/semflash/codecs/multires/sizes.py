"""Sizes of the family ``multires``."""

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
CLASSIFIER_STRIDE = 8


@dataclasses.dataclass(frozen=True)
class MultiresSizes(CodecSizes):
    """Sizes that decide the structure, and the choices of the selector.

    Attributes:
        image_shape: (H, W, C) of the device's input; H and W are multiples of the patch's side.
        feature_shape: Empty: what the classifier gets is the picture.
        patch: Side of a patch, pixels.
        level_bits: Bits of a patch at each level, 0 first, rising, multiples of 8.
        single_bits: Bits of further coders, trained alike, for images whose patches all have one resolution:
            the tail learns from them, too, and experiments compare with them; the device has none of them.
        classes: Labels that the tail tells apart.
        classifier_widths: Channels of the tail, a network ``vit`` (:mod:`semflash.tasks.transformer`).
        weight: What a patch counts by: the attention alone, or times the variance of its luminance.
        sharpness: Power that the attention is raised to.
        rollout: Whether the attention that the student learns is followed back through all blocks; otherwise
            it is that of the last block.
        mirrored: Whether it is the mean of the attention to the image and to its mirror image, turned back.
        smoothing: Share of each attention that is the mean over the 3x3 patches around, in what the student
            learns.
        coder_features: What the coders learn beside the squared error: weight of the error of the task
            network's features of whole images, relative to them; 1 counts as much as a squared error of
            1/255 squared. 0: nothing, and no coder knows of a task.
        rate_low: The smallest payload that may be asked for, bytes.
        rate_high: The largest one.
        rate_default: What holds where nothing is asked for.
        residual: Width of the perceptron that corrects a decoded patch.
        levels: Values of a code: a byte.
        ber: Bit error rates that the decoder is told of; it does nothing else for them.

    Raises:
        UsageError: A combination that cannot be built.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    feature_shape: tuple[int, ...] = ()
    patch: int = 8
    level_bits: tuple[int, ...] = (0, 8, 32, 96)
    single_bits: tuple[int, ...] = (16, 64)
    classes: int = 10
    classifier_widths: tuple[int, ...] = (24, 32, 64)
    weight: Literal["attention", "attention-variance"] = "attention-variance"
    sharpness: float = 3.0
    rollout: bool = True
    mirrored: bool = True
    smoothing: float = 0.8
    coder_features: float = 0.0
    rate_low: int = 16
    rate_high: int = 1024
    rate_default: int = 64
    residual: int = 192
    levels: int = BYTE
    ber: BerRange = dataclasses.field(default_factory=BerRange)

    def __post_init__(self) -> None:
        for name in ("level_bits", "single_bits", "classifier_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        height, width, channels = self.image_shape
        sides = (self.patch, CLASSIFIER_STRIDE)
        if any(size % side for size in (height, width) for side in sides) or channels not in (1, 3):
            raise UsageError(
                f"sides are multiples of {self.patch} and {CLASSIFIER_STRIDE}, channels 1 or 3",
                value=self.image_shape,
                remedy="an image_size of 64, say",
            )
        if self.patches > PATCHES_MAX:
            raise UsageError(
                f"an image has at most {PATCHES_MAX} patches",
                value=self.patches,
                remedy=f"sizes.patch={self.patch * 2}",
            )
        self._check_bits()
        if self.weight not in ("attention", "attention-variance"):
            raise UsageError("unknown weight", value=self.weight, remedy="attention or attention-variance")
        if (
            not 0 <= self.smoothing <= 1
            or self.sharpness <= 0
            or self.residual < 1
            or self.coder_features < 0
        ):
            raise UsageError(
                "smoothing is a share, sharpness above 0, residual at least 1, coder_features at least 0",
                value=(self.smoothing, self.sharpness, self.residual, self.coder_features),
            )
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
        values = self.patch_values
        each = (*self.level_bits[1:], *self.single_bits)
        if not many or not rising or self.level_bits[0] != 0 or any(bits % 8 for bits in each):
            raise UsageError(
                f"level_bits has 2 to {PATCH_LEVELS_MAX} rising multiples of 8, 0 first, single_bits too",
                value=(self.level_bits, self.single_bits),
                remedy="sizes.level_bits=[0,8,32,96]",
            )
        if max(each) > values or min(each) < 8:
            raise UsageError(f"a patch has {values} values: it takes 8 to {values} bits", value=each)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        return self.image_shape[0] // self.patch, self.image_shape[1] // self.patch

    @property
    def patches(self) -> int:
        """Of an image."""
        rows, columns = self.grid
        return rows * columns

    @property
    def patch_values(self) -> int:
        """Pixels of a patch times channels."""
        return self.patch**2 * self.image_shape[2]

    @property
    def coder_bits(self) -> tuple[int, ...]:
        """Bits of every coder that is trained, rising."""
        return tuple(sorted({*self.level_bits[1:], *self.single_bits}))

    @property
    def map_sizes(self) -> MapSizes:
        """What a payload takes by its counts of levels, as the layout of :meth:`Multires.device` has it."""
        background = self.image_shape[2] * (BACKGROUND_LEVELS - 1).bit_length()
        return MapSizes(self.patches, background, True, 0, self.level_bits)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Bytes of all patches at the highest level."""
        return (self.patches, self.level_bits[-1] // 8)

    @property
    def symbols(self) -> int:
        """The most bytes of an image."""
        return self.rate_high

    def turns(self) -> dict[str, dict[str, Any]]:
        """Nothing: the rate is the moment's."""
        return {}
