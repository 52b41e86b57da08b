"""A store of segments: a map of segment numbers for each image of a data set, memory-mapped.

    store = find_store("hed", data)
    maps = store.segments("train")          # uint8 (images, H, W)

Nothing of a segmenter is imported. A store may hold fewer images than a split has: the first ones, which come
mixed. :mod:`semflash.segments.importance` says what matters in them.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np

from semflash.data.dataset import Dataset
from semflash.errors import SegmentError
from semflash.segments.manifest import (
    MANIFEST,
    SEGMENTS,
    SPLITS,
    SegmenterRecord,
    SegmentManifest,
    data_sha256,
    load_manifest,
)
from semflash.segments.maps import SEGMENTS_MAX
from semflash.stores.rows import Rows


class SegmentStore:
    """Stored segments, opened by :meth:`open`.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
    """

    def __init__(self, folder: Path, manifest: SegmentManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._rows = {split: rows_of(folder, manifest, split) for split in manifest.images}
        self._counts = {split: rows.whole() for split, rows in self._rows.items()}

    @classmethod
    def open(cls, folder: str | Path, data: Dataset, *, partial: bool = False) -> SegmentStore:
        """Open a store that was made of these images.

        Args:
            partial: take a store that is still being made, with the images that are there so far.

        Raises:
            SegmentError: no store, a damaged or unfinished one, or it was made of other images.
        """
        folder = Path(folder)
        manifest = load_manifest(folder)
        check_data(manifest, data)
        store = cls(folder, manifest)
        if not manifest.complete and not partial:
            there = sum(store._counts.values())
            raise SegmentError(
                "the segment store is not finished",
                value=f"{there:,} of {sum(manifest.images.values()):,} images are there",
                remedy="give the same `semflash segment` command again: it goes on where it was",
            )
        store.check_content()
        return store

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the segments: data, segmenter, weights and version."""
        return self.manifest.identity

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of which there are segments."""
        return tuple(split for split in SPLITS if self._counts.get(split))

    def count(self, split: str) -> int:
        """How many images of a split are there, from the first on."""
        return self._counts.get(split, 0)

    def segments(self, split: str) -> np.ndarray:
        """Maps of the first images of a split, uint8 (n, H, W), memory-mapped.

        Raises:
            SegmentError: there are none.
        """
        if not self.count(split):
            raise SegmentError(
                f"the segment store has no images of the split {split}",
                value=self.folder,
                remedy=f"semflash segment {self.manifest.data_name} --with "
                f"{self.manifest.segmenter.name} --splits {split}",
            )
        return self._rows[split].open(self.count(split))[0]

    def check_content(self) -> None:
        """SegmentError: a file is not what was written, or holds a number that no segment has."""
        found: dict[str, str] = {}
        for split, rows in self._rows.items():
            if self.manifest.complete:
                found |= rows.sha256()
            maps = rows.open(self.count(split))[0]
            if maps.size and int(maps.max()) >= SEGMENTS_MAX:
                raise SegmentError(
                    "the segment store holds a number that no segment has",
                    value=int(maps.max()),
                    remedy=SEGMENTS.remake,
                )
        if self.manifest.complete and found != self.manifest.sha256:
            raise SegmentError(
                "the segment store is damaged: a file is not what was written",
                value=self.folder,
                remedy=SEGMENTS.remake,
            )


class SegmentWriter:
    """A store that is being made; its folder is locked by the caller (:mod:`semflash.stores.locks`).

    Args:
        manifest: of the store as it is to be; ``complete`` is False.

    Raises:
        SegmentError: the folder holds segments of another segmenter, or of other images.
    """

    def __init__(self, folder: Path, manifest: SegmentManifest, data: Dataset) -> None:
        self.folder = folder
        before: dict[str, int] = {}
        if (folder / MANIFEST).exists():
            there = load_manifest(folder)
            check_data(there, data)
            check_segmenter(there, manifest)
            before = there.images
            images = larger(_begun(folder, there), manifest.images)
            if (
                there.complete and images != before
            ):  # a stop between here and below must not leave a store of less
                there = msgspec.structs.replace(there, complete=False, sha256={})
                there.save(folder)
            manifest = msgspec.structs.replace(there, images=images)
        self.manifest = manifest
        self.rows = {split: rows_of(folder, manifest, split) for split in manifest.images}
        for split, rows in self.rows.items():
            rows.begin(before.get(split, 0))
        manifest.save(folder)
        for rows in self.rows.values():
            rows.trim()

    def left(self) -> list[tuple[str, int]]:
        """Splits and blocks that are not there yet."""
        return [(split, block) for split, rows in self.rows.items() for block in rows.left()]

    def finish(self, ms_per_image: float) -> None:
        """Say that the store is complete; SegmentError: blocks are missing."""
        if left := self.left():
            raise SegmentError("the segment store is not complete", value=f"{len(left)} blocks are missing")
        segmenter = self.manifest.segmenter
        if ms_per_image:
            segmenter = msgspec.structs.replace(segmenter, ms_per_image=ms_per_image)
        sha256 = {name: digest for rows in self.rows.values() for name, digest in rows.sha256().items()}
        self.manifest = msgspec.structs.replace(
            self.manifest, segmenter=segmenter, complete=True, sha256=sha256
        )
        self.manifest.save(self.folder)


def _begun(folder: Path, there: SegmentManifest) -> dict[str, int]:
    """Images of a store that is there which are divided: a stopped run may have been to divide more."""
    if there.complete:
        return there.images
    return {split: rows_of(folder, there, split).begun() for split in there.images}


def larger(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """The larger numbers of images of both; splits without any are left out."""
    found = {split: max(first.get(split, 0), second.get(split, 0)) for split in SPLITS}
    return {split: count for split, count in found.items() if count}


def rows_of(folder: Path, manifest: SegmentManifest, split: str) -> Rows:
    """The files of a split."""
    columns = {"segments.u8": (np.dtype("u1"), manifest.image_shape[:2])}
    return Rows(folder, split, manifest.images[split], manifest.block, columns, SEGMENTS)


def check_data(manifest: SegmentManifest, data: Dataset) -> None:
    """SegmentError: the store was made of other images."""
    if manifest.data_sha256 != data_sha256(data, exact=manifest.segmenter.exact):
        raise SegmentError(
            "the segment store was made of other images",
            value=f"{manifest.data_name} {manifest.data_sha256[:16]}, not this {data.name}",
            remedy=f"semflash segment {data.name}, or name the data set that the store was made of",
        )
    for split, count in manifest.images.items():
        images = getattr(data, split).images
        if count > len(images) or manifest.image_shape != data.image_shape:
            raise SegmentError(
                "the segment store says another number or size of images than it was made of",
                value=f"{count} of {manifest.image_shape}",
                remedy=SEGMENTS.remake,
            )


def check_segmenter(there: SegmentManifest, wanted: SegmentManifest) -> None:
    """SegmentError: the store is another segmenter's, or of other settings."""
    if there.identity != wanted.identity:
        raise SegmentError(
            "the folder holds segments of another segmenter, other weights or other settings",
            value=f"{there.segmenter.name} {there.identity[:16]}, not "
            f"{wanted.segmenter.name} {wanted.identity[:16]}",
            remedy="another --out, or none: each segmenter and setting has a folder of its own",
        )


