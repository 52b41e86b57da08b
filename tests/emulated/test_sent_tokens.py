"""Alpha and symbols that change with every image: a board sends what the reference does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from emulated.test_changing_states import BOARDS, port_of
from fakes.token_codecs import pictures, tokens_bundle
from semflash.bundle import Bundle
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.link.session import Expected, Received, Session
from semflash.program.tokens.stages import kept_at_most

COUNT, PLACES, SLACK = 200, 20, 2


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    made = tokens_bundle(tmp_path_factory.mktemp("bundle"))
    assert {type(stage).__name__ for stage in made.program.stages} == {"Graph", "SendTokens"}
    return made


@pytest.fixture(scope="module", params=BOARDS)
def built(request: Any, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(bundle.path, load_board(request.param), out_dir=tmp_path_factory.mktemp("firmware") / "b")


def test_images_with_changing_alpha_and_symbols_equal_the_reference(
    built: BuildResult, bundle: Bundle, own_emulators: Path
) -> None:
    rng = np.random.default_rng(3)
    shown = pictures(COUNT, 9)
    shown[0], shown[1] = 0, 255
    drawn = (rng.integers(1, 256, COUNT), rng.integers(0, 3, COUNT), rng.integers(0, 2, COUNT))
    told = [
        {"alpha": int(alpha), "symbols": int(choice), "protect": int(protect)}
        for alpha, choice, protect in zip(*drawn, strict=True)
    ]
    pixels = to_int8(shown, bundle.image_shape)
    golden = GoldenEncoder(bundle)
    found: dict[int, Received] = {}
    with port_of(built) as port:
        session = Session(port, Expected.of(bundle))
        for outcome in session.stream((n, pixels[n], told[n]) for n in range(COUNT)):
            assert isinstance(outcome, Received) and outcome.controls == told[outcome.index]
            found[outcome.index] = outcome
    assert len(found) == COUNT and session.counters.controls_missed == 0
    counts = set()
    for n in range(COUNT):
        run = golden.run(shown[n : n + 1], told[n])
        (wanted,) = run.sent
        assert found[n].payload == wanted
        kept = int((run.tensors["levels"] > 0).sum())
        assert 1 <= kept <= kept_at_most(PLACES, told[n]["alpha"], SLACK)
        counts.add(kept)
    assert len(counts) > 5


def test_the_edge_takes_payloads_of_every_length(bundle: Bundle) -> None:
    golden, shown = GoldenEncoder(bundle), pictures(12)
    decoder = EdgeDecoder(bundle)
    for alpha, choice in ((1, 0), (60, 1), (255, 2)):
        controls = {"alpha": alpha, "symbols": choice}
        sent = golden.run(shown, controls).sent
        logits = decoder.logits(sent.payloads, 20.0, bits=sent.bits, controls=controls)
        assert logits.shape == (12, 10) and np.ptp(logits, axis=0).min() > 0
