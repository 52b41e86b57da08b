"""The data set that a training recorded, and no other."""

from __future__ import annotations

from pathlib import Path

from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.data.source import DataSource, place
from semflash.errors import DatasetError
from semflash.printable import printable


def load_recorded(
    source: DataSource,
    *,
    image_size: tuple[int, int],
    data_dir: str | Path | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Load it as it was.

    Args:
        image_size: height and width that the images of a folder are resized to, pixels.
        data_dir: where the files of a named data set lie.
        skip_bad: leave out images that cannot be read; where the training did, it is done in any case.

    Raises:
        DatasetError: it is gone, its files are no longer the same, or they cannot be read.
    """
    if source.kind == "named":
        return load_dataset(source.name, data_dir=data_dir, image_size=image_size)
    folder = place(source.name)
    if not folder.is_dir():
        raise DatasetError(
            "the data set of the training is not here any more",
            value=printable(source.name),
            remedy="put it back, or say where it is now: --dataset FOLDER",
        )
    return load_dataset(folder, image_size=image_size, skip_bad=skip_bad or source.skip_bad, known=source)
