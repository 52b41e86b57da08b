"""What a teacher store says of itself: ``manifest.json``, format 1."""

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
from semflash.data.views import VERSION, VIEWS_MAX, ViewSettings
from semflash.errors import TeacherError
from semflash.fields import CLASSES_MAX, Count, Sha256, Share, Side, Text
from semflash.printable import printable

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1 << 20
#: Longer names of data sets and files are cut off.
NAME_CHARS = 200

Positive = Annotated[int, Meta(ge=1, le=1 << 40)]
Seconds = Annotated[float, Meta(ge=0.0, le=1e9)]


class TeacherRecord(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who answered, in the words that a bundle's record keeps.

    Attributes:
        name: as on the command line, without the path of a file: ``lite0``, ``onnx:vit.onnx``.
        sha256: of the weights' file; of several networks, of their recipe.
        weights_bytes: size of the weights.
        output: ``logits``, ``probabilities`` or ``features`` (a head was fitted on them).
        settings: how images are given to it, plain numbers and texts.
        head_sha256: of the fitted head, empty where there is none.
        head_decay: weight decay of the head that was best on the validation split.
        val_accuracy: share of right labels of the validation split, 0..1.
        test_accuracy: of the test split, for reports only.
        ms_per_image: time that an answer took on the machine that made the store, milliseconds.
    """

    name: Text
    sha256: Sha256
    weights_bytes: Count
    output: Text
    settings: dict[str, Any] = {}
    head_sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    head_decay: float = 0.0
    val_accuracy: Share | None = None
    test_accuracy: Share | None = None
    ms_per_image: Seconds = 0.0


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A teacher store.

    Attributes:
        format: 1.
        data_name, data_sha256: the data set (:func:`data_sha256`).
        images: of the training split.
        image_shape: (H, W, C).
        classes: of the data set.
        views: of each image, view 0 included.
        kept: logits of each answer that are kept one by one.
        view_version: of :mod:`semflash.data.views`.
        view_seed, view_settings: of the views.
        block: images of one view that are written at a time.
        teacher: who answered.
        identity: SHA-256 of all that decides an answer (:func:`identity_of`).
        complete: all views are there; sha256: of each file of answers, once they are.
    """

    format: int
    data_name: Text
    data_sha256: Sha256
    images: Positive
    image_shape: tuple[Side, Side, Side]
    classes: Annotated[int, Meta(ge=2, le=CLASSES_MAX)]
    views: Annotated[int, Meta(ge=1, le=VIEWS_MAX)]
    kept: Annotated[int, Meta(ge=1, le=CLASSES_MAX)]
    view_version: int
    view_seed: Annotated[int, Meta(ge=0, le=1 << 53)]
    view_settings: ViewSettings
    block: Annotated[int, Meta(ge=1, le=1 << 20)]
    teacher: TeacherRecord
    identity: Sha256
    complete: bool = False
    sha256: dict[str, Sha256] = {}

    def save(self, folder: Path) -> None:
        """Write it in one step."""
        plain = msgspec.to_builtins(self)
        atomic.write(folder / MANIFEST, json.dumps(plain, indent=1, sort_keys=True) + "\n")


def load_manifest(folder: Path) -> Manifest:
    """Read and check.

    Raises:
        TeacherError: there is no store, or its manifest is damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            content = file.read(MANIFEST_BYTES_MAX + 1)
        if len(content) > MANIFEST_BYTES_MAX:
            raise ValueError("it is too large")
        values = json.loads(content)
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            raise TeacherError(
                f"the teacher store is of another format than {FORMAT}",
                value=printable(str(values["format"])[:40]),
                remedy="make it again with `semflash teach`, or use the version that made it",
            )
        manifest = msgspec.convert(values, Manifest)
    except FileNotFoundError as error:
        raise TeacherError(
            "no teacher store here", value=folder, remedy="semflash teach DATASET --teacher lite0"
        ) from error
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise TeacherError(
            f"the teacher store's manifest is damaged: {printable(str(error)[:200])}",
            value=path,
            remedy="make the store again with `semflash teach`",
        ) from error
    if manifest.kept > manifest.classes:
        raise TeacherError(
            "the teacher store keeps more logits than there are classes",
            value=f"{manifest.kept} of {manifest.classes}",
            remedy="make the store again with `semflash teach`",
        )
    return manifest


def data_sha256(data: Dataset) -> str:
    """What the training split is known by.

    SHA-256 over its labels, class names and images; images of a large folder, which stay on disk, count by
    the digest of the folder's list of files and by their order.
    """
    digest = hashlib.sha256()
    shape = [int(side) for side in data.train.images.shape]
    digest.update(json.dumps({"shape": shape, "classes": list(data.class_names)}).encode())
    digest.update(np.ascontiguousarray(data.train.labels, "<i4").tobytes())
    add_to_digest(digest, data.train.images, "" if data.source is None else data.source.sha256)
    return digest.hexdigest()


def identity_of(
    data_digest: str, teacher: TeacherRecord, seed: int, settings: ViewSettings, kept: int
) -> str:
    """SHA-256 over all that decides the answer to a view; how many views there are does not."""
    decides = {
        "format": FORMAT,
        "data": data_digest,
        "teacher": [teacher.name, teacher.sha256, teacher.output, teacher.settings],
        "views": [VERSION, seed, settings.plain()],
        "kept": kept,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
