"""A data set in a few lines: how many images of each class, and what was changed or left out."""

from __future__ import annotations

import numpy as np

from semflash.data.dataset import Dataset, Split
from semflash.outputs.boxes import CLASS

#: With more classes than this only the smallest and the largest are named.
CLASSES_SHOWN = 20


def summary(data: Dataset) -> list[str]:
    """Lines for people: splits, counts per class (training + validation + test), notes."""
    height, width, channels = data.image_shape
    splits = (data.train, data.val, data.test)
    sizes = " + ".join(f"{len(split):,}" for split in splits)
    lines = [
        f"data set {data.name}: {sizes} images (training + validation + test) of "
        f"{height}x{width}x{channels}, {len(data.class_names)} classes"
    ]
    counts = np.stack([class_counts(split, len(data.class_names)) for split in splits])
    what = "objects" if data.has_boxes else "images"
    if len(data.class_names) <= CLASSES_SHOWN:
        each = (
            f"{name} {a:,} + {b:,} + {c:,}"
            for name, (a, b, c) in zip(data.class_names, counts.T, strict=True)
        )
        lines.append(f"  {what} per class: {', '.join(each)}")
    else:
        train = counts[0]
        least, most = int(train.argmin()), int(train.argmax())
        lines.append(
            f"  {what} per class in training: {train[least]:,} ({data.class_names[least]}) to "
            f"{train[most]:,} ({data.class_names[most]})"
        )
    for split, found in zip(("validation", "test"), counts[1:], strict=True):
        missing = [name for name, count in zip(data.class_names, found, strict=True) if not count]
        if missing:
            lines.append(f"  warning: no {split} {what} of {', '.join(missing[:CLASSES_SHOWN])}")
    return lines + [f"  {note}" for note in data.notes]


def class_counts(split: Split, classes: int) -> np.ndarray:
    """Images (objects, where there are boxes) of each class, int64 (classes,)."""
    labels = split.labels
    if labels.ndim == 3:
        labels = labels[..., CLASS][labels[..., CLASS] >= 0].astype(np.int64)
    return np.bincount(labels, minlength=classes)
