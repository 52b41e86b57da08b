"""Cut-outs with transparency from Debian's ``tuxpaint-stamps-default``: real things in colour, to compose.

The stamps' own folder tree gives the classes. Training, validation and test use different stamps: within a
class, the files are ordered by a digest of their path and divided; a file and its mirror image stay together.
Needs Pillow. The images are under GPL-2; none of them is part of semflash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semflash.data.image_files import ImageFileError, open_regular, opened
from semflash.errors import DatasetError

DEBIAN_STAMPS = Path("/usr/share/tuxpaint/stamps")
INSTALL = "apt-get install tuxpaint-stamps-default"
SPLITS = ("train", "val", "test")
#: Shares of a class's stamps; the rest is for training.
VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2
STAMPS_MIN = 5
STAMPS_MAX = 100_000
PIXELS_MAX = 20_000_000
#: Longest side a stamp is kept at, pixels.
SPRITE_SIDE = 64
#: A pixel of at least this opacity (0..255) belongs to the object.
OPAQUE = 96


@dataclass(frozen=True)
class StampClass:
    """A class: its name, the folders it is read from, and whether a mirrored image still belongs to it."""

    name: str
    folders: tuple[str, ...]
    mirrored: bool = True


@dataclass(frozen=True)
class Sprite:
    """A stamp cut to its object.

    Attributes:
        image: a Pillow image, RGBA, longest side at most 64 pixels.
        luminance: mean over the object, 0..255.
        mirrored: may be flipped left to right.
    """

    image: Any
    luminance: float
    mirrored: bool


def find_stamps(folder: Path | None, classes: Sequence[StampClass]) -> Path:
    """The stamps' root: ``folder/stamps``, ``folder``, or Debian's place, whichever has the classes first.

    Raises:
        DatasetError: none of them has.
    """
    places = [DEBIAN_STAMPS] if folder is None else [folder / "stamps", folder, DEBIAN_STAMPS]
    for place in places:
        if all(any((place / name).is_dir() for name in one.folders) for one in classes):
            return place
    raise DatasetError("the stamps are not installed", value=places[-1], remedy=INSTALL)


def split_files(root: Path, one: StampClass) -> dict[str, list[Path]]:
    """Files of a class by split: disjoint, the same on every machine.

    Raises:
        DatasetError: fewer than five different stamps, which cannot be divided.
    """
    groups: dict[str, list[Path]] = {}
    for folder in one.folders:
        for path in sorted((root / folder).rglob("*.png")):
            key = path.relative_to(root).with_suffix("").as_posix().removesuffix("_mirror")
            groups.setdefault(hashlib.sha256(key.encode()).hexdigest(), []).append(path)
    if not STAMPS_MIN <= len(groups) <= STAMPS_MAX:
        raise DatasetError(
            f"class {one.name} needs at least {STAMPS_MIN} stamps",
            value=f"{len(groups)} in {root}",
            remedy=INSTALL,
        )
    ordered = [groups[digest] for digest in sorted(groups)]
    held = max(1, round(VALIDATION_SHARE * len(ordered)))
    tested = max(1, round(TEST_SHARE * len(ordered)))
    parts = (ordered[held + tested :], ordered[:held], ordered[held : held + tested])
    return {
        split: [path for group in part for path in group] for split, part in zip(SPLITS, parts, strict=True)
    }


def load_sprites(root: Path, classes: Sequence[StampClass]) -> dict[str, list[list[Sprite]]]:
    """Sprites by split and class.

    Raises:
        DatasetError: Pillow is missing, a class has too few stamps, or an image cannot be read.
    """
    loaded: dict[str, list[list[Sprite]]] = {split: [] for split in SPLITS}
    for one in classes:
        for split, files in split_files(root, one).items():
            loaded[split].append([read_sprite(path, mirrored=one.mirrored) for path in files])
    return loaded


def read_sprite(path: Path, *, mirrored: bool = True) -> Sprite:
    """Read a stamp, cut it to its opaque part and reduce it to 64 pixels at most.

    Raises:
        DatasetError: unreadable, wholly transparent, or larger than 20 million pixels.
    """
    try:
        with opened(path, pixels_max=PIXELS_MAX) as opened_image:
            image = opened_image.convert("RGBA")
    except ImageFileError as error:
        raise DatasetError("cannot read a stamp", value=error.value, remedy=INSTALL) from error
    box = opaque_box(np.asarray(image)[..., 3])
    if box is None:
        raise DatasetError("a stamp is wholly transparent", value=path, remedy="remove it")
    from PIL.Image import Resampling

    image = image.crop(box)
    image.thumbnail((SPRITE_SIDE, SPRITE_SIDE), Resampling.BOX)
    pixels = np.asarray(image, np.float32)
    weight = pixels[..., 3:] / 255.0
    colour = (pixels[..., :3] * weight).sum((0, 1)) / max(1e-3, float(weight.sum()))
    return Sprite(image, float(colour @ LUMINANCE), mirrored)


#: Weights of red, green and blue (ITU-R BT.601).
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def opaque_box(alpha: np.ndarray) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom), half open, of the object's pixels; None: there are none."""
    rows = np.flatnonzero((alpha >= OPAQUE).any(1))
    columns = np.flatnonzero((alpha >= OPAQUE).any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def stamps_digest(root: Path, classes: Sequence[StampClass]) -> str:
    """SHA-256 (hex) over the classes, the files' names and contents: what a composed data set depends on."""
    digest = hashlib.sha256(repr(tuple(classes)).encode())
    for one in classes:
        for split, files in split_files(root, one).items():
            for path in files:
                content = _content_sha256(path)
                digest.update(f"{split} {path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _content_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file. DatasetError: it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(
            f"cannot read a stamp: {error.strerror or error}", value=path, remedy=INSTALL
        ) from error
