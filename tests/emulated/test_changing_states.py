"""A channel state that changes between images: each is encoded with the one that was asked for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from fakes.untrained import export_tosc, images
from semflash.bundle import Bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.firmware.emulator.native import NativePort
from semflash.link.port import open_port
from semflash.link.session import Expected, Received, Session

COUNT, STATES = 200, (0, 3, 7)
EMULATED = (
    pytest.mark.emulated,
    pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"),
)
NATIVE = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
BOARDS = [pytest.param("native", marks=NATIVE), pytest.param("qemu-stm32f405", marks=EMULATED)]


@pytest.fixture(scope="module", params=["symbols", "bits"])
def bundle(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_tosc(request.param, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module", params=BOARDS)
def built(request: Any, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(bundle.path, load_board(request.param), out_dir=tmp_path_factory.mktemp("firmware") / "b")


@contextmanager
def port_of(built: BuildResult) -> Iterator[Any]:
    """The board with this firmware, running."""
    if built.kind == "native":
        with NativePort(built.image_path, timeout=0.0) as port:
            yield port
        return
    state = emulator.start(
        load_board(built.board), built.image_path, bundle_hash=built.bundle_hash, build_id=built.build_id
    )
    with open_port(state.port) as port:
        yield port


def golden(bundle: Bundle, pictures: np.ndarray, states: list[int]) -> list[bytes]:
    """The payload of each image with its state."""
    encoder = GoldenEncoder(bundle)
    by_state = {state: list(encoder.run(pictures, {"state": state}).sent) for state in set(states)}
    return [by_state[state][index] for index, state in enumerate(states)]


def test_200_images_with_changing_states_equal_the_reference(
    built: BuildResult, bundle: Bundle, own_emulators: Path
) -> None:
    rng = np.random.default_rng(3)
    pictures = images(COUNT, 9)
    pictures[0], pictures[1], pictures[2] = 0, 255, np.arange(28, dtype=np.uint8)[None, :, None] % 2 * 255
    # runs of one to four images of one state
    states = [int(state) for state in rng.choice(STATES, COUNT) for _ in range(int(rng.integers(1, 5)))][
        :COUNT
    ]
    assert sum(a != b for a, b in pairwise(states)) > 40
    wanted = golden(bundle, pictures, states)
    others = golden(bundle, pictures, [STATES[(STATES.index(s) + 1) % 3] for s in states])
    assert np.mean([a != b for a, b in zip(wanted, others, strict=True)]) > 0.9
    pixels = to_int8(pictures, bundle.image_shape)
    source = ((n, pixels[n], {"state": state}) for n, state in enumerate(states))
    found = {}
    with port_of(built) as port:
        session = Session(port, Expected.of(bundle))
        for outcome in session.stream(source):
            assert isinstance(outcome, Received)
            assert outcome.controls == {"state": states[outcome.index]}
            found[outcome.index] = outcome.payload
    assert found == dict(enumerate(wanted))
    assert session.counters.controls_missed == 0


def test_a_state_holds_until_the_next_one_and_begins_with_the_named_request(
    built: BuildResult, bundle: Bundle, own_emulators: Path
) -> None:
    pictures = images(12, 4)
    pixels = to_int8(pictures, bundle.image_shape)
    default = bundle.program.control("state").default
    changes = {3: 5, 4: 2, 9: 7}
    states = [default] * 3 + [5] + [2] * 5 + [7] * 3
    payloads: list[bytes] = []
    with port_of(built) as port:
        session = Session(port, Expected.of(bundle))

        def source() -> Iterator[Any]:
            for index in range(12):
                if index in changes:
                    session.set_controls({"state": changes[index]})
                yield index, pixels[index]

        for outcome in session.stream(source()):
            assert isinstance(outcome, Received) and outcome.controls == {"state": states[outcome.index]}
            payloads.append(outcome.payload)
    assert payloads == golden(bundle, pictures, states)
