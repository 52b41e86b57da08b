"""The device's stages of patches as integers, and the tensors that they write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from semflash.codecs import patch_codes
from semflash.codecs.device_side import DeviceSpec, Neutral
from semflash.codecs.patch_side import FallTables, PatchCoder, PatchesStage, SelectStage
from semflash.conversion.graphs import Int8Output
from semflash.errors import ExportError
from semflash.program.held import head_of
from semflash.program.map_sizes import MapSizes, map_sizes
from semflash.program.patch_stages import (
    BACKGROUND_LEVELS,
    COEFFICIENT_BITS_MAX,
    FALL_MAX,
    FALL_SHIFT,
    Coder,
    Falls,
    Patches,
    Select,
)
from semflash.program.reference.select import background
from semflash.program.tensors import Codes, Tensor

#: What stands for a mean that did not arrive: grey.
_GREY = Neutral(code=BACKGROUND_LEVELS // 2)
_LARGEST, _UINT16 = 127, 65_535
_INT32 = (-(1 << 31), (1 << 31) - 1)
_REMEDY = "look at the codec's device side, or for a diverged run"


def select_tensors(
    stage: SelectStage, shape: tuple[int, int, int], neutral: Mapping[str, Neutral]
) -> tuple[Tensor, Tensor]:
    """Levels and background; a code's real value is the code.

    Args:
        shape: Of the image.
    """
    height, width, channels = shape
    places = height // stage.side, width // stage.side
    levels = _numbers(len(stage.distortion), neutral.get(stage.output, Neutral()))
    background = _numbers(BACKGROUND_LEVELS, neutral.get(stage.background, _GREY))
    return Tensor(stage.output, places, levels), Tensor(stage.background, (channels,), background)


def patch_tensors(
    stage: PatchesStage, shape: tuple[int, int, int], neutral: Mapping[str, Neutral]
) -> tuple[Tensor, ...]:
    """Bytes of each level; a code's real value is the code."""
    places = (shape[0] // stage.side) * (shape[1] // stage.side)
    return tuple(
        Tensor(name, (places, _bytes(coder)), _numbers(256, neutral.get(name, Neutral())))
        for name, coder in zip(stage.outputs, stage.coders, strict=True)
    )


def _numbers(levels: int, neutral: Neutral) -> Codes:
    """Codes whose real values are their numbers."""
    return Codes(levels, tuple(float(code) for code in range(levels)), neutral.code, neutral.value)


def _bytes(coder: PatchCoder) -> int:
    bits = int(np.sum(coder.bits))
    if bits <= 0 or bits % 8 != 0:
        raise ExportError(
            "the bits of a patch's coefficients must be whole bytes", value=bits, remedy=_REMEDY
        )
    return bits // 8


def sizes_of(spec: DeviceSpec, shape: tuple[int, int, int]) -> MapSizes:
    """What a payload takes by the counts of its levels.

    Raises:
        ExportError: Something else than the stages of patches writes what is sent.
    """
    tensors: dict[str, Tensor] = {}
    for stage in spec.stages:
        found: tuple[Tensor, ...] = ()
        if isinstance(stage, SelectStage):
            found = select_tensors(stage, shape, spec.neutral)
        elif isinstance(stage, PatchesStage):
            found = patch_tensors(stage, shape, spec.neutral)
        tensors |= {tensor.name: tensor for tensor in found}
    missing = sorted(set(spec.payload.sources) - set(tensors))
    if missing:
        raise ExportError(
            "beside levels of patches, only their codes and the background are sent",
            value=", ".join(missing),
            remedy="look at the codec's device side",
        )
    return map_sizes(spec.payload, tensors)


def quantise_select(
    stage: SelectStage, scores: Int8Output, sizes: MapSizes, coders: Sequence[PatchCoder] = ()
) -> Select:
    """The integers of a selection.

    Args:
        coders: Of the levels from 1 on, where the stage has falls.

    Raises:
        ExportError: Scores, distortions or sharpness are out of range.
    """
    distortion = np.asarray(stage.distortion, np.float64)
    if len(distortion) != len(sizes.levels) or not np.isfinite(distortion).all():
        raise ExportError(
            f"the selection needs a distortion of each of {len(sizes.levels)} levels",
            value=stage.distortion,
            remedy=_REMEDY,
        )
    if scores.shape[2] != 1 or not (np.isfinite(stage.sharpness) and stage.sharpness > 0):
        raise ExportError(
            "the selection needs one score for each patch and a sharpness above 0",
            value=(scores.shape, stage.sharpness),
            remedy=_REMEDY,
        )
    if any(a >= b for a, b in pairwise(sizes.levels)):
        raise ExportError("each level must take more bits than the one below it", value=sizes.levels)
    absolute = patch_codes.is_absolute(stage)
    largest = (_LARGEST - scores.zero_point) * scores.scale if absolute else 0.0
    table = patch_codes.weigh(stage, largest - scores.scale * np.arange(256))
    if absolute and not (np.isfinite(stage.floor) and stage.floor > 0):
        raise ExportError("the least importance must be above 0", value=stage.floor, remedy=_REMEDY)
    return Select(
        stage.scores,
        stage.image,
        stage.output,
        stage.background,
        side=stage.side,
        table=[int(share) for share in table],
        gains=(1,) * len(coders) if stage.falls else patch_codes.gains(stage.distortion, sizes.levels),
        contrast=stage.weight == "attention-variance",
        rate=stage.rate,
        falls=UNSET if stage.falls is None else _fall_integers(stage.falls, coders),
        absolute=True if absolute else UNSET,
    )


def _fall_integers(tables: FallTables, coders: Sequence[PatchCoder]) -> Falls:
    """Centres in quarters of a pixel value, and what brings a sum of integer weights there.

    Raises:
        ExportError: A coefficient or centre is out of range.
    """
    steps = np.abs(np.asarray(coders[-1].weights, np.float64)).max(axis=1) / _LARGEST
    scales = np.rint(4 * steps * (1 << FALL_SHIFT)).astype(np.int64)
    if np.any(np.asarray(coders[-1].bias) != 0) or scales.min(initial=1) < 1 or scales.max() > _UINT16:
        raise ExportError(
            "falls need coefficients of orthonormal rows without a bias",
            value=scales.tolist(),
            remedy=_REMEDY,
        )
    centres = tuple(
        [int(v) for each in level for v in np.rint(4 * 255 * np.asarray(each, np.float64))]
        for level in tables.centres
    )
    if max(abs(v) for level in centres for v in level) > FALL_MAX:
        raise ExportError("a centre is larger than any coefficient", value=FALL_MAX, remedy=_REMEDY)
    picks = tuple([int(v) for v in level] for level in tables.picks)
    return Falls(picks, centres, [int(v) for v in scales])


def coders_of(spec: DeviceSpec, stage: SelectStage) -> tuple[PatchCoder, ...]:
    """Those that encode by the levels of a selection.

    Raises:
        ExportError: There are none.
    """
    for other in spec.stages:
        if isinstance(other, PatchesStage) and other.levels == stage.output:
            return other.coders
    raise ExportError("no stage encodes patches by the selected levels", value=stage.output, remedy=_REMEDY)


def quantise_patches(stage: PatchesStage, shape: tuple[int, int, int]) -> Patches:
    """The integers of the coders.

    Args:
        shape: Of the image.

    Raises:
        ExportError: Weights, bits or thresholds are out of range.
    """
    values = stage.side * stage.side * shape[2]
    coders = tuple(
        _integers(coder, values, name, centred=stage.background is not None)
        for name, coder in zip(stage.outputs, stage.coders, strict=True)
    )
    return Patches(
        stage.image,
        stage.levels,
        stage.side,
        stage.outputs,
        coders,
        UNSET if stage.background is None else stage.background,
    )


def _integers(coder: PatchCoder, values: int, name: str, *, centred: bool = False) -> Coder:
    """One coder: int8 weights with a step of their own for each coefficient, which its thresholds take up.

    With x = (q + 128) / 255, ``w . x + b >= t`` becomes
    ``integers . q >= 255 (t - b - 128 / 255 sum w) / step``: the rounding of the weights has no effect on a
    patch of medium grey. Where the background is taken off (``centred``), x is ``q / 255`` instead.
    """
    weights, bias = np.asarray(coder.weights, np.float64), np.asarray(coder.bias, np.float64)
    bits = np.asarray(coder.bits)
    _check_coder(coder, values, name)
    steps = np.abs(weights).max(axis=1) / _LARGEST
    steps = np.where(steps > 0, steps, 1.0)
    thresholds: list[int] = []
    for number, step in enumerate(steps):
        real = np.asarray(coder.thresholds[number], np.float64) - bias[number]
        grey = 0 if centred else 128
        moved = (255 * real - grey * weights[number].sum()) / step
        thresholds += [int(v) for v in np.clip(np.ceil(moved), *_INT32)]
    return Coder(
        bits=[int(v) for v in bits],
        weights=[int(v) for v in np.rint(weights / steps[:, None]).ravel()],
        thresholds=thresholds,
    )


def _check_coder(coder: PatchCoder, values: int, name: str) -> None:
    bits = np.asarray(coder.bits)
    expected = [(1 << int(b)) - 1 for b in bits]
    found = [len(each) for each in coder.thresholds]
    shapes = np.shape(coder.weights), np.shape(coder.bias)
    if shapes != ((len(bits), values), (len(bits),)) or found != expected:
        raise ExportError(
            f"the coder of {name} needs weights ({len(bits)}, {values}), as many biases, and 2^bits - 1 "
            "thresholds of each coefficient",
            value=(*shapes, found),
            remedy="look at the codec's device side",
        )
    if bits.min() < 1 or bits.max() > COEFFICIENT_BITS_MAX:
        raise ExportError(f"a coefficient has 1 to {COEFFICIENT_BITS_MAX} bits", value=bits.tolist())
    finite = all(np.isfinite(each).all() for each in (coder.weights, coder.bias, *coder.thresholds))
    if not finite or any((np.diff(each) < 0).any() for each in coder.thresholds):
        raise ExportError(
            f"numbers of the coder of {name} must be finite, and its thresholds ascend",
            value=name,
            remedy="look for a diverged run",
        )


def codes_by_formula(
    spec: DeviceSpec,
    stage: SelectStage | PatchesStage,
    known: Mapping[str, NDArray[np.floating]],
    found: Mapping[str, NDArray[np.uint8]],
    used: Mapping[str, int],
) -> dict[str, NDArray[np.uint8]]:
    """What a stage of patches sends for real scores and images.

    Args:
        known: Real values by tensor, the image in [0, 1] among them, (N, ...).
        found: Codes so far.
        used: The controls' values.
    """
    images = known[stage.image]
    if isinstance(stage, SelectStage):
        sizes = sizes_of(spec, images.shape[1:])
        protect = head_of(spec.payload).protect
        protected = protect is not None and used[protect] > 0
        coders = coders_of(spec, stage)
        chosen = patch_codes.levels(
            stage, sizes, known[stage.scores], images, used[stage.rate], protected, coders
        )
        rows = images.shape[1] // stage.side
        return {
            stage.output: chosen.reshape(len(images), rows, -1),
            stage.background: background(patch_codes.to_int8(images)),
        }
    neutral = {name: spec.neutral.get(name, Neutral()).code for name in stage.outputs}
    return patch_codes.codes(stage, images, found[stage.levels].reshape(len(images), -1), neutral)
