"""The zoo's LAM-SC: what it sends, what damage does, and any bytes that could arrive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import Bundle, read_bundle
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.errors import SemflashError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator.native import NativeDevice
from semflash.program.controls import settle
from semflash.program.payload import decode

NAME = "focus-lamsc"
RATES = (24, 100, 159, 700)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(NAME)


@pytest.fixture(scope="module")
def golden(bundle: Bundle) -> GoldenEncoder:
    return GoldenEncoder(bundle)


def scenes(count: int, seed: int = 0) -> np.ndarray:
    """Blocks of colour with noise of every strength, and flat pictures."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 16, 16, 3)).repeat(4, axis=1).repeat(4, axis=2)
    strength = rng.uniform(0, 60, (count, 8, 8, 1)).repeat(8, axis=1).repeat(8, axis=2)
    found = np.clip(coarse + strength * rng.standard_normal(coarse.shape), 0, 255).astype(np.uint8)
    found[0], found[1] = 0, 255
    return found


def test_the_bundle_says_how_it_came_about_and_keeps_to_its_budget(bundle: Bundle) -> None:
    assert bundle.contract.family == "lamsc" and bundle.payload_bytes == 700
    assert bundle.record.recipe["recipe"]["name"] == NAME and bundle.record.seed == 0
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) < 3_000_000
    assert bundle.contract.picture == "picture" and bundle.contract.level_map == "levels"


def test_no_payload_exceeds_its_bytes_and_more_bytes_are_used(golden: GoldenEncoder) -> None:
    shown = scenes(12)
    used = []
    for rate in RATES:
        for protect in (0, 1):
            sent = golden.run(shown, {"bytes": rate, "protect": protect}).sent
            assert (sent.bits <= 8 * rate).all()
            used.append(sent.bits[2:].mean() / 8 / rate)
    assert min(used[2:6]) > 0.95


def test_bytes_out_of_range_are_brought_into_it(bundle: Bundle) -> None:
    controls = bundle.program.controls
    assert settle(controls, {"bytes": 0})["bytes"] == 24
    assert settle(controls, {"bytes": 60_000})["bytes"] == 700


def test_the_native_board_sends_what_the_golden_device_sends(
    bundle: Bundle, golden: GoldenEncoder, tmp_path: Path
) -> None:
    library = build(bundle.path, load_board("native"), out_dir=tmp_path / "build").image_path
    shown = scenes(30, seed=1)
    sent = NativeDevice(library).encode(to_int8(shown, bundle.image_shape))
    wanted = golden.run(shown, {}).sent
    for one, payload, bits in zip(sent, wanted.payloads, wanted.bits, strict=True):
        size = -(-int(bits) // 8)
        assert bytes(one)[:size] == payload[:size].tobytes()


def test_flipped_bits_of_codes_change_few_blocks_and_those_of_the_map_none_unseen(
    bundle: Bundle, golden: GoldenEncoder
) -> None:
    shown = scenes(40, seed=2)
    sent = golden.run(shown, {"bytes": 159}).sent
    whole = decode(bundle.program, sent.payloads, sent.bits)
    assert whole.consistent.all()
    rng = np.random.default_rng(0)
    for _ in range(25):
        flipped = sent.payloads.copy()
        at = rng.integers(0, sent.bits)
        flipped[np.arange(40), at // 8] ^= (128 >> (at % 8)).astype(np.uint8)
        found = decode(bundle.program, flipped, sent.bits)
        same = (found.codes["levels"] == whole.codes["levels"]).reshape(40, -1).all(axis=1)
        assert (same | ~found.consistent).all()


def test_any_bytes_are_decoded_or_taken_for_lost(bundle: Bundle) -> None:
    """20,000 payloads of every length: noise, and true ones with noise in them or cut."""
    rng = np.random.default_rng(5)
    for size in rng.integers(0, bundle.payload_bytes + 1, 40):
        noise = rng.integers(0, 256, (500, bundle.payload_bytes)).astype(np.uint8)
        bits = np.full(500, 8 * size, np.int64)
        found = decode(bundle.program, noise, bits)
        levels = found.codes["levels"]
        assert levels.max() < 8 and not levels[~found.consistent].any()


def test_pictures_of_noise_are_pictures(bundle: Bundle, golden: GoldenEncoder) -> None:
    decoder, rng = EdgeDecoder(bundle), np.random.default_rng(1)
    sent = golden.run(scenes(8), {"bytes": 293}).sent
    damaged = sent.payloads.copy()
    damaged[:, 40:] ^= rng.integers(0, 256, damaged[:, 40:].shape, np.uint8)
    for payloads in (damaged, rng.integers(0, 256, damaged.shape, np.uint8)):
        found = decoder.decode(payloads, 0.05, bits=sent.bits, controls={"bytes": 293})
        assert found.pictures is not None and np.isfinite(found.outputs).all()
        assert found.pictures.min() >= 0 and found.pictures.max() <= 1
    with pytest.raises(SemflashError):
        decoder.decode(sent.payloads, 0.7, bits=sent.bits)
    with pytest.raises(SemflashError):
        longer = np.zeros((1, bundle.payload_bytes + 1), np.uint8)
        decoder.decode(longer, 0.0, bits=np.array([8 * bundle.payload_bytes + 8]))
