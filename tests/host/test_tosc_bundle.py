"""TOSC from Keras to device and edge: every state on the native device, and what the decoder is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("tensorflow", reason="the converter of int8 graphs is TensorFlow's")

from fakes.untrained import CLASSES, Untrained, images  # noqa: E402
from semflash.bundle.reader import Bundle, read_bundle  # noqa: E402
from semflash.codecs.registry import create  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.edge.decoder import EdgeDecoder  # noqa: E402
from semflash.edge.golden import GoldenEncoder  # noqa: E402
from semflash.edge.preprocess import to_int8  # noqa: E402
from semflash.errors import DatasetError  # noqa: E402
from semflash.export.export import Target, export_codec  # noqa: E402
from semflash.firmware.boards.descriptions import load_board  # noqa: E402
from semflash.firmware.building.firmware import build  # noqa: E402
from semflash.firmware.emulator.native import NativeDevice  # noqa: E402

Exported = tuple[Any, Bundle]
KINDS: dict[str, dict[str, Any]] = {
    "symbols": {},
    "bits": {"channel": "bits"},
    "local": {"places": "local"},
    "plain": {"adaptive": False},
}


def blocks(classes: tuple[str, ...] = CLASSES) -> Dataset:
    splits = (Split(images(n, n), np.arange(n, dtype=np.int32) % len(classes)) for n in (300, 100, 20))
    return Dataset("blocks", *splits, classes)


def made(sizes: dict[str, Any]) -> Any:
    """A codec with weights that nobody has trained, whose states differ."""
    keras.utils.set_random_seed(5)
    small = {"middle": [[4, 2], [6, 2], [8, 2]], "summary": 12, "decoder_width": 16}
    codec, rng = create("tosc", small | sizes), np.random.default_rng(5)
    parts = [codec.projection] + ([] if codec.adaptation is None else [codec.adaptation])
    for weight in (weight for part in parts for weight in part.weights):
        weight.assign(rng.normal(0.0, 0.6, weight.shape))
    found = np.asarray(
        codec.project(codec.encoder(images(200).astype(np.float32) / 255), np.full((200, 1), 3.0))
    )
    spread = found.std(axis=(0, 1, 2))
    codec.projection.kernel.assign(np.asarray(codec.projection.kernel) / spread)
    middle = found.mean(axis=(0, 1, 2)) - np.asarray(codec.projection.bias)
    codec.projection.bias.assign(-middle / spread)
    return codec


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    codec = made(KINDS[request.param])
    out = tmp_path_factory.mktemp(request.param) / "tosc.semcodec"
    return codec, export_codec(Untrained(codec, None), out, blocks(), Target("tosc", force=True))


def states(bundle: Bundle) -> list[dict[str, int]]:
    return [{"state": state} for state in range(8)] if bundle.program.controls else [{}]


def test_the_bundle_reads_back_with_its_proof(exported: Exported) -> None:
    codec, bundle = exported
    assert read_bundle(bundle.path) == bundle
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0
    assert bundle.payload_bytes == codec.sizes.payload_bytes
    assert bundle.contract.family == "tosc" and len(bundle.contract.edge) == 1


def test_the_native_device_sends_the_golden_payloads_in_every_state(
    exported: Exported, tmp_path: Path
) -> None:
    bundle, pictures = exported[1], images(40, seed=9)
    pictures[0] = 0
    device = NativeDevice(build(bundle.path, load_board("native"), out_dir=tmp_path / "build").image_path)
    golden, pixels, sent = GoldenEncoder(bundle), to_int8(pictures, bundle.image_shape), []
    for setting in states(bundle):
        expected = golden.run(pictures, setting).sent
        found = device.send(pixels, {1: setting["state"]} if setting else {})
        assert [bytes(each) for each in found] == [bytes(each) for each in expected]
        sent.append(expected.payloads)
    assert len(sent) == 1 or (sent[0] != sent[-1]).mean() > 0.05
    assert len(np.unique(sent[0], axis=0)) > 20


def test_the_int8_device_is_close_to_the_float_codec_in_every_state(exported: Exported) -> None:
    codec, bundle = exported
    pictures, golden = images(60, seed=3), GoldenEncoder(bundle)
    for setting in states(bundle):
        state = np.full((60, 1), setting.get("state", 0), np.float32)
        real = codec.values(codec.codes(pictures.astype(np.float32) / 255, state))
        sent = golden.run(pictures, setting).tensors["sent"]
        view = sent.view(np.int8) if codec.sizes.channel == "symbols" else sent
        found = codec.values(view.reshape(-1, *codec.code_shape).astype(np.int32))
        error = np.square(np.asarray(found) - np.asarray(real)).mean() / np.square(np.asarray(real)).mean()
        assert error < 0.05


def test_the_edge_gives_what_keras_gives_for_what_was_sent(exported: Exported) -> None:
    codec, bundle = exported
    pictures, level = images(30, seed=4), codec.sizes.state_levels[2]
    for setting in states(bundle)[::3]:
        run = GoldenEncoder(bundle).run(pictures, setting)
        sent = run.tensors["sent"]
        view = sent.view(np.int8) if codec.sizes.channel == "symbols" else sent
        state = np.full((30, 1), setting.get("state", 0), np.float32)
        told = np.full((30, 1), level, np.float32)
        expected = codec.decode(view.reshape(-1, *codec.code_shape).astype(np.int32), told, state=state)
        found = EdgeDecoder(bundle).logits(run.sent.payloads, level, controls=setting)
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-3, atol=1e-3)


def test_data_of_other_classes_is_refused() -> None:
    codec = made({})
    with pytest.raises(DatasetError, match="10 classes apart, and the data set has 3"):
        codec.check_data(None, blocks(("a", "b", "c")))
