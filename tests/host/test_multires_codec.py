"""The family ``multires``: coders in closed form, bytes and pictures, selection, sizes that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from semflash.codecs.multires.attention import best_in_common, smoothed, spearman
from semflash.codecs.multires.codec import Multires
from semflash.codecs.multires.coder import LevelCoder
from semflash.codecs.multires.klt import Transform, allocate, lloyd_max
from semflash.codecs.multires.picture import in_patches, whole
from semflash.codecs.multires.selecting import levels_of
from semflash.codecs.multires.sizes import MultiresSizes
from semflash.codecs.registry import create, sizes_of, trains_alone
from semflash.errors import UsageError
from semflash.program.reference.patches import cut

SMALL = MultiresSizes(image_shape=(16, 24, 3), level_bits=(0, 8, 24), single_bits=(16,), residual=8)


def blurred(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Images uint8 whose neighbours are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, shape[0] // 4, shape[1] // 4, shape[2]))
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2) + rng.normal(0, 8, (count, *shape))
    return np.asarray(np.clip(fine, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def codec() -> Multires:
    """Coders in closed form; the student as it is made."""
    made = Multires(SMALL)
    values = cut(blurred(200, SMALL.image_shape), 8).reshape(-1, 192) / 255
    transform = Transform(values)
    for bits, coder in made.coders.items():
        coder.begin(transform.start(bits))
    made.measured.distortion.assign(np.array([0.08, 0.03, 0.01], np.float32))
    return made


def test_lloyd_and_max_give_the_published_quantiser_of_a_gaussian():
    samples = np.random.default_rng(0).normal(size=400_000)
    # Max 1960, table I: 4 and 8 outputs.
    for levels, centres, error in (
        (4, (0.4528, 1.510), 0.1175),
        (8, (0.2451, 0.7560, 1.344, 2.152), 0.03454),
    ):
        thresholds, found = lloyd_max(samples, levels)
        half = len(centres)
        np.testing.assert_allclose(found[half:], centres, atol=0.02)
        np.testing.assert_allclose(thresholds, (found[1:] + found[:-1]) / 2)
        sent = found[np.searchsorted(thresholds, samples, side="right")]
        assert abs(np.square(samples - sent).mean() - error) < 0.0006


def test_bits_go_where_the_error_falls_most():
    variances = [16.0, 4.0, 1.0, 0.01]
    # The falls: 12, 3, 0.75 of the first; 3, 0.75 of the second; 0.75 of the third. Of equal ones the first.
    given = allocate(5, 4, lambda which, bits: variances[which] * 4.0**-bits)
    assert given.tolist() == [3, 2, 0, 0]
    assert allocate(3, 4, lambda which, bits: variances[which] * 4.0**-bits).tolist() == [2, 1, 0, 0]


def test_no_coefficient_has_more_than_six_bits():
    assert allocate(8, 2, lambda which, bits: (100.0, 1.0)[which] * 2.0**-bits).tolist() == [6, 2]


def test_the_transform_keeps_the_directions_of_most_variance():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(12, 12)))[0][:, :2]
    values = rng.normal(size=(4000, 2)) * (0.3, 0.1) @ axes.T + 0.5
    start = Transform(values).start(8)
    assert start.bits.sum() == 8 and len(start.bits) == 2
    spanned = start.back @ np.linalg.pinv(start.back)
    np.testing.assert_allclose(spanned @ axes, axes, atol=1e-6)
    coefficients = values @ start.weights.T + start.bias
    np.testing.assert_allclose(coefficients.std(axis=0), 1, atol=0.02)


def test_more_bits_leave_less_error(codec: Multires):
    values = cut(blurred(50, SMALL.image_shape, seed=5), 8).reshape(-1, 192).astype(np.float32) / 255
    errors = [
        float(np.square(ops.convert_to_numpy(coder(values)) - values).mean())
        for coder in codec.coders.values()
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]
    assert errors[0] < values.var(axis=0).mean()


def test_the_device_gets_thresholds_whose_count_is_the_code(codec: Multires):
    coder, spec = codec.coder_of(2), codec.coder_of(2).device()
    assert spec.bits.sum() == 24 and [len(each) for each in spec.thresholds] == [2**b - 1 for b in spec.bits]
    values = np.random.default_rng(3).random((40, 192), np.float32)
    wide = values.astype(np.float64) @ spec.weights.T.astype(np.float64) + spec.bias
    codes = ops.convert_to_numpy(coder.codes(values))
    for which, thresholds in enumerate(spec.thresholds):
        expected = (thresholds.astype(np.float64)[None] <= wide[:, which, None]).sum(axis=1)
        near = np.abs(wide[:, which, None] - thresholds).min(axis=1) < 1e-4
        assert ((codes[:, which] == expected) | near).all()


def test_a_coder_learns_through_its_thresholds():
    coder = LevelCoder(8, 4)
    values = np.random.default_rng(0).random((64, 12)).astype(np.float32)
    coder.build((None, 12))
    coder.begin(Transform(values).start(8))
    tf = pytest.importorskip("tensorflow")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(coder(tf.constant(values)) - values))
    gradient = tape.gradient(loss, coder.learnt.value)
    assert float(tf.reduce_max(tf.abs(gradient))) > 0
    assert not coder.thresholds.trainable and not coder.centres.trainable


def test_patches_and_pictures_are_each_other_s_reverse():
    images = np.arange(2 * 16 * 24 * 3, dtype=np.float32).reshape(2, 16, 24, 3)
    patches = ops.convert_to_numpy(in_patches(images, 8))
    assert np.array_equal(patches, cut(images, 8))
    assert np.array_equal(ops.convert_to_numpy(whole(patches, (16, 24, 3), 8)), images)


def test_what_the_edge_makes_of_the_bytes_is_what_the_coders_decode(codec: Multires):
    images = blurred(6, SMALL.image_shape, seed=9)
    levels = np.random.default_rng(2).integers(0, 3, (6, 6)).astype(np.uint8)
    sent = codec.bytes_of(images, levels)
    ones = sent[:, :6].reshape(6, 6, 1), sent[:, 6:].reshape(6, 6, 3)
    assert not ones[0][levels != 1].any() and not ones[1][levels != 2].any()
    background = np.floor(images.mean((1, 2)) / 16).astype(np.float32)
    given = [each.astype(np.float32) for each in ones]
    picture = codec.decoder([*given, levels.reshape(6, 2, 3).astype(np.float32), background])
    found = ops.convert_to_numpy(picture)
    np.testing.assert_allclose(found, codec.pictures(images, levels), atol=1e-5)
    empty = in_patches(found, 8)
    shade = np.tile((background * 16 + 7.5) / 255, (1, 64))
    for image in range(6):
        for patch in np.flatnonzero(levels[image] == 0):
            np.testing.assert_allclose(ops.convert_to_numpy(empty)[image, patch], shade[image], atol=1e-6)


def test_codes_tell_levels_background_and_bytes_and_can_be_decoded(codec: Multires):
    images = blurred(3, SMALL.image_shape, seed=4)
    codes = ops.convert_to_numpy(codec.codes(images.astype(np.float32) / 255))
    assert codes.shape == (3, *codec.code_shape) == (3, 6 + 3 + 6 * 4)
    levels = codec.levels_for(images, SMALL.rate_default)
    assert np.array_equal(codes[:, :6], levels)
    logits = codec.outputs(None, codes, None)
    expected = codec.classifier(codec.pictures(images, levels), training=False)
    np.testing.assert_allclose(ops.convert_to_numpy(logits), ops.convert_to_numpy(expected), atol=1e-4)


def test_no_payload_is_larger_than_its_rate_and_better_patches_have_no_lower_level():
    sizes, rng = MultiresSizes(), np.random.default_rng(0)
    weights = rng.integers(0, 1 << rng.integers(1, 20, (300, 1)), (300, 64))
    rates = rng.integers(16, 1101, 300)
    distortion = np.array([0.03, 0.015, 0.0075, 0.0037])
    levels = levels_of(weights, sizes, distortion, rates)
    counts = np.stack([(levels >= level).sum(axis=1) for level in (1, 2, 3)], axis=1)
    assert (sizes.map_sizes.total(counts, False) <= 8 * rates).all()
    order = np.argsort(-weights, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(levels, order, axis=1).astype(int), axis=1) <= 0).all()


def test_ranks_agree_with_scipy_and_best_patches_are_counted():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, (5, 64)), rng.normal(size=(5, 64))
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), expected, atol=1e-12)
    rising = np.arange(64.0)[None]
    assert best_in_common(rising, rising).tolist() == [1.0] and best_in_common(rising, -rising).tolist() == [
        0.0
    ]
    moved = rising.copy()
    moved[0, 60:] -= 30
    assert best_in_common(rising, moved).tolist() == [0.5]


def test_smoothing_mixes_each_patch_with_those_around_it():
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 1, 1] = 1
    found = smoothed(maps, 0.9)
    np.testing.assert_allclose(found.sum(), 1, atol=1e-6)
    np.testing.assert_allclose(found[0, 1, 1], 0.1 + 0.1, atol=1e-6)
    np.testing.assert_allclose(found[0, 0, 0], 0.1, atol=1e-6)
    assert found[0, 3, 3] == 0 and np.array_equal(smoothed(maps, 0.0), maps)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image_shape": (60, 64, 3)}, "multiples of 8"),
        ({"image_shape": (64, 128, 3)}, "at most 64 patches"),
        ({"level_bits": (0, 32, 8)}, "rising"),
        ({"level_bits": (0, 12)}, "multiples of 8"),
        ({"level_bits": (8, 16)}, "0 first"),
        ({"level_bits": (0, 8, 200)}, "192 values"),
        ({"weight": "variance"}, "unknown weight"),
        ({"rate_low": 4}, "16 bytes"),
        ({"rate_default": 2000}, "low, default, high"),
        ({"smoothing": 1.5}, "smoothing is a share"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(fields: dict[str, object], words: str):
    with pytest.raises(UsageError, match=words):
        sizes_of("multires", fields)


def test_the_family_trains_by_itself_and_its_sizes_survive_json():
    assert trains_alone("multires")
    again = sizes_of("multires", {"level_bits": [0, 8, 32], "image_shape": [32, 32, 3]})
    assert again.level_bits == (0, 8, 32) and again.grid == (4, 4)


def test_the_diagram_shows_what_goes_between_the_networks() -> None:
    codec = create("multires", {})
    inputs = [tuple(one.shape[1:]) for one in codec.decoder.inputs]
    shown = {
        "student": codec.student.output_shape[1:],
        "levels": codec.sizes.grid,
        "background": inputs[-1],
        "picture": codec.decoder.output_shape[1:],
        "tail": codec.classifier.output_shape[1:],
    }
    lines = [line for line in (type(codec).__doc__ or "").splitlines() if line.endswith(")")]
    for name, shape in shown.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert line.endswith(f" {tuple(shape)}"), (line, shape)
    (codes,) = [line for line in lines if line.split()[:1] == ["codes_1..3"]]
    assert codes.endswith(", ".join(str(shape) for shape in inputs[:3]))
