"""The way of some images through the int8 encoder, an injected channel and the decoder, without a board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.of_quality import QualityChannel
from semflash.edge.decoder import Decoded, EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.program.payload import Payloads

#: Payloads whose outputs are in memory at once.
BATCH = 1024

Array = NDArray[np.float32]


class Route:
    """Images at one level of the channel's quality after the other.

    Args:
        images: uint8 (N, H, W, C). channel: what damages their payloads; seed: of the damage.
        decoder: of the bundle; None: a new one.
        own: controls that each image has for itself, by name int64 (N,); they go before the others.

    Raises:
        BundleError, ModelError: the bundle does not run.
    """

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8],
        channel: QualityChannel,
        seed: int,
        decoder: EdgeDecoder | None = None,
        own: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> None:
        self._own = dict(own or {})
        self._images, self._channel, self._seed = images, channel, seed
        self._quality, self._size = bundle.quality, bundle.payload_bytes
        self._encoder, self._decoder = GoldenEncoder(bundle), decoder or EdgeDecoder(bundle)
        self._sent: dict[tuple[tuple[str, int], ...], Payloads] = {}

    def sent(self, controls: Mapping[str, int]) -> Payloads:
        """What a device with these controls sends; encoded once."""
        key = tuple(sorted(controls.items()))
        if key not in self._sent:
            self._sent[key] = self._encode(controls)
        return self._sent[key]

    def _encode(self, controls: Mapping[str, int]) -> Payloads:
        """Images with the same values of their own together."""
        if not self._own:
            return self._encoder.sent(self._images, controls)
        sets, group = np.unique(np.stack(list(self._own.values()), axis=1), axis=0, return_inverse=True)
        payloads = np.zeros((len(self._images), self._size), np.uint8)
        bits = np.zeros(len(self._images), np.int64)
        for number, values in enumerate(sets.tolist()):
            which = np.flatnonzero(group.ravel() == number)
            own = dict(zip(self._own, values, strict=True))
            sent = self._encoder.sent(self._images[which], {**controls, **own})
            payloads[which, : sent.payloads.shape[1]], bits[which] = sent.payloads, sent.bits
        return Payloads(payloads, bits)

    def received(self, level: float, controls: Mapping[str, int]) -> Payloads:
        """The same as it arrives."""
        sent, rng = self.sent(controls), self._channel.rng(self._seed, level)
        return Payloads(self._channel.damage(sent.payloads, level, rng, sent.bits), sent.bits)

    def outputs(self, level: float, controls: Mapping[str, int], told: float | None = None) -> Array:
        """What the edge gives for all images.

        Args:
            told: what the decoder is told; None: the level, within what it was trained for.
        """
        return np.concatenate([part.outputs for _, part in self.decoded(level, controls, told)])

    def features(self, level: float, controls: Mapping[str, int]) -> Array:
        """What the first graph of the edge gives for all images."""
        arrived = self.received(level, controls)
        return self._decoder.features(
            arrived.payloads,
            self._told(level, None),
            bits=arrived.bits,
            controls={**controls, **self._own},
        )

    def decoded(
        self, level: float, controls: Mapping[str, int], told: float | None = None
    ) -> Iterator[tuple[slice, Decoded]]:
        """Everything that the edge gives, some images at a time, with which they are: what it gives for all
        of them would fill the memory."""
        arrived, believed = self.received(level, controls), self._told(level, told)
        for start in range(0, max(1, len(arrived.payloads)), BATCH):
            part = slice(start, start + BATCH)
            used: dict[str, ArrayLike] = {
                **controls,
                **{name: values[part] for name, values in self._own.items()},
            }
            yield (
                part,
                self._decoder.decode(
                    arrived.payloads[part], believed, bits=arrived.bits[part], controls=used
                ),
            )

    def _told(self, level: float, told: float | None) -> float:
        return self._quality.told(level) if told is None else told
