"""What must be true of the stages of patches and of the payload's head with its map of levels.

Each function raises ProgramError with what, value and remedy, and returns nothing.
"""

from __future__ import annotations

import math
from itertools import pairwise

from msgspec import UnsetType

from semflash.program.held import code_bits, codes_held
from semflash.program.layout import Exactly, Head, Region
from semflash.program.patch_stages import (
    BACKGROUND_LEVELS,
    PATCH_LEVELS_MAX,
    PATCHES_MAX,
    Coder,
    Falls,
    Patches,
    Select,
)
from semflash.program.program import Program
from semflash.program.tensors import Codes, Tensor, Values
from semflash.program.value_checks import refuse

#: Colours whose luminance the device knows.
_CONTRAST_CHANNELS = (1, 3)
#: Codes in a head beside its map.
ALSO_ITEMS_MAX = 16
#: Bits of a place at a level, and of all regions that are sent whole.
_REGION_BITS_MAX = 65_535
#: Pixels of an image whose sums fit 32 bits.
_PIXELS_MAX = 1 << 20


def check_select(program: Program, stage: Select) -> None:
    """Shapes, gains, and a rate that the smallest payload never exceeds."""
    image, scores = program.tensor(stage.image), program.tensor(stage.scores)
    levels = _map_of(program, stage.output, image, stage.side)
    if not isinstance(scores.holds, Values) or scores.items != levels.items or scores.live is not None:
        raise refuse("the selection needs one int8 score for each patch", (scores.name, scores.shape))
    if codes_held(levels).levels != len(stage.gains) + 1:
        raise refuse("the selection needs a gain for each level above 0", len(stage.gains))
    if any(a < b for a, b in pairwise(stage.gains)):
        raise refuse("the gains of the levels rise", stage.gains)
    if stage.contrast and image.shape[2] not in _CONTRAST_CHANNELS:
        raise refuse("the contrast of a patch needs 1 or 3 channels", image.shape[2])
    if image.shape[2] > ALSO_ITEMS_MAX:
        raise refuse(f"the background has at most {ALSO_ITEMS_MAX} channels", image.shape[2])
    background = program.tensor(stage.background)
    wanted = ((image.shape[2],), BACKGROUND_LEVELS)
    found = (background.shape, codes_held(background).levels)
    if found != wanted or background.live is not None:
        raise refuse(f"the background must be {wanted[0]} codes of {BACKGROUND_LEVELS} levels", found)
    _check_rate(program, stage)
    if not isinstance(stage.falls, UnsetType):
        _check_falls(program, stage, stage.falls)


def coders_of(program: Program, stage: Select) -> Patches:
    """The stage that encodes by the levels of a selection.

    Raises:
        ProgramError: There is not exactly one.
    """
    found = [each for each in program.stages if isinstance(each, Patches) and each.levels == stage.output]
    if len(found) != 1:
        raise refuse("one stage must encode patches by the selected levels", len(found))
    return found[0]


def _check_falls(program: Program, stage: Select, falls: Falls) -> None:
    """The coders are those that the falls are of, and see the same values."""
    patches = coders_of(program, stage)
    levels = len(stage.gains)
    if patches.background != stage.background or patches.side != stage.side:
        raise refuse("the selection by falls and the coders must take the same background off", stage.output)
    if stage.contrast or any(gain != 1 for gain in stage.gains):
        raise refuse("a selection by falls has neither contrast nor gains", (stage.contrast, stage.gains))
    if not len(falls.picks) == len(falls.centres) == len(patches.coders) == levels:
        raise refuse("the selection needs falls of each level above 0", len(falls.picks))
    last = patches.coders[-1]
    if len(falls.scales) != len(last.bits) or falls.picks[-1] != list(range(len(last.bits))):
        raise refuse("falls need a scale of each coefficient of the last level", len(falls.scales))
    for level, (coder, picks, centres) in enumerate(
        zip(patches.coders, falls.picks, falls.centres, strict=True), 1
    ):
        if len(picks) != len(coder.bits) or len(centres) != sum(1 << bits for bits in coder.bits):
            raise refuse(f"falls of level {level} have the wrong lengths", (len(picks), len(centres)))
        if max(picks) >= len(last.bits):
            raise refuse(f"level {level} has a coefficient that the last one does not have", max(picks))


