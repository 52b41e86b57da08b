"""What a teacher attends to in the images of a data set, stored once: ``semflash teach --attention``.

A folder with ``attention.json``, which says of whom and of which images the maps are, and ``maps.npz``:
float16 (images, rows, columns) of the training and of the validation split, each map summing to 1.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from semflash import atomic
from semflash.array_files import read_npz, write_npz
from semflash.data.dataset import Dataset
from semflash.errors import SemflashError, TeacherError
from semflash.fields import Sha256, Text
from semflash.printable import printable
from semflash.teachers.manifest import NAME_CHARS, TeacherRecord, data_sha256

FORMAT = 1
RECORD, MAPS = "attention.json", "maps.npz"
_RECORD_BYTES_MAX = 1 << 20
_SUM_ERROR = 2e-2
_AGAIN = "make it again: semflash teach DATASET --teacher onnx:FILE --attention"
Side = Annotated[int, Meta(ge=1, le=1 << 12)]


class AttentionRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """What a store says of itself.

    Attributes:
        format: 1.
        data_name, data_sha256: the data set; of its training split.
        grid: (rows, columns) of the teacher's patches.
        mirrored: each map is the mean of those of the image and of its mirror image, turned back.
        teacher: who attends.
        maps_sha256: of ``maps.npz``.
    """

    format: int
    data_name: Text
    data_sha256: Sha256
    grid: tuple[Side, Side]
    mirrored: bool
    teacher: TeacherRecord
    maps_sha256: Sha256


@dataclass(frozen=True)
class AttentionStore:
    """Maps of both splits, float32 (images, rows, columns), each summing to 1.

    Attributes:
        folder: Where it lies.
        record: What it says of itself.
        train, val: The maps.
    """

    folder: Path
    record: AttentionRecord
    train: NDArray[np.float32]
    val: NDArray[np.float32]

    def plain(self) -> dict[str, Any]:
        """What a run keeps of the teacher: plain values."""
        teacher, record = self.record.teacher, self.record
        return {
            "name": teacher.name,
            "sha256": teacher.sha256,
            "settings": teacher.settings,
            "weights_bytes": teacher.weights_bytes,
            "grid": list(record.grid),
            "mirrored": record.mirrored,
        }


def is_attention(folder: Path) -> bool:
    """Whether a folder holds such a store."""
    return (folder / RECORD).is_file()


def save(
    folder: Path, data: Dataset, teacher: TeacherRecord, maps: tuple[Any, Any], *, mirrored: bool
) -> AttentionStore:
    """Write a store of maps of the training and the validation split, float (images, rows, columns)."""
    train, val = (np.asarray(each, "<f2") for each in maps)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic.several(folder) as place:
        write_npz(place / MAPS, {"train": train, "val": val})
        digest = hashlib.sha256((place / MAPS).read_bytes()).hexdigest()
        rows, columns = train.shape[1:]
        record = AttentionRecord(
            FORMAT,
            printable(data.name)[:NAME_CHARS],
            data_sha256(data),
            (rows, columns),
            mirrored,
            teacher,
            digest,
        )
        text = json.dumps(msgspec.to_builtins(record), indent=1, sort_keys=True) + "\n"
        (place / RECORD).write_text(text, encoding="utf-8")
    return AttentionStore(folder, record, train.astype(np.float32), val.astype(np.float32))


def load(folder: str | Path, data: Dataset) -> AttentionStore:
    """Read a store that was made of these images.

    Raises:
        TeacherError: There is none, it is damaged, or it was made of other images.
    """
    place = Path(folder)
    record = _record(place / RECORD)
    if record.data_sha256 != data_sha256(data):
        raise TeacherError(
            "the attention was stored of other images",
            value=f"{record.data_name} {record.data_sha256[:16]}, not this {data.name}",
            remedy=f"semflash teach {data.name} --attention, or name the data set of the store",
        )
    try:
        content = (place / MAPS).read_bytes()
        arrays = read_npz(place / MAPS)
    except (OSError, SemflashError) as error:
        raise TeacherError(f"stored attention cannot be read: {error}", value=place, remedy=_AGAIN) from error
    if hashlib.sha256(content).hexdigest() != record.maps_sha256:
        raise TeacherError("stored attention is not what was written", value=place / MAPS, remedy=_AGAIN)
    return AttentionStore(
        place,
        record,
        _maps(arrays, "train", len(data.train), record, place),
        _maps(arrays, "val", len(data.val), record, place),
    )


def _record(path: Path) -> AttentionRecord:
    try:
        with path.open("rb") as file:
            content = file.read(_RECORD_BYTES_MAX + 1)
        if len(content) > _RECORD_BYTES_MAX:
            raise ValueError("it is too large")
        record = msgspec.json.decode(content, type=AttentionRecord)
        if record.format != FORMAT:
            raise ValueError(f"it is of format {record.format}, not {FORMAT}")
    except FileNotFoundError as error:
        raise TeacherError("no stored attention here", value=path.parent, remedy=_AGAIN) from error
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise TeacherError(
            f"the record of stored attention is damaged: {printable(str(error)[:200])}",
            value=path,
            remedy=_AGAIN,
        ) from error
    return record


def _maps(
    arrays: dict[str, np.ndarray], name: str, images: int, record: AttentionRecord, place: Path
) -> NDArray[np.float32]:
    found, shape = arrays.get(name), (images, *record.grid)
    if found is None or found.shape != shape or found.dtype.kind != "f":
        raise TeacherError(
            f"stored attention has no maps {shape} of the {name} split",
            value=place if found is None else f"{found.dtype} {found.shape}",
            remedy=_AGAIN,
        )
    maps = found.astype(np.float32)
    if not np.isfinite(maps).all() or maps.min() < 0 or np.abs(maps.sum(axis=(1, 2)) - 1).max() > _SUM_ERROR:
        raise TeacherError("stored attention has maps that do not sum to 1", value=place, remedy=_AGAIN)
    return maps
