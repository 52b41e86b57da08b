"""A board on the desk runs the bundle it was given, bit for bit. Skipped where none is plugged in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import read_bundle
from semflash.edge.attach import attach
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import list_boards
from semflash.firmware.building.firmware import build
from semflash.firmware.probes.flash import flash
from semflash.firmware.probes.probes import candidates
from semflash.link.session import Expected, Received, Session

HARDWARE = [board for board in list_boards() if board.kind == "hardware"]
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
COUNT = 200


@pytest.mark.hardware
@pytest.mark.parametrize("board", HARDWARE, ids=lambda board: board.name)
def test_codes_of_a_plugged_in_board_equal_the_golden_reference(board, tmp_path):
    found = candidates(board)
    if len(found) != 1:
        pytest.skip(f"needs exactly one {board.name} on a USB port, found {len(found)}")
    bundle = read_bundle(TINY)
    built = build(TINY, board, out_dir=tmp_path)
    flashed = flash(built)
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (COUNT, *bundle.image_shape)).astype(np.uint8)
    golden = GoldenEncoder(bundle).payloads(images)
    rows = to_int8(images, bundle.image_shape)
    with attach(board, port=flashed.port) as port:
        session = Session(port, Expected.of(bundle))
        session.connect()
        answers = [event for event in session.stream(enumerate(rows)) if isinstance(event, Received)]
    assert len(answers) == COUNT
    for answer in answers:
        assert answer.payload == golden[answer.index].tobytes()
