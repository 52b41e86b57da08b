"""SemanticNN as a whole: shapes, payload, parameters for the device, the registry."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from semflash.codecs.base import Codec  # noqa: E402
from semflash.codecs.registry import create, families  # noqa: E402
from semflash.codecs.semanticnn.codec import SemanticNN, SemanticNNSizes  # noqa: E402
from semflash.errors import UsageError  # noqa: E402


def small(**sizes: object) -> SemanticNN:
    given = {"stem": 4, "middle": [[4, 2]], "latent": 4, "decoder_width": 8} | sizes
    return SemanticNN(SemanticNNSizes.from_dict(given))


def numpy(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def batch(codec: SemanticNN, count: int = 3, ber: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.random((count, *codec.sizes.image_shape), dtype=np.float32)
    noise = rng.random((count, *codec.noise_shape()), dtype=np.float32)
    return images, np.full((count, 1), ber, np.float32), noise


@pytest.mark.parametrize("levels", [2, 3, 4, 8, 16])
def test_shapes_and_payload_for_2_to_16_centres(levels: int):
    codec = small(levels=levels)
    bits = (levels - 1).bit_length()
    assert codec.noise_shape() == (4, 4, 4, bits)
    assert codec.bits_per_code() == bits and codec.payload_bytes == 8 * bits
    images, ber, noise = batch(codec, ber=0.05)
    assert numpy(codec.transmit(images, ber, noise, training=False)).shape == (3, 14, 14, 16)
    codes = numpy(codec.codes(images))
    assert codes.shape == (3, 4, 4, 4) and codes.min() >= 0 and codes.max() < levels


@pytest.mark.parametrize(("latent", "size_bytes"), [(8, 48), (4, 24)])
def test_the_zoo_sizes_give_48_and_24_bytes(latent: int, size_bytes: int):
    assert small(latent=latent).payload_bytes == size_bytes


@pytest.mark.parametrize("image", [(32, 32, 3), (28, 28, 1), (30, 21, 1)])
def test_other_image_sizes_decode_to_the_size_of_the_features(image: tuple[int, int, int]):
    features = (image[0] // 2, image[1] // 2, 5)
    codec = small(image_shape=image, feature_shape=features)
    assert codec.decoder.output_shape[1:] == features


def test_bit_errors_change_what_the_decoder_gives():
    codec = small()
    images, clean, noise = batch(codec)
    undamaged = numpy(codec.transmit(images, clean, noise, training=False))
    damaged = numpy(codec.transmit(images, np.full_like(clean, 0.5), noise, training=False))
    assert np.abs(undamaged - damaged).max() > 1e-4


def test_the_decoder_listens_to_the_ber_it_is_told():
    keras.utils.set_random_seed(0)
    codec = small()
    values = np.random.default_rng(0).normal(size=(1, 4, 4, 4)).astype(np.float32)
    outputs = [numpy(codec.decoder([values, np.float32([[ber]])])) for ber in (0.0, 0.05)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-5


def test_the_device_tail_reproduces_the_codes_from_the_device_graph():
    codec = small()
    images, _, _ = batch(codec, 20)
    tail = codec.device_tail()
    x = numpy(codec.device_graph(images)).astype(np.float64)
    y = x / np.sqrt(tail.beta + (x**2) @ tail.gamma.astype(np.float64))
    y = np.where(y > 0, y, tail.alpha * y)
    expected = np.abs(y[..., None] - tail.centres).argmin(-1)
    assert (numpy(codec.codes(images)) != expected).mean() < 2e-3
    assert (tail.beta > 0).all() and (tail.gamma >= 0).all() and (tail.alpha > 0).all()
    assert (np.diff(tail.centres) > 0).all()


def test_the_device_graph_holds_only_layers_that_quantise_to_int8():
    allowed = {"InputLayer", "Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"}
    network = small().device().network
    assert {type(layer).__name__ for layer in network.layers} <= allowed


def test_every_family_of_the_registry_is_a_codec_and_its_sizes_survive_json():
    for family in families():
        codec = create(family, {})
        assert isinstance(codec, Codec) and codec.family == family
        again = create(family, dataclasses.asdict(codec.sizes))
        assert again.sizes == codec.sizes


def test_an_unknown_family_or_size_is_a_usage_error():
    with pytest.raises(UsageError, match="semanticnn"):
        create("jpeg", {})
    with pytest.raises(UsageError, match="colour"):
        create("semanticnn", {"colour": 3})


JAX_STEP = """
import dataclasses, numpy as np, keras
assert keras.backend.backend() == "jax"
from semflash.codecs.registry import create
from semflash.training.importance import IntegratedGradients, normalised, per_image_loss
from semflash.training.stages import AutoencoderStage, LossWeights, TaskStage
from semflash.tasks.residual import build_head, build_tail
sizes = dict(stem=4, middle=[], latent=4, decoder_width=8, feature_shape=(14, 14, 4))
rng = np.random.default_rng(0)
images, labels = rng.random((8, 28, 28, 1), dtype=np.float32), np.arange(8, dtype=np.int32)
head = build_head((28, 28, 1), 4)
teacher, tail = (build_tail((14, 14, 4), 8, (6,)) for _ in range(2))
features = np.asarray(head(images)) + 0.1
attribution = IntegratedGradients(teacher, 100)(features, labels)
change = np.asarray(per_image_loss(teacher, features, labels) - per_image_loss(teacher, features * 0, labels))
assert np.abs(attribution.sum((1, 2, 3)) - change).max() < 0.03 * np.abs(change).max(), change
importance = normalised(attribution, "pixel")[..., None]
cases = [("semanticnn", {}), ("semanticnn", dict(gdn=False, labels="gray", crop=0.75, decoder_ber=False)),
         ("semanticnn-released", {})]
for family, switches in cases:
    codec = create(family, sizes | switches)
    weights = LossWeights(feature=0.1, distillation=1.0, xai=0.3, usage=0.1)
    for model in (AutoencoderStage(codec, head, 1.0), TaskStage(codec, tail, head, teacher, 1.0, weights)):
        model.compile(optimizer=keras.optimizers.AdamW(1e-2), jit_compile=True)
        ber = np.full((8, 1), 0.02, np.float32)
        x = {"image": images, "ber": ber, "told": ber / 2,
             "noise": rng.random((8, *codec.noise_shape()), dtype=np.float32), "importance": importance}
        before = np.array(codec.quantiser.centres)
        losses = [float(model.train_on_batch(x, labels)) for _ in range(4)]
        assert np.isfinite(losses).all() and losses[-1] < losses[0], (family, switches, losses)
        assert (np.array(codec.quantiser.centres) != before).all() == (family == "semanticnn")
"""


def test_training_steps_run_on_the_jax_backend():
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", JAX_STEP], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
