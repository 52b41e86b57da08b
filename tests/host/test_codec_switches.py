"""SemanticNN's rate knobs and ablation switches, by what they do; the codec as released; rate tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from semflash.codecs.device_side import GdnTailSpec, TableTailSpec  # noqa: E402
from semflash.codecs.layers.channel import BerRange  # noqa: E402
from semflash.codecs.layers.quantiser import CentreQuantiser  # noqa: E402
from semflash.codecs.registry import create  # noqa: E402
from semflash.codecs.semanticnn.codec import SemanticNN, SemanticNNSizes  # noqa: E402
from semflash.errors import UsageError  # noqa: E402
from semflash.training.rates import OWN, rate_table, rates_text  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe  # noqa: E402

SMALL = {"stem": 4, "middle": [[6, 1], [4, 2]], "latent": 4, "decoder_width": 8}


def small(**sizes: object) -> SemanticNN:
    return SemanticNN(SemanticNNSizes.from_dict(SMALL | sizes))


def numpy(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def pictures(codec: SemanticNN, count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((count, *codec.sizes.image_shape), dtype=np.float32)


@pytest.mark.parametrize(
    ("image", "stride", "crop"),
    [
        ((28, 28, 1), None, 1.0),
        ((28, 28, 1), 2, 1.0),
        ((28, 28, 1), 4, 0.75),
        ((28, 28, 1), 16, 1.0),
        ((30, 21, 3), None, 0.4),
        ((30, 21, 3), 2, 0.75),
        ((30, 21, 3), 8, 1.0),
        ((30, 21, 3), 16, 0.75),
    ],
)
def test_sizes_know_the_latent_that_the_built_encoder_gives(
    stride: int | None, crop: float, image: tuple[int, int, int]
):
    features = (image[0] // 2, image[1] // 2, 5)
    codec = small(image_shape=image, feature_shape=features, stride=stride, crop=crop)
    assert codec.device_graph.output_shape[1:] == codec.sizes.latent_shape == codec.values_shape()
    assert codec.payload_bytes == codec.sizes.payload_bytes
    quality = np.zeros((1, 1), np.float32)
    decoded = numpy(codec.decode(codec.codes(pictures(codec, 1)), quality))
    assert decoded.shape[1:] == features


def test_a_crop_encodes_the_middle_only_and_the_decoder_pads_back():
    codec = small(crop=0.5)  # rows 3..9 of the pooled 14, pixels 6..20, and one pixel more for the stem
    images = pictures(codec)
    other = images.copy()
    other[:, :5] = other[:, 22:] = other[:, :, :5] = other[:, :, 22:] = 0.5
    assert (numpy(codec.device_graph(images)) == numpy(codec.device_graph(other))).all()
    inside = images.copy()
    inside[:, 14, 14] = 1 - inside[:, 14, 14]
    assert (numpy(codec.device_graph(images)) != numpy(codec.device_graph(inside))).any()
    features = numpy(codec.decode(codec.codes(images), np.zeros((4, 1), np.float32)))
    frame = np.ones((14, 14), bool)
    frame[3:10, 3:10] = False
    assert (features[:, frame] == 0).all() and (features[:, ~frame] > 0).any()


@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ({"stride": 12}, "power of two"),
        ({"stride": 1}, "power of two"),
        ({"stride": 32}, "3 convolutions after the pool reach a stride of 16"),
        ({"stride": 2, "feature_shape": (7, 7, 4)}, "would be larger than the features"),
        ({"crop": 0.0}, "crop"),
        ({"crop": 1.2}, "crop"),
        ({"levels": 17}, "centres"),
        ({"levels": 6, "labels": "gray"}, "Gray labels need"),
        ({"labels": "random"}, "labelling"),
        ({"latent": 0}, "channels"),
        ({"image_shape": (224, 224, 3), "feature_shape": (112, 112, 4), "stride": 2, "latent": 64}, "65,535"),
    ],
)
def test_a_combination_that_cannot_be_built_says_why(sizes: dict[str, object], match: str):
    with pytest.raises(UsageError, match=match):
        SemanticNNSizes.from_dict(SMALL | sizes)


def test_neighbouring_gray_codes_differ_in_one_bit_and_decode_to_their_centres():
    natural, gray = CentreQuantiser(8), CentreQuantiser(8, labels="gray")
    for layer in (natural, gray):
        layer.build((None, 1))
    x = np.linspace(-2, 2, 401, dtype=np.float32)
    codes = numpy(gray.codes(x))
    changed = codes[1:] ^ codes[:-1]
    assert set(np.bitwise_count(changed.astype(np.uint8)).tolist()) == {0, 1} and set(codes.tolist()) == set(
        range(8)
    )
    assert (numpy(gray.values(codes)) == numpy(natural.values(natural.codes(x)))).all()
    assert (numpy(gray(x)) == numpy(natural(x))).all()


def test_without_gdn_the_device_tail_is_a_table_that_reproduces_the_codes():
    codec = small(gdn=False, labels="gray")
    codec.prelu.raw_alpha.assign(np.float32([0.1, 0.3, 0.6, 1.0]))
    images = pictures(codec, 20)
    spec = codec.device_tail()
    assert isinstance(spec, TableTailSpec) and spec.thresholds.shape == (4, 7) and "gdn" not in codec.parts()
    latent = numpy(codec.device_graph(images)).astype(np.float64) * 20
    y = np.where(latent > 0, latent, numpy(codec.prelu.alpha) * latent)
    ranks = np.abs(y[..., None] - spec.centres).argmin(-1)
    found = (latent[..., None] > spec.thresholds).sum(-1)
    assert (found != ranks).mean() < 1e-3 and len(np.unique(found)) > 4
    assert spec.labels is not None and spec.labels.tolist() == [0, 1, 3, 2, 6, 7, 5, 4]
    assert not [layer for layer in codec.decoder.layers if type(layer).__name__ == "GDN"]


def test_with_gdn_gray_labels_are_handed_to_the_export():
    spec = small(labels="gray").device_tail()
    assert isinstance(spec, GdnTailSpec) and spec.labels is not None and spec.labels[2] == 3


def test_fixed_centres_are_not_among_what_is_trained():
    names = {v.path for v in small(learn_centres=False).quantiser.trainable_variables}
    assert not names and len(small().quantiser.trainable_variables) == 1


def test_a_decoder_without_ber_gives_the_same_whatever_it_is_told():
    keras.utils.set_random_seed(0)
    values = np.random.default_rng(0).normal(size=(1, 4, 4, 4)).astype(np.float32)
    for aware in (True, False):
        codec = small(decoder_ber=aware)
        told = [numpy(codec.decoder([values, np.float32([[ber]])])) for ber in (0.0, 1e-3, 0.05)]
        assert (np.abs(told[0] - told[2]).max() > 1e-5) == aware
        assert (told[0] == told[1]).all() == (not aware)


def test_the_decoder_hears_what_it_is_told_and_the_channel_does_what_is_true():
    codec = small()
    images = pictures(codec)
    noise = np.random.default_rng(1).random((4, *codec.noise_shape()), dtype=np.float32)
    true, told = np.full((4, 1), 0.05, np.float32), np.full((4, 1), 1e-3, np.float32)
    found = numpy(codec.transmit(images, true, noise, training=False, told=told))
    received = codec.bit_channel(codec.codes(images), true, noise)
    assert found == pytest.approx(numpy(codec.decode(received, told)), abs=1e-5)
    assert np.abs(found - numpy(codec.transmit(images, true, noise, training=False))).max() > 1e-5


def test_an_erased_code_becomes_the_mean_of_the_centres():
    codec = small()
    codes = numpy(codec.codes(pictures(codec)))
    erased = np.zeros(codes.shape, bool)
    erased[:, 1] = True
    values = numpy(codec.values(codes, erased))
    centres = numpy(codec.quantiser.centres)
    assert values[:, 1] == pytest.approx(centres.mean(), abs=1e-6)
    assert (values[:, 2] == centres[codes[:, 2]]).all()


def test_the_released_codec_swaps_symbols_and_keeps_its_centres():
    codec = create("semanticnn-released", SMALL)
    assert codec.family == "semanticnn-released" and not codec.quantiser.trainable_variables
    codes = numpy(codec.codes(pictures(codec, 50)))
    noise = np.random.default_rng(0).random((50, *codec.noise_shape()), dtype=np.float32)
    received = numpy(codec.through_channel(codes, np.full((50, 1), 0.2, np.float32), noise))
    swapped = (received != codes).mean()
    assert swapped == pytest.approx(0.2 * 7 / 8, abs=0.02) and received.min() >= 0 and received.max() <= 7
    assert (numpy(codec.through_channel(codes, np.zeros((50, 1), np.float32), noise)) == codes).all()
    with pytest.raises(UsageError, match="use the family semanticnn"):
        create("semanticnn-released", SMALL | {"learn_centres": True})


def test_switches_survive_json():
    sizes = small(stride=4, crop=0.5, gdn=False, labels="gray", learn_centres=False, decoder_ber=False).sizes
    assert SemanticNNSizes.from_dict(dataclasses.asdict(sizes)) == sizes


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_a_told_ber_is_log_normal_around_the_truth_and_zero_is_sometimes_a_small_number(sigma: float):
    rng = np.random.default_rng(0)
    ber = np.full((40_000, 1), 2e-3, np.float32)
    ber[:20_000] = 0.0
    told = BerRange(low=1e-4).tell(ber, sigma, rng)
    assert told.dtype == np.float32 and told.min() >= 0.0 and told.max() <= 0.5
    logs = np.log(told[20_000:] / 2e-3)
    assert logs.mean() == pytest.approx(0.0, abs=0.03) and logs.std() == pytest.approx(sigma, rel=0.03)
    clean = told[:20_000]
    assert (clean == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert np.median(clean[clean > 0]) == pytest.approx(1e-4, rel=0.05)
    assert BerRange().tell(np.float32([[0.4]]), 3.0, rng).max() <= 0.5


def test_the_rate_table_has_the_paper_s_numbers():
    recipe = dataclasses.replace(codec_recipe("fashion-mnist-48"))
    resnet = dataclasses.replace(recipe, sizes=recipe.sizes | {"stride": 16, "latent": 32})
    own = rate_table(resnet, (224, 224, 3), (56, 56, 64))[0]
    assert (own.knob, own.payload_bytes, own.symbols, own.bits) == (OWN, 2352, 6272, 3)
    assert own.against_features == pytest.approx(341.3, abs=0.05)
    mobilenet = dataclasses.replace(recipe, sizes=recipe.sizes | {"stride": 8, "latent": 12})
    assert rate_table(mobilenet, (224, 224, 3), (112, 112, 24))[0].payload_bytes == 3528


def test_the_rate_table_turns_one_knob_at_a_time_and_leaves_out_what_cannot_be_built():
    rows = {row.knob: row for row in rate_table(codec_recipe("fashion-mnist-48"), (28, 28, 1), (14, 14, 16))}
    assert rows[OWN].payload_bytes == 48 and rows[OWN].against_image == pytest.approx(784 / 48, abs=0.01)
    assert rows["latent=4"].payload_bytes == 24 and rows["levels=4"].payload_bytes == 32
    assert rows["crop=0.5"].latent_shape == (2, 2, 8)
    text = rates_text(list(rows.values()))
    assert len(text.splitlines()) == len(rows) + 1 and "261.3x" in text
    large = rate_table(codec_recipe("fashion-mnist-48"), (28, 28, 1), (4, 4, 16))
    assert "stride=4" not in {row.knob for row in large}
