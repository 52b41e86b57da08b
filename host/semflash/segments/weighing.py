"""Weights of segments, 0 to 1, kept in a segment store beside the maps: one folder for each way of weighing.

    importance/NAME/manifest.json     what weighed them, of which segments, for how many images
                    train-weights.f16 (images, 64), and done-maps as in the store itself

A number that no segment of an image has weighs 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from semflash import atomic
from semflash.errors import SegmentError
from semflash.fields import Count, Name, Sha256
from semflash.printable import printable
from semflash.segments.manifest import MANIFEST, MANIFEST_BYTES_MAX, SEGMENTS, SPLITS
from semflash.segments.maps import SEGMENTS_MAX
from semflash.segments.store import SegmentStore, larger
from semflash.stores.locks import locked
from semflash.stores.rows import Columns, Rows

FORMAT = 1
FOLDER = "importance"
WEIGHTS = "weights.f16"
EACH = (np.dtype("<f2"), (SEGMENTS_MAX,))


class Weighing(Struct, frozen=True, forbid_unknown_fields=True):
    """How segments were weighed.

    Attributes:
        format: 1.
        name: such as ``task``.
        segments: digest of the segment store.
        made_of: plain values that decide the weights.
        images: of each split, so many from the first on.
        block: images that are written at a time.
        others: files beside the weights, all float16 (images, 64), by the ends of their names.
        complete: all of them are there; sha256: of each file, once they are.
    """

    format: int
    name: Name
    segments: Sha256
    made_of: dict[str, Any]
    images: dict[str, Count]
    block: Annotated[int, Meta(ge=1, le=1 << 20)]
    others: tuple[Name, ...] = ()
    complete: bool = False
    sha256: dict[str, Sha256] = {}

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides the weights."""
        decides = [self.format, self.name, self.segments, self.made_of]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def rows(self, folder: Path, split: str) -> Rows:
        """The files of a split."""
        columns: Columns = {WEIGHTS: EACH} | {f"{other}.f16": EACH for other in self.others}
        return Rows(folder, split, self.images[split], self.block, columns, SEGMENTS)

    def save(self, folder: Path) -> None:
        """Write it in one step."""
        plain = msgspec.to_builtins(self)
        atomic.write(folder / MANIFEST, json.dumps(plain, indent=1, sort_keys=True) + "\n")


def place(store: SegmentStore, name: str) -> Path:
    """The folder of a way of weighing."""
    return store.folder / FOLDER / name


def load_weighing(folder: Path) -> Weighing:
    """Read and check.

    Raises:
        SegmentError: there is none, or it is damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            content = file.read(MANIFEST_BYTES_MAX + 1)
        if len(content) > MANIFEST_BYTES_MAX:
            raise ValueError("it is too large")
        found = msgspec.json.decode(content, type=Weighing)
        if found.format != FORMAT or not set(found.images) <= set(SPLITS):
            raise ValueError("it is of another format, or names a split that there is not")
    except FileNotFoundError as error:
        raise SegmentError(
            "nothing has weighed these segments in this way",
            value=folder.name,
            remedy="semflash segment DATASET --with NAME --task RUN",
        ) from error
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise SegmentError(
            f"the manifest of the weights is damaged: {printable(str(error)[:200])}",
            value=path,
            remedy="remove its folder and weigh again",
        ) from error
    return found


def names(store: SegmentStore) -> tuple[str, ...]:
    """Ways in which the segments of a store were weighed, those that are complete."""
    root = store.folder / FOLDER
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            if load_weighing(folder).complete:
                found.append(folder.name)
        except SegmentError:
            continue
    return tuple(found)


@contextmanager
def weighing(store: SegmentStore, wanted: Weighing) -> Iterator[dict[str, Rows]]:
    """Make weights, or go on with them: the rows of each split, whose missing blocks are to be written.

    Weights of something else under the same name are made anew. At the end of the context they are complete.

    Raises:
        SegmentError: another process is at it, or blocks are still missing at the end.
    """
    folder = place(store, wanted.name)
    with locked(folder, SEGMENTS):
        before = _before(folder, wanted)
        if before is not None:
            there = before.images if before.complete else _begun(folder, before)
            images = larger(there, wanted.images)
            same = before.complete and images == before.images
            wanted = before if same else msgspec.structs.replace(wanted, images=images)
            if before.complete and not same:  # a stop before all of them are there must not leave fewer
                msgspec.structs.replace(before, complete=False, sha256={}).save(folder)
        else:  # of something else
            (folder / MANIFEST).unlink(missing_ok=True)
        rows = {split: wanted.rows(folder, split) for split in wanted.images}
        for split, one in rows.items():
            one.begin(0 if before is None else before.images.get(split, 0))
        wanted.save(folder)
        for one in rows.values():
            one.trim()
        yield rows
        if left := {split: one.left() for split, one in rows.items() if one.left()}:
            raise SegmentError("weights are missing", value=f"{sum(map(len, left.values()))} blocks")
        sha256 = {name: digest for one in rows.values() for name, digest in one.sha256().items()}
        msgspec.structs.replace(wanted, complete=True, sha256=sha256).save(folder)


def _before(folder: Path, wanted: Weighing) -> Weighing | None:
    """What is there already of the same weights."""
    try:
        there = load_weighing(folder)
    except SegmentError:
        return None
    return there if there.identity == wanted.identity and there.block == wanted.block else None


def _begun(folder: Path, there: Weighing) -> dict[str, int]:
    """Images that are weighed: a stopped run may have been to weigh more."""
    return {split: there.rows(folder, split).begun() for split in there.images}


def stored_weights(store: SegmentStore, split: str, name: str) -> np.ndarray:
    """Weights of the segments of a split's first images, float32 (n, 64), 0 to 1.

    Raises:
        SegmentError: there are none, they are not finished, damaged, or of other segments.
    """
    folder = place(store, name)
    there = load_weighing(folder)
    if there.segments != store.digest:
        raise SegmentError(
            "the weights are those of other segments", value=folder, remedy="remove their folder, weigh again"
        )
    if not there.complete or split not in there.images:
        raise SegmentError(
            f"the weights {name} of the split {split} are not finished",
            value=folder,
            remedy="give the same `semflash segment` command again",
        )
    rows = there.rows(folder, split)
    if any(there.sha256.get(key) != value for key, value in rows.sha256().items()):
        raise SegmentError(
            "the weights are damaged: a file is not what was written",
            value=folder,
            remedy="remove their folder, and weigh again",
        )
    found = rows.open(rows.images)[0].astype(np.float32)
    if not (np.isfinite(found).all() and found.min(initial=0) >= 0 and found.max(initial=0) <= 1):
        raise SegmentError("a weight is not 0 to 1", value=folder, remedy="remove their folder, weigh again")
    return found
