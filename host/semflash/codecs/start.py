"""Weights that a codec begins with instead of random ones: of the package's start, or another run's.

A start holds the weights of the codec's parts in order, ``device_graph.0000`` and so on, as ``weights.npz``
of a run has them. Those whose place and shape are the same are taken over; what depends on the payload's size
(the latent's channels) stays random. A first kernel for colour is summed over its channels for grey images.
"""

from __future__ import annotations

import numpy as np

from semflash.codecs.base import Codec
from semflash.errors import TrainingError
from semflash.tasks.start import read_start

#: Less than this share of the weights taken over is no beginning.
LEAST_SHARE = 0.5


def begin_codec(codec: Codec, start: str) -> tuple[int, int]:
    """Put a start's weights into a codec; how many arrays were taken over, of how many.

    Args:
        start: a name of :data:`semflash.tasks.presets.STARTS`, or the ``weights.npz`` of a codec run.

    Raises:
        TrainingError: the file is missing or damaged, or its codec is another one.
    """
    arrays, taken, total = read_start(start, "codec"), 0, 0
    for part, model in codec.parts().items():
        for index, variable in enumerate(model.weights):
            total += 1
            value = arrays.get(f"{part}.{index:04d}")
            if value is None:
                continue
            shape = tuple(variable.shape)
            if value.ndim == 4 and len(shape) == 4 and (value.shape[2], shape[2]) == (3, 1):
                value = value.astype(np.float32).sum(axis=2, keepdims=True)
            if value.shape == shape:
                variable.assign(value.astype(np.float32))
                taken += 1
    if taken < LEAST_SHARE * total:
        raise TrainingError(
            "the weights to begin with are those of another codec",
            value=f"{start}: {taken} of {total} arrays fit",
            remedy="the family and sizes of that codec, or no weights: --set start=",
        )
    return taken, total
