"""The stages that give the patches of an image levels of detail, and encode each patch at its level.

Their Python twins are ``reference/select.py`` and ``reference/patches.py``, their C
``device/stages/select.c`` and ``patches.c``.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from semflash.fields import Int8, Int32, Name

#: Most patches of an image, so that a subset of them has a rank of 64 bits.
PATCHES_MAX = 64
#: Most levels, and the longest side of a patch.
PATCH_LEVELS_MAX, PATCH_SIDE_MAX = 8, 16
#: Most bits of a coefficient of a patch, and most coefficients of one level.
COEFFICIENT_BITS_MAX, COEFFICIENTS_MAX = 6, 256
#: Levels of the mean of a channel.
BACKGROUND_LEVELS = 16

#: A coefficient's size, and centres that stand for it, in quarters of a pixel value.
FALL_MAX = (1 << 14) - 1
#: Most coefficients of a patch whose levels are chosen by what they leave.
FALL_COEFFICIENTS_MAX = 64
#: Bits behind the point of the scales that bring a coefficient into these units.
FALL_SHIFT = 22

Weight = Annotated[int, Meta(ge=1, le=4096)]


class Falls(Struct, frozen=True, forbid_unknown_fields=True):
    """What each level takes off the squared error of a patch, found by coding it at all levels.

    The rows of the last level's coder are taken as orthonormal, and the coders of the lower levels have some
    of the same rows. A coefficient z that is sent as a centre c lowers the squared error by ``c (2 z - c)``;
    one that is not sent, by nothing. ``reference/falls.py`` has it in integers.

    Attributes:
        picks: Of each level from 1 on, for each of its coefficients the number of the same one in the last
            level's coder.
        centres: Of each level, 2**bits of each coefficient, one behind the other, in quarters of a pixel
            value.
        scales: Of each coefficient of the last level: its sum of int8 weights times this, by 2**22, is in
            quarters of a pixel value.
    """

    picks: Annotated[
        tuple[Annotated[list[Annotated[int, Meta(ge=0, le=255)]], Meta(max_length=256)], ...],
        Meta(min_length=1, max_length=7),
    ]
    centres: Annotated[
        tuple[
            Annotated[
                list[Annotated[int, Meta(ge=-FALL_MAX, le=FALL_MAX)]],
                Meta(max_length=COEFFICIENTS_MAX << COEFFICIENT_BITS_MAX),
            ],
            ...,
        ],
        Meta(min_length=1, max_length=7),
    ]
    scales: Annotated[
        list[Annotated[int, Meta(ge=1, le=65_535)]], Meta(min_length=1, max_length=FALL_COEFFICIENTS_MAX)
    ]


class Select(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="select"):
    """Gives each patch of the image a level, so that the payload never exceeds the rate of the moment.

    A patch p of score s[p] has the weight ``w[p] = table[max s - s[p]]``, with ``contrast`` times one more
    than the variance of its luminance. To raise it from level l - 1 to l is worth ``w[p] gains[l - 1]``.
    Upgrades are made in the order of their worth (equal ones: the lower level, then the patch that comes
    first); of the states on this way the last one that fits the rate is taken, and then whatever upgrade is
    worth most and fits is added, until none does. Levels never fall with rising weight.
    ``reference/select.py`` has every step in integers.

    With ``falls`` every patch has gains of its own, from what each level would leave of it; a patch of higher
    weight and the same falls never has a lower level.

    Attributes:
        scores: The tensor of int8 values, one for each patch.
        image: The program's image.
        output: The tensor of codes: the level of each patch, (rows, columns).
        background: The tensor of codes: sixteenths of the mean of each of the image's channels.
        side: Of a patch.
        table: 256 weights by distance from the largest score, Q12.
        gains: What raising a patch of weight 1 to level 1, 2, ... is worth for each bit; not rising.
        contrast: Whether the variance of the patch counts.
        rate: The control that says how many bytes the payload may have.
        falls: Of the patch's own coefficients, which then replace ``gains``, all of them 1. Unset: gains.
        absolute: Whether the table is by the distance from 127 instead: what a score is worth does not
            depend on the others. Unset: it does.
    """

    scores: Name
    image: Name
    output: Name
    background: Name
    side: Annotated[int, Meta(ge=1, le=PATCH_SIDE_MAX)]
    table: Annotated[list[Weight], Meta(min_length=256, max_length=256)]
    gains: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_535)], ...],
        Meta(min_length=1, max_length=PATCH_LEVELS_MAX - 1),
    ]
    contrast: bool
    rate: Name
    falls: Falls | UnsetType = UNSET
    absolute: bool | UnsetType = UNSET


class Coder(Struct, frozen=True, forbid_unknown_fields=True):
    """The integers that encode a patch at one level: c coefficients of its n = side * side * C values.

    Attributes:
        bits: c numbers of bits; their sum is a multiple of 8.
        weights: c * n integers, int8; ``weights[i * n + v]`` weighs value v in coefficient i.
        thresholds: 2**bits[0] - 1 integers of the first coefficient, and so on; each run ascends or stays.
    """

    bits: Annotated[
        list[Annotated[int, Meta(ge=1, le=COEFFICIENT_BITS_MAX)]],
        Meta(min_length=1, max_length=COEFFICIENTS_MAX),
    ]
    weights: Annotated[list[Int8], Meta(max_length=1 << 20)]
    thresholds: Annotated[list[Int32], Meta(max_length=COEFFICIENTS_MAX << COEFFICIENT_BITS_MAX)]


class Patches(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="patches"):
    """Encodes each patch as its level says.

    With the int8 values q of a patch in raster order, channels last, the code of coefficient i is the number
    of its thresholds that are not above ``sum_v weights[i, v] q[v]``. The codes of a patch lie behind each
    other, most significant bit first, in the bytes of its row of the level's tensor; rows of patches of
    another level hold neutral codes.

    Attributes:
        image: The program's image.
        levels: The tensor of codes that is the level of each patch, (rows, columns).
        side: Of a patch.
        outputs: A tensor of bytes for each level from 1 on, (patches, bytes of the level).
        coders: One for each output.
        background: The tensor of codes with sixteenths of the mean of each channel: ``16 code - 121`` is
            taken off the values of a patch first. Unset: nothing is.
    """

    image: Name
    levels: Name
    side: Annotated[int, Meta(ge=1, le=PATCH_SIDE_MAX)]
    outputs: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=PATCH_LEVELS_MAX - 1)]
    coders: Annotated[tuple[Coder, ...], Meta(min_length=1, max_length=PATCH_LEVELS_MAX - 1)]
    background: Name | UnsetType = UNSET
