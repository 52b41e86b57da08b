"""Data sets behind one interface: Fashion-MNIST, MNIST, CIFAR-10, CIFAR-100, stamps and any image folder.

Fashion-MNIST, MNIST in idx files and image folders need numpy (and Pillow for folders) only; Keras is
imported when a data set has to come from ``keras.datasets``.

The validation split is carved out of the training images with a fixed seed. The test split is for reporting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semflash.data.dataset import Dataset, Split
from semflash.data.idx import find_idx_file, read_idx
from semflash.data.lazy import LazyImages, some
from semflash.data.sample import mixed
from semflash.data.source import DataSource
from semflash.errors import DatasetError

DATA_DIR_VARIABLE = "SEMFLASH_DATA_DIR"
SPLIT_SEED = 20_251_123
VALIDATION_IMAGES = 5_000
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DIGITS = tuple("0123456789")
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

Arrays = tuple[Any, np.ndarray]


def load_dataset(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    image_size: tuple[int, int] = (32, 32),
    skip_bad: bool = False,
    known: DataSource | None = None,
) -> Dataset:
    """Load a data set by name, or an image folder by path.

    Args:
        name_or_path: ``fashion-mnist``, ``mnist``, ``cifar10``, ``cifar100``, ``stamps``, ``stamps-grey``,
            ``fashion-scenes``, ``fashion-items``, ``stamps-focus`` (with exact masks), ``stamps-scenes``
            (boxes), or X
        data_dir: where the files of a named data set lie; default: the environment variable
            ``SEMFLASH_DATA_DIR``, then the usual places.
        image_size: height and width that the images of a folder are resized to, pixels.
        skip_bad: leave out images of a folder that cannot be read; the notes name them.
        known: refuse a folder whose list of files is not the one that was recorded here.

    Raises:
        DatasetError: unknown, missing or malformed; the message says how to get or mend it.
    """
    name = str(name_or_path)
    if name in _LOADERS:
        folder = data_dir if data_dir is not None else os.environ.get(DATA_DIR_VARIABLE)
        found = _LOADERS[name](name, Path(folder) if folder else None)
        return replace(found, source=DataSource("named", name))
    if Path(name).is_dir():
        return _folder(Path(name), image_size, skip_bad, known)
    raise DatasetError(
        "no such data set or image folder",
        value=name,
        remedy=f"use one of {', '.join(sorted(_LOADERS))}, or a directory with train/ and test/",
    )


def _folder(root: Path, image_size: tuple[int, int], skip_bad: bool, known: DataSource | None) -> Dataset:
    """An image folder, or COCO or VOC."""
    from semflash.data.boxes_folder import is_detection_folder, read_detection_folder
    from semflash.data.image_folder import read_image_folder

    name = root.resolve().name
    if is_detection_folder(root):
        found = read_detection_folder(root, image_size, skip_bad=skip_bad, known=known)
        kept, held_out = _carve_validation(Split(*found.train))
        test = Split(*found.test)
    else:
        found = read_image_folder(root, image_size, skip_bad=skip_bad, known=known)
        train, test = (_checked(name, *part, len(found.class_names)) for part in (found.train, found.test))
        kept, held_out = _carve_validation(train, by_class=True)
    return Dataset(name, kept, held_out, test, found.class_names, found.source, found.notes)


def training_images(name_or_path: str | Path, *, data_dir: str | Path | None = None) -> int:
    """How many images of a data set are trained on, those for validation taken off.

    Of an image folder its list of files is counted, and none of them is opened.

    Raises:
        DatasetError: as :func:`load_dataset`.
    """
    from semflash.data.boxes_folder import is_detection_folder
    from semflash.data.image_folder import count_images

    root = Path(name_or_path)
    if str(name_or_path) in _LOADERS or not root.is_dir() or is_detection_folder(root):
        return len(load_dataset(name_or_path, data_dir=data_dir).train)
    count = count_images(root)
    return count - _held_out(count)


def _held_out(count: int) -> int:
    """So many of a training split are for validation."""
    return min(VALIDATION_IMAGES, max(1, count // 10))


def dataset_names() -> tuple[str, ...]:
    """Names that :func:`load_dataset` knows."""
    return tuple(sorted(_LOADERS))


def _fashion_mnist(name: str, folder: Path | None) -> Dataset:
    return _idx_or_keras(
        name,
        folder,
        (DEBIAN_FASHION_MNIST,),
        "fashion_mnist",
        FASHION_MNIST_CLASSES,
        "apt-get install dataset-fashion-mnist",
    )


def _mnist(name: str, folder: Path | None) -> Dataset:
    return _idx_or_keras(
        name,
        folder,
        (),
        "mnist",
        DIGITS,
        "put the four MNIST idx .gz files into one directory",
    )


def _idx_or_keras(
    name: str,
    folder: Path | None,
    places: tuple[Path, ...],
    keras_name: str,
    classes: tuple[str, ...],
    how: str,
) -> Dataset:
    candidates = [folder / name, folder] if folder is not None else list(places)
    for place in candidates:
        if find_idx_file(place, "train-images-idx3-ubyte") is not None:
            train, test = (_read_pair(place, part) for part in ("train", "t10k"))
            return _assemble(name, train, test, classes)
    if folder is not None:
        raise DatasetError(
            f"no {name} idx files here", value=folder, remedy=f"{how}, or unset {DATA_DIR_VARIABLE}"
        )
    train, test = _from_keras(name, keras_name, how)
    return _assemble(name, train, test, classes)


def _read_pair(place: Path, part: str) -> Arrays:
    images = read_idx(place, f"{part}-images-idx3-ubyte", dimensions=3)
    labels = read_idx(place, f"{part}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels):
        raise DatasetError(
            f"{part} images and labels differ in number",
            value=f"{len(images)} images, {len(labels)} labels in {place}",
            remedy="get the data set again",
        )
    return images[..., None], labels


def _cifar(name: str, folder: Path | None) -> Dataset:
    del folder  # keras.datasets keeps its own cache (KERAS_HOME)
    how = "connect to the internet once, or put the archive into ~/.keras/datasets"
    train, test = _from_keras(name, name, how)
    classes = CIFAR10_CLASSES if name == "cifar10" else tuple(f"class {index}" for index in range(100))
    return _assemble(name, train, test, classes)


def _composed(name: str, folder: Path | None) -> Dataset:
    from semflash.data.stamps import focus_scenes, images, scenes

    loaders = {
        "stamps": images.load_stamps,
        "stamps-grey": images.load_grey_stamps,
        "stamps-focus": focus_scenes.load_focus_scenes,
        "stamps-scenes": scenes.load_scenes,
    }
    return loaders[name](name, folder)


def _fashion_scenes(name: str, folder: Path | None) -> Dataset:
    from semflash.data.stamps.fashion_scenes import load_fashion_scenes

    return load_fashion_scenes(name, _fashion_mnist("fashion-mnist", folder), folder)


def _from_keras(name: str, keras_name: str, how: str) -> tuple[Arrays, Arrays]:
    try:
        import keras
    except ImportError as error:
        raise DatasetError(f"{name} is not here and Keras is not installed", remedy=how) from error
    try:
        train, test = getattr(keras.datasets, keras_name).load_data()
    except Exception as error:  # keras raises plain Exception for a failed download
        reason = (str(error) or type(error).__name__).splitlines()[0]
        what = f"{name} is not here and cannot be downloaded"
        raise DatasetError(what, value=reason, remedy=how) from error
    return train, test


def _assemble(name: str, train: Arrays, test: Arrays, classes: tuple[str, ...]) -> Dataset:
    splits = [_checked(name, images, labels, len(classes)) for images, labels in (train, test)]
    if splits[0].images.shape[1:] != splits[1].images.shape[1:]:
        raise DatasetError(
            f"{name}: train and test images differ in size",
            value=f"{splits[0].images.shape[1:]} and {splits[1].images.shape[1:]}",
            remedy="get the data set again",
        )
    kept, held_out = _carve_validation(splits[0])
    return Dataset(name, kept, held_out, splits[1], classes)


def _checked(name: str, images: np.ndarray, labels: np.ndarray, classes: int) -> Split:
    images = images if isinstance(images, LazyImages) else np.asarray(images)
    labels = np.asarray(labels).reshape(-1).astype(np.int32)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise DatasetError(
            f"{name}: images must be uint8 (N, height, width, 1 or 3)", value=f"{images.dtype} {images.shape}"
        )
    if len(images) != len(labels) or len(images) < 2:
        raise DatasetError(f"{name}: {len(images)} images do not go with {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise DatasetError(
            f"{name}: a label is outside 0..{classes - 1}",
            value=f"{labels.min()}..{labels.max()}",
            remedy="get the data set again",
        )
    return Split(images, labels)


def _carve_validation(train: Split, *, by_class: bool = False) -> tuple[Split, Split]:
    """Hold out 5,000 images, or a tenth of a small data set, chosen by a fixed seed.

    by_class: of an image folder, which comes sorted by class: a tenth of each class, as far as whole images
    allow, and both parts in an order that mixes the classes, so that their first images are not all of one.
    """
    count = _held_out(len(train))
    if by_class:
        order = mixed(train.labels, SPLIT_SEED)
        held, kept = order[:count], order[count:]
    else:
        order = np.random.default_rng(SPLIT_SEED).permutation(len(train))
        held, kept = np.sort(order[:count]), np.sort(order[count:])
    return (
        Split(some(train.images, kept), train.labels[kept]),
        Split(some(train.images, held), train.labels[held]),
    )


_LOADERS: dict[str, Callable[[str, Path | None], Dataset]] = {
    "fashion-mnist": _fashion_mnist,
    "fashion-scenes": _fashion_scenes,
    "fashion-items": _fashion_scenes,
    "mnist": _mnist,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "stamps": _composed,
    "stamps-grey": _composed,
    "stamps-focus": _composed,
    "stamps-scenes": _composed,
}
