"""The family tokens: hard masks as on the device, nested symbols of unit power, gradients, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from keras import ops  # noqa: E402

from fakes.token_codecs import SMALL, pictures, tokens_codec  # noqa: E402
from semflash.codecs.registry import create, sizes_of  # noqa: E402
from semflash.codecs.tokens.beginning import begin  # noqa: E402
from semflash.codecs.tokens.receiver import use_table  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.tasks.transformer import build_transformer  # noqa: E402

PLACES, WIDTHS = 20, (2, 4, 16)


@pytest.fixture(scope="module")
def codec() -> Any:
    return tokens_codec()


def images(count: int) -> np.ndarray:
    return pictures(count, 3).astype(np.float32) / 255


def carried(codec: Any, x: np.ndarray, share: float, choice: int, **more: Any) -> tuple[Any, Any]:
    count = len(x)
    noise = np.random.default_rng(0).standard_normal((count, *codec.noise_shape())).astype(np.float32)
    return codec.carry(
        x,
        np.full((count, 1), share, np.float32),
        codec.use_of(choice),
        np.full((count, 1), 20.0, np.float32),
        noise,
        **more,
    )


def test_what_goes_between_the_networks_of_the_diagram() -> None:
    codec = create("tokens", {})
    assert codec.stem.output_shape == (None, 8, 8, 64) and codec.sizes.latent_shape == (64, 48)
    assert [tuple(i.shape[1:]) for i in codec.decoder.inputs] == [
        (64, 4), (64, 8), (64, 16), (64, 48), (8, 8), (1,),
    ]  # fmt: skip
    assert codec.decoder.output_shape == (None, 10)


def test_codes_are_levels_and_symbols_of_unit_power(codec: Any) -> None:
    x = images(16)
    for choice, width in enumerate(WIDTHS):
        codes = np.asarray(codec.codes(x, 128, choice))
        levels, rest = codes[:, :PLACES], codes[:, PLACES:]
        assert set(np.unique(levels)) == {0, choice + 1}
        start = PLACES * sum(WIDTHS[:choice])
        own = rest[:, start : start + PLACES * width].reshape(16, PLACES, width)
        others = np.delete(rest, np.s_[start : start + PLACES * width], axis=1)
        assert (others == 0).all() and (own[levels == 0] == 0).all()
        power = 2 * np.square(own[levels > 0] / 40).mean(axis=1)
        assert np.abs(power - 1).max() < 0.1 and power.mean() == pytest.approx(1, abs=0.02)
    counts = [(np.asarray(codec.codes(x, share))[:, :PLACES] > 0).sum(axis=1) for share in (1, 51, 255)]
    for share, found in zip((1, 51, 255), counts, strict=True):
        assert (found >= 1).all() and (found <= codec.sizes.kept_at_most(share)).all()


def test_a_dropped_token_changes_nothing(codec: Any) -> None:
    """As on the device, it is out of the softmax."""
    x = images(6)
    features = ops.convert_to_numpy(codec.stem(x))
    keep = np.ones((6, PLACES), np.float32)
    keep[:, 5:] = 0
    other = features.copy().reshape(6, PLACES, -1)
    other[:, 5:] += 50.0
    share = np.full((6, 1), 255, np.float32)
    first = codec.sender.select(features, share, ops.convert_to_tensor(keep)).tokens
    second = codec.sender.select(other.reshape(features.shape), share, ops.convert_to_tensor(keep)).tokens
    assert np.allclose(first[:, :5], second[:, :5], atol=1e-5)
    assert not np.allclose(first[:, 5:], second[:, 5:], atol=1e-5)


def test_the_decoder_reads_codes_as_training_carries_them(codec: Any) -> None:
    """At 20 dB without noise: the path of training and that of the payload."""
    x = images(8)
    quality = np.full((8, 1), 20.0, np.float32)
    codes = codec.codes(x, 51, 1)
    by_codes = np.asarray(codec.outputs(None, codes, quality))
    silent = np.zeros((8, *codec.noise_shape()), np.float32)
    share = np.full((8, 1), 51, np.float32)
    by_training, trace = codec.carry(x, share, codec.use_of(1), quality, silent)
    assert np.allclose(by_codes, np.asarray(by_training), atol=1e-3)
    assert np.array_equal(np.asarray(codes)[:, :PLACES] > 0, np.asarray(trace["keep"]) > 0.5)


def test_an_image_that_was_lost_gets_an_answer(codec: Any) -> None:
    nothing = np.zeros((2, codec.sizes.code_items), np.int32)
    logits = np.asarray(codec.outputs(None, nothing, np.zeros((2, 1), np.float32)))
    assert np.isfinite(logits).all() and np.allclose(logits[0], logits[1])


def test_every_weight_gets_a_gradient() -> None:
    tf = pytest.importorskip("tensorflow")
    codec = tokens_codec()
    with tf.GradientTape() as tape:
        logits, trace = carried(codec, images(8), 90.0, 2, training=True)
        loss = ops.mean(ops.square(logits)) + ops.mean(ops.square(trace["shares"][-1] - 0.3))
    weights = codec.trainable_weights
    found = tape.gradient(loss, weights)
    missing = [w.path for w, g in zip(weights, found, strict=True) if g is None or not np.any(g)]
    # the last block's queries of dropped tokens aside, everything matters
    assert [path for path in missing if not path.endswith("qkv/bias")] == []


def test_rayleigh_fading_takes_a_gain_for_the_image() -> None:
    codec = tokens_codec(fading="rayleigh")
    assert codec.noise_shape() == (PLACES * 8 + 1, 2)
    values = np.full((2, PLACES, 16), 0.5, np.float32)
    noise = np.random.default_rng(1).standard_normal((2, *codec.noise_shape())).astype(np.float32)
    deep = noise.copy()
    deep[:, 0] = 0.01
    snr = np.full((2, 1), 10.0, np.float32)
    plain, faded = (np.asarray(codec.over_the_air(values, snr, each)) - values for each in (noise, deep))
    assert np.square(faded).mean() > 50 * np.square(plain).mean()


def test_the_use_of_a_choice_is_nested() -> None:
    table = use_table(sizes_of("tokens", SMALL))
    assert table.sum(axis=1).tolist() == list(WIDTHS) and (np.diff(table, axis=0) >= 0).all()


def test_a_transformer_is_the_beginning_where_sizes_fit() -> None:
    """The first block gives what its own gives but for the perceptron, whose GELU is a ReLU here."""
    keras.utils.set_random_seed(3)
    head, tail = build_transformer((32, 40, 3), 10, (4, 8, 16))
    codec = tokens_codec(heads=4, hidden=32)
    assert begin(codec, tail)
    block = tail.get_layer("block_1")
    x = np.random.default_rng(0).standard_normal((2, PLACES, 16)).astype(np.float32)
    normed = block.before(x)
    attended = x + block.attention(normed, normed)
    wanted = attended + block.narrow(ops.relu(_before(block, attended)))
    found = codec.sender.blocks[0](x, np.ones((2, PLACES), np.float32))
    assert np.allclose(np.asarray(found), np.asarray(wanted), atol=1e-4)
    assert np.array_equal(np.asarray(codec.receiver.token), np.asarray(tail.get_layer("class_block").token))
    assert not begin(tokens_codec(), tail)
    assert not begin(codec, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    assert head.output_shape == (None, 4, 5, 16)


def _before(block: Any, x: Any) -> Any:
    """The hidden layer before its activation."""
    normed = block.between(x)
    return ops.matmul(normed, block.wide.kernel) + block.wide.bias


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_shape": (60, 64, 3)}, "multiples of 8"),
        ({"image_shape": (128, 64, 3)}, "at most 64 tokens"),
        ({"width": 18}, "multiples of 4"),
        ({"symbols_each": (4, 2)}, "rise"),
        ({"symbols_each": (2, 40)}, "rise"),
        ({"symbols_default": 3}, "one of the choices"),
        ({"share_default": 0}, "its share 1 to"),
        ({"fading": "rician"}, "unknown fading"),
        ({"snr_low": 30.0}, "snr_low"),
        ({"stem": (4,)}, "two channels"),
        ({"levels": 16}, "a byte each"),
    ],
)
def test_sizes_that_cannot_be_built(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sizes_of("tokens", SMALL | changes)
