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
from semflash.channels.ber_estimate import BerEstimate
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.of_quality import QualityChannel, channel_for
from semflash.channels.pilot_estimates import Estimate
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.pictured import readings
from semflash.link.outcome import Received
from semflash.outputs.output import Reading
from semflash.program.quality import Quality

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
        consistent: Whether the payload can be believed in what it says of itself.
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
    consistent: bool = True


@dataclass(frozen=True)
class _Waiting:
    """An image that came: what is injected into its payload, and what the decoder is told."""

    received: Received
    level: float
    told: float
    pilot_bit_errors: int


def inject(
    channel: QualityChannel, payload: bytes, level: float, seed: int, index: int, bits: int | None = None
) -> tuple[bytes, int]:
    """Damage one payload as a channel of a level does; returns it and the number of changed bits.

    The damage depends on seed, level and index only, whatever the order of arrival.

    Args:
        bits: length of the payload; None: all of its bytes.
    """
    clean = np.frombuffer(payload, np.uint8)[None]
    length = None if bits is None else np.array([bits])
    noisy = channel.damage(clean, level, channel.rng(seed, level, index), length)
    return noisy.tobytes(), int(np.bitwise_count(noisy ^ clean).sum())


def window_of(quality: Quality, window: float | None) -> float:
    """How many pilot bits an estimate remembers; None: nobody says."""
    return quality.window_bits if window is None else window


class Labeller:
    """Decodes payloads in a worker thread.

    The estimate of the channel is made when an image comes, before it is decoded: what the decoder is told,
    and what a device's controls follow, is as new as it can be.

    Args:
        images: uint8 (N, H, W, C), for the golden check; an index counts modulo N. None: no check.
        level: what is injected, in the bundle's kind of quality; None: nothing. seed: of the damage.
        assumed: the level that the decoder is told; None: the estimate from the pilots, or `level` where
            there are none. fading: of the injected channel.
        known: without `assumed`, the decoder is told `level`. window: pilot bits that the estimate remembers;
            None: as many as the kind of quality takes.
    """

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8] | None,
        *,
        level: float | None = None,
        assumed: float | None = None,
        known: bool = False,
        window: float | None = None,
        seed: int = 0,
        fading: Fading = NO_FADING,
    ) -> None:
        self._quality, self._channel = bundle.quality, channel_for(bundle.program, fading)
        self._level = bundle.quality.clean if level is None else level
        self._seed, self._assumed, self._known = seed, assumed, known
        self._estimator = self._channel.estimator(window_of(bundle.quality, window))
        self._decoder, self._bundle = EdgeDecoder(bundle), bundle
        self._size, self._controls = bundle.payload_bytes, bundle.program.controls
        self._images = images
        self._golden = GoldenEncoder(bundle) if images is not None else None
        self._batch: list[_Waiting] = []
        self._pending: deque[Future[list[Labelled]]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="labeller")

    def put(self, received: Received) -> None:
        """Take the codes of one image, and its pilots; a full batch goes to the worker."""
        level, index = self._level, received.index
        rng = self._channel.pilot_rng(self._seed, level, index)
        gain = self._channel.gain(self._seed, level, index)
        wrong = self._estimator.add(received.pilot_errors, level, rng, gain)
        self._batch.append(_Waiting(received, level, self._tell(), wrong))
        if len(self._batch) >= BATCH:
            self.push()

    def push(self) -> None:
        """Give the worker what has come so far."""
        if self._batch:
            self._pending.append(self._pool.submit(self._label, self._batch))
            self._batch = []

    def inject_at(self, level: float) -> None:
        """The level of injected damage from the next image on."""
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
        """The channel's quality after the pilots that came so far, with its interval; None: no pilots."""
        return self._estimator.estimate()

    @property
    def channel_level(self) -> float:
        """The channel's quality now: the estimate from the pilots, or what is injected where that is known
        or there are none."""
        estimated = None if self._known else self._estimator.value
        return self._level if estimated is None else estimated

    def channel_interval(self) -> tuple[float, float] | None:
        """The interval of :attr:`channel_level`; None: it is known, or there are no pilots."""
        found = None if self._known else self._estimator.estimate()
        return None if found is None else (found.low, found.high)

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

    def _label(self, batch: Sequence[_Waiting]) -> list[Labelled]:
        """In the worker."""
        images = [one.received for one in batch]
        injected = [
            inject(self._channel, one.payload, each.level, self._seed, one.index, one.bits)
            for one, each in zip(images, batch, strict=True)
        ]
        noisy = np.stack(
            [np.frombuffer(payload.ljust(self._size, b"\0"), np.uint8) for payload, _ in injected]
        )
        bits = np.array([received.bits for received in images], np.int64)
        told = [each.told for each in batch]
        decoded = self._decoder.decode(noisy, told, bits=bits, controls=self._used(images))
        said, equal = readings(self._bundle, decoded), self._compare(images)
        return [
            Labelled(
                each.received,
                *(payload, each.level, flips),
                reading=said[i],
                golden_equal=equal[i],
                told=each.told,
                pilot_bits=8 * len(each.received.pilot_errors),
                pilot_bit_errors=each.pilot_bit_errors,
                consistent=bool(decoded.consistent[i]),
            )
            for i, (each, (payload, flips)) in enumerate(zip(batch, injected, strict=True))
        ]

    def _used(self, images: Sequence[Received]) -> dict[str, list[int]]:
        """Values of the controls that the device used, by name, one for each image; of a recording that does
        not tell them the default."""
        return {
            control.name: [one.controls.get(control.name, control.default) for one in images]
            for control in self._controls
        }

    def _tell(self) -> float:
        """What the decoder is told now."""
        return self._assumed if self._assumed is not None else self._quality.told(self.channel_level)

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
