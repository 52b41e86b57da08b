"""The learned mask of ``lamsc``: its gradient, and that it learns; a hard sign has none."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from semflash.codecs.lamsc import mask
from semflash.codecs.lamsc.codec import Lamsc
from semflash.codecs.lamsc.sizes import LamscSizes

BITS = (0, 8, 24, 48)
SIZES = LamscSizes.from_dict(
    {
        "image_shape": [32, 32, 3],
        "classes": 3,
        "coefficients": 12,
        "level_bits": list(BITS),
        "classifier_widths": [4, 4],
        "restoring_widths": [4, 4, 4],
        "rate_low": 24,
        "rate_default": 40,
        "mask": "learned",
    }
)


def batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images with one bright block, which alone matters, and their upgrades."""
    rng = np.random.default_rng(seed)
    images = rng.random((16, 32, 32, 3)).astype(np.float32) * 0.3
    shares = np.zeros((16, 16))
    for i, place in enumerate(rng.integers(0, 16, 16)):
        row, column = divmod(int(place), 4)
        images[i, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 0.6
        shares[i, place] = 1
    worth = np.sort(rng.integers(1, 10_000, (16, 16, 3)), axis=2)[..., ::-1]
    levels = np.where(shares > 0, 3, 0).astype(np.uint8)
    counted = (shares + 0.02) / 1.02
    return images, mask.upgrades_of(worth, counted, BITS, np.full(16, 40), levels)


def gradients() -> list[float]:
    """Largest gradient of the loss by each weight of the student."""
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(3)
    codec = Lamsc(SIZES)
    stage = mask.MaskStage(codec, name="mask")
    images, upgrades = batch()
    with tf.GradientTape() as tape:
        loss = stage.compute_loss(y=tf.constant(upgrades), y_pred=stage(images, training=True))
    found = tape.gradient(loss, [each.value for each in stage.trainable_weights])
    return [0.0 if each is None else float(tf.reduce_max(tf.abs(each))) for each in found]


def test_the_mask_has_a_gradient_into_the_student() -> None:
    assert all(each > 0 for each in gradients()[-2:]) and sum(each > 0 for each in gradients()) > 8


def test_a_hard_sign_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released code's mask: what the test before this one is red for."""
    monkeypatch.setattr(mask, "made", lambda scores, tau: ops.cast(scores >= tau, "float32"))
    assert not any(gradients())


def test_the_mask_is_what_fits_and_its_gradient_that_of_a_sigmoid() -> None:
    tf = pytest.importorskip("tensorflow")
    scores, bits = tf.constant([[3.0, 1.0, 2.0, 0.5]]), tf.constant([8.0, 8.0, 16.0, 24.0])
    for room, tau in ((7.0, 3.0), (8.0, 3.0), (24.0, 2.0), (31.0, 2.0), (32.0, 1.0), (56.0, 0.5)):
        assert float(mask.last_that_fits(scores, bits, tf.constant([[room]]))[0, 0]) == tau
    with tf.GradientTape() as tape:
        tape.watch(scores)
        found = mask.made(scores, tf.constant([[2.0]]))
    assert found.numpy().tolist() == [[1.0, 0.0, 1.0, 0.0]]
    soft = 1 / (1 + np.exp(-2 * (scores.numpy() - 2)))
    np.testing.assert_allclose(tape.gradient(found, scores).numpy(), 2 * soft * (1 - soft), rtol=1e-5)


def test_upgrades_that_importance_makes_are_good_and_others_bad() -> None:
    worth = np.array([[[90, 50, 10], [80, 70, 5]]])
    found = mask.upgrades_of(
        worth, np.array([[1.0, 0.5]]), BITS, np.array([40]), np.array([[2, 1]], np.uint8)
    )
    # Weighted slopes 90, 50, 10 and 40, 35, 2.5; the last one made is 40.
    assert (np.sign(found[0, :, :, 0]) == [[1, 1, -1], [0, -1, -1]]).all()
    expected = np.array([[50 * 8, 10 * 16, -30 * 24], [0, -5 * 16, -37.5 * 24]])
    np.testing.assert_allclose(found[0, :, :, 0], expected / np.abs(expected).sum(), atol=1e-6)
    np.testing.assert_allclose(found[0, :, :, 1], np.log2(worth[0] + 1), rtol=1e-6)
    assert (found[..., 2] == 8 * 20).all()


def test_a_student_learns_through_the_mask() -> None:
    keras.utils.set_random_seed(1)
    codec = Lamsc(SIZES)
    stage: Any = mask.MaskStage(codec, name="mask")
    stage.compile(optimizer=keras.optimizers.Adam(3e-3))
    images, upgrades = batch()
    losses = [float(stage.train_on_batch(images, upgrades)) for _ in range(60)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
