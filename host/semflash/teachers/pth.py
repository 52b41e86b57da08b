"""Weights out of a PyTorch ``.pth`` file, without torch: the zip form, and the form before PyTorch 1.6.

A ``.pth`` file is a pickle, which may name any function of any module. Only what rebuilds tensors is resolved
here, to functions of this module; every other name is refused before anything of it is imported.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from semflash.errors import TeacherError
from semflash.printable import printable

#: Larger files than this are not read, bytes.
FILE_BYTES_MAX = 1 << 30
#: Pickled part of a file in the zip form, bytes: names and shapes, no numbers.
_PICKLE_BYTES_MAX = 8 << 20
_TENSORS_MAX = 10_000
_DIMENSIONS_MAX = 8
#: First number of a file before PyTorch 1.6, and its version of the layout.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


@dataclass(frozen=True)
class _StorageKind:
    """What ``torch.FloatStorage`` and its like stand for."""

    dtype: np.dtype[Any]


@dataclass
class _Storage:
    """Numbers that tensors look at; ``data`` comes later in the file than the tensors."""

    dtype: np.dtype[Any]
    count: int
    data: np.ndarray | None = None


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The numbers, a copy. ValueError: the view reaches beyond its storage."""
        data, count = self.storage.data, math.prod(self.shape)
        if data is None:
            raise ValueError("a tensor has no numbers")
        last = self.offset + sum(
            (size - 1) * step for size, step in zip(self.shape, self.strides, strict=True)
        )
        if count and (last >= len(data) or count > len(data)):
            raise ValueError("a tensor reaches beyond its numbers")
        if not count:
            return np.zeros(self.shape, data.dtype)
        steps = [step * data.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, steps).copy()


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """What ``torch._utils._rebuild_tensor_v2`` stands for. ValueError: no description of a tensor."""
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor is described by something else")
    numbers = (offset, *shape, *strides)
    if any(type(one) is not int or not 0 <= one <= FILE_BYTES_MAX for one in numbers):
        raise ValueError("a tensor's size is no number within limits")
    if len(shape) != len(strides) or len(shape) > _DIMENSIONS_MAX:
        raise ValueError("a tensor's sizes and strides do not go together")
    return _Tensor(storage, offset, shape, strides)


class _Reader(pickle.Unpickler):
    """Resolves what rebuilds tensors, and nothing else."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _StorageKind(_STORAGES[name])
        raise pickle.UnpicklingError(f"it names {printable(module)}.{printable(name)}, which is no tensor")

    def persistent_load(self, saved: Any) -> _Storage:
        if not isinstance(saved, tuple) or len(saved) < 5 or saved[0] != "storage":
            raise pickle.UnpicklingError("it refers to something that is no storage")
        kind, key, count = saved[1], saved[2], saved[4]
        if not isinstance(kind, _StorageKind) or not isinstance(key, str) or type(count) is not int:
            raise pickle.UnpicklingError("it describes a storage wrongly")
        if not 0 <= count * kind.dtype.itemsize <= FILE_BYTES_MAX or len(self.storages) > _TENSORS_MAX:
            raise pickle.UnpicklingError("it describes more numbers than a file may hold")
        return self.storages.setdefault(key, _Storage(kind.dtype, count))


class _PlainReader(_Reader):
    """Resolves nothing."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {printable(module)}.{printable(name)}, which is no tensor")


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a state dictionary by name.

    Raises:
        TeacherError: it is missing, too large or no such file, it is damaged, or it names anything but
            tensors.
    """
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            _refuse(path, f"it holds {size:,} bytes, more than {FILE_BYTES_MAX:,}")
        state = _read_zip(path) if zipfile.is_zipfile(path) else _read_old(path, size)
        return _arrays(path, state)
    except TeacherError:
        raise
    except OSError as error:
        raise TeacherError(
            f"cannot read the teacher's weights: {error.strerror}", value=path, remedy="name a .pth file"
        ) from error
    except Exception as error:  # a pickle of anybody's makes the unpickler raise nearly anything
        _refuse(path, printable(str(error)[:300]) or type(error).__name__, error)


def _refuse(path: Path, why: str, cause: Exception | None = None) -> NoReturn:
    raise TeacherError(
        f"no .pth file with weights alone: {why}",
        value=path.name,
        remedy="a file that torch.save(model.state_dict(), FILE) wrote, or export the network to ONNX",
    ) from cause


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("a part of it is compressed")
        if sum(entry.file_size for entry in entries.values()) > FILE_BYTES_MAX:
            raise ValueError("it unpacks to more than is allowed")
        names = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("it holds no data.pkl")
        if entries[names[0]].file_size > _PICKLE_BYTES_MAX:
            raise ValueError("its description of tensors is too long")
        top = names[0].removesuffix("data.pkl")
        if f"{top}byteorder" in entries and archive.read(f"{top}byteorder") != b"little":
            raise ValueError("its numbers are big endian")
        reader = _Reader(io.BytesIO(archive.read(names[0])))
        state = reader.load()
        for key, storage in reader.storages.items():
            _fill(storage, archive.read(f"{top}data/{key}"))
    return state


def _read_old(path: Path, size: int) -> Any:
    with path.open("rb") as file:
        if _plain(file) != _MAGIC or _plain(file) != _PROTOCOL:
            raise ValueError("it does not begin as one")
        system = _plain(file)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise ValueError("its numbers are big endian")
        reader = _Reader(file)
        state = reader.load()
        for key in _plain(file):
            storage = reader.storages[key]
            count = int.from_bytes(file.read(8), "little")
            if count != storage.count or file.tell() + count * storage.dtype.itemsize > size:
                raise ValueError("it ends before its numbers do")
            _fill(storage, file.read(count * storage.dtype.itemsize))
    return state


def _plain(file: BinaryIO) -> Any:
    """A pickle without any name in it: numbers, texts, lists, dictionaries."""
    return _PlainReader(file).load()


def _fill(storage: _Storage, data: bytes) -> None:
    if len(data) != storage.count * storage.dtype.itemsize:
        raise ValueError("it ends before its numbers do")
    storage.data = np.frombuffer(data, storage.dtype)


def _arrays(path: Path, state: Any) -> dict[str, np.ndarray]:
    """The tensors of what was unpickled."""
    if not isinstance(state, dict) or not state:
        _refuse(path, "it holds no dictionary of tensors")
    tensors = {name: one for name, one in state.items() if isinstance(name, str) and isinstance(one, _Tensor)}
    if len(tensors) != len(state):
        _refuse(path, "it holds things that are no tensors")
    if sum(math.prod(one.shape) * one.storage.dtype.itemsize for one in tensors.values()) > FILE_BYTES_MAX:
        _refuse(path, "its tensors are larger than a file may be")
    return {name: one.array() for name, one in tensors.items()}
