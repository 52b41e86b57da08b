"""Packed files of a data set are unpacked once; what is kept is checked."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from semflash.data import unpacked
from semflash.data.cache import cache_dir
from semflash.data.idx import read_idx
from semflash.errors import DatasetError

SHAPE = (600, 60, 40)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one packed file, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pack(tmp_path, values(1))
    return tmp_path


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, SHAPE, dtype=np.uint8)


def pack(folder: Path, images: np.ndarray, more: bytes = b"") -> None:
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", *SHAPE)
    (folder / "images.gz").write_bytes(gzip.compress(header + images.tobytes() + more, 1))


def read(folder: Path) -> np.ndarray:
    return read_idx(folder, "images", dimensions=3)


def no_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("unpacked again")

    monkeypatch.setattr(gzip, "GzipFile", refuse)


def test_the_second_reading_unpacks_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert np.array_equal(read(folder), values(1))
    no_unpacking(monkeypatch)
    assert np.array_equal(read(folder), values(1))


def test_another_file_is_unpacked_although_one_of_its_name_is_kept(folder: Path) -> None:
    read(folder)
    pack(folder, values(2))
    assert np.array_equal(read(folder), values(2))
    assert len(list(cache_dir().iterdir())) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_what_is_kept_and_damaged_is_unpacked_again(folder: Path, damage: str) -> None:
    read(folder)
    (kept,) = cache_dir().iterdir()
    content = bytearray(kept.read_bytes())
    content[1000] ^= 1
    kept.write_bytes({"flip": content, "cut": content[:-1], "empty": b"", "other": b"x" * 100}[damage])
    assert np.array_equal(read(folder), values(1))
    assert unpacked.read(kept) is not None, "it was kept again"


def test_a_cache_that_cannot_be_written_costs_time_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    assert np.array_equal(read(folder), values(1))


def test_what_holds_more_than_it_states_is_refused_and_not_kept(folder: Path) -> None:
    pack(folder, values(1), b"more")
    with pytest.raises(DatasetError, match="should hold"):
        read(folder)
    assert not cache_dir().exists()


def test_small_files_are_not_kept(folder: Path) -> None:
    assert not unpacked.keep(cache_dir() / "small", b"x" * (unpacked.WORTH_BYTES - 1))
    assert unpacked.keep(cache_dir() / "large", b"x" * unpacked.WORTH_BYTES)
    assert unpacked.read(cache_dir() / "large") == b"x" * unpacked.WORTH_BYTES