def _check_rate(program: Program, stage: Select) -> None:
    """The least value of the control must be enough for a payload whose patches all have level 0."""
    if isinstance(program.payload.head, UnsetType) or program.payload.head.map != stage.output:
        raise refuse("the selected levels must be the map in the payload's head", stage.output)
    control, protect = program.control(stage.rate), program.payload.head.protect
    if control.unit != "bytes":
        raise refuse("the selection's rate must be a control in bytes", (control.name, control.unit))
    sizes = program.map_sizes
    if any(a >= b for a, b in pairwise(sizes.levels)):
        raise refuse("each level must take more bits than the one below it", sizes.levels)
    least = -(-sizes.least(protect is not None and program.control(protect).high > 0) // 8)
    if control.low < least:
        raise refuse(
            f"control {control.name} can be below the smallest payload ({least} bytes)",
            control.low,
            f"give it a low of at least {least}",
        )


def _map_of(program: Program, name: str, image: Tensor, side: int) -> Tensor:
    """The tensor of levels of an image's patches, checked."""
    if image.name != program.image or image.items // image.shape[-1] > _PIXELS_MAX:
        raise refuse(f"patches are cut from the image, of at most {_PIXELS_MAX} pixels", image.name)
    tensor = program.tensor(name)
    height, width, _ = image.shape
    if tensor.live is not None or tuple(side * n for n in tensor.shape) != (height, width):
        raise refuse(f"levels must be one for each patch of {side} x {side} pixels", tensor.shape)
    _check_map(tensor)
    return tensor


def _check_map(tensor: Tensor) -> None:
    levels = codes_held(tensor).levels
    if tensor.items > PATCHES_MAX or levels > PATCH_LEVELS_MAX:
        raise refuse(
            f"a map has at most {PATCHES_MAX} places and {PATCH_LEVELS_MAX} levels", (tensor.items, levels)
        )


def check_patches(program: Program, stage: Patches) -> None:
    """Shapes, and the integers of each coder."""
    image = program.tensor(stage.image)
    levels = _map_of(program, stage.levels, image, stage.side)
    found = (len(stage.outputs), len(stage.coders))
    if found != (codes_held(levels).levels - 1,) * 2:
        raise refuse("each level above 0 needs an output and a coder", found)
    values = stage.side * stage.side * image.shape[2]
    if not isinstance(stage.background, UnsetType):
        background = program.tensor(stage.background)
        same = isinstance(background.holds, Codes) and background.holds.levels == BACKGROUND_LEVELS
        if not same or background.shape != (image.shape[2],) or image.shape[2] > ALSO_ITEMS_MAX:
            raise refuse("the background of patches must be a code of each channel", background.shape)
    for level, (name, coder) in enumerate(zip(stage.outputs, stage.coders, strict=True), 1):
        check_coder(coder, values)
        output = program.tensor(name)
        wanted = (levels.items, sum(coder.bits) // 8)
        whole = isinstance(output.holds, Codes) and output.holds.levels == 256 and output.live is None
        if not whole or output.shape != wanted:
            raise refuse(f"the codes of level {level} must be bytes {wanted}", output.shape)
        for region in program.payload.regions:
            if region.source == name and region.items != Exactly(stage.levels, level):
                raise refuse(f"only patches of level {level} have its codes", name)


def check_coder(coder: Coder, values: int) -> None:
    """Lengths and order. No sum of int8 weights over a patch's values can leave int32.

    Raises:
        ProgramError: One does not hold.
    """
    if sum(coder.bits) % 8 != 0:
        raise refuse("the bits of a patch's coefficients must be whole bytes", sum(coder.bits))
    expected = (len(coder.bits) * values, sum((1 << bits) - 1 for bits in coder.bits))
    found = (len(coder.weights), len(coder.thresholds))
    if found != expected:
        raise refuse(
            "weights and thresholds of a patch's coder have the wrong lengths", f"{found}, not {expected}"
        )
    at = 0
    for number, bits in enumerate(coder.bits):
        run = coder.thresholds[at : at + (1 << bits) - 1]
        if any(a > b for a, b in pairwise(run)):
            raise refuse(f"thresholds of coefficient {number} descend", run)
        at += len(run)


def check_head(program: Program) -> None:
    """A map and small tensors of codes that are whole, and a control of 0 and 1 that protects them."""
    head = program.payload.head
    if isinstance(head, UnsetType):
        return
    for name in (head.map, *head.also):
        tensor = program.tensor(name)
        if tensor.live is not None:
            raise refuse("the head's tensors are sent whole", name)
        code_bits(tensor)
    _check_map(program.tensor(head.map))
    if sum(program.tensor(name).items for name in head.also) > ALSO_ITEMS_MAX:
        raise refuse(f"a head has at most {ALSO_ITEMS_MAX} codes beside its map", head.also)
    _check_protect(program, head)
    sizes = program.map_sizes
    if math.prod(program.tensor(head.map).shape) != sizes.places or min(sizes.levels[1:]) < 1:
        raise refuse("each level above 0 must have a region of its own", sizes.levels)
    if max(sizes.fixed, *sizes.levels) > _REGION_BITS_MAX:
        raise refuse(f"regions behind a head have at most {_REGION_BITS_MAX} bits", sizes.levels)


def _check_protect(program: Program, head: Head) -> None:
    if head.protect is None:
        return
    control = program.control(head.protect)
    if control.high > 1 or control.unit != "entry":
        raise refuse(
            f"control {control.name} must protect the head or not, 0 or 1",
            f"{control.low}..{control.high} {control.unit}",
        )


def check_exactly(program: Program, region: Region) -> None:
    """A row of the region for each place of the head's map, and no protection."""
    assert isinstance(region.items, Exactly)
    head = program.payload.head
    if isinstance(head, UnsetType) or region.items.map != head.map:
        raise refuse("a level's region must be told by the map in the payload's head", region.items.map)
    levels = program.tensor(head.map)
    if program.tensor(region.source).rows != levels.items or region.items.level >= codes_held(levels).levels:
        raise refuse(f"region {region.source} must have a row for each place of the map", levels.shape)
    if region.protection != "none":
        raise refuse("a level's region is not protected", region.source)
