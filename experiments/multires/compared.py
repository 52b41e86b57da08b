"""SemanticNN and LimitNet on the same scenes, with as many bytes and the same task network."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from semflash.codecs.compared.limitnet import LimitNet
from semflash.data.dataset import Split
from semflash.training.models import TrainedCodec, encode

BATCH = 250


def accuracy(trained: TrainedCodec, split: Split, rate: int) -> float:
    """Share of right labels of what arrives of payloads cut to a rate in bytes; nothing else is lost."""
    codec = trained.codec
    codes = encode(codec, np.asarray(split.images))
    kept = sent_codes(codec, rate)
    right = []
    for start in range(0, len(codes), BATCH):
        part = codes[start : start + BATCH]
        erased = np.zeros(part.shape, bool)
        erased.reshape(len(part), -1)[:, kept:] = True
        found = codec.outputs(trained.tail, part, np.zeros((len(part), 1), np.float32), erased)
        answers: NDArray[Any] = ops.convert_to_numpy(found).argmax(axis=1)
        right.append(answers == split.labels[start : start + BATCH])
    return float(np.concatenate(right).mean())


def sent_codes(codec: Any, rate: int) -> int:
    """Codes that fit a rate in bytes: all of them, or of a LimitNet the first ones.

    Raises:
        ValueError: A payload that cannot be cut is longer.
    """
    fit = 8 * rate // codec.bits_per_code()
    everything = int(np.prod(codec.code_shape))
    if fit < everything and not isinstance(codec, LimitNet):
        raise ValueError(f"{everything} codes do not fit {rate} bytes")
    return min(fit, everything)
