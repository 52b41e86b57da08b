"""The edge half of a monitor run: payloads -> injected damage -> LiteRT -> readings, in its own thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.ber_estimate import WINDOW_BITS, BerEstimate
from semflash.channels.of_quality import QualityChannel, channel_of
from semflash.channels.pilot_estimates import Estimate
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.link.outcome import Received
from semflash.outputs.output import Reading

BATCH = 64
_PENDING_BATCHES = 4


@dataclass(frozen=True)
class Labelled:
    """One image decoded.

    Attributes:
        received: What the device sent.
        noisy: Its payload after injection.
        level: What was injected, in the bundle's kind of quality.
        flips: Bits that injection changed.
        reading: What the edge says about it.
        golden_equal: The payload equals the reference's; None where it was not compared.
        told: The level that the decoder was told.
        pilot_bits: Known bits of its frame.
        pilot_bit_errors: How many of them came wrong, after injection.
    """

    received: Received
    noisy: bytes
    level: float
    flips: int
    reading: Reading
    golden_equal: bool | None
    told: float = 0.0
    pilot_bits: int = 0
    pilot_bit_errors: int = 0


def inject(channel: QualityChannel, payload: bytes, level: float, seed: int, index: int) -> tuple[bytes, int]:
    """Damage one payload as a channel of a level does; returns it and the number of changed bits.

    The damage depends on seed, level and index only, whatever the order of arrival.
    """
    clean = np.frombuffer(payload, np.uint8)[None]
    noisy = channel.damage(clean, level, channel.rng(seed, level, index))
    return noisy.tobytes(), int(np.bitwise_count(noisy ^ clean).sum())


class Labeller:
    """Decodes payloads in a worker thread.

    Args:
        images: uint8 (N, H, W, C), for the golden check; an index counts modulo N. None: no check.
        level: what is injected, in the bundle's kind of quality; None: nothing. seed: of the damage.
        assumed: the level that the decoder is told; None: the estimate from the pilots, or `level` where
            there are none.
        known: without `assumed`, the decoder is told `level`. window: pilot bits that the estimate remembers.
    """

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8] | None,
        *,
        level: float | None = None,
        assumed: float | None = None,
        known: bool = False,
        window: float = WINDOW_BITS,
        seed: int = 0,
    ) -> None:
        self._quality, self._channel = bundle.quality, channel_of(bundle.quality)
        self._level = bundle.quality.clean if level is None else level
        self._seed, self._assumed, self._known = seed, assumed, known
        self._estimator = self._channel.estimator(window)
        self._decoder, self._output = EdgeDecoder(bundle), bundle.output
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
            self._pending.append(self._pool.submit(self._label, self._batch, self._level))
            self._batch = []

    def inject_at(self, level: float) -> None:
        """The level of injected damage from the next image on."""
        if level != self._level:
            self.push()
            self._level = level

    def ready(self) -> Iterator[Labelled]:
        """What is decoded by now; waits only where the worker lags far behind."""
        while self._pending and (self._pending[0].done() or len(self._pending) > _PENDING_BATCHES):
            yield from self._pending.popleft().result()

    def finish(self) -> Iterator[Labelled]:
        """Everything that is left."""
        self.push()
        while self._pending:
            yield from self._pending.popleft().result()

    def estimate(self) -> Estimate | BerEstimate | None:
        """The channel's quality after the pilots that were decoded so far; None: no pilots."""
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

    def _label(self, batch: Sequence[Received], level: float) -> list[Labelled]:
        """In the worker."""
        injected = [inject(self._channel, r.payload, level, self._seed, r.index) for r in batch]
        wrong, told = [], []
        for received in batch:
            rng = self._channel.pilot_rng(self._seed, level, received.index)
            wrong.append(self._estimator.add(received.pilot_errors, level, rng))
            told.append(self._tell(level))
        noisy = np.stack(
            [np.frombuffer(payload.ljust(self._size, b"\0"), np.uint8) for payload, _ in injected]
        )
        bits = np.array([received.bits for received in batch], np.int64)
        readings = self._output.read(self._decoder.logits(noisy, told, bits=bits))
        equal = self._compare(batch)
        return [
            Labelled(
                received,
                *(payload, level, flips),
                reading=readings[i],
                golden_equal=equal[i],
                told=told[i],
                pilot_bits=8 * len(received.pilot_errors),
                pilot_bit_errors=wrong[i],
            )
            for i, (received, (payload, flips)) in enumerate(zip(batch, injected, strict=True))
        ]

    def _tell(self, level: float) -> float:
        """What the decoder is told now, when a level is injected."""
        if self._assumed is not None:
            return self._assumed
        estimated = self._estimator.value
        return self._quality.told(level if self._known or estimated is None else estimated)

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
