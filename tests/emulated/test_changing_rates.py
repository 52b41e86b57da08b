"""A rate that changes with every image: a board sends what the reference does, and never more than told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from emulated.test_changing_states import BOARDS, port_of
from fakes import detailed
from fakes.untrained import images
from semflash.bundle import Bundle
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.link.session import Expected, Received, Session

COUNT = 150


@pytest.fixture(scope="module", params=["attention", "attention-variance", "importance"])
def bundle(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return detailed.bundle(tmp_path_factory.mktemp("bundle"), request.param)


@pytest.fixture(scope="module", params=BOARDS)
def built(request: Any, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(bundle.path, load_board(request.param), out_dir=tmp_path_factory.mktemp("firmware") / "b")


def pictures(count: int) -> np.ndarray:
    """Blocks with noise of every strength in parts of them, and flat pictures."""
    rng = np.random.default_rng(7)
    coarse = images(count, 9).astype(np.float64)
    strength = rng.uniform(0, 90, (count, 4, 4, 1)).repeat(7, axis=1).repeat(7, axis=2)
    found = np.clip(coarse + strength * rng.standard_normal(coarse.shape), 0, 255).astype(np.uint8)
    found[0], found[1], found[2] = 0, 255, np.arange(28, dtype=np.uint8)[None, :, None] % 2 * 255
    return found


def test_images_with_changing_rates_equal_the_reference_and_keep_to_their_rate(
    built: BuildResult, bundle: Bundle, own_emulators: Path
) -> None:
    rng = np.random.default_rng(3)
    shown = pictures(COUNT)
    rates = [int(rate) for rate in rng.integers(detailed.RATE_LOW, detailed.RATE_HIGH + 1, COUNT)]
    rates[:4] = [detailed.RATE_LOW, detailed.RATE_LOW, detailed.RATE_HIGH, detailed.RATE_HIGH]
    protects = [int(protect) for protect in rng.integers(0, 2, COUNT)]
    told = [{"rate": r, "protect": p} for r, p in zip(rates, protects, strict=True)]
    pixels = to_int8(shown, bundle.image_shape)
    golden = GoldenEncoder(bundle)
    found: dict[int, Received] = {}
    with port_of(built) as port:
        session = Session(port, Expected.of(bundle))
        for outcome in session.stream((n, pixels[n], told[n]) for n in range(COUNT)):
            assert isinstance(outcome, Received) and outcome.controls == told[outcome.index]
            found[outcome.index] = outcome
    assert len(found) == COUNT and session.counters.controls_missed == 0
    used = []
    for n in range(COUNT):
        (wanted,) = golden.run(shown[n : n + 1], told[n]).sent
        assert found[n].payload == wanted
        assert len(wanted) <= rates[n]
        used.append(len(wanted) / min(rates[n], 113 if protects[n] else 106))
    assert np.mean(used) > 0.9


def test_the_edge_takes_payloads_of_every_length(bundle: Bundle) -> None:
    golden, shown = GoldenEncoder(bundle), pictures(12)
    decoder = EdgeDecoder(bundle)
    for rate in (16, 40, 130):
        sent = golden.run(shown, {"rate": rate}).sent
        logits = decoder.logits(sent.payloads, 0.0, bits=sent.bits, controls={"rate": rate})
        assert logits.shape == (12, 10) and np.ptp(logits, axis=0).min() > 0
