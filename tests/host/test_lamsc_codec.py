"""The family ``lamsc``: closed form, levels, bytes and pictures, damage, sizes that cannot be."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="training's packages are not installed")

from keras import ops

from semflash.codecs.lamsc.codec import LOST, Lamsc
from semflash.codecs.lamsc.fitting import fit, transform
from semflash.codecs.lamsc.measuring import area_under_curve, pointing
from semflash.codecs.lamsc.sizes import LamscSizes
from semflash.codecs.layers.packed import PackedCentres
from semflash.codecs.patch_codes import falls, less_background
from semflash.codecs.registry import create, sizes_of, trains_alone
from semflash.conversion.patches import _fall_integers, _integers
from semflash.errors import UsageError
from semflash.program.reference import falls as reference
from semflash.program.reference import patches

FIELDS: dict[str, Any] = {
    "image_shape": [32, 24, 3],
    "classes": 3,
    "coefficients": 20,
    "level_bits": [0, 8, 24, 64],
    "classifier_widths": [4, 4],
    "restoring_widths": [4, 4, 4],
    "rate_low": 24,
    "rate_default": 40,
}
SMALL = LamscSizes.from_dict(FIELDS)


def blurred(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Images uint8 whose neighbours are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, shape[0] // 4, shape[1] // 4, shape[2]))
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2) + rng.normal(0, 8, (count, *shape))
    return np.asarray(np.clip(fine, 0, 255), np.uint8)


def begun(fields: dict[str, Any]) -> Lamsc:
    """In closed form, of images whose left half matters; the networks as they are made."""
    made = Lamsc(LamscSizes.from_dict(fields))
    images = blurred(200, made.sizes.image_shape)
    weights = np.full((200, made.sizes.patches), 0.05)
    weights[:, :6] = 1.0
    values = less_background(images / 255, 8)
    made.tables.begin(fit(values, weights, made.sizes.coefficients, made.sizes.map_sizes))
    return made


@pytest.fixture(scope="module")
def codec() -> Lamsc:
    return begun(FIELDS)


def test_the_transform_keeps_the_directions_of_most_weighted_variance():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    # The first samples vary along one axis, the others more, along another, but count for little.
    first = rng.normal(size=(2000, 1)) * 0.2 @ axes[:, :1].T
    second = rng.normal(size=(2000, 1)) * 0.4 @ axes[:, 1:2].T
    values, weights = np.concatenate([first, second]), np.repeat([1.0, 0.05], 2000)
    vectors, deviation = transform(values, weights, 2)
    np.testing.assert_allclose(np.abs(vectors.T @ axes[:, :2]), np.eye(2), atol=0.02)
    expected = np.sqrt(np.array([0.2**2, 0.05 * 0.4**2]) / 1.05)
    np.testing.assert_allclose(deviation, expected, rtol=0.05)


def test_levels_have_their_bits_and_the_last_has_all_coefficients(codec: Lamsc):
    given, centres = codec.tables.arrays()
    assert given.sum(axis=1).tolist() == [8, 24, 64] and given.max() <= 6
    assert not given[:, given[-1] == 0].any()
    for bits, own in zip(given.ravel(), centres.reshape(-1, centres.shape[2]), strict=True):
        assert (np.diff(own[: 1 << bits]) >= 0).all() if bits else not own.any()
    vectors = codec.tables.matrix()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-5)


def test_a_closed_form_is_what_it_was_behind_the_weights(codec: Lamsc):
    again = Lamsc(SMALL)
    again.tables.begin(codec.tables.closed())
    for one, other in zip(codec.tables.weights, again.tables.weights, strict=True):
        assert np.array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_more_bytes_and_higher_levels_leave_less_error(codec: Lamsc):
    images = blurred(40, SMALL.image_shape, seed=5)
    errors = []
    for level in range(4):
        levels = np.full((40, SMALL.patches), level, np.uint8)
        errors.append(np.square(codec.pictures(images, levels) - images / 255).mean())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]
    by_rate = [
        np.square(codec.pictures(images, codec.levels_for(images, rate)) - images / 255).mean()
        for rate in (24, 40, 60, 100)
    ]
    assert by_rate == sorted(by_rate, reverse=True)


def test_what_a_level_takes_off_is_what_the_picture_is_better_by(codec: Lamsc):
    """Against the pictures themselves: the falls in sixteenths of a squared pixel value."""
    images = blurred(10, SMALL.image_shape, seed=7)
    coding = codec.coding
    values = less_background(images / 255, 8)
    found = falls(coding.closed.tables, coding.closed.coders, values)
    linear = begun(FIELDS | {"restoring": False})
    linear.tables.begin(coding.closed)
    blocks = patches.cut(images / 255, 8)
    left = []
    for level in range(4):
        levels = np.full((10, SMALL.patches), level, np.uint8)
        coefficients, background = coding.analyse(images)
        sent = coding.received(coding.codes(coefficients, levels), levels)
        shade = np.tile(((16.0 * background + 7) / 255)[:, None], (1, 1, 64))
        left.append(np.square(sent @ coding.closed.vectors.T + shade - blocks).sum(axis=2))
    wanted = np.stack([left[0] - each for each in left[1:]], axis=-1) * (4 * 255) ** 2
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=20)


def test_the_integers_of_falls_are_close_to_the_real_ones(codec: Lamsc):
    images = blurred(30, SMALL.image_shape, seed=8)
    closed = codec.coding.closed
    values = less_background(images / 255, 8).reshape(-1, SMALL.patch_values)
    wanted = falls(closed.tables, closed.coders, values)
    pixels = (images ^ 128).view(np.int8)
    background = codec.coding.analyse(images)[1]
    whole = patches.less_background(pixels, 8, background).reshape(-1, SMALL.patch_values)
    coders = tuple(_integers(each, SMALL.patch_values, "codes", centred=True) for each in closed.coders)
    found = reference.falls(_fall_integers(closed.tables, closed.coders), coders, whole)
    energy = np.square(whole.astype(np.int64)).sum(axis=1) * 16
    assert (np.abs(found - wanted) < 0.02 * energy[:, None] + 200).mean() > 0.99
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.999


def test_importance_decides_where_the_bytes_go(codec: Lamsc):
    images = blurred(20, SMALL.image_shape, seed=3)
    coding = codec.coding
    worth = coding.worth(coding.analyse(images)[0])
    matters = np.zeros((20, SMALL.patches))
    matters[:, 5] = 1
    focused = coding.levels(worth, coding.weights(matters), 40)
    flat = coding.levels(worth, coding.weights(np.ones_like(matters)), 40)
    assert focused[:, 5].mean() > flat[:, 5].mean() + 0.5
    even = begun(FIELDS | {"asi": False}).coding
    assert np.array_equal(even.weights(matters), even.weights(1 - matters))
    for levels in (focused, flat):
        counts = np.stack([(levels >= level).sum(axis=1) for level in (1, 2, 3)], axis=1)
        assert (SMALL.map_sizes.total(counts, False) <= 8 * 40).all()


def test_what_the_edge_makes_of_the_bytes_is_what_was_coded(codec: Lamsc):
    images = blurred(6, SMALL.image_shape, seed=9)
    levels = np.random.default_rng(2).integers(0, 4, (6, SMALL.patches)).astype(np.uint8)
    coding = codec.coding
    coefficients, background = coding.analyse(images)
    sent = coding.packed(coding.codes(coefficients, levels), levels)
    for level, each in enumerate(sent, 1):
        assert not each[levels != level].any() and each[levels == level].any()
    rest = [levels.reshape(6, 4, 3), background, np.zeros((6, 1))]
    picture = codec.decoder([np.asarray(each, np.float32) for each in (*sent, *rest)])
    np.testing.assert_allclose(ops.convert_to_numpy(picture), codec.pictures(images, levels), atol=1e-5)


def test_level_0_is_the_mean_colour(codec: Lamsc):
    images = np.full((2, 32, 24, 3), (200, 100, 30), np.uint8)
    images[1] = 255
    picture = codec.pictures(images, np.zeros((2, SMALL.patches), np.uint8))
    assert np.abs(picture - images / 255).max() <= 8 / 255
    assert np.ptp(picture.reshape(2, -1, 3), axis=1).max() == 0


def test_codes_tell_levels_background_and_bytes_and_can_be_decoded(codec: Lamsc):
    images = blurred(3, SMALL.image_shape, seed=4)
    codes = ops.convert_to_numpy(codec.codes(images.astype(np.float32) / 255))
    assert codes.shape == (3, *codec.code_shape) == (3, 12 + 3 + 12 * 12)
    levels = codec.levels_for(images, SMALL.rate_default)
    assert np.array_equal(codes[:, :12], levels)
    logits = codec.outputs(None, codes, np.zeros((3, 1), np.float32))
    expected = codec.classifier(codec.pictures(images, levels), training=False)
    np.testing.assert_allclose(ops.convert_to_numpy(logits), ops.convert_to_numpy(expected), atol=1e-4)


def test_a_byte_that_did_not_arrive_takes_its_coefficients_along_and_no_others():
    given = np.array([6, 0, 4, 3, 2, 1])
    centres = np.arange(6 * 64, dtype=np.float32).reshape(6, 64) + 1
    layer = PackedCentres(given, centres)
    sent = np.array([[0b10110111, 0b01101001], [0b10110111, LOST], [LOST, 0b01101001]], np.float32)
    found = ops.convert_to_numpy(layer(sent))
    # 101101 1101 101 00 1: by hand; the second byte holds the last two bits of the third coefficient.
    whole = [1 + 45, 0, 129 + 13, 193 + 5, 257 + 0, 321 + 1]
    assert found.tolist() == [whole, [whole[0], 0, 0, 0, 0, 0], [0, 0, 0, *whole[3:]]]


def test_the_network_is_told_levels_and_the_bit_error_rate(codec: Lamsc):
    """Trained weights would use both; random ones must see both."""
    rng = np.random.default_rng(0)
    for weight in codec.restorer.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape).astype(np.float32))
    images = blurred(2, SMALL.image_shape, seed=1)
    levels = np.full((2, SMALL.patches), 2, np.uint8)
    coding = codec.coding
    coefficients, background = coding.analyse(images)
    sent = coding.received(coding.codes(coefficients, levels), levels)
    first = codec.restored(sent, levels, background, np.zeros(2))
    assert np.abs(first - codec.restored(sent, levels, background, np.full(2, 0.05))).max() > 1e-3
    assert np.abs(first - codec.restored(sent, levels + 1, background, np.zeros(2))).max() > 1e-3
    codec.restorer.get_layer("more").set_weights(
        [np.zeros(each.shape) for each in codec.restorer.get_layer("more").weights]
    )


def test_flipped_bits_are_as_many_as_the_rate_says_and_only_in_sent_codes(codec: Lamsc):
    images = blurred(60, SMALL.image_shape, seed=2)
    coding = codec.coding
    coefficients, _ = coding.analyse(images)
    levels = np.random.default_rng(0).integers(0, 4, (60, SMALL.patches)).astype(np.uint8)
    codes = coding.codes(coefficients, levels)
    bers = np.repeat([0.0, 0.1], 30)
    found = coding.flipped(codes, levels, bers, np.random.default_rng(1))
    assert np.array_equal(found[:30], codes[:30])
    bits = np.zeros((4, 20), np.int64)
    bits[1:] = coding.closed.bits
    sent = bits[levels[30:]]
    assert (found[30:] >> sent == 0).all()
    flips = np.unpackbits((found[30:] ^ codes[30:])[..., None], axis=-1).sum()
    share = flips / sent.sum()
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 / sent.sum())


def test_a_network_that_is_left_out_is_not_told_the_channel():
    codec = begun(FIELDS | {"restoring": False})
    assert [each.name for each in codec.decoder.inputs][-1] == "background"
    assert "restorer" not in codec.parts()
    (picture, _) = codec.edge_graphs(None)
    assert len(picture.inputs) == 5
    images = blurred(2, SMALL.image_shape, seed=4)
    levels = codec.levels_for(images, 60)
    assert codec.pictures(images, levels).shape == images.shape


def test_the_device_s_side_is_a_selection_by_falls(codec: Lamsc):
    spec = codec.device()
    select, coders = spec.stages[1:]
    assert select.weight == "importance" and select.falls is not None
    assert coders.background == select.background and len(coders.coders) == 3
    assert begun(FIELDS | {"asi": False}).device().stages[1].weight == "even"
    assert spec.controls[0].unit == "bytes" and spec.controls[0].default == 40


def test_what_the_device_computes_stays_within_its_budget():
    """Student at most 0.3 M, everything at most 0.8 M multiply-accumulates, all blocks at the last level."""
    codec = create("lamsc", {})
    student = 0
    for layer in codec.student.layers:
        if "conv" not in layer.name and layer.name != "scores":
            continue
        rows, columns = layer.output.shape[1:3]
        student += rows * columns * int(np.prod(layer.kernel.shape))
    assert student == 289_152
    transform_of_all = 64 * 192 * codec.sizes.coefficients
    assert student + transform_of_all <= 800_000


def test_figures_of_importance_are_those_of_small_examples():
    shares = np.array([[1.0, 0.6, 0.0, 0.0, 0.2]])
    assert area_under_curve(np.array([[3.0, 1.0, 2.0, 0.0, 9.0]]), shares) == 0.75
    assert area_under_curve(np.array([[1.0, 1.0, 1.0, 1.0, 1.0]]), shares) == 0.5
    assert np.isnan(area_under_curve(np.zeros((1, 5)), np.zeros((1, 5))))
    assert pointing(np.array([[3.0, 1, 2, 0, 0], [0.0, 1, 2, 0, 0]]), np.repeat(shares, 2, axis=0)) == 0.5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image_shape": [60, 64, 3]}, "multiples of 8"),
        ({"image_shape": [64, 64, 2]}, "channels 1 or 3"),
        ({"image_shape": [128, 64, 3]}, "at most 64 blocks"),
        ({"level_bits": [8, 16]}, "0 first"),
        ({"level_bits": [0, 16, 16]}, "rising"),
        ({"level_bits": [0, 12]}, "multiples of 8"),
        ({"level_bits": [0, 8, 16, 24, 32, 40, 48, 56, 64]}, "2 to 8"),
        ({"coefficients": 65}, "1 to 64 coefficients"),
        ({"coefficients": 25}, "at most 6 bits"),
        ({"floor": 0.0}, "above 0"),
        ({"mask": "hard"}, "unknown mask"),
        ({"classifier": "svm"}, "unknown classifier"),
        ({"mask": "learned", "asi": False}, "needs importance"),
        ({"rate_low": 10}, "rates rise"),
        ({"rate_default": 800}, "rates rise"),
        ({"restoring_widths": [8, 8]}, "three widths"),
    ],
)
def test_sizes_that_cannot_be_are_refused(fields: dict[str, Any], words: str):
    with pytest.raises(UsageError, match=words):
        sizes_of("lamsc", fields)


def test_sizes_survive_json():
    import json

    sizes = LamscSizes(floor=0.05)
    assert sizes_of("lamsc", json.loads(json.dumps(sizes.plain()))) == sizes
    assert trains_alone("lamsc")


def test_the_docstring_s_shapes_are_those_of_the_codec():
    codec = Lamsc(LamscSizes())
    sizes = codec.sizes
    lines = (inspect.getdoc(Lamsc) or "").splitlines()
    shown = {
        "image": sizes.image_shape,
        "student": codec.student.output_shape[1:],
        "background": (sizes.image_shape[2],),
        "coefficients": (sizes.patches, sizes.coefficients),
        "levels": sizes.grid,
        "picture": codec.decoder.output_shape[1:],
        "tail": codec.classifier.output_shape[1:],
    }
    lines = [line for line in lines if line.endswith(")")]
    for name, shape in shown.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert line.endswith(f" {tuple(shape)}"), (line, shape)
    (codes,) = [line for line in lines if line.split()[:1] == ["codes_1..7"]]
    assert codes.endswith(f"{(64, sizes.level_bits[1] // 8)} to {(64, sizes.level_bits[-1] // 8)}")