def cache_dir() -> Path:
    """Where stores lie: ``$XDG_CACHE_HOME/semflash/segments``, or under ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "semflash" / "segments"


def find_store(name_or_folder: str | Path, data: Dataset, *, partial: bool = False) -> SegmentStore:
    """A store by its folder, or by the name of its segmenter in the cache.

    Raises:
        SegmentError: none fits, several do, or as :meth:`SegmentStore.open`.
    """
    if Path(name_or_folder).is_dir():
        return SegmentStore.open(name_or_folder, data, partial=partial)
    found = [(folder, one) for folder, one in stores() if one.segmenter.name == str(name_or_folder)]
    digests = {exact: data_sha256(data, exact=exact) for exact in {one.segmenter.exact for _, one in found}}
    fitting = [folder for folder, one in found if one.data_sha256 == digests[one.segmenter.exact]]
    if len(fitting) == 1:
        return SegmentStore.open(fitting[0], data, partial=partial)
    if fitting:
        raise SegmentError(
            "several stores of this segmenter and these images",
            value=", ".join(str(folder) for folder in fitting),
            remedy="name the folder of one",
        )
    others = sorted({one.data_name for _, one in found})
    told = f"; there are those of {', '.join(others)}" if others else ""
    raise SegmentError(
        f"no stored segments of this name of images of {data.name}{told}",
        value=name_or_folder,
        remedy=f"semflash segment {data.name} --with {name_or_folder}",
    )


def stores() -> list[tuple[Path, SegmentManifest]]:
    """Folders of the cache that hold a store whose manifest can be read."""
    place = cache_dir()
    found = []
    for folder in sorted(place.iterdir()) if place.is_dir() else []:
        try:
            found.append((folder, load_manifest(folder)))
        except SegmentError:
            continue
    return found


def folder_of(record: SegmenterRecord, identity: str) -> Path:
    """The folder in the cache of a store that is to be made."""
    return cache_dir() / f"{record.name.partition(':')[0]}-{identity[:24]}"
