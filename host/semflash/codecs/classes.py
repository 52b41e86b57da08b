"""Whether a data set goes with a codec that names one class per image."""

from __future__ import annotations

from semflash.data.dataset import Dataset
from semflash.errors import DatasetError


def check_classes(classes: int, data: Dataset) -> None:
    """One class per image, and as many classes as the codec tells apart.

    Raises:
        DatasetError: The data set has boxes, or another number of classes.
    """
    if data.has_boxes or len(data.class_names) != classes:
        found = "boxes" if data.has_boxes else f"{len(data.class_names)} classes"
        raise DatasetError(
            f"this codec tells {classes} classes apart, and the data set has {found}",
            value=data.name,
            remedy="use the data set of the training",
        )
