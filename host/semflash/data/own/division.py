"""Pictures divided into training and test, and laid out where the training looks for them, all of it visible.

The new folder holds links to the pictures (or copies): ``train/CLASS/*`` and ``test/CLASS/*``. Pictures of a
mode that the training does not take are written anew as PNG. ``split.csv`` beside them says of every file
where it went, or why it was left out.
"""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semflash import atomic
from semflash.data.image_files import ImageFileError, opened, orientation_of, upright
from semflash.data.own.survey import TEST, TRAIN, Picture, Survey
from semflash.errors import DatasetError, UsageError

TEST_SHARE = 0.2
LIST_FILE = "split.csv"


@dataclass(frozen=True)
class Division:
    """Which picture goes where.

    Attributes:
        train: To learn from.
        test: For the test.
        seed: By which it was drawn; None: the folder was divided already.
    """

    train: tuple[Picture, ...]
    test: tuple[Picture, ...]
    seed: int | None


def divide(survey: Survey, *, share: float = TEST_SHARE, seed: int = 0) -> Division:
    """The survey's own parts where it has a test part, else a share of each class, drawn by the seed.

    Pictures with the same content go to the same part, so that nothing is tested that was learnt by heart.

    Raises:
        UsageError: the share is not between 0 and 1.
        DatasetError: a class has no picture for one of the parts.
    """
    if not 0.0 < share < 1.0:
        raise UsageError("the test's share is between 0 and 1", value=share, remedy="--test-share 0.2")
    if survey.divided:
        parts = {part: [p for p in survey.pictures if p.part == part] for part in (TRAIN, TEST)}
        division = Division(tuple(parts[TRAIN]), tuple(parts[TEST]), None)
    else:
        train: list[Picture] = []
        test: list[Picture] = []
        for index, name in enumerate(survey.classes):
            kept, tested = _drawn(survey, name, share, np.random.default_rng([seed, index]))
            train, test = train + kept, test + tested
        division = Division(tuple(train), tuple(test), seed)
    _check(division, survey.classes)
    return division


def _drawn(
    survey: Survey, name: str, share: float, rng: np.random.Generator
) -> tuple[list[Picture], list[Picture]]:
    """A class's pictures for training and for the test; copies of one picture stay together."""
    groups: dict[str, list[Picture]] = {}
    for picture in survey.pictures:
        if picture.label == name:
            groups.setdefault(picture.digest, []).append(picture)
    shuffled = [list(groups.values())[i] for i in rng.permutation(len(groups))]
    wanted = max(1, round(share * sum(map(len, shuffled))))
    train: list[Picture] = []
    test: list[Picture] = []
    for group in shuffled:
        fits = len(test) + len(group) <= wanted and len(group) == 1
        (test if fits else train).extend(group)
    return train, test


def _check(division: Division, classes: tuple[str, ...]) -> None:
    for part, pictures in ((TRAIN, division.train), (TEST, division.test)):
        missing = sorted(set(classes) - {picture.label for picture in pictures})
        if missing:
            raise DatasetError(
                f"there is no picture for {part} of {', '.join(missing[:10])}",
                value=f"{len(pictures):,} pictures in {part}",
                remedy="add pictures (at least two different ones of each class), or remove the folder",
            )


def is_ready(survey: Survey, division: Division) -> bool:
    """Whether the folder can be trained on as it lies: divided, nothing bad, nothing to convert."""
    names = {path.name for path in survey.root.iterdir() if path.is_dir()}
    return (
        division.seed is None
        and {TRAIN, TEST} <= names
        and not survey.bad
        and not survey.to_convert()
        and all(picture.path.parent.parent.name == picture.part for picture in survey.pictures)
    )


def lay_out(survey: Survey, division: Division, target: Path, *, copy: bool = False) -> None:
    """Make the folder ``target`` with links to the pictures, or copies, and its list.

    One that was made before is replaced.

    Raises:
        UsageError: something else lies there.
        OSError: it cannot be written.
    """
    if target.is_symlink() or (target.exists() and not (target / LIST_FILE).is_file()):
        raise UsageError("refusing to replace a folder that is not of semflash new", value=target)
    making = target.with_name(f".{target.name}.part")  # a stopped run leaves this, and no half a folder
    if making.is_dir() and not making.is_symlink():
        shutil.rmtree(making)
    _fill(making, survey, division, copy)
    if target.exists():
        shutil.rmtree(target)
    making.rename(target)


def _fill(target: Path, survey: Survey, division: Division, copy: bool) -> None:
    """Links, copies and the list in a new folder."""
    convert = {picture.path for picture in survey.to_convert()}
    rows = []
    for part, pictures in ((TRAIN, division.train), (TEST, division.test)):
        taken: set[str] = set()
        for picture in pictures:
            anew = picture.path in convert
            name = _free(picture.path.name + (".png" if anew else ""), picture.label, taken)
            place = target / part / picture.label / name
            place.parent.mkdir(parents=True, exist_ok=True)
            why = _put(picture, place, copy, anew, survey.grey)
            rows.append((part, picture.label, str(picture.path.absolute()), why))
    rows += [
        ("left out", error.path.parent.name, str(error.path.absolute()), error.reason) for error in survey.bad
    ]
    rows.sort(key=lambda row: (row[0] == "left out", *row))
    atomic.write(target / LIST_FILE, _listing(rows, division.seed))


def _free(name: str, label: str, taken: set[str]) -> str:
    """The file's name, or with a number before the suffix where two folders had the same (train and val)."""
    path, number = Path(name), 1
    while f"{label}/{name}" in taken:
        number += 1
        name = f"{path.stem}-{number}{path.suffix}"
    taken.add(f"{label}/{name}")
    return name


def _put(picture: Picture, place: Path, copy: bool, convert: bool, grey: bool) -> str:
    """Bring one picture to its place; what was done to it, for the list."""
    if convert:
        _converted(picture, place, grey)
        return f"{picture.mode} converted"
    if copy:
        shutil.copyfile(picture.path, place)
        return "copied"
    place.symlink_to(picture.path.absolute())
    return ""


def _converted(picture: Picture, place: Path, grey: bool) -> None:
    """Write a picture upright as a PNG of grey or RGB; what is transparent becomes white."""
    from PIL import Image

    try:
        with opened(picture.path) as image:
            turned = upright(image.convert("RGBA"), orientation_of(image))
    except ImageFileError as error:  # it could be read a moment ago
        raise DatasetError(error.what, value=error.value, remedy="run semflash new again") from error
    flat = Image.new("RGBA", turned.size, "white")
    flat.alpha_composite(turned)
    flat.convert("L" if grey else "RGB").save(place, "PNG")


def _listing(rows: list[tuple[str, str, str, str]], seed: int | None) -> str:
    """The list as CSV; the first row says how it was drawn."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    drawn = "as the folder was divided" if seed is None else f"drawn with seed {seed}"
    writer.writerow(("part", "class", "file", f"note ({drawn})"))
    writer.writerows(rows)
    return text.getvalue()
