"""The way of some images through the int8 encoder, an injected channel and the decoder, without a board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.of_quality import QualityChannel
from semflash.edge.decoder import EdgeDecoder
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
    ) -> None:
        self._images, self._channel, self._seed = images, channel, seed
        self._output, self._quality = bundle.output, bundle.quality
        self._encoder, self._decoder = GoldenEncoder(bundle), decoder or EdgeDecoder(bundle)
        self._sent: dict[tuple[tuple[str, int], ...], Payloads] = {}

    def sent(self, controls: Mapping[str, int]) -> Payloads:
        """What a device with these controls sends; encoded once."""
        key = tuple(sorted(controls.items()))
        if key not in self._sent:
            self._sent[key] = self._encoder.sent(self._images, controls)
        return self._sent[key]

    def received(self, level: float, controls: Mapping[str, int]) -> Payloads:
        """The same as it arrives."""
        sent, rng = self.sent(controls), self._channel.rng(self._seed, level)
        return Payloads(self._channel.damage(sent.payloads, level, rng, sent.bits), sent.bits)

    def outputs(self, level: float, controls: Mapping[str, int], told: float | None = None) -> Array:
        """What the edge gives for all images.

        Args:
            told: what the decoder is told; None: the level, within what it was trained for.
        """
        arrived = self.received(level, controls)
        return self._decoder.logits(
            arrived.payloads, self._told(level, told), bits=arrived.bits, controls=controls
        )

    def features(self, level: float, controls: Mapping[str, int]) -> Array:
        """What the first graph of the edge gives for all images."""
        arrived = self.received(level, controls)
        return self._decoder.features(
            arrived.payloads, self._told(level, None), bits=arrived.bits, controls=controls
        )

    def answers(
        self, level: float, controls: Mapping[str, int], truth: Any, told: float | None = None
    ) -> Any:
        """Answers of all images (:meth:`semflash.outputs.output.Output.answers`); the outputs of the edge are
        in memory in parts only."""
        arrived, believed = self.received(level, controls), self._told(level, told)
        parts = []
        for start in range(0, len(arrived.payloads), BATCH):
            part = slice(start, start + BATCH)
            found = self._decoder.logits(
                arrived.payloads[part], believed, bits=arrived.bits[part], controls=controls
            )
            parts.append(self._output.answers(found, truth[part]))
        return self._output.joined(parts)

    def _told(self, level: float, told: float | None) -> float:
        return self._quality.told(level) if told is None else told
