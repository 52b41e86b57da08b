"""Image folders: train/ and test/, each with one folder per class (needs Pillow, not TensorFlow)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semflash.data import lazy as lazy_images
from semflash.data.lazy import LazyImages
from semflash.errors import DatasetError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".webp")
IMAGES_MAX = 1_000_000
_LAYOUT = "lay the images out as train/CLASS/*.png and test/CLASS/*.png"

#: Images uint8 (N, height, width, C), an array or LazyImages, and labels int32 (N,).
Arrays = tuple[Any, np.ndarray]


def read_image_folder(root: Path, size: tuple[int, int]) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Read both splits; classes are the folder names of train/, sorted.

    Args:
        root: directory with train/ and test/.
        size: height and width that the images are resized to (bilinear), pixels.

    Returns:
        (train images uint8 (N, height, width, C), labels int32 (N,)), the same of test, class names. C is 1
        if every image is grey, else all must be RGB. Images that would fill more than 2 GiB stay on disk
        (LazyImages, always RGB).

    Raises:
        DatasetError: folders or images missing, one class only, other classes in test/, unreadable images, or
            a mixture of grey, colour and other images.
    """
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
    listed = [_list_split(root / part, classes) for part in ("train", "test")]
    if sum(len(files) for files, _ in listed) * size[0] * size[1] * 3 > lazy_images.IN_MEMORY_MAX_BYTES:
        lazy_train, lazy_test = ((LazyImages(files, size), labels) for files, labels in listed)
        return lazy_train, lazy_test, classes
    train, test = (
        (_read_all(root / part, files, size), labels)
        for part, (files, labels) in zip(("train", "test"), listed, strict=True)
    )
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DatasetError("train/ and test/ differ in channels", value=f"{train[0].shape}, {test[0].shape}")
    return train, test, classes


def _class_folders(split: Path) -> list[str]:
    if not split.is_dir():
        raise DatasetError("an image folder needs train/ and test/", value=split, remedy=_LAYOUT)
    return sorted(entry.name for entry in split.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _list_split(split: Path, classes: tuple[str, ...]) -> tuple[list[Path], np.ndarray]:
    """Files and their labels int32 (N,)."""
    listed: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = split / name
        files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
        listed += files[:IMAGES_MAX]
        labels += [label] * len(files[:IMAGES_MAX])
        if split.name == "train" and not files:
            raise DatasetError(
                "a class has no images", value=folder, remedy=f"add {', '.join(SUFFIXES)} files"
            )
    if not listed:
        raise DatasetError("no images", value=split, remedy=_LAYOUT)
    return listed, np.asarray(labels, np.int32)


def _read_all(split: Path, files: list[Path], size: tuple[int, int]) -> np.ndarray:
    images = [_read_image(path, size) for path in files]
    if len({image.shape for image in images}) > 1:
        raise DatasetError(
            "grey and colour images are mixed", value=split, remedy="convert them all to grey or all to RGB"
        )
    return np.stack(images)


def _read_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetError("image folders need Pillow", remedy="pip install 'semflash[data]'") from error
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "RGB", "1", "P"):
                raise DatasetError(
                    "images must be grey or RGB", value=f"{path} is {image.mode}", remedy="convert it"
                )
            plain = image.convert("L" if image.mode in ("L", "1") else "RGB")
            resized = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(resized, np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError("cannot read an image", value=f"{path}: {error}", remedy="remove it") from error
    return pixels.reshape(*size, -1)
