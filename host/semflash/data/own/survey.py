"""What a folder of pictures holds, before anything is trained: classes, sizes, modes, bad files, duplicates.

Two layouts: ``CLASS/*.jpg``, and ``train/CLASS/*.jpg`` with ``test/CLASS/*.jpg`` or without. ``val`` (also
``valid``, ``validation``) serves as the test part where there is no ``test``, else its pictures are training
pictures: semflash holds out images for validation itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semflash.data.image_files import (
    SUFFIXES,
    ImageFileError,
    open_regular,
    opened,
    orientation_of,
    swaps_sides,
)
from semflash.data.image_headers import THREADS
from semflash.errors import DatasetError
from semflash.printable import printable

TRAIN, TEST = "train", "test"
_VALIDATION = ("val", "valid", "validation")
#: Folders of these names are no classes.
PARTS = (TRAIN, TEST, *_VALIDATION)
#: More files than that are no first hour; image folders take two million (semflash.data.image_folder).
FILES_MAX = 200_000
#: Modes of Pillow that the training reads as they are, grey ones and the others.
GREY, COLOUR = ("1", "L"), ("RGB", "P")
LAYOUT = "lay the pictures out as CLASS/*.jpg, or as train/CLASS/*.jpg and test/CLASS/*.jpg"


@dataclass(frozen=True)
class Picture:
    """One picture file that can be read.

    Attributes:
        path: The file.
        label: Name of its class, which is its folder's.
        part: ``train`` or ``test`` as it lies there; empty where the folder is not divided.
        height: Of the upright image, pixels.
        width: Of the upright image, pixels.
        mode: As Pillow calls it: ``L``, ``RGB``, ``RGBA``, ``CMYK``.
        digest: SHA-256 (hex) of the file's content.
    """

    path: Path
    label: str
    part: str
    height: int
    width: int
    mode: str
    digest: str


@dataclass(frozen=True)
class Survey:
    """All pictures of a folder.

    Attributes:
        root: The folder.
        pictures: That can be read, in the order of parts, classes and names.
        bad: Those that cannot, and why.
        others: Files and folders that are no pictures by their names, by suffix.
    """

    root: Path
    pictures: tuple[Picture, ...]
    bad: tuple[ImageFileError, ...] = ()
    others: Counter[str] = field(default_factory=Counter)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(sorted({picture.label for picture in self.pictures}))

    @property
    def divided(self) -> bool:
        """Whether there is a test part already."""
        return any(picture.part == TEST for picture in self.pictures)

    @property
    def short_side(self) -> int:
        """Median of the pictures' shorter sides, pixels."""
        return int(np.median([min(picture.height, picture.width) for picture in self.pictures]))

    @property
    def grey(self) -> bool:
        """Whether every picture is grey."""
        return all(picture.mode in GREY for picture in self.pictures)

    def to_convert(self) -> tuple[Picture, ...]:
        """Pictures of a mode that the training does not take, and grey ones among coloured ones."""
        fits = GREY if self.grey else COLOUR
        return tuple(picture for picture in self.pictures if picture.mode not in fits)

    def same(self) -> list[tuple[Picture, ...]]:
        """Groups of pictures whose files have the same content, in the order of their first ones."""
        groups: dict[str, list[Picture]] = {}
        for picture in self.pictures:
            groups.setdefault(picture.digest, []).append(picture)
        return [tuple(group) for group in groups.values() if len(group) > 1]


def look_at(root: Path) -> Survey:
    """Open and decode every picture below ``root``.

    Raises:
        DatasetError: there is no such folder, it holds boxes or fewer than two classes with pictures, more
            than 200,000 files, or Pillow is missing.
    """
    if not root.is_dir():
        raise DatasetError("there is no such folder of pictures", value=root, remedy=LAYOUT)
    if not _is_text(root.absolute()):
        raise DatasetError("the folder's name is no UTF-8", value=printable(str(root)), remedy="rename it")
    found, others = _listed(root)
    if len(found) > FILES_MAX:
        raise DatasetError(
            f"more than {FILES_MAX:,} pictures", value=root, remedy="train on the folder with --dataset"
        )
    with ThreadPoolExecutor(THREADS, thread_name_prefix="survey") as pool:
        seen = list(pool.map(lambda one: _seen(*one), found))
    pictures = tuple(one for one in seen if isinstance(one, Picture))
    bad = tuple(one for one in seen if isinstance(one, ImageFileError))
    survey = Survey(root, pictures, bad, others)
    if len(survey.classes) < 2:
        what = f"pictures of {len(survey.classes)} classes" if pictures else "no pictures that can be read"
        raise DatasetError(f"{what} are here, and two are needed", value=root, remedy=LAYOUT)
    return survey


