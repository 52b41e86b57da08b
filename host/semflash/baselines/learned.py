"""Any trained codec as a method of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.baselines.base import Erased, Method, block_of, erased_symbols, lost
from semflash.bundle.packing import pack, unpack
from semflash.codecs.base import FixedPayloadSpec
from semflash.errors import TrainingError
from semflash.training.models import TrainedCodec, encode
from semflash.training.task import EVALUATION_BATCH


class LearnedMethod(Method):
    """A trained codec with its fine-tuned tail.

    Args:
        trained: the run.
        prior: logits of a payload of which nothing arrived, float32 (classes,).
        name, title, citation: of the catalogue's entry.
        settings: how it was tuned.

    Raises:
        TrainingError: a family whose payloads vary in length.
    """

    def __init__(
        self, trained: TrainedCodec, prior: NDArray[np.float32], *, name: str, title: str, citation: str,
        settings: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        payload = trained.codec.payload()
        if not isinstance(payload, FixedPayloadSpec):
            raise TrainingError("only fixed payloads can be compared", value=trained.codec.family)
        self.trained, self.prior, self.payload = trained, prior, payload
        self.name, self.title, self.citation = name, title, citation
        self.settings = {"recipe": trained.info.recipe} | (settings or {})
        self.undecodable = 0

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        """Codes of the float encoder, packed as on the device."""
        codes = encode(self.trained.codec, images).astype(np.uint8)
        return [row.tobytes() for row in pack(codes, self.payload.bits_per_symbol)]

    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Erased | None = None
    ) -> NDArray[np.float32]:  # fmt: skip
        """Erased symbols (all that have a bit in a lost byte) are neutral to the decoder."""
        bits, symbols = self.payload.bits_per_symbol, self.payload.symbols
        block = block_of(payloads, self.payload.size_bytes)
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
        codec, shape, pieces = self.trained.codec, self._code_shape, []
        for start in range(0, len(codes), EVALUATION_BATCH):
            part = codes[start : start + EVALUATION_BATCH].reshape(-1, *shape)
            gone = None if erased is None else erased[start : start + len(part)].reshape(-1, *shape)
            quality = np.full((len(part), 1), ber, np.float32)
            logits = self.trained.tail(codec.decode(part, quality, gone), training=False)
            fuse = getattr(codec, "fuse", None)
            pieces.append(keras.ops.convert_to_numpy(logits if fuse is None else fuse(logits, part, gone)))
        return np.concatenate(pieces).astype(np.float32)

    @property
    def _code_shape(self) -> tuple[int, ...]:
        shape = getattr(self.trained.codec, "code_shape", None)
        return tuple(self.trained.codec.values_shape() if shape is None else shape)
