"""What a segment store says of itself: ``manifest.json``, format 1."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from semflash import atomic
from semflash.data.dataset import Dataset
from semflash.data.lazy import add_to_digest
from semflash.errors import SegmentError
from semflash.fields import Count, Sha256, Side, Text
from semflash.printable import printable
from semflash.stores.kind import StoreKind

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1 << 20
#: Longer names of data sets and files are cut off.
NAME_CHARS = 200
SPLITS = ("train", "val", "test")
SEGMENTS = StoreKind(
    "segment store", SegmentError, "make the store again: remove its folder, then `semflash segment`"
)


class SegmenterRecord(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What divides images.

    Attributes:
        name: as on the command line, without the path of a file: ``hed``, ``sam:encoder.onnx``.
        version: of the code that makes segments of what a network gives.
        classical: no network has learnt anything: a fallback, or exact masks.
        sha256: of the weights; empty where there are none.
        weights_bytes: their size.
        settings: plain numbers and texts that decide the segments.
        exact: the data set's own masks are given back, so that they count in the digest of the data.
        ms_per_image: time that an image took on the machine that made the store, milliseconds.
    """

    name: Text
    version: int
    classical: bool
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    weights_bytes: Count = 0
    settings: dict[str, Any] = {}
    exact: bool = False
    ms_per_image: Annotated[float, Meta(ge=0.0, le=1e9)] = 0.0


class SegmentManifest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A segment store.

    Attributes:
        format: 1.
        data_name, data_sha256: the data set (:func:`data_sha256`).
        image_shape: (H, W, C).
        images: of each split, so many from the first on that are divided.
        block: images that are written at a time.
        segmenter: what divides them.
        identity: SHA-256 of all that decides the segments; how many images there are does not.
        complete: all of `images` are there; sha256: of each file, once they are.
    """

    format: int
    data_name: Text
    data_sha256: Sha256
    image_shape: tuple[Side, Side, Side]
    images: dict[str, Count]
    block: Annotated[int, Meta(ge=1, le=1 << 20)]
    segmenter: SegmenterRecord
    identity: Sha256
    complete: bool = False
    sha256: dict[str, Sha256] = {}

    def save(self, folder: Path) -> None:
        """Write it in one step."""
        plain = msgspec.to_builtins(self)
        atomic.write(folder / MANIFEST, json.dumps(plain, indent=1, sort_keys=True) + "\n")


def load_manifest(folder: Path) -> SegmentManifest:
    """Read and check.

    Raises:
        SegmentError: there is no store, or its manifest is damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            content = file.read(MANIFEST_BYTES_MAX + 1)
        if len(content) > MANIFEST_BYTES_MAX:
            raise ValueError("it is too large")
        values = json.loads(content)
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            raise SegmentError(
                f"the segment store is of another format than {FORMAT}",
                value=printable(str(values["format"])[:40]),
                remedy="make it again with `semflash segment`, or use the version that made it",
            )
        manifest = msgspec.convert(values, SegmentManifest)
        if not set(manifest.images) <= set(SPLITS):
            raise ValueError("it names a split that there is not")
    except FileNotFoundError as error:
        raise SegmentError(
            "no segment store here", value=folder, remedy="semflash segment DATASET --with hed"
        ) from error
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise SegmentError(
            f"the segment store's manifest is damaged: {printable(str(error)[:200])}",
            value=path,
            remedy=SEGMENTS.remake,
        ) from error
    return manifest


def data_sha256(data: Dataset, *, exact: bool) -> str:
    """What the images of all splits are known by; with `exact`, their masks, too."""
    digest = hashlib.sha256()
    for split in (data.train, data.val, data.test):
        digest.update(json.dumps([int(side) for side in split.images.shape]).encode())
        add_to_digest(digest, split.images, "" if data.source is None else data.source.sha256)
        if exact and split.masks is not None:
            digest.update(np.ascontiguousarray(split.masks).data)
    return digest.hexdigest()


def identity_of(data_digest: str, record: SegmenterRecord) -> str:
    """SHA-256 over all that decides the segments of an image."""
    decides = {
        "format": FORMAT,
        "data": data_digest,
        "segmenter": [record.name, record.version, record.sha256, record.settings],
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
