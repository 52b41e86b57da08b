"""What flows between the stages of a device program: tensors of int8 values or of codes."""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta, Struct

from semflash.fields import TABLE_LEVELS_MAX, Int8, Name, Scale

#: Codes are bytes on the device, so a code tensor has at most this many levels.
LEVELS_MAX = TABLE_LEVELS_MAX
DIMENSION_MAX = 65_535

Code = Annotated[int, Meta(ge=0, lt=LEVELS_MAX)]
Dimension = Annotated[int, Meta(ge=1, le=DIMENSION_MAX)]


class Values(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="values"):
    """The tensor holds int8 numbers q, whose real value is ``scale * (q - zero_point)``."""

    scale: Scale
    zero_point: Int8


class Codes(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="codes"):
    """The tensor holds codes, uint8 numbers from 0 to ``levels - 1``.

    Attributes:
        levels: The number of different codes, 2 to 256.
        centres: The real value of each code, or nothing where codes are no numbers (counts, masks).
        neutral: The code that the receiver takes where none arrived.
        neutral_value: The real value that stands where no code arrived; None means that of ``neutral``.
    """

    levels: Annotated[int, Meta(ge=2, le=LEVELS_MAX)]
    centres: Annotated[tuple[float, ...], Meta(max_length=LEVELS_MAX)] = ()
    neutral: Code = 0
    neutral_value: float | None = None


class Tensor(Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor of one image, in raster order; the image itself is one, too.

    Attributes:
        name: Unique in the program.
        shape: One to four dimensions; the most that it can hold where ``live`` is given.
        holds: What its numbers mean.
        live: The name of a tensor of one code that says how many rows (entries of the first dimension) are
            in use, from the first on; None means all of them.
    """

    name: Name
    shape: Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=4)]
    holds: Values | Codes
    live: Name | None = None

    @property
    def items(self) -> int:
        """The number of values or codes."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """The number of entries along the first dimension."""
        return self.shape[0]
