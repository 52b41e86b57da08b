"""Exporting a small codec: the proof, the formulas, the refusals. Needs semflash[train]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from semflash.bundle import Bundle, read_bundle
from semflash.bundle.schema import GraphInput, QualityInput, ReceivedInput
from semflash.codecs.device_side import DeviceSpec, GdnTailSpec, Neutral
from semflash.codecs.edge_side import EdgeGraphSpec
from semflash.conversion.graphs import calibration_set, convert_int8, inspect_int8
from semflash.data.dataset import Dataset, Split
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BundleError, ExportError
from semflash.export.export import Origin, Target, export_codec
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.program.quality import Ber

CHANNELS = 4


@dataclass
class FakeCodec:
    """A random codec whose own encoder is written with Keras operations, apart from the code under test."""

    device_graph: Any
    gdn_beta: np.ndarray
    gdn_gamma: np.ndarray
    prelu_alpha: np.ndarray
    centres: np.ndarray
    decoder: Any
    tail: Any

    family, family_version, sizes = "fake", 1, SimpleNamespace(image_shape=(12, 10, 1))
    picture = level_map = None

    @property
    def codec(self) -> FakeCodec:
        return self

    def device(self) -> DeviceSpec:
        tail = GdnTailSpec(self.gdn_beta, self.gdn_gamma, self.prelu_alpha, self.centres)
        return DeviceSpec.of_encoder(self.device_graph, tail, Ber(0.0, 0.06), 3, Neutral())

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        decoder = (ReceivedInput("latent", "codes"), QualityInput("ber"))
        return (
            EdgeGraphSpec("decoder", self.decoder, decoder),
            EdgeGraphSpec("tail", tail, (GraphInput("features", "decoder"),)),
        )

    def task(self, tail: Any) -> Task:
        return CLASSIFICATION

    def check_data(self, tail: Any, data: Dataset) -> None:
        """Labels are classes, as the data set of the tests has them."""

    def encode_codes(self, images: np.ndarray) -> np.ndarray:
        return self.codes(images.astype(np.float32) / np.float32(255))

    def codes(self, images: np.ndarray) -> np.ndarray:
        x = self.device_graph.predict(np.asarray(images), verbose=0)
        den = np.stack(
            [
                self.gdn_beta[j] + sum(x[..., i] ** 2 * self.gdn_gamma[i, j] for i in range(CHANNELS))
                for j in range(CHANNELS)
            ],
            axis=-1,
        )
        y = x / np.sqrt(den)
        y = np.maximum(y, 0) + self.prelu_alpha * np.minimum(y, 0)
        middle = (self.centres[1:] + self.centres[:-1]) / 2
        return (y[..., None] > middle).sum(-1).astype(np.uint8)


def make_codec() -> FakeCodec:
    keras.utils.set_random_seed(3)
    kl = keras.layers
    image = keras.Input((12, 10, 1))
    x = kl.MaxPooling2D()(kl.Conv2D(6, 3, padding="same", activation="relu")(image))
    device_graph = keras.Model(image, kl.Conv2D(CHANNELS, 3, strides=2, padding="same")(x))
    latent, ber = keras.Input((3, 3, CHANNELS), name="latent"), keras.Input((1,), name="ber")
    gate = kl.Dense(8, activation="sigmoid")(ber)
    features = kl.Multiply()([kl.Dense(8)(kl.Flatten()(latent)), gate])
    source = keras.Input((8,))
    rng = np.random.default_rng(1)
    return FakeCodec(
        device_graph,
        gdn_beta=rng.uniform(0.005, 0.02, CHANNELS).astype(np.float32),
        gdn_gamma=rng.uniform(0.0, 0.6, (CHANNELS, CHANNELS)).astype(np.float32),
        prelu_alpha=rng.uniform(0.2, 0.8, CHANNELS).astype(np.float32),
        centres=np.array([-0.5, -0.2, 0.1, 0.5, 1.0], np.float32),
        decoder=keras.Model([latent, ber], features),
        tail=keras.Model(source, kl.Dense(3)(source)),
    )


def make_dataset() -> Dataset:
    rng = np.random.default_rng(2)
    splits = [
        Split(rng.integers(0, 256, (n, 12, 10, 1), np.uint8), rng.integers(0, 3, n, np.int32))
        for n in (900, 200, 50)
    ]
    return Dataset("noise", *splits, ("a", "b", "c"))


@pytest.fixture(scope="module")
def codec() -> FakeCodec:
    return make_codec()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_dataset()


@pytest.fixture(scope="module")
def bundle(codec: FakeCodec, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("export") / "noise.semcodec"
    origin = Origin(recipe={"epochs": 0}, history=b"[]\n")
    return export_codec(codec, out, dataset, Target("noise", force=True), origin)


def test_the_exported_bundle_reads_back_with_its_proof(bundle: Bundle) -> None:
    again = read_bundle(bundle.path)
    assert again == bundle
    proof = again.record.proof
    assert proof is not None and proof.images == 1000 and proof.codes_differing == 0
    assert proof.codes_differing_from_float < 0.15
    assert again.record.operators == ["CONV_2D", "MAX_POOL_2D", "CONV_2D"]
    assert again.record.macs == 12 * 10 * 6 * 9 + 3 * 3 * CHANNELS * 9 * 6
    assert again.record.arena_bytes is not None and 1000 < again.record.arena_bytes < 20_000
    assert again.payload_bytes == -(-9 * CHANNELS * 3 // 8)


def test_the_arena_measured_is_the_smallest_that_runs(bundle: Bundle) -> None:
    from tflite_micro import runtime

    arena = bundle.record.arena_bytes
    assert arena is not None
    runtime.Interpreter.from_bytes(bundle.models["encoder"], arena_size=arena).invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(bundle.models["encoder"], arena_size=arena - 64).invoke()


def test_edge_decoding_equals_keras(bundle: Bundle, codec: FakeCodec, dataset: Dataset) -> None:
    golden = GoldenEncoder(bundle)
    images = dataset.test.images
    ber = np.linspace(0, 0.05, len(images), dtype=np.float32)
    latent = codec.centres[golden.run(images).tensors["codes"]]
    expected = codec.tail.predict(codec.decoder.predict([latent, ber[:, None]], verbose=0), verbose=0)
    found = EdgeDecoder(bundle).logits(golden.payloads(images), ber)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_int8_codes_are_close_to_the_float_codes(
    bundle: Bundle, codec: FakeCodec, dataset: Dataset
) -> None:
    found = GoldenEncoder(bundle).run(dataset.test.images).tensors["codes"].astype(int)
    expected = codec.encode_codes(dataset.test.images).astype(int)
    assert np.abs(found - expected).max() <= 2
    assert (found != expected).mean() < 0.15


def test_the_whole_graph_export_keeps_gdn_and_prelu_in_int8(
    codec: FakeCodec, dataset: Dataset, tmp_path: Path
) -> None:
    bundle = export_codec(
        codec, tmp_path / "whole.semcodec", dataset, Target("whole", whole_graph=True, force=True)
    )
    expected = ["CONV_2D", "MAX_POOL_2D", "CONV_2D", "MUL", "CONV_2D", "RSQRT", "MUL", "PRELU"]
    assert bundle.record.operators == expected
    found = GoldenEncoder(bundle).run(dataset.test.images).tensors["codes"].astype(int)
    assert (found != codec.encode_codes(dataset.test.images)).mean() < 0.25


def test_a_transposed_gamma_is_refused(codec: FakeCodec, dataset: Dataset, tmp_path: Path) -> None:
    class Transposed(FakeCodec):
        def codes(self, images: np.ndarray) -> np.ndarray:
            return codec.codes(images)

    wrong = Transposed(**{**vars(codec), "gdn_gamma": codec.gdn_gamma.T})
    with pytest.raises(ExportError, match="does not reproduce"):
        export_codec(wrong, tmp_path / "x.semcodec", dataset, Target("x"))
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_with_other_classes_is_refused(codec: FakeCodec, dataset: Dataset, tmp_path: Path) -> None:
    other = Dataset("noise", dataset.train, dataset.val, dataset.test, ("a", "b", "c", "d"))
    with pytest.raises(ExportError, match="4 classes"):
        export_codec(codec, tmp_path / "x.semcodec", other, Target("x"))
    assert list(tmp_path.iterdir()) == []


def test_an_alpha_of_zero_is_refused(codec: FakeCodec, dataset: Dataset, tmp_path: Path) -> None:
    wrong = FakeCodec(**{**vars(codec), "prelu_alpha": np.zeros(CHANNELS, np.float32)})
    with pytest.raises(ExportError, match="alpha > 0"):
        export_codec(wrong, tmp_path / "x.semcodec", dataset, Target("x"))


def test_an_existing_bundle_is_not_replaced_unless_asked(
    bundle: Bundle, codec: FakeCodec, dataset: Dataset
) -> None:
    with pytest.raises(BundleError, match="exists already"):
        export_codec(codec, bundle.path, dataset, Target("noise"))


def test_a_float_model_is_refused(codec: FakeCodec) -> None:
    data = tf.lite.TFLiteConverter.from_keras_model(codec.device_graph).convert()
    with pytest.raises(ExportError, match="not pure int8"):
        inspect_int8(data)


def test_a_float_island_is_refused(codec: FakeCodec, dataset: Dataset) -> None:
    image = keras.Input((12, 10, 1))
    x = codec.device_graph(image)
    model = keras.Model(image, keras.ops.relu(x) - 0.25 * keras.ops.square(keras.ops.relu(-x)))
    with pytest.raises(ExportError, match=r"not pure int8|requantises|does not convert"):
        convert_int8(model, dataset.train.images[:20])


def test_calibration_spans_the_full_range_with_the_least_change() -> None:
    images = np.full((3, 2, 2, 1), 100, np.uint8)
    values = calibration_set(images)
    assert values.min() == 0.0 and values.max() == 1.0
    assert (values != np.float32(100) / np.float32(255)).sum() == 2
    full = np.array([0, 255, 7, 9], np.uint8).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(calibration_set(full), full / np.float32(255))


def test_a_codec_that_learnt_nothing_is_exported_by_force_only_and_its_record_says_so(
    codec: FakeCodec, dataset: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    """The fixture is untrained, its labels are noise: a third right of three classes."""
    with pytest.raises(ExportError, match="learnt nothing") as caught:
        export_codec(codec, tmp_path / "x.semcodec", dataset, Target("x"))
    assert "--force" in caught.value.remedy and not (tmp_path / "x.semcodec").exists()
    assert "on 200 validation images is no better than guessing" in str(caught.value.value)
    assert bundle.record.recipe["forced"] == caught.value.value
    assert bundle.record.recipe["epochs"] == 0
    payloads = GoldenEncoder(bundle).payloads(dataset.val.images)
    labels = EdgeDecoder(bundle).logits(payloads, 0.0).argmax(1).astype(np.int32)  # learnt, as it were
    learnt = replace(dataset, val=Split(dataset.val.images, labels))
    exported = export_codec(codec, tmp_path / "y.semcodec", learnt, Target("y"))
    assert "forced" not in exported.record.recipe
