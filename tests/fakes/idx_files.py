"""Idx files of the Fashion-MNIST format with smooth random images."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def write_blocks(folder: Path, *, train: int, test: int, in_order: bool = False) -> Path:
    """Images of 7x7 blocks with random labels: the tiny bundle gives them several different classes.

    in_order: the same number of images of each class, sorted by class.
    """
    folder.mkdir(exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        rng = np.random.default_rng(count)
        images = rng.integers(0, 256, (count, 4, 4), np.uint8).repeat(7, axis=1).repeat(7, axis=2)
        labels = rng.integers(0, 10, count).astype(np.uint8)
        if in_order:
            labels = (np.arange(count) * 10 // count).astype(np.uint8)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes(), 1))
        head = struct.pack(">II", 0x801, count)
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels.tobytes(), 1))
    return folder
