"""The data set of a bundle: the one it was trained on, or a named one with its classes and image size.

There is no other: where the recorded one is gone or changed, the error says how to name it. A record comes
from whoever made the bundle, so its path is followed only as far as a list of file names and sizes (and
annotations), which must have the recorded digest before an image is opened.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.data.dataset import Dataset, Split
from semflash.data.recorded import load_recorded
from semflash.data.registry import dataset_names, load_dataset
from semflash.data.source import DataSource, place, source_of
from semflash.errors import DatasetError
from semflash.outputs.boxes import CLASS
from semflash.printable import printable

_OTHER = "use the data set the bundle was trained on (leave out --dataset), or one with the same classes"
_NAME_IT = "name it with --dataset (a folder, or one of {})"


def recorded_source(bundle: Bundle) -> DataSource:
    """What the bundle's record says it was trained on.

    Raises:
        DatasetError: it says nothing, or (older bundles) no more than the path of a folder.
    """
    recipe = bundle.record.recipe
    source = source_of(recipe.get("data"))
    if source is not None and (source.kind != "named" or source.name in dataset_names()):
        return source
    named = recipe.get("dataset")
    if isinstance(named, str) and named in dataset_names():
        return DataSource("named", named)
    remedy = _NAME_IT.format(", ".join(dataset_names()))
    if isinstance(named, str) and named:
        raise DatasetError(
            f"bundle {bundle.name} does not say which files it was trained on, only a path",
            value=printable(named[:200]),
            remedy=remedy,
        )
    raise DatasetError(f"bundle {bundle.name} does not say what it was trained on", remedy=remedy)


def data_name(bundle: Bundle, named: str | None) -> str:
    """Name of what :func:`bundle_dataset` would load. DatasetError: as :func:`recorded_source`."""
    wanted = named if named is not None else recorded_source(bundle).name
    return wanted if wanted in dataset_names() else place(wanted).resolve().name


def bundle_dataset(
    bundle: Bundle,
    named: str | None = None,
    *,
    data_dir: str | Path | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Load the data set that a bundle was trained on, or another that is named.

    Args:
        named: name of a data set, or a folder; None: the bundle's own. Its classes are found by their names:
            it may have fewer than the bundle, or in another order, but no other.
        data_dir: where the files of a named data set lie.
        skip_bad: leave out images that cannot be read; those that the training left out are in any case.

    Raises:
        DatasetError: it is not recorded, gone or changed, cannot be read, or has other classes or images than
            the bundle.
    """
    height, width, _ = bundle.image_shape
    own = named is None or named == bundle.record.recipe.get("dataset")
    if named is None:
        data = load_recorded(
            recorded_source(bundle), image_size=(height, width), data_dir=data_dir, skip_bad=skip_bad
        )
    else:
        data = load_dataset(named, data_dir=data_dir, image_size=(height, width), skip_bad=skip_bad)
    check_fits(bundle, data)
    return _with_labels_of(bundle, data, own)


def check_fits(bundle: Bundle, data: Dataset) -> None:
    """Refuse a data set whose images are not of the bundle's size, or whose labels are of another kind.

    Raises:
        DatasetError: other sizes or channels, boxes or none.
    """
    try:
        bundle.output.check_labels(data.train.labels[:0])
    except DatasetError as error:
        raise DatasetError(error.what, value=data.name, remedy=_OTHER) from error
    if data.image_shape != bundle.image_shape:
        wanted, found = ("x".join(map(str, shape)) for shape in (bundle.image_shape, data.image_shape))
        raise DatasetError(
            f"the bundle takes images of {wanted} (height x width x channels)",
            value=f"{data.name}: {found}",
            remedy=_OTHER,
        )


def _with_labels_of(bundle: Bundle, data: Dataset, own: bool) -> Dataset:
    """The data set with the bundle's labels in place of its own, found by the classes' names.

    own: it is what the bundle was trained on; names may have been written in another way then.

    Raises:
        DatasetError: a class that the bundle does not know, or another number of them.
    """
    if not bundle.output.needs_classes:
        return data
    found, wanted = list(data.class_names), list(bundle.contract.class_names)
    if found == wanted or (own and len(found) == len(wanted)):
        return data
    if own or not set(found) <= set(wanted):
        raise DatasetError(
            f"the bundle knows {len(wanted)} classes: {_named(wanted)}; the data set has others",
            value=f"{data.name}: {len(found)} classes, {_named(found)}",
            remedy=_OTHER,
        )
    places = np.array([wanted.index(name) for name in found])
    missing = [name for name in wanted if name not in found]
    notes = (*data.notes, f"no images of {_named(missing)}") if missing else data.notes
    train, val, test = (_relabelled(split, places) for split in (data.train, data.val, data.test))
    return replace(data, train=train, val=val, test=test, class_names=tuple(wanted), notes=notes)


def _relabelled(split: Split, places: NDArray[np.intp]) -> Split:
    """A split whose label i has become places[i]."""
    if split.labels.ndim == 1:
        return replace(split, labels=places[split.labels].astype(split.labels.dtype))
    labels = split.labels.copy()
    there = labels[..., CLASS] >= 0
    labels[there, CLASS] = places[labels[there, CLASS].astype(np.intp)]
    return replace(split, labels=labels)


def _named(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:6])
    return shown + (", ..." if len(names) > 6 else "")
