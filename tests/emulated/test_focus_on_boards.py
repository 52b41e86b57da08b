"""The zoo's LAM-SC on boards: images at several bytes, payloads as the reference has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulated.test_changing_states import BOARDS, port_of
from semflash.bundle import Bundle, read_bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.link.session import Expected, Received, Session

RATES = (100, 159, 293, 700)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle("focus-lamsc")


@pytest.fixture(scope="module", params=BOARDS)
def built(request: Any, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(bundle.path, load_board(request.param), out_dir=tmp_path_factory.mktemp("firmware") / "b")


def scenes(count: int) -> np.ndarray:
    """Blocks of colour, some of them busy."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (count, 16, 16, 3)).repeat(4, axis=1).repeat(4, axis=2)
    strength = rng.uniform(0, 60, (count, 8, 8, 1)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + strength * rng.standard_normal(coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("count", [12, pytest.param(400, marks=pytest.mark.slow)])
def test_payloads_at_changing_bytes_equal_the_reference(
    count: int, built: BuildResult, bundle: Bundle, own_emulators: Path
) -> None:
    """12 images, and as a slow test 100 images at each of four rates."""
    shown = scenes(count)
    told = [{"bytes": RATES[n % 4], "protect": n // 4 % 2} for n in range(count)]
    pixels, golden = to_int8(shown, bundle.image_shape), GoldenEncoder(bundle)
    found: dict[int, Received] = {}
    with port_of(built) as port:
        session = Session(port, Expected.of(bundle))
        for outcome in session.stream((n, pixels[n], told[n]) for n in range(count)):
            assert isinstance(outcome, Received) and outcome.controls == told[outcome.index]
            found[outcome.index] = outcome
    assert len(found) == count
    for n in range(count):
        (wanted,) = golden.run(shown[n : n + 1], told[n]).sent
        assert found[n].payload == wanted and len(wanted) <= told[n]["bytes"]
