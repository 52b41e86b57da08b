"""Stages of patches from real numbers to integers: close to their formulas, and what is refused."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow")

from fakes import detailed
from fakes.untrained import blocks
from semflash.codecs import patch_codes
from semflash.codecs.device_side import PatchesStage, SelectStage
from semflash.conversion import patches as conversion
from semflash.conversion.device import codes_by_formula, real_values, sent_codes
from semflash.conversion.graphs import Int8Output
from semflash.errors import ExportError
from semflash.export.proof import to_int8
from semflash.program.reference import patches, select
from semflash.program.reference.run import run
from semflash.runtime.reference import ReferenceGraph

SPEC = detailed.spec()
SELECT, PATCHES = SPEC.stages[1:]
assert isinstance(SELECT, SelectStage) and isinstance(PATCHES, PatchesStage)


def test_the_device_sends_nearly_what_the_formulas_say() -> None:
    device, spec = detailed.quantised(), detailed.spec()
    images = blocks().val.images
    student = ReferenceGraph(device.models["student"], "student")
    real = real_values(spec, images.astype(np.float32) / np.float32(255))
    for controls in ({"rate": 40}, {"rate": 130, "protect": 1}):
        wanted = sent_codes(device.program, codes_by_formula(spec, real, controls))
        done = run(device.program, to_int8(images), lambda name, inputs: student.run_all(inputs), controls)
        found = sent_codes(device.program, done.tensors)
        assert wanted.shape == found.shape
        assert (wanted != found).mean() < 0.05


def test_integers_of_a_coder_count_the_thresholds_of_its_real_values() -> None:
    """Where a coefficient is further from every threshold than int8 weights can be wrong, to the code."""
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (3000, 49)).astype(np.uint8)
    for coder in PATCHES.coders:
        integers = conversion._integers(coder, 49, "codes")
        found = np.unpackbits(patches.encode(integers, (pixels ^ 128).view(np.int8)), axis=1)
        wanted = np.unpackbits(patch_codes.encode(coder, pixels / 255), axis=1)
        real = pixels / 255 @ coder.weights.T.astype(np.float64) + coder.bias
        wrong = (
            np.abs(coder.weights).max(axis=1)
            / 127
            / 2
            * np.abs(pixels / 255 - 128 / 255).sum(axis=1)[:, None]
        )
        at, sure, shares = 0, 0, []
        for number, bits in enumerate(coder.bits.tolist()):
            margin = np.abs(real[:, number, None] - coder.thresholds[number]).min(axis=1)
            part = slice(at, at + bits)
            same = (found[:, part] == wanted[:, part]).all(axis=1)
            assert same[margin > wrong[:, number] + 1e-6].all()
            sure += int((margin > wrong[:, number]).sum())
            shares.append(same.mean())
            at += bits
        assert sure > 0 and min(shares) > 0.93


def test_the_table_of_weights_is_the_exponential_of_the_scores() -> None:
    sizes = conversion.sizes_of(SPEC, detailed.SHAPE)
    stage = conversion.quantise_select(SELECT, Int8Output((4, 4, 1), 0.02, 3), sizes)
    scores = np.array([[3, 3 - 50, -128, 127]], np.int8).reshape(1, 4, 1, 1)
    found = select.weights(
        msgspec.structs.replace(stage, contrast=False), scores, np.zeros((1, 28, 28, 1), np.int8)
    )
    assert found[0].tolist() == [
        max(1, round(4096 * np.exp(3 * 0.02 * (q - 127)))) for q in (3, -47, -128, 127)
    ]
    assert sizes.levels == (0, 8, 24, 48) and stage.gains == patch_codes.gains(
        SELECT.distortion, sizes.levels
    )


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (dataclasses.replace(SELECT, distortion=(1.0, 0.5)), "distortion of each of 4"),
        (dataclasses.replace(SELECT, distortion=(1.0, 0.5, np.nan, 0.1)), "distortion of each of 4"),
        (dataclasses.replace(SELECT, sharpness=0.0), "sharpness"),
        (dataclasses.replace(SELECT, sharpness=np.inf), "sharpness"),
    ],
)
def test_selections_that_no_integers_express_are_refused(stage: SelectStage, words: str) -> None:
    sizes = conversion.sizes_of(SPEC, detailed.SHAPE)
    with pytest.raises(ExportError, match=words) as error:
        conversion.quantise_select(stage, Int8Output((4, 4, 1), 0.02, 3), sizes)
    assert error.value.remedy


CODER = PATCHES.coders[0]


@pytest.mark.parametrize(
    ("coder", "words"),
    [
        (dataclasses.replace(CODER, weights=CODER.weights[:, :-1]), "needs weights"),
        (dataclasses.replace(CODER, bias=CODER.bias[:-1]), "needs weights"),
        (dataclasses.replace(CODER, thresholds=CODER.thresholds[:1]), "needs weights"),
        (dataclasses.replace(CODER, weights=CODER.weights * np.nan), "finite"),
        (dataclasses.replace(CODER, thresholds=tuple(t[::-1] for t in CODER.thresholds)), "ascend"),
    ],
)
def test_coders_that_no_integers_express_are_refused(coder, words: str) -> None:
    stage = dataclasses.replace(PATCHES, coders=(coder, *PATCHES.coders[1:]))
    with pytest.raises(ExportError, match=words) as error:
        conversion.quantise_patches(stage, detailed.SHAPE)
    assert error.value.remedy


def test_bits_that_are_no_whole_bytes_are_refused() -> None:
    coder = dataclasses.replace(CODER, bits=np.array([5, 2]))
    with pytest.raises(ExportError, match="whole bytes"):
        conversion.patch_tensors(dataclasses.replace(PATCHES, coders=(coder,) * 3), detailed.SHAPE, {})
