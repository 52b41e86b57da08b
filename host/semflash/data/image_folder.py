"""Image folders: train/ and test/, each with one folder per class (needs Pillow, not TensorFlow)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semflash.data import lazy as lazy_images
from semflash.data.image_files import (
    SUFFIXES,
    ImageFileError,
    each,
    opened,
    orientation_of,
    pixels_of,
    refuse,
)
from semflash.data.image_headers import read_headers
from semflash.data.lazy import LazyImages
from semflash.data.source import DataSource, check_known, listing_sha256, written
from semflash.errors import DatasetError

IMAGES_MAX = 2_000_000
_LAYOUT = "lay the images out as train/CLASS/*.png and test/CLASS/*.png"

#: Images uint8 (N, height, width, C), an array or LazyImages, and labels int32 (N,).
Arrays = tuple[Any, np.ndarray]


@dataclass(frozen=True)
class FolderData:
    """What a folder holds.

    Attributes:
        train: The images and labels for training; labels of detection boxes are float32 (N, M, 6).
        test: The images and labels for the test, of the same form.
        class_names: in label order.
        source: path, number of files and digest of their list.
        notes: what its owner should know: sizes that were changed, files that were left out.
    """

    train: Arrays
    test: Arrays
    class_names: tuple[str, ...]
    source: DataSource
    notes: tuple[str, ...] = ()


@dataclass
class _Listed:
    """Files of a split and their classes."""

    files: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def without(self, bad: Sequence[ImageFileError]) -> None:
        """Leave these files out."""
        names = {error.path for error in bad}
        kept = [
            (path, label) for path, label in zip(self.files, self.labels, strict=True) if path not in names
        ]
        self.files, self.labels = [path for path, _ in kept], [label for _, label in kept]


#: What was read last, and of which files: a training asks for the same images several times.
_last: tuple[tuple[Any, ...], FolderData] | None = None


def read_image_folder(
    root: Path, size: tuple[int, int], *, skip_bad: bool = False, known: DataSource | None = None
) -> FolderData:
    """Read both splits; classes are the folder names of train/, sorted.

    Args:
        root: directory with train/ and test/.
        size: height and width that the images are resized to (bilinear), pixels.
        skip_bad: leave out images that cannot be read, and say so in the notes.
        known: what the folder must be, before an image is opened; None: anything.

    Returns:
        train and test images uint8 (N, height, width, C). C is 1 if every image is grey, else all must be
        RGB. Images that would fill more than 2 GiB stay on disk (LazyImages, always RGB).

    Raises:
        DatasetError: folders or images missing, one class only, other classes in test/, unreadable images
            (all of them are named), or a mixture of grey, colour and other images.
    """
    global _last
    if min(size) < 1:
        raise DatasetError("images need a size of at least 1x1", value=size)
    classes = tuple(_class_folders(root / "train"))
    if len(classes) < 2:
        raise DatasetError("an image folder needs at least two classes", value=root / "train", remedy=_LAYOUT)
    unknown = set(_class_folders(root / "test")) - set(classes)
    if unknown:
        raise DatasetError(
            "test/ has classes that train/ has not", value=", ".join(sorted(unknown)), remedy=_LAYOUT
        )
    splits = [_list_split(root / part, classes) for part in ("train", "test")]
    files, digest = listing_sha256(root, (path for split in splits for path in split.files))
    source = DataSource("folder", written(root), files, digest, skip_bad)
    check_known(source, known)
    limit = lazy_images.IN_MEMORY_MAX_BYTES
    key = (digest, _times_sha256(splits), size, skip_bad, source.name, limit)
    if _last is not None and _last[0] == key:
        return _last[1]
    found = _read(splits, root, source, classes, size)
    _last = (key, found)
    return found


def count_images(root: Path) -> int:
    """How many image files train/ has, by the list of files alone.

    Raises:
        DatasetError: the folder is not laid out as image folders are.
    """
    classes = tuple(_class_folders(root / "train"))
    return len(_list_split(root / "train", classes).files)


def _read(
    splits: list[_Listed], root: Path, source: DataSource, classes: tuple[str, ...], size: tuple[int, int]
) -> FolderData:
    """The pixels of files that are listed and known."""
    notes = [*_left_out(splits[0].others + splits[1].others)]
    lazy = source.files * size[0] * size[1] * 3 > lazy_images.IN_MEMORY_MAX_BYTES
    read = _read_lazily if lazy else _read_all
    train, test, more = read(splits, size, source.skip_bad)
    for split, name in zip(splits, ("train", "test"), strict=True):
        _check_classes(split, root / name, classes)
    labels = [np.asarray(split.labels, np.int32) for split in splits]
    return FolderData((train, labels[0]), (test, labels[1]), classes, source, (*notes, *more))


def _times_sha256(splits: Sequence[_Listed]) -> str:
    """Changes when a file was written again since, even with as many bytes."""
    digest = hashlib.sha256()
    for path in (path for split in splits for path in split.files):
        try:
            digest.update(b"%d " % path.stat().st_mtime_ns)
        except OSError:  # reading it will say what is wrong
            digest.update(b"- ")
    return digest.hexdigest()


def _class_folders(split: Path) -> list[str]:
    if not split.is_dir():
        raise DatasetError("an image folder needs train/ and test/", value=split, remedy=_LAYOUT)
    return sorted(entry.name for entry in split.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _list_split(split: Path, classes: tuple[str, ...]) -> _Listed:
    listed = _Listed()
    for label, name in enumerate(classes):
        folder = split / name
        found = sorted(path for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else []
        files = [path for path in found if path.suffix.lower() in SUFFIXES]
        listed.others.update(
            "folders" if path.is_dir() else path.suffix.lower() or "no suffix"
            for path in found
            if path.suffix.lower() not in SUFFIXES
        )
        listed.files += files
        listed.labels += [label] * len(files)
    _check_classes(listed, split, classes)
    if len(listed.files) > IMAGES_MAX:
        raise DatasetError(
            f"more than {IMAGES_MAX:,} images in a split", value=split, remedy="leave some out"
        )
    return listed


def _check_classes(listed: _Listed, split: Path, classes: tuple[str, ...]) -> None:
    """DatasetError: no images, or a class of train/ without any."""
    if not listed.files:
        raise DatasetError("no images", value=split, remedy=_LAYOUT)
    empty = sorted(set(range(len(classes))) - set(listed.labels))
    if split.name == "train" and empty:
        raise DatasetError(
            "a class has no images",
            value=split / classes[empty[0]],
            remedy=f"add {', '.join(SUFFIXES)} files, or remove the folder",
        )


def _left_out(others: Counter[str]) -> Iterable[str]:
    if others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(others.items()))
        yield f"left out, no images by their names: {kinds} (read are {', '.join(SUFFIXES)})"


def _read_all(splits: Sequence[_Listed], size: tuple[int, int], skip_bad: bool) -> tuple[Any, Any, list[str]]:
    """Both splits in memory, and notes; unreadable files are taken out of the lists."""
    sizes: Counter[tuple[int, int]] = Counter()
    arrays, bad = [], []
    total = sum(len(split.files) for split in splits)
    for split in splits:
        found, wrong = each(split.files, lambda path: _read_image(path, size, sizes))
        arrays.append([image for image in found if image is not None])
        bad += wrong
    notes = skip(bad, total, skip_bad)
    for split in splits:
        split.without(bad)
    for split, images in zip(splits, arrays, strict=True):
        grey = [path for path, image in zip(split.files, images, strict=True) if image.shape[-1] == 1]
        if grey and len(grey) < len(images):
            raise DatasetError(
                "grey and colour images are mixed",
                value=f"{len(grey):,} of {len(images):,} are grey, as {grey[0]}",
                remedy="convert them all to grey or all to RGB",
            )
    train, test = (np.stack(images) if images else np.empty((0, *size, 3), np.uint8) for images in arrays)
    if len(train) and len(test) and train.shape[1:] != test.shape[1:]:
        raise DatasetError("train/ and test/ differ in channels", value=f"{train.shape}, {test.shape}")
    return train, test, notes + resized(sizes, size)


def _read_lazily(
    splits: Sequence[_Listed], size: tuple[int, int], skip_bad: bool
) -> tuple[Any, Any, list[str]]:
    """Both splits on disk, their headers looked at; with skip_bad every file is decoded once."""
    headers = [read_headers(split.files, decode=skip_bad) for split in splits]
    bad = [error for one in headers for error in one.bad]
    notes = skip(bad, sum(len(split.files) for split in splits), skip_bad)
    for split in splits:
        split.without(bad)
    train, test = (
        LazyImages(split.files, size, one.orientations[one.orientations > 0])
        for split, one in zip(splits, headers, strict=True)
    )
    return train, test, [*notes, f"images stay on disk and are resized to {size[0]}x{size[1]}"]


def skip(bad: Sequence[ImageFileError], total: int, skip_bad: bool) -> list[str]:
    """A note that names files that are left out. DatasetError: there are some, and they may not be."""
    if not bad:
        return []
    if not skip_bad:
        raise refuse(bad, total)
    shown = "; ".join(f"{error.path}: {error.reason}" for error in bad[:10])
    more = f"; and {len(bad) - 10:,} more" if len(bad) > 10 else ""
    return [f"left out, {len(bad):,} of {total:,} images cannot be read: {shown}{more}"]


def resized(sizes: Counter[tuple[int, int]], size: tuple[int, int]) -> list[str]:
    """A note where images had another size; sizes: how often which height and width."""
    other = {one: count for one, count in sizes.items() if one != size}
    if not other:
        return []
    smallest, largest = (f(other, key=lambda one: one[0] * one[1]) for f in (min, max))
    spread = f"{smallest[0]}x{smallest[1]}"
    if largest != smallest:
        spread += f" to {largest[0]}x{largest[1]}"
    stretched = sum(count for one, count in other.items() if one[0] * size[1] != one[1] * size[0])
    note = f"{sum(other.values()):,} of {sum(sizes.values()):,} images are resized from {spread} to "
    note += f"{size[0]}x{size[1]} (height x width)"
    return [note + (f"; {stretched:,} of them are stretched, not cropped" if stretched else "")]


def _read_image(path: Path, size: tuple[int, int], sizes: Counter[tuple[int, int]]) -> np.ndarray:
    """Pixels uint8 (height, width, 1 or 3); the file's own upright size is counted."""
    with opened(path) as image:
        if image.mode not in ("L", "RGB", "1", "P"):
            raise ImageFileError(path, f"images must be grey or RGB, it is {image.mode}", remedy="convert it")
        orientation = orientation_of(image)
        width, height = image.size if orientation < 5 else image.size[::-1]
        pixels = pixels_of(image, size, "L" if image.mode in ("L", "1") else "RGB", orientation)
    sizes[height, width] += 1
    return pixels
