"""PyTorch weight files written byte by byte, without torch: pickles of protocol 2, as ``torch.save`` does."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

_KINDS = {
    "float32": "FloatStorage",
    "int64": "LongStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
}
_NO_HOOKS = b"ccollections\nOrderedDict\n)R"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def plain(value: Any) -> bytes:
    """What pushes a plain value: its pickle without beginning and end."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(
    key: str, array: np.ndarray, *, offset: int = 0, old: bool = False, count: int | None = None
) -> bytes:
    """What rebuilds an array in C order as a tensor, whose numbers are the storage `key`."""
    strides = [stride // array.itemsize for stride in array.strides]
    count = array.size if count is None else count
    storage = b"(" + plain("storage") + b"ctorch\n" + _KINDS[array.dtype.name].encode() + b"\n" + plain(key)
    storage += plain("cpu") + plain(count) + (plain(None) if old else b"") + b"tQ"
    sizes = plain(tuple(array.shape)) + plain(tuple(strides))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + plain(offset)
        + sizes
        + b"\x89"
        + _NO_HOOKS
        + b"tR"
    )


def dictionary(entries: dict[str, bytes]) -> bytes:
    """A pickled OrderedDict of what is pushed."""
    items = b"".join(plain(name) + pushed for name, pushed in entries.items())
    return b"\x80\x02" + _NO_HOOKS + b"(" + items + b"u."


def zip_pth(path: Path, state: dict[str, np.ndarray], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file as PyTorch writes it from 1.6 on."""
    entries = {name: tensor(str(index), array) for index, (name, array) in enumerate(state.items())}
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("weights/data.pkl", dictionary(entries))
        archive.writestr("weights/byteorder", "little")
        for index, array in enumerate(state.values()):
            archive.writestr(f"weights/data/{index}", np.ascontiguousarray(array).tobytes())
        archive.writestr("weights/version", "3\n")
    return path


def old_pth(path: Path, state: dict[str, np.ndarray]) -> Path:
    """A file as PyTorch wrote it before 1.6."""
    keys = [str(1_000 + index) for index in range(len(state))]
    entries = {
        name: tensor(key, array, old=True) for key, (name, array) in zip(keys, state.items(), strict=True)
    }
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4}}
    head = b"".join(pickle.dumps(one, 2) for one in (MAGIC, PROTOCOL, system))
    numbers = b"".join(
        array.size.to_bytes(8, "little") + np.ascontiguousarray(array).tobytes() for array in state.values()
    )
    path.write_bytes(head + dictionary(entries) + pickle.dumps(keys, 2) + numbers)
    return path
