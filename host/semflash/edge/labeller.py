"""The edge half of a monitor run: payloads -> injected errors -> LiteRT -> labels, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from semflash.bridge.outcome import Received
from semflash.bundle.bit_errors import flip_bits
from semflash.bundle.reader import Bundle
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder

BATCH = 64
_PENDING_BATCHES = 4


@dataclass(frozen=True)
class Labelled:
    """One image decoded.

    Attributes:
        received: what the device sent; noisy: its payload after injection; flips: injected, at rate `ber`.
        predicted: class; confidence: softmax of its logit, 0..1.
        golden_equal: payload equals the reference's; None where it was not compared.
    """

    received: Received
    noisy: bytes
    ber: float
    flips: int
    predicted: int
    confidence: float
    golden_equal: bool | None


def image_rng(seed: int, ber: float, index: int) -> np.random.Generator:
    """Generator of one image's injected errors: the same whatever the order of arrival."""
    return np.random.default_rng([seed, round(ber * 2**40), index])


def inject(payload: bytes, ber: float, seed: int, index: int) -> tuple[bytes, int]:
    """Flip bits of one payload with probability `ber`; returns it and the number of flipped bits."""
    clean = np.frombuffer(payload, np.uint8)[None]
    noisy = flip_bits(clean, ber, image_rng(seed, ber, index))
    return noisy.tobytes(), int(np.bitwise_count(noisy ^ clean).sum())


class Labeller:
    """Decodes payloads in a worker thread.

    Args:
        images: uint8 (N, H, W, C), for the golden check; an index counts modulo N. None: no check.
        ber, seed: injected errors. assume_ber: what the decoder is told (None: `ber`).
    """

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8] | None,
        *,
        ber: float = 0.0,
        assume_ber: float | None = None,
        seed: int = 0,
    ) -> None:
        self._ber, self._seed, self._assumed = ber, seed, assume_ber
        self._decoder = EdgeDecoder(bundle)
        self._images = images
        self._golden = GoldenEncoder(bundle) if images is not None else None
        self._batch: list[Received] = []
        self._pending: deque[Future[list[Labelled]]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="labeller")

    def put(self, received: Received) -> None:
        """Take the codes of one image; a full batch goes to the worker."""
        self._batch.append(received)
        if len(self._batch) >= BATCH:
            self.push()

    def push(self) -> None:
        """Give the worker what has come so far."""
        if self._batch:
            self._pending.append(self._pool.submit(self._label, self._batch, self._ber))
            self._batch = []

    def inject_at(self, ber: float) -> None:
        """The rate of injected errors from the next image on."""
        if ber != self._ber:
            self.push()
            self._ber = ber

    def ready(self) -> Iterator[Labelled]:
        """What is decoded by now; waits only where the worker lags far behind."""
        while self._pending and (self._pending[0].done() or len(self._pending) > _PENDING_BATCHES):
            yield from self._pending.popleft().result()

    def finish(self) -> Iterator[Labelled]:
        """Everything that is left."""
        self.push()
        while self._pending:
            yield from self._pending.popleft().result()

    @property
    def idle(self) -> bool:
        """The worker has nothing to do."""
        return not self._pending

    def __enter__(self) -> Labeller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _label(self, batch: Sequence[Received], ber: float) -> list[Labelled]:
        """In the worker."""
        injected = [inject(r.payload, ber, self._seed, r.index) for r in batch]
        noisy = np.stack([np.frombuffer(payload, np.uint8) for payload, _ in injected])
        logits = self._decoder.logits(noisy, ber if self._assumed is None else self._assumed).astype(
            np.float64
        )
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        equal = self._compare(batch)
        return [
            Labelled(r, payload, ber, flips, int(row.argmax()), float(row.max()), same)
            for r, (payload, flips), row, same in zip(batch, injected, shares, equal, strict=True)
        ]

    def _compare(self, batch: Sequence[Received]) -> list[bool | None]:
        """Payloads against the reference; one that the link damaged is not the device's word."""
        if self._golden is None or self._images is None:
            return [None] * len(batch)
        golden = self._golden.payloads(self._images[[r.index % len(self._images) for r in batch]])
        return [
            None if r.damaged else bytes(right) == r.payload for r, right in zip(batch, golden, strict=True)
        ]
