"""The layers that make SemanticNN true: quantiser, bit channel, GDN, attention."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from keras import ops  # noqa: E402

from semflash.codecs.layers.channel import BerRange, BinarySymmetricChannel, SymbolSwapChannel  # noqa: E402
from semflash.codecs.layers.gdn import BETA_FLOOR, GDN, PositivePReLU  # noqa: E402
from semflash.codecs.layers.quality_attention import QualityAttention  # noqa: E402
from semflash.codecs.layers.quantiser import CentreQuantiser, bits_for  # noqa: E402
from semflash.errors import UsageError  # noqa: E402


def quantiser(levels: int = 8, centres: list[float] | None = None) -> CentreQuantiser:
    layer = CentreQuantiser(levels)
    layer.build((None, levels))
    if centres is not None:
        layer.raw_centres.assign(np.float32(centres))
    return layer


def numpy(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


class Regression(keras.Model):
    """Quantiser as a model whose loss is the squared error to y; scale is what the encoder would learn."""

    def __init__(self, layer: CentreQuantiser, channel: BinarySymmetricChannel | None = None) -> None:
        super().__init__()
        self.quantiser, self.channel = layer, channel
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x: dict, training: bool = False) -> object:
        values = x["value"] * self.scale
        received = None
        if self.channel is not None:
            received = self.channel(self.quantiser.codes(values), x["ber"], x["noise"])
        return self.quantiser(values, received)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(ops.square(y_pred - y))


def fit(model: keras.Model, x: dict, y: np.ndarray, steps: int = 20) -> None:
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    for _ in range(steps):
        model.train_on_batch(x, y)


def inputs(count: int = 256, ber: float = 0.0, bits: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "value": rng.uniform(-1, 1, (count, 4)).astype(np.float32),
        "ber": np.full((count, 1), ber, np.float32),
        "noise": rng.random((count, 4, bits), dtype=np.float32),
    }


def test_centres_get_a_gradient_and_move_towards_what_the_receiver_wants():
    layer = quantiser()
    before = numpy(layer.centres).copy()
    x = inputs()
    fit(Regression(layer), x, x["value"] * 1.5)
    after = numpy(layer.centres)
    assert (np.abs(after - before) > 1e-3).all()
    assert after[-1] > before[-1] and after[0] < before[0]


def test_the_gradient_passes_around_the_channel_to_the_encoder():
    layer = quantiser()
    model = Regression(layer, BinarySymmetricChannel(3))
    fit(model, inputs(ber=0.05), inputs()["value"] * 1.5)
    assert float(numpy(model.scale)) > 1.02


@pytest.mark.parametrize("levels", range(2, 17))
def test_codes_are_ranks_of_the_nearest_centre_and_decode_to_it(levels: int):
    rng = np.random.default_rng(levels)
    centres = np.sort(rng.normal(size=levels)).astype(np.float32)
    layer = quantiser(levels, list(rng.permutation(centres)))  # stored unsorted on purpose
    x = rng.normal(size=(50, 3)).astype(np.float32)
    expected = np.abs(x[..., None].astype(np.float64) - centres).argmin(-1)
    assert (numpy(layer.codes(x)) == expected).all()
    assert (numpy(layer.values(expected.astype(np.int32))) == centres[expected]).all()
    assert numpy(layer(x)) == pytest.approx(centres[expected], abs=1e-6)


def test_a_code_beyond_the_last_centre_stands_for_the_last_centre():
    layer = quantiser(5)
    assert numpy(layer.values(np.int32([4, 5, 7]))).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("levels", [0, 1, 17])
def test_fewer_than_2_or_more_than_16_centres_are_refused(levels: int):
    with pytest.raises(UsageError, match="centres"):
        bits_for(levels)


def test_a_flipped_bit_moves_a_natural_binary_code_by_its_weight():
    channel = BinarySymmetricChannel(3)
    codes = np.arange(8, dtype=np.int32)[None]
    ber = np.float32([[0.5]])
    for position, weight in enumerate((4, 2, 1)):  # most significant bit first
        noise = np.ones((1, 8, 3), np.float32)
        noise[..., position] = 0.0
        assert numpy(channel(codes, ber, noise))[0].tolist() == [code ^ weight for code in range(8)]


def test_noise_equal_to_the_rate_flips_no_bit():
    """Uniform noise in [0, 1) is below a rate with that very probability, and never below 0."""
    codes = np.arange(8, dtype=np.int32)[None]
    channel = BinarySymmetricChannel(3)
    for ber in (0.0, 0.25):
        rate, noise = np.float32([[ber]]), np.full((1, 8, 3), ber, np.float32)
        assert (numpy(channel(codes, rate, noise)) == codes).all()
        pair = np.stack([noise[..., 0], np.full((1, 8), 0.99, np.float32)], axis=-1)
        assert (numpy(SymbolSwapChannel(8)(codes, rate, pair)) == codes).all()
    below = np.nextafter(np.full((1, 8, 3), 0.25, np.float32), np.float32(0))
    assert (numpy(channel(codes, np.float32([[0.25]]), below)) == 7 - codes).all()


@pytest.mark.parametrize("ber", [0.0, 1e-3, 0.05, 0.5])
def test_the_channel_flips_bits_at_the_asked_rate(ber: float):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 8, (100, 4, 4, 8)).astype(np.int32)
    noise = rng.random((*codes.shape, 3), dtype=np.float32)
    received = numpy(BinarySymmetricChannel(3)(codes, np.full((100, 1), ber, np.float32), noise))
    flipped = np.bitwise_count((codes ^ received).astype(np.uint8)).sum() / (codes.size * 3)
    assert flipped == pytest.approx(ber, abs=4 * np.sqrt(ber * (1 - ber) / (codes.size * 3)) + 1e-9)


def test_every_image_of_a_batch_has_its_own_ber():
    codes = np.zeros((2, 4, 4, 8), np.int32)
    received = numpy(BinarySymmetricChannel(3)(codes, np.float32([[0.0], [0.5]])))
    assert (received[0] == 0).all() and (received[1] != 0).any()


def test_sampled_bers_are_zero_or_log_uniform_over_the_range():
    ber = BerRange(1e-4, 6e-2, 0.25).sample(40_000, np.random.default_rng(0))[:, 0]
    noisy = ber[ber > 0]
    assert np.mean(ber == 0) == pytest.approx(0.25, abs=0.01)
    assert noisy.min() >= 1e-4 * 0.999 and noisy.max() <= 6e-2 * 1.001
    logs = (np.log(noisy) - np.log(1e-4)) / (np.log(6e-2) - np.log(1e-4))
    assert np.histogram(logs, 5, (0, 1))[0] / len(logs) == pytest.approx(0.2, abs=0.01)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(0, 2**31 - 1))
def test_gdn_agrees_with_float64_numpy(channels: int, seed: int):
    rng = np.random.default_rng(seed)
    layer = GDN()
    layer.build((None, 2, 3, channels))
    layer.beta_root.assign(rng.normal(size=channels).astype(np.float32))
    layer.gamma_root.assign(rng.normal(size=(channels, channels)).astype(np.float32))
    x = rng.normal(size=(2, 2, 3, channels)).astype(np.float32)
    beta = numpy(layer.beta_root).astype(np.float64) ** 2 + BETA_FLOOR
    gamma = numpy(layer.gamma_root).astype(np.float64) ** 2
    expected = np.empty(x.shape)
    for j in range(channels):
        den = beta[j] + sum(gamma[i, j] * x[..., i].astype(np.float64) ** 2 for i in range(channels))
        expected[..., j] = x[..., j] / np.sqrt(den)
    assert numpy(layer(x)) == pytest.approx(expected, rel=2e-5, abs=1e-6)


def test_the_inverse_gdn_multiplies_by_the_root():
    forward, inverse = GDN(), GDN(inverse=True)
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype(np.float32)
    assert numpy(forward(x)) * numpy(inverse(x)) == pytest.approx(x * x, rel=1e-5, abs=1e-7)


def test_alpha_stays_positive_whatever_training_does_to_it():
    layer = PositivePReLU()
    layer.build((None, 2))
    layer.raw_alpha.assign(np.float32([-3.0, 7.0]))
    assert numpy(layer.alpha).tolist() == pytest.approx([0.05, 1.0])
    assert numpy(layer(np.float32([[-2.0, -2.0], [4.0, 4.0]]))) == pytest.approx(
        np.float32([[-0.1, -2.0], [4.0, 4.0]])
    )


def test_attention_depends_on_the_ber():
    keras.utils.set_random_seed(0)
    layer = QualityAttention()
    x = np.ones((2, 3, 3, 8), np.float32)
    out = numpy(layer([x, np.float32([[0.0], [0.05]])]))
    assert np.abs(out[0] - out[1]).max() > 1e-3
