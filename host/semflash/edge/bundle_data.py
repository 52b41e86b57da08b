"""The data set of a bundle: the one it was trained on, or a named one with its classes and image size.

There is no other: where the recorded one is gone or changed, the error says how to name it. A record comes
from whoever made the bundle, so its path is followed only as far as a list of file names and sizes (and
annotations), which must have the recorded digest before an image is opened.
"""

from __future__ import annotations

from pathlib import Path

from semflash.bundle.reader import Bundle
from semflash.data.dataset import Dataset
from semflash.data.recorded import load_recorded
from semflash.data.registry import dataset_names, load_dataset
from semflash.data.source import DataSource, place, source_of
from semflash.errors import DatasetError
from semflash.outputs.kinds import Detector
from semflash.printable import printable

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
        named: name of a data set, or a folder; None: the bundle's own.
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
    check_fits(bundle, data, names=not own)
    return data


def check_fits(bundle: Bundle, data: Dataset, *, names: bool = True) -> None:
    """Refuse a data set whose images or classes are not those of the bundle.

    Args:
        names: compare the classes' names, not only how many there are.

    Raises:
        DatasetError: other sizes or channels, boxes or none, other classes or another order of them.
    """
    contract = bundle.contract
    remedy = "use the data set the bundle was trained on (leave out --dataset), or one of the same kind"
    detects = isinstance(contract.task, Detector)
    if detects != data.has_boxes:
        raise DatasetError(
            "the bundle detects objects, and the data set has no boxes"
            if detects
            else "the bundle classifies images, and the data set has boxes",
            value=data.name,
            remedy=remedy,
        )
    if data.image_shape != bundle.image_shape:
        wanted, found = ("x".join(map(str, shape)) for shape in (bundle.image_shape, data.image_shape))
        raise DatasetError(
            f"the bundle takes images of {wanted} (height x width x channels)",
            value=f"{data.name}: {found}",
            remedy=remedy,
        )
    found_names, wanted_names = list(data.class_names), list(contract.class_names)
    if len(found_names) != len(wanted_names) or (names and found_names != wanted_names):
        raise DatasetError(
            f"the bundle knows {len(wanted_names)} classes: {_named(wanted_names)}; the data set has others",
            value=f"{data.name}: {len(found_names)} classes, {_named(found_names)}",
            remedy=remedy,
        )


def _named(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:6])
    return shown + (", ..." if len(names) > 6 else "")
