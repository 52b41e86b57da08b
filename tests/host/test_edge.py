"""Golden payloads and edge decoding of the tiny bundle, without TensorFlow (test_export compares Keras)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from semflash.bundle import Bundle, read_bundle
from semflash.bundle.packing import pack
from semflash.bundle.version1 import contract_of
from semflash.edge.decoder import BATCH, EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BundleError, DatasetError, ModelError, ToolMissingError, UsageError
from semflash.program.reference.tails import codes
from semflash.runtime import litert

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise, smooth ramps and the two extremes."""
    rng = np.random.default_rng(0)
    ramp = np.arange(28, dtype=np.uint8)[:, None, None] * np.arange(28, dtype=np.uint8)[None, :, None] // 3
    noise = rng.integers(0, 256, (130, 28, 28, 1), np.uint8)
    return np.concatenate([noise, [ramp, 255 - ramp, np.zeros_like(ramp), np.full_like(ramp, 255)]])


def test_golden_payloads_equal_tflite_micro(bundle: Bundle, images: np.ndarray) -> None:
    runtime = pytest.importorskip("tflite_micro").runtime
    interpreter = runtime.Interpreter.from_bytes(bundle.models["encoder"], arena_size=1 << 20)
    latents = []
    for image in images.astype(np.int16) - 128:
        interpreter.set_input(image.astype(np.int8)[None], 0)
        interpreter.invoke()
        latents.append(interpreter.get_output(0))
    expected = pack(codes(np.concatenate(latents), bundle.written.device_tail), 3)
    np.testing.assert_array_equal(GoldenEncoder(bundle).payloads(images), expected)


def test_golden_payloads_do_not_depend_on_the_batch(bundle: Bundle, images: np.ndarray) -> None:
    golden = GoldenEncoder(bundle)
    together = golden.payloads(images)
    assert together.shape == (len(images), bundle.payload_bytes) and together.dtype == np.uint8
    single = np.concatenate([golden.payloads(image[None]) for image in images])
    np.testing.assert_array_equal(together, single)
    assert golden.payloads(images[:0]).shape == (0, bundle.payload_bytes)


def test_images_of_the_wrong_size_are_refused(bundle: Bundle) -> None:
    with pytest.raises(DatasetError, match="28, 28, 1"):
        GoldenEncoder(bundle).payloads(np.zeros((1, 32, 32, 3), np.uint8))


def test_logits_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    rng = np.random.default_rng(1)
    payloads = rng.integers(0, 256, (BATCH + 37, bundle.payload_bytes), np.uint8)
    ber = rng.uniform(0, 0.06, len(payloads))
    decoder = EdgeDecoder(bundle)
    together = decoder.logits(payloads, ber)
    assert together.shape == (BATCH + 37, 10) and together.dtype == np.float32
    some = [0, 5, BATCH - 1, BATCH, BATCH + 36]
    single = np.concatenate([decoder.logits(payloads[i : i + 1], ber[i]) for i in some])
    np.testing.assert_allclose(together[some], single, rtol=1e-5, atol=1e-5)
    assert decoder.logits(payloads[:0], 0.0).shape == (0, 10)
    assert decoder.features(payloads[:3], 0.01).shape == (3, 16)


def test_the_decoder_listens_to_the_bit_error_rate(bundle: Bundle) -> None:
    payloads = np.random.default_rng(2).integers(0, 256, (4, bundle.payload_bytes), np.uint8)
    decoder = EdgeDecoder(bundle)
    assert np.abs(decoder.logits(payloads, 0.0) - decoder.logits(payloads, 0.06)).max() > 1e-4


def test_payloads_and_rates_out_of_range_are_refused(bundle: Bundle) -> None:
    decoder = EdgeDecoder(bundle)
    good = np.zeros((2, bundle.payload_bytes), np.uint8)
    with pytest.raises(BundleError, match="24"):
        decoder.logits(good[:, :-1], 0.0)
    with pytest.raises(BundleError, match="uint8"):
        decoder.logits(good.astype(np.int64), 0.0)  # type: ignore[arg-type]
    for ber in (-0.01, 0.6, float("nan")):
        with pytest.raises(UsageError, match="bit error rate"):
            decoder.logits(good, ber)
    with pytest.raises(UsageError, match="one per payload"):
        decoder.logits(good, [0.01] * 3)


def test_a_contract_with_another_latent_scale_is_refused(bundle: Bundle) -> None:
    graph = bundle.written.device_graphs[0]
    other = msgspec.structs.replace(graph, scale=graph.scale * 1.01)
    contract = contract_of(msgspec.structs.replace(bundle.written, device_graphs=[other]))
    with pytest.raises(BundleError, match="disagree"):
        GoldenEncoder(dataclasses.replace(bundle, contract=contract))


def test_exchanged_edge_models_are_refused(bundle: Bundle) -> None:
    names = bundle.written.decoder.file, bundle.written.task_tail.file
    files = {**bundle.files, names[0]: bundle.files[names[1]], names[1]: bundle.files[names[0]]}
    with pytest.raises(BundleError, match=r"decoder\.tflite"):
        EdgeDecoder(dataclasses.replace(bundle, files=files))


def test_an_encoder_in_place_of_the_tail_is_refused(bundle: Bundle) -> None:
    files = {**bundle.files, bundle.written.task_tail.file: bundle.models["encoder"]}
    with pytest.raises(BundleError):
        EdgeDecoder(dataclasses.replace(bundle, files=files))


def test_a_model_that_litert_cannot_load_is_refused(bundle: Bundle) -> None:
    junk = b"\x18\0\0\0TFL3" + bytes(64)
    with pytest.raises(ModelError, match=r"decoder\.tflite"):
        litert.load_interpreter(junk, "decoder.tflite")
    with pytest.raises(BundleError, match=r"decoder\.tflite"):
        EdgeDecoder(dataclasses.replace(bundle, files={**bundle.files, bundle.written.decoder.file: junk}))


def test_a_missing_runtime_is_said(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "_RUNTIMES", ("no_such_runtime.interpreter",))
    with pytest.raises(ToolMissingError, match="LiteRT") as caught:
        EdgeDecoder(bundle)
    assert "pip install ai-edge-litert" in caught.value.remedy
