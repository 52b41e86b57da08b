"""Any trained codec as a method of the comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.baselines.base import Erased, Method, block_of, erased_symbols, lost
from semflash.bundle.packing import pack, unpack
from semflash.training.models import TrainedCodec, encode
from semflash.training.task import EVALUATION_BATCH


class LearnedMethod(Method):
    """A trained codec with its fine-tuned tail.

    Args:
        trained: the run.
        prior: logits of a payload of which nothing arrived, float32 (classes,).
        name, title, citation: of the catalogue's entry.
        settings: how it was tuned.
    """

    def __init__(
        self,
        trained: TrainedCodec,
        prior: NDArray[np.float32],
        *,
        name: str,
        title: str,
        citation: str,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.trained, self.prior = trained, prior
        self.name, self.title, self.citation = name, title, citation
        self.settings = {"recipe": trained.info.recipe} | (settings or {})
        self.undecodable = 0

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        """Codes of the float encoder, packed as on the device."""
        codes = encode(self.trained.codec, images).astype(np.uint8)
        return [row.tobytes() for row in pack(codes, self.trained.codec.bits_per_code())]

    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Erased | None = None
    ) -> NDArray[np.float32]:
        """Erased symbols (all that have a bit in a lost byte) are neutral to the decoder."""
        codec = self.trained.codec
        bits, symbols = codec.bits_per_code(), math.prod(codec.code_shape)
        block = block_of(payloads, codec.payload_bytes)
        gone = erased_symbols(erased, len(block), symbols, bits)
        codes = unpack(block, bits, symbols).astype(np.int32)
        found = self.logits_of_codes(codes, ber, gone)
        nothing = lost(erased, len(block))
        found[nothing] = self.prior
        self.undecodable = int(nothing.sum())
        return found

    def logits_of_codes(
        self, codes: NDArray[np.int32], ber: float, erased: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Logits of received codes int32 (N, symbols), and which of them are lost, in batches."""
        codec, shape, pieces = self.trained.codec, self.trained.codec.code_shape, []
        for start in range(0, len(codes), EVALUATION_BATCH):
            part = codes[start : start + EVALUATION_BATCH].reshape(-1, *shape)
            gone = None if erased is None else erased[start : start + len(part)].reshape(-1, *shape)
            quality = np.full((len(part), 1), ber, np.float32)
            logits = codec.outputs(self.trained.tail, part, quality, gone)
            pieces.append(keras.ops.convert_to_numpy(logits))
        return np.concatenate(pieces).astype(np.float32)
