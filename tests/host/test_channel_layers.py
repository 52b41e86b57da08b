"""The Keras layers of the channels: on average each does what its numpy twin does; gradients pass."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from semflash.channels.bursts import gilbert_elliott  # noqa: E402
from semflash.codecs.layers.burst_channel import FrameLossChannel, GilbertElliottChannel  # noqa: E402
from semflash.codecs.layers.symbol_channel import AwgnChannel, RayleighChannel, SnrRange  # noqa: E402

RNG_SEED = 3


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).standard_normal(shape).astype(np.float32)


def uniform(*shape: int) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).random(shape).astype(np.float32)


def test_white_noise_has_the_variance_of_each_images_snr():
    symbols = np.ones((2, 20_000, 2), np.float32)
    snr = np.array([[0.0], [20.0]], np.float32)
    error = np.asarray(AwgnChannel()(symbols, snr, normal(2, 20_000, 2))) - symbols
    assert error.var(axis=(1, 2)) == pytest.approx([0.5, 0.005], rel=0.05)


def test_fading_scales_the_noise_of_a_block_by_its_gain():
    symbols = np.zeros((1, 40_000, 2), np.float32)
    fading = np.array([[[np.sqrt(2.0), 0.0], [0.0, np.sqrt(2.0) / 2]]], np.float32)  # gains 1 and 1/2
    out = np.asarray(
        RayleighChannel(block=20_000)(symbols, np.zeros((1, 1), np.float32), normal(1, 40_000, 2), fading)
    )
    assert [out[0, :20_000].var(), out[0, 20_000:].var()] == pytest.approx([0.5, 2.0], rel=0.05)


def test_the_same_noise_gives_the_same_symbols_and_the_snr_range_is_kept():
    first, second = (
        AwgnChannel()(np.ones((4, 8, 2), np.float32), np.zeros((4, 1), np.float32), normal(4, 8, 2))
        for _ in range(2)
    )
    assert np.array_equal(np.asarray(first), np.asarray(second))
    sampled = SnrRange(-6.0, 18.0).sample(1_000, np.random.default_rng(0))
    assert sampled.shape == (1_000, 1) and -6 <= sampled.min() < -5 and 17 < sampled.max() <= 18


def test_bursts_have_the_rate_and_the_length_of_the_numpy_channel():
    ber, burst, images, codes = 0.05, 16, 200, 400
    layer = GilbertElliottChannel(3, burst_bits=burst)
    sent = np.zeros((images, codes), np.int32)
    received = np.asarray(layer(sent, np.full((images, 1), ber, np.float32), uniform(images, codes, 3, 2)))
    flips = (received[..., None] >> np.array([2, 1, 0]) & 1).reshape(images, -1)
    twin = gilbert_elliott([bytes(150)] * images, ber, np.random.default_rng(0), burst_bits=burst)
    expected = np.unpackbits(np.frombuffer(b"".join(twin), np.uint8).reshape(images, -1), axis=1)

    def shape_of(bits: np.ndarray) -> tuple[float, float]:
        return bits.mean(), bits[:, 1:][bits[:, :-1] == 1].mean()

    assert shape_of(flips) == pytest.approx(shape_of(expected), rel=0.12)
    assert flips.mean() == pytest.approx(ber, rel=0.12)


def test_a_channel_without_errors_changes_nothing():
    codes = np.arange(8, dtype=np.int32)[None].repeat(2, 0)
    out = GilbertElliottChannel(3)(codes, np.zeros((2, 1), np.float32), uniform(2, 8, 3, 2))
    assert np.array_equal(np.asarray(out), codes)


def test_lost_frames_become_neutral_and_the_others_stay():
    values = np.ones((500, 5, 2), np.float32)
    kept = np.asarray(FrameLossChannel(4)(values, np.full((500, 1), 0.3, np.float32), uniform(500, 3)))
    flat = kept.reshape(500, 10)
    assert (flat[:, :4] == flat[:, :1]).all() and (flat[:, 4:8] == flat[:, 4:5]).all()
    assert (flat[:, 0] == 0).mean() == pytest.approx(0.3, abs=0.08)


def test_gradients_pass_the_noise():
    tf = pytest.importorskip("tensorflow", reason="gradients are taken with TensorFlow here")
    symbols = tf.Variable(np.ones((1, 4, 2), np.float32))
    with tf.GradientTape() as tape:
        arrived = AwgnChannel()(symbols, np.zeros((1, 1), np.float32), normal(1, 4, 2))
        loss = tf.reduce_sum(arrived)
    assert np.allclose(tape.gradient(loss, symbols), 1.0)
