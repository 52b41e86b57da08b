"""The term that rewards codes that keep what matters: against a float64 computation with the bits flipped."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from semflash.codecs.layers.quantiser import CentreQuantiser  # noqa: E402
from semflash.codecs.semanticnn.codec import SemanticNN, SemanticNNSizes  # noqa: E402
from semflash.codecs.semanticnn.networks import on_grid  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.training.codec import check_recipe  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe  # noqa: E402


def numpy(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def quantiser(levels: int, labels: str) -> CentreQuantiser:
    made = CentreQuantiser(levels, labels=labels)
    made.build((None, 4))
    rng = np.random.default_rng(levels)
    made.raw_centres.assign(np.sort(rng.normal(size=levels)).astype(np.float32))
    return made


@pytest.mark.parametrize(
    ("levels", "labels"), [(2, "natural"), (6, "natural"), (8, "natural"), (8, "gray"), (16, "gray")]
)
def test_the_expected_error_is_that_of_flipping_each_bit_in_turn(levels: int, labels: str):
    made = quantiser(levels, labels)
    x = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    ber = np.array([[0.0], [1e-3], [0.01], [0.06], [0.2]], np.float32)
    centres = numpy(made.centres)
    # The layer's own way from codes to values, which test_codec_layers.py holds against the definition.
    codes = numpy(made.codes(x)).astype(np.int32)
    received = [numpy(made.values(codes ^ (1 << bit))) for bit in range(made.bits)]
    nearest = centres[np.abs(x[..., None] - centres).argmin(-1)]
    expected = (1 - made.bits * ber) * (x - nearest) ** 2 + sum(ber * (x - value) ** 2 for value in received)
    found = numpy(made.expected_error(x, ber))
    np.testing.assert_allclose(found, expected / centres.var(), rtol=2e-4, atol=1e-6)


def test_a_rate_beyond_one_flip_a_code_counts_as_one_flip_a_code():
    made, x = quantiser(8, "natural"), np.linspace(-2, 2, 50, dtype=np.float32)
    found = numpy(made.expected_error(x, 0.5))
    np.testing.assert_allclose(found, numpy(made.expected_error(x, 1 / 3)), rtol=1e-4, atol=1e-6)


def test_the_expected_error_does_not_depend_on_the_scale_of_the_latent():
    made, wider = quantiser(8, "natural"), quantiser(8, "natural")
    wider.raw_centres.assign(3 * numpy(made.raw_centres))
    x = np.linspace(-2, 2, 50, dtype=np.float32)
    np.testing.assert_allclose(
        numpy(wider.expected_error(3 * x, 0.05)), numpy(made.expected_error(x, 0.05)), rtol=1e-4
    )


def test_maps_are_averaged_over_the_cells_of_the_latent():
    maps = np.zeros((1, 14, 14, 1), np.float32)
    maps[0, 3:7, 7:11] = 2.0  # cell (1, 2): one row of padding above, so rows 3 to 6 and columns 7 to 10
    found = numpy(on_grid(maps, (4, 4)))[0, ..., 0]
    assert found[1, 2] == pytest.approx(16.0) and found.sum() == pytest.approx(16.0)
    even = numpy(on_grid(np.full((2, 14, 14, 1), 0.3, np.float32), (4, 4)))
    np.testing.assert_allclose(even, 1.0, rtol=1e-5)


def test_a_grid_that_does_not_reduce_is_refused():
    with pytest.raises(UsageError, match="does not reduce"):
        on_grid(np.ones((1, 9, 9, 1), np.float32), (4, 4))


def test_grids_that_do_not_go_into_each_other_are_refused_before_anything_is_trained():
    recipe = dataclasses.replace(codec_recipe("tiny"), xai_code_weight=0.1)
    check_recipe(recipe, SemanticNN(SemanticNNSizes(image_shape=(28, 28, 1), feature_shape=(14, 14, 16))))
    # a latent of 4 x 4 beside features of 9 x 9, which steps of 3 take to 3 x 3
    odd = SemanticNN(SemanticNNSizes(image_shape=(28, 28, 1), feature_shape=(9, 9, 16)))
    with pytest.raises(UsageError, match="does not reduce"):
        check_recipe(recipe, odd)


def test_only_the_important_place_of_the_latent_gets_a_gradient():
    tf = pytest.importorskip("tensorflow")
    sizes = SemanticNNSizes(image_shape=(28, 28, 1), feature_shape=(14, 14, 16))
    codec = SemanticNN(dataclasses.replace(sizes, latent=4))
    latent = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 4, 4)).astype(np.float32))
    maps = np.zeros((1, 14, 14, 1), np.float32)
    maps[0, 3:7, 7:11] = 1.0
    with tf.GradientTape() as tape:
        tape.watch(latent)
        loss = codec.code_loss({"latent": latent}, np.full((1, 1), 0.02, np.float32), maps)
    moved = np.abs(numpy(tape.gradient(loss, latent))).sum(-1)[0] > 0
    assert moved[1, 2] and moved.sum() == 1


def test_what_a_crop_leaves_out_weighs_no_codes_and_the_rest_stays_in_its_place():
    sizes = SemanticNNSizes(image_shape=(28, 28, 1), feature_shape=(14, 14, 16), latent=4, crop=0.6)
    codec = SemanticNN(sizes)
    assert sizes.cropped_features == (8, 8) and sizes.latent_shape[:2] == (2, 2)
    rng = np.random.default_rng(0)
    maps = rng.uniform(5, 9, (1, 14, 14, 1)).astype(np.float32)  # outside: no code stands for it
    maps[0, 3:11, 3:11] = 0.0
    maps[0, 3:7, 7:11] = 1.0  # top right quarter of the crop
    latent = rng.normal(size=(1, 2, 2, 4)).astype(np.float32)
    quality = np.full((1, 1), 0.02, np.float32)
    error = numpy(codec.quantiser.expected_error(latent, 0.02))[0]
    # mean weight 1 over four cells: all of it, 4, stands in one
    assert float(codec.code_loss({"latent": latent}, quality, maps)) == pytest.approx(
        error[0, 1].mean(), rel=1e-4
    )
