"""TOSC: the modules against independent computations, what is sent, and what cannot be built."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from keras import ops  # noqa: E402

from semflash.codecs.layers.channel import BinarySymmetricChannel  # noqa: E402
from semflash.codecs.registry import create, sizes_of  # noqa: E402
from semflash.codecs.tosc.bottleneck import divergence  # noqa: E402
from semflash.codecs.tosc.drawing import ChannelDraw  # noqa: E402
from semflash.codecs.tosc.links import REACH, STEP, differing_bits, gaussian  # noqa: E402
from semflash.codecs.tosc.networks import seen_state  # noqa: E402
from semflash.errors import UsageError  # noqa: E402

SMALL: dict[str, Any] = {"middle": [[4, 2], [6, 2], [8, 2]], "decoder_width": 16, "summary": 12}
LINKS: dict[str, dict[str, Any]] = {
    "symbols": {},
    "faded": {"fading": "rayleigh"},
    "bits": {"channel": "bits"},
    "local": {"places": "local"},
}
IMAGES = np.random.default_rng(0).random((5, 28, 28, 1), dtype=np.float32)


def tosc(seed: int = 1, **sizes: Any) -> Any:
    """A small codec whose adaptation is not the identity that it begins as."""
    keras.utils.set_random_seed(seed)
    codec = create("tosc", SMALL | sizes)
    rng = np.random.default_rng(seed)
    for part in (codec.adaptation, codec.bottleneck, codec.projection):
        for weight in part.weights if part is not None else ():
            weight.assign(rng.normal(0.0, 0.5, weight.shape))
    return codec


def noise_of(codec: Any, count: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *codec.noise_shape()), dtype=np.float32)


def column(value: float, count: int = 5) -> np.ndarray:
    return np.full((count, 1), value, np.float32)


def numbers(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))


@pytest.fixture(scope="module", params=LINKS)
def codec(request: pytest.FixtureRequest) -> Any:
    return tosc(**LINKS[request.param])


def test_the_closed_divergence_is_that_of_samples() -> None:
    rng = np.random.default_rng(0)
    for mean, power, prior in ((0.7, 0.1, 0.5), (0.0, 0.5, 0.5), (-1.2, 2.0, 0.3)):
        x = rng.normal(mean, np.sqrt(power), 2_000_000)
        log_q = -0.5 * ((x - mean) ** 2 / power + np.log(power))
        log_p = -0.5 * (x**2 / prior + np.log(prior))
        assert float(divergence(mean, power, prior)) == pytest.approx(np.mean(log_q - log_p), abs=5e-3)
    assert float(divergence(0.0, 0.5, 0.5)) == pytest.approx(0.0, abs=1e-7)


def test_the_tables_are_the_adaptation_and_then_the_projection(codec: Any) -> None:
    weights, bias = codec.tables()
    assert weights.shape == (8, codec.sizes.latent, codec.encoder.output_shape[-1])
    found = np.random.default_rng(2).normal(0, 1, (5, *codec.encoder.output_shape[1:])).astype(np.float32)
    for state in range(8):
        expected = numbers(codec.project(found, column(state)))
        folded = np.einsum("bhwc,jc->bhwj", found, weights[state]) + bias[state]
        np.testing.assert_allclose(folded, expected, atol=1e-5, rtol=1e-5)


def test_without_adaptation_there_is_one_table_and_no_control() -> None:
    codec = tosc(adaptive=False)
    weights, bias = codec.tables()
    assert weights.shape[0] == bias.shape[0] == 1
    np.testing.assert_allclose(weights[0], numbers(codec.projection.kernel)[0, 0].T)
    assert codec.device().controls == () and [i.name for i in codec.edge_graphs(None)[0].inputs] == [
        "received",
        "quality",
    ]


def test_what_is_sent_follows_the_state_only_where_the_codec_adapts(codec: Any) -> None:
    first, last = (numbers(codec.codes(IMAGES, column(state))) for state in (0, 7))
    assert (first != last).mean() > 0.05
    plain = tosc(adaptive=False)
    first, last = (numbers(plain.codes(IMAGES, column(state))) for state in (0, 7))
    np.testing.assert_array_equal(first, last)


def test_the_decoder_follows_quality_and_state_only_where_it_adapts(codec: Any) -> None:
    for layer in codec.decoder.layers:
        if layer.name == "adapted":
            for dense in (layer.scale, layer.shift):
                dense.kernel.assign(np.random.default_rng(0).normal(0, 1, dense.kernel.shape))
    levels = codec.sizes.state_levels
    received = np.random.default_rng(1).normal(0, 1, (5, *codec.values_shape())).astype(np.float32)
    base = numbers(codec.answer(received, column(levels[3]), column(3)))
    assert np.abs(numbers(codec.answer(received, column(levels[6]), column(3))) - base).max() > 1e-3
    assert np.abs(numbers(codec.answer(received, column(levels[3]), column(6))) - base).max() > 1e-3


def test_the_classes_of_the_state_begin_at_their_levels() -> None:
    for channel, levels in (
        ("symbols", (-40.0, -6.0, -3.0, 2.9, 3.0, 14.9, 15.0, 60.0)),
        ("bits", (0.0, 9e-5, 1e-4, 0.01, 0.5)),
    ):
        codec = tosc(channel=channel)
        quality = np.asarray(levels, np.float32)[:, None]
        expected = {"symbols": [0, 0, 1, 2, 3, 6, 7, 7], "bits": [0, 0, 1, 5, 7]}[channel]
        assert numbers(codec.state_of(quality))[:, 0].tolist() == expected
        assert ChannelDraw(codec.sizes).state_of(quality)[:, 0].tolist() == expected
        (control,) = codec.device().controls
        assert control.follows == codec.sizes.state_levels and (control.low, control.high) == (0, 7)


def test_symbols_have_mean_power_one_and_are_clipped_at_four_sigma() -> None:
    link = tosc().link
    values = np.random.default_rng(0).normal(0, 3, (4, 4, 4, 2)).astype(np.float32)
    values[1], values[2] = 0.0, 0.0
    values[2, 0, 0, 0] = 5.0
    sent = numbers(link.normalise(values))
    power = np.square(sent).reshape(4, -1).mean(axis=1)
    assert power[[0, 3]] == pytest.approx([0.5, 0.5], rel=1e-4)
    assert (sent[1] == 0).all() and sent[2].max() == pytest.approx(REACH)
    codes = numbers(link.codes(values))
    assert codes.min() >= -127 and codes.max() == 127
    np.testing.assert_allclose(numbers(link.values(codes)), sent, atol=0.5 * STEP + 1e-6)


def test_the_noise_on_symbols_has_the_power_that_the_bottleneck_counts() -> None:
    codec = tosc(places="local", middle=[[4, 1]], image_shape=[40, 40, 1])
    values = np.zeros((50, 40, 40, 2), np.float32)
    for snr in (-6.0, 0.0, 12.0):
        there = codec.link.carry(values, column(snr, 50), noise_of(codec, 50))
        assert numbers(there.received).var() == pytest.approx(0.5 * 10 ** (-snr / 10), rel=0.01)
        assert numbers(there.power).ravel() == pytest.approx(0.5 * 10 ** (-snr / 10), rel=1e-5)


def test_under_fading_the_bottleneck_counts_the_noise_of_the_equalised_symbol() -> None:
    codec = tosc(places="local", middle=[[4, 1]], image_shape=[40, 40, 1], fading="rayleigh")
    values = np.zeros((60, 40, 40, 2), np.float32)
    there = codec.link.carry(values, column(6.0, 60), noise_of(codec, 60, seed=3))
    found = numbers(there.received).reshape(60, -1).var(axis=1)
    power = numbers(there.power).ravel()
    assert (power < 50.0).any() and found[power < 50.0] == pytest.approx(power[power < 50.0], rel=0.15)
    gains = 0.5 * 10**-0.6 / power
    assert gains.mean() == pytest.approx(1.0, abs=0.35) and gains.std() > 0.5


def test_uniform_pairs_become_normal_ones() -> None:
    pairs = numbers(gaussian(np.random.default_rng(0).random((200_000, 2), dtype=np.float32)))
    assert pairs.mean(axis=0) == pytest.approx([0, 0], abs=0.01)
    assert np.cov(pairs.T) == pytest.approx(np.eye(2), abs=0.01)
    assert (np.abs(pairs[:, 0]) > 2).mean() == pytest.approx(0.0455, abs=0.003)
    assert np.isfinite(numbers(gaussian(np.zeros((1, 2), np.float32)))).all()


def test_the_noise_of_bits_is_the_error_that_flipped_bits_make() -> None:
    """Of five centres, so that some received numbers stand for the last one."""
    codec = tosc(channel="bits", levels=5)
    link, rng = codec.link, np.random.default_rng(0)
    centres = np.array([-1.5, -0.4, 0.1, 0.5, 2.0], np.float32)
    link.quantiser.raw_centres.assign(centres)
    ranks = np.tile(np.arange(5), 7)[:32].reshape(1, *codec.sizes.latent_shape).astype(np.int32)
    for ber in (0.0, 0.01, 0.2):
        many = np.repeat(ranks, 20_000, axis=0)
        noise = rng.random((*many.shape, 3), dtype=np.float32)
        received = numbers(link.values(BinarySymmetricChannel(3)(many, column(ber, 20_000), noise)))
        error = np.square(received - centres[many]).mean(axis=0) + np.square(np.diff(centres)).mean() / 12
        power = numbers(link.noise_power(ranks, column(ber, 1)))[0]
        np.testing.assert_allclose(power, error, rtol=0.12, atol=2e-3)
    assert differing_bits(2, 1).tolist() == [[0, 1], [1, 0]]


def test_lost_values_do_not_matter(codec: Any) -> None:
    codes = numbers(codec.codes(IMAGES))
    erased = np.random.default_rng(3).random(codes.shape) < 0.5
    first, second = (numbers(codec.values(c, erased)) for c in (codes, np.where(erased, 1, codes)))
    np.testing.assert_array_equal(first, second)
    assert (first[erased] == 0).all()


def test_a_clean_channel_gives_what_the_codes_decode_to(codec: Any) -> None:
    clean, quiet = (0.0, np.ones) if codec.sizes.channel == "bits" else (90.0, np.zeros)
    noise = quiet((5, *codec.noise_shape()), np.float32)
    if codec.sizes.fading != "none":
        noise[:, 0, 0] = 0.6  # a gain that is not 0
    state = column(codec.default_state)
    through = codec.forward(IMAGES, column(clean), noise, training=False, state=state)[0]
    decoded = codec.decode(codec.codes(IMAGES), column(clean))
    np.testing.assert_allclose(numbers(through), numbers(decoded), atol=0.05)


def test_sizes_go_through_json_and_build_the_same_structure(codec: Any) -> None:
    sizes = sizes_of("tosc", dataclasses.asdict(codec.sizes))
    assert sizes == codec.sizes and sizes.payload_bytes == codec.payload_bytes
    again = create("tosc", dataclasses.asdict(sizes))
    for name, part in codec.parts().items():
        assert [w.shape for w in again.parts()[name].weights] == [w.shape for w in part.weights]


def test_every_weight_that_is_trained_can_be_saved(codec: Any) -> None:
    saved = {id(weight) for part in codec.parts().values() for weight in part.weights}
    assert {id(weight) for weight in codec.trainable_weights} <= saved


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel": "light"},
        {"fading": "snow"},
        {"channel": "bits", "fading": "rayleigh"},
        {"snr_low": 6.0, "snr_high": 6.0},
        {"latent": 31},
        {"levels": 8},
        {"channel": "bits", "levels": 40},
        {"bottleneck": -1.0},
        {"dropout": 1.0},
        {"classes": 1},
        {"middle": [[0, 2]]},
        {"summary": 0},
        {"places": "somewhere"},
        {"places": "local", "image_shape": [4000, 4000, 1]},
    ],
)
def test_sizes_that_cannot_be_built_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        sizes_of("tosc", wrong)


def test_a_payload_has_the_size_that_the_paper_of_the_recipes_says() -> None:
    assert sizes_of("tosc", {"image_shape": [32, 32, 3]}).payload_bytes == 32
    assert sizes_of("tosc", {"image_shape": [64, 64, 3], "places": "local"}).payload_bytes == 32
    assert sizes_of("tosc", {"channel": "bits"}).payload_bytes == 12
    assert sizes_of("tosc", {"channel": "bits", "places": "local"}).payload_bytes == 12


def test_the_state_is_seen_between_minus_one_and_one() -> None:
    assert [float(seen_state(state)) for state in (0.0, 3.5, 7.0)] == [-1.0, 0.0, 1.0]


STEPS = """
import numpy as np, keras
assert keras.backend.backend() == "BACKEND"
from semflash.codecs.registry import create
from semflash.codecs.tosc.stages import DistilStage, PolishStage
rng = np.random.default_rng(0)
for sizes in (dict(), dict(channel="bits"), dict(fading="rayleigh")):
    keras.utils.set_random_seed(0)
    codec = create("tosc", dict(middle=[[4, 2], [6, 2], [8, 2]], summary=12, decoder_width=16, dropout=0.0,
    **sizes)) quality = rng.choice(codec.sizes.state_levels, (16, 1)).astype(np.float32)
    state = np.asarray(codec.state_of(quality))
    x = {"image": rng.random((16, 28, 28, 1), dtype=np.float32), "quality": quality, "told": quality,
         "state": state, "noise": rng.random((16, *codec.noise_shape()), dtype=np.float32),
         "answer": rng.normal(0, 3, (16, 10)).astype(np.float32)}
    labels = np.arange(16, dtype=np.int32) % 10
    model = DistilStage(codec, 0.7, 3.0)
    model.compile(optimizer=keras.optimizers.AdamW(1e-2), jit_compile="BACKEND" == "jax")
    before = [np.array(w) for w in codec.trainable_weights]
    losses = [float(model.train_on_batch(x, labels)) for _ in range(10)]
    still = [w.path for w, b in zip(codec.trainable_weights, before) if not np.abs(np.array(w) - b).max() > 0]
    assert losses[-1] < losses[0] and not still, (sizes, losses, still)
    x["codes"] = np.array(codec.codes(x["image"], state)).astype(np.int32)
    polish = PolishStage(codec, 0.7, 3.0)
    for name, part in codec.parts().items():
        part.trainable = name == "decoder"
    polish.compile(optimizer=keras.optimizers.AdamW(1e-2), jit_compile="BACKEND" == "jax")
    device = [np.array(w) for w in codec.encoder.weights + codec.projection.weights]
    losses = [float(polish.train_on_batch(x, labels)) for _ in range(10)]
    after = codec.encoder.weights + codec.projection.weights
    assert losses[-1] < losses[0] and all((np.array(w) == b).all() for w, b in zip(after, device)), losses
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", [keras.backend.backend(), "jax"])
def test_every_weight_learns_and_the_loss_falls(backend: str) -> None:
    if backend == "jax":
        pytest.importorskip("jax")
    script = STEPS.replace("BACKEND", backend)
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
