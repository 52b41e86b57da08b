"""Entropy-coded codes of a trained codec: fewer bytes, and what one flipped bit then does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.baselines.arithmetic import decode, encode, frequencies
from semflash.baselines.base import Erased, lost, up_to_loss
from semflash.baselines.learned import LearnedMethod
from semflash.baselines.spec import Job, MethodSpec
from semflash.training.models import TrainedCodec
from semflash.training.models import encode as codes_of
from semflash.training.task import limited


class CodeTables:
    """Frequencies of the codes at each position, given the code of the same channel one place before.

    Args:
        codes: of training images, uint8 (N, S), in raster order (h, w, C).
        levels: K. channels: C, how far back the place before is.
    """

    def __init__(self, codes: NDArray[np.uint8], levels: int, channels: int) -> None:
        self.levels, self.channels = levels, channels
        counts = np.zeros((codes.shape[1], levels, levels), np.int64)
        for position in range(codes.shape[1]):
            before = self._before(position, codes)
            np.add.at(counts[position], (before, codes[:, position].astype(np.int64)), 1)
        self.ends = frequencies(counts)

    def __call__(self, position: int, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Cumulative frequencies (N, K + 1)."""
        found: NDArray[np.int64] = self.ends[position][self._before(position, codes)]
        return found

    def _before(self, position: int, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        if position < self.channels:
            return np.zeros(len(codes), np.int64)
        return np.minimum(codes[:, position - self.channels], self.levels - 1).astype(np.int64)


class EntropyCoded(LearnedMethod):
    """A trained codec whose codes pass an arithmetic coder; everything behind a flipped bit is in doubt.

    Args:
        tables: of the codes; device and edge hold the same.
    """

    def __init__(
        self, trained: TrainedCodec, prior: NDArray[np.float32], tables: CodeTables, spec: MethodSpec
    ) -> None:
        super().__init__(trained, prior, name=spec.name, title=spec.title, citation=spec.citation)
        self.tables = tables
        self.settings["tables"] = "static per position, given the code one place before"

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        """Streams of different lengths."""
        codes = codes_of(self.trained.codec, images).astype(np.uint8)
        return encode(codes.reshape(len(codes), -1), self.tables)

    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Erased | None = None
    ) -> NDArray[np.float32]:
        """Bytes from the first lost one on are read as zeros."""
        gone = lost(erased, len(payloads))
        if erased is not None:
            payloads = [up_to_loss(p, mask) for p, mask in zip(payloads, erased, strict=True)]
        codes = decode(payloads, math.prod(self.trained.codec.code_shape), self.tables).astype(np.int32)
        found = self.logits_of_codes(codes, ber, None)
        found[gone] = self.prior
        self.undecodable = int(gone.sum())
        return found


def entropy_coded(trained: TrainedCodec, job: Job, spec: MethodSpec) -> EntropyCoded:
    """Count the codes of the training images, then code with these counts."""
    train = limited(job.data.train, job.budget.train_images)
    codes = codes_of(trained.codec, train.images).astype(np.uint8)
    tables = CodeTables(codes.reshape(len(codes), -1), trained.codec.levels(), codes.shape[-1])
    return EntropyCoded(trained, job.prior, tables, spec)
