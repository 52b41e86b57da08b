"""What a transformer with a CLS token attends to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.tasks.transformer import attention_of

BATCH = 250


def attention_maps(
    head: Any, tail: Any, images: Any, *, rollout: bool = False, mirrored: bool = False
) -> NDArray[np.float32]:
    """Row CLS of the last block's attention over the patches, float32 (N, rows, columns), each summing to 1.

    Args:
        head, tail: Of a network ``vit``.
        images: uint8 (N, H, W, C).
        rollout: Followed back through the blocks before it.
        mirrored: The mean of the attention to each image and to its mirror image, turned back.

    Raises:
        TrainingError: The network has no CLS token.
    """
    attention = attention_of(tail, rollout=rollout)
    found = []
    for start in range(0, len(images), BATCH):
        part = np.asarray(images[start : start + BATCH]).astype(np.float32) / np.float32(255)
        maps = np.asarray(attention.predict_on_batch(head.predict_on_batch(part)))
        if mirrored:
            other = attention.predict_on_batch(head.predict_on_batch(part[:, :, ::-1]))
            maps = maps + np.asarray(other)[:, :, ::-1]
        found.append(maps)
    maps = np.concatenate(found)
    return np.asarray(maps / maps.sum(axis=(1, 2), keepdims=True), np.float32)
