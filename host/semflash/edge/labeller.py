"""The edge half of a monitor run: payloads -> injected errors -> LiteRT -> labels, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.ber_estimate import WINDOW_BITS, BerEstimate, BerEstimator
from semflash.channels.bits import flip_bits
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.judge import Reading, read
from semflash.link.outcome import Received

BATCH = 64
_PENDING_BATCHES = 4


@dataclass(frozen=True)
class Labelled:
    """One image decoded.

    Attributes:
        received: what the device sent; noisy: its payload after injection; flips: injected, at rate `ber`.
        told: the BER that the decoder was told.
        pilot_bits, pilot_bit_errors: known bits of its frame, and how many came wrong, after injection.
        reading: what the edge says about it.
        golden_equal: payload equals the reference's; None where it was not compared.
    """

    received: Received
    noisy: bytes
    ber: float
    flips: int
    reading: Reading
    golden_equal: bool | None
    told: float = 0.0
    pilot_bits: int = 0
    pilot_bit_errors: int = 0


def image_rng(seed: int, ber: float, index: int) -> np.random.Generator:
    """Generator of one image's injected errors: the same whatever the order of arrival."""
    return np.random.default_rng([seed, round(ber * 2**40), index])


def inject(payload: bytes, ber: float, seed: int, index: int) -> tuple[bytes, int]:
    """Flip bits of one payload with probability `ber`; returns it and the number of flipped bits."""
    clean = np.frombuffer(payload, np.uint8)[None]
    noisy = flip_bits(clean, ber, image_rng(seed, ber, index))
    return noisy.tobytes(), int(np.bitwise_count(noisy ^ clean).sum())


def noisy_pilot_errors(errors: bytes, ber: float, seed: int, index: int) -> int:
    """Wrong pilot bits after injection at the same rate as into the payload, with flips of their own.

    errors: pilots XOR what they should be, as the link delivered them.
    """
    if not errors:
        return 0
    rng = np.random.default_rng([seed, round(ber * 2**40), index, 1])
    noisy = flip_bits(np.frombuffer(errors, np.uint8)[None], ber, rng)
    return int(np.bitwise_count(noisy).sum())


class Labeller:
    """Decodes payloads in a worker thread.

    Args:
        images: uint8 (N, H, W, C), for the golden check; an index counts modulo N. None: no check.
        ber, seed: injected errors.
        assume_ber: what the decoder is told; None: the estimate from the pilots, or `ber` where there are
            none.
        ber_known: without assume_ber, the decoder is told `ber`. ber_window: pilot bits that the estimate
            remembers.
    """

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8] | None,
        *,
        ber: float = 0.0,
        assume_ber: float | None = None,
        ber_known: bool = False,
        ber_window: float = WINDOW_BITS,
        seed: int = 0,
    ) -> None:
        self._ber, self._seed, self._assumed, self._known = ber, seed, assume_ber, ber_known
        self._estimator = BerEstimator(ber_window)
        self._decoder, self._contract = EdgeDecoder(bundle), bundle.contract
        self._size = bundle.payload_bytes
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

    def estimate(self) -> BerEstimate | None:
        """Bit error rate after the pilots that were decoded so far; None: no pilots."""
        return self._estimator.estimate()

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
        wrong = [noisy_pilot_errors(r.pilot_errors, ber, self._seed, r.index) for r in batch]
        told = [self._tell(r, errors, ber) for r, errors in zip(batch, wrong, strict=True)]
        noisy = np.stack(
            [np.frombuffer(payload.ljust(self._size, b"\0"), np.uint8) for payload, _ in injected]
        )
        bits = np.array([received.bits for received in batch], np.int64)
        readings = read(self._decoder.logits(noisy, told, bits=bits), self._contract)
        equal = self._compare(batch)
        return [
            Labelled(
                received,
                *(payload, ber, flips),
                reading=readings[i],
                golden_equal=equal[i],
                told=told[i],
                pilot_bits=8 * len(received.pilot_errors),
                pilot_bit_errors=wrong[i],
            )
            for i, (received, (payload, flips)) in enumerate(zip(batch, injected, strict=True))
        ]

    def _tell(self, received: Received, wrong: int, ber: float) -> float:
        """Take the pilots of one image, wrong ones counted; what the decoder is told for it."""
        self._estimator.add(wrong, 8 * len(received.pilot_errors))
        if self._assumed is not None:
            return self._assumed
        estimated = self._estimator.decoder_value
        return ber if self._known or estimated is None else estimated

    def _compare(self, batch: Sequence[Received]) -> list[bool | None]:
        """Payloads against the reference; one that the link damaged is not the device's word."""
        if self._golden is None or self._images is None:
            return [None] * len(batch)
        equal: list[bool | None] = [None] * len(batch)
        for controls in {tuple(received.controls.items()) for received in batch}:
            alike = [i for i, received in enumerate(batch) if tuple(received.controls.items()) == controls]
            images = self._images[[batch[i].index % len(self._images) for i in alike]]
            sent = self._golden.run(images, dict(controls)).sent
            for i, right, bits in zip(alike, sent, sent.bits, strict=True):
                if not batch[i].damaged:
                    equal[i] = (right, int(bits)) == (batch[i].payload, batch[i].bits)
        return equal