def _listed(root: Path) -> tuple[list[tuple[Path, str, str]], Counter[str]]:
    """Files with class and part, and what else lies beside them."""
    folders = {path.name.lower(): path for path in _folders(root)}
    others: Counter[str] = Counter()
    found: list[tuple[Path, str, str]] = []
    for part, place in _parts(root, folders):
        for folder in _folders(place):
            for path in sorted(folder.iterdir()):
                if path.name.startswith("."):
                    continue
                if path.suffix.lower() in SUFFIXES:
                    found.append((path, folder.name, part))
                else:
                    others["folders" if path.is_dir() else path.suffix.lower() or "no suffix"] += 1
    return found, others


def _parts(root: Path, folders: dict[str, Path]) -> Iterable[tuple[str, Path]]:
    if TRAIN not in folders:
        yield "", root
        return
    yield TRAIN, folders[TRAIN]
    for name in _VALIDATION:
        if name in folders:
            yield TRAIN if TEST in folders else TEST, folders[name]
    if TEST in folders:
        yield TEST, folders[TEST]


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_text(path: Path) -> bool:
    """Whether a name can stand in a settings file and a list."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _seen(path: Path, label: str, part: str) -> Picture | ImageFileError:
    """A picture, decoded as small as its format allows, which finds files that are cut off."""
    if not _is_text(path):
        return ImageFileError(Path(printable(str(path))), "its name is no UTF-8", remedy="rename it")
    try:
        with opened(path) as image:
            width, height = image.size[::-1] if swaps_sides(orientation_of(image)) else image.size
            mode = image.mode
            image.draft(None, (1, 1))
            image.load()
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except ImageFileError as error:
        return error
    except OSError as error:
        return ImageFileError(path, error.strerror or str(error))
    return Picture(path, label, part, height, width, mode, digest)


def remarks(survey: Survey) -> list[str]:
    """What the owner of the pictures should know, a line each; the most important first."""
    said = [f"{len(survey.bad):,} files cannot be read, as {survey.bad[0].value}"] if survey.bad else []
    said += _about_duplicates(survey.same())
    counts = Counter(picture.label for picture in survey.pictures)
    (most, high), (least, low) = counts.most_common(1)[0], counts.most_common()[-1]
    if high >= 3 * low:
        said.append(
            f"the classes are uneven: {high:,} of {most}, {low:,} of {least}; "
            "the rare ones are learnt less well"
        )
    few = [name for name, count in sorted(counts.items()) if count < FEW]
    if few:
        said.append(f"fewer than {FEW} pictures of {', '.join(few[:10])}: more would help most")
    convert = survey.to_convert()
    if convert:
        modes = ", ".join(f"{n:,} {mode}" for mode, n in sorted(Counter(p.mode for p in convert).items()))
        said.append(f"converted to {'grey' if survey.grey else 'RGB'}: {modes}")
    if survey.others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(survey.others.items()))
        said.append(f"left out, no pictures by their names: {kinds}")
    return said


#: Pictures of a class below which more of them help most.
FEW = 20


def _about_duplicates(groups: Sequence[tuple[Picture, ...]]) -> list[str]:
    said = []
    mixed = [group for group in groups if len({picture.label for picture in group}) > 1]
    across = [group for group in groups if len({picture.part for picture in group}) > 1]
    if mixed:
        names = ", ".join(str(picture.path) for picture in mixed[0][:2])
        said.append(f"{len(mixed):,} pictures lie in two classes, as {names}: one of the labels is wrong")
    if across:
        names = ", ".join(str(picture.path) for picture in across[0][:2])
        said.append(f"{len(across):,} pictures lie in train and test, as {names}: the test is too easy")
    if groups:
        said.append(f"{sum(len(group) - 1 for group in groups):,} pictures are exact copies of others")
    return said
