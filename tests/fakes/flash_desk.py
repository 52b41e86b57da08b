"""Fixtures of a desk with stand-in boards: plug them in, flash what is built, keep a hardware map."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.desk import STANDIN_PIO, StandInBoard
from semflash.firmware.boards.hardware_map import FILE_NAME
from semflash.firmware.building.result import BuildResult
from semflash.firmware.probes import probes

Plug = Callable[..., StandInBoard]
F446, F401 = "nucleo_f446re", "nucleo_f401re"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty desk, with the stand-in PlatformIO in place of the real one."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STANDIN_DESK", str(folder))
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SEMFLASH_PLATFORMIO_DIR", str(tmp_path / "core"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STANDIN_PIO), *sys.path]))
    monkeypatch.setattr(probes, "comports", list)
    return folder


@pytest.fixture
def plug(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Plugs stand-in boards in; the first pyserial lists is the last plugged in."""
    boards: list[StandInBoard] = []

    def new(serial: str, **options: object) -> StandInBoard:
        boards.append(StandInBoard(desk, serial, **options))  # type: ignore[arg-type]
        return boards[-1]

    monkeypatch.setattr(probes, "comports", lambda: [board.usb for board in reversed(boards)])
    yield new
    for board in boards:
        board.close()


@pytest.fixture
def built(tmp_path: Path) -> BuildResult:
    """A finished build for the Nucleo-F446RE; the stand-in never reads its image."""
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "image.elf").write_bytes(b"")
    result = BuildResult(
        directory=str(folder),
        board=F446,
        kind="hardware",
        bundle_name="tiny",
        bundle_path="tiny.semcodec",
        bundle_hash="ab" * 32,
        build_id="12345678",
        engine="aot",
        kernels="cmsis-nn",
        image="image.elf",
        sizes=None,
        macs=1,
        state_bytes=1,
        arena_bytes=1,
        constant_bytes=1,
        cmsis_nn="none",
        convolution_symbols=(),
        layers=(),
    )
    result.save()
    return result


def write_map(desk: Path, *entries: tuple[str, str, str]) -> Path:
    path = desk / FILE_NAME
    lines = [
        f'[[board]]\nname = "{name}"\nboard = "{board}"\nprobe = "{probe}"' for name, board, probe in entries
    ]
    path.write_text("\n".join(lines))
    return path
