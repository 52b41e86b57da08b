"""Small data and recipes for training runs that take seconds."""

from __future__ import annotations

import dataclasses
import gzip
import io
import struct
from pathlib import Path

import numpy as np

from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import codec_recipe, task_recipe

QUIET = Progress(quiet=True)
TASK = dataclasses.replace(task_recipe("tiny"), batch=64, epochs=2, ema_decay=0.8, widths=(8,))
#: Every term of the loss, and a told BER.
WHOLE = dataclasses.replace(
    codec_recipe("tiny"),
    batch=40,
    ema_decay=0.8,
    task_epochs=2,
    xai_weight=0.3,
    usage_weight=0.1,
    estimate_noise=0.5,
)


def write_idx(path: Path, array: np.ndarray) -> None:
    """An array of bytes as a compressed idx file."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), 1))


def bars(folder: Path, seed: int) -> Path:
    """200 + 40 images of a bright bar whose height is the class: learnt in seconds."""
    rng = np.random.default_rng(seed)
    for part, count in (("train", 200), ("t10k", 40)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 60, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 7] = 250
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


def weights(out: Path) -> dict[str, np.ndarray]:
    """What weights.npz of a run holds."""
    with np.load(out / "weights.npz") as file:
        return dict(file)


class StopAfter(Progress):
    """Raises KeyboardInterrupt at the first batch of the epoch after ``epochs`` finished ones."""

    def __init__(self, epochs: int) -> None:
        super().__init__(io.StringIO())
        self.left = epochs

    def epoch(self, stage: str, epoch: int, epochs: int, steps: int):
        """See Progress."""
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().epoch(stage, epoch, epochs, steps)
