"""Accuracy, or mAP of boxes, on a split by level of the channel's quality, and what each sent value tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from semflash.codecs.tosc.bottleneck import divergence
from semflash.codecs.tosc.drawing import ChannelDraw
from semflash.codecs.tosc.sizes import STATES
from semflash.data.dataset import Split

#: Levels that are reported, the best first, and those that are watched in training.
REPORTED = {"symbols": (18.0, 12.0, 6.0, 0.0, -6.0), "bits": (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2)}
WATCHED = {"symbols": (18.0, 6.0, -6.0), "bits": (0.0, 1e-2, 5e-2)}
CHANNEL_SEED = 1
BATCH = 500


class Measure:
    """Measures a codec on one split.

    Args:
        codec: :class:`semflash.codecs.tosc.codec.Tosc`.
        split: Images and labels.
        repeats: Channels that each image meets.
    """

    def __init__(self, codec: Any, split: Split, repeats: int = 2) -> None:
        self.codec, self.split, self.repeats = codec, split, repeats
        self.kind = codec.sizes.channel
        self.state_of = ChannelDraw(codec.sizes).state_of

    def watched(self) -> dict[str, float]:
        """``val_LEVEL``, shares, for the history."""
        found = self.by_level(WATCHED[self.kind])
        return {f"val_{level}": share for level, share in found.items()}

    def watched_on_device(self, numbers: Callable[[int], np.ndarray]) -> dict[str, float]:
        """The same of the int8 device's numbers, int32 (N, h, w, C) for a state."""
        found = self.by_level_on_device(numbers, WATCHED[self.kind])
        return {f"val_{level}": share for level, share in found.items()}

    def by_level_on_device(
        self, numbers: Callable[[int], np.ndarray], levels: Sequence[float] | None = None
    ) -> dict[str, float]:
        """Figure of merit at each level, by its text; None: the reported ones."""
        levels = REPORTED[self.kind] if levels is None else levels
        return {f"{level:g}": self._score(self.outputs_of_device(numbers, level)) for level in levels}

    def results(self) -> dict[str, Any]:
        """``val_accuracy`` by level, and ``nats`` by level: the mean divergence of each value, a list."""
        maps = self.maps()
        nats = {f"{level:g}": self.nats(level, maps).tolist() for level in REPORTED[self.kind]}
        return {"val_accuracy": self.by_level(REPORTED[self.kind], maps=maps), "nats": nats}

    def maps(self) -> np.ndarray:
        """What the encoder's graph gives for each image, float32 (N, h, w, c)."""
        found = []
        for start in range(0, len(self.split), BATCH):
            part = np.asarray(self.split.images[start : start + BATCH]).astype(np.float32) / np.float32(255)
            found.append(keras.ops.convert_to_numpy(self.codec.encoder(part, training=False)))
        return np.concatenate(found)

    def by_level(
        self, levels: Sequence[float], *, state_error: int = 0, maps: np.ndarray | None = None
    ) -> dict[str, float]:
        """Share of right labels at each level, by its text.

        Args:
            state_error: By how many classes the encoder's state is wrong.
            maps: Of :meth:`maps`; None: computed here.
        """
        maps = self.maps() if maps is None else maps
        return {f"{level:g}": self._score(self.outputs(maps, level, state_error)) for level in levels}

    def right(
        self, maps: np.ndarray, level: float, state_error: int = 0, kept: np.ndarray | None = None
    ) -> np.ndarray:
        """Which labels are right over the channel at a level, bool (repeats, N); arguments as below."""
        outputs = self.outputs(maps, level, state_error, kept)
        return np.stack([each.argmax(-1) == self.split.labels for each in outputs])

    def outputs(
        self, maps: np.ndarray, level: float, state_error: int = 0, kept: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """What the decoder gives over the channel at a level, float (N, ...), once for each channel.

        Args:
            kept: Which values are sent, bool (h, w, C); the decoder gets 0 for the others. None: all.
        """
        quality, state = self._told(len(maps), level, state_error)
        values, link = self.codec.project(maps, state), self.codec.link
        sent = 1.0 if kept is None else kept.astype(np.float32)
        return self._outputs(lambda noise: link.carry(values, quality, noise).received * sent, quality, state)

    def outputs_of_device(self, numbers: Callable[[int], np.ndarray], level: float) -> Iterator[np.ndarray]:
        """The same for numbers that the int8 device sends, int32 (N, h, w, C) for a state."""
        quality, state = self._told(len(self.split), level, 0)
        sent, link = numbers(int(state[0, 0])), self.codec.link
        return self._outputs(lambda noise: link.resent(sent, quality, noise), quality, state)

    def _outputs(
        self, receive: Callable[[np.ndarray], Any], quality: np.ndarray, state: np.ndarray
    ) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(CHANNEL_SEED)
        for _ in range(self.repeats):
            noise = rng.random((len(quality), *self.codec.noise_shape()), dtype=np.float32)
            yield keras.ops.convert_to_numpy(self.codec.answer(receive(noise), quality, state))

    def _score(self, outputs: Iterable[np.ndarray]) -> float:
        """Mean over the channels."""
        return float(np.mean([self.codec.purpose.score(self.split.labels, each) for each in outputs]))

    def nats(self, level: float, maps: np.ndarray) -> np.ndarray:
        """Mean divergence of each sent value from its prior, float (h, w, C), in nats.

        The prior's variance is the one that fits best, the mean of ``mu^2 + s``: it is what the learned one
        comes to, and there is one where the codec learnt without a bottleneck, too.
        """
        quality, state = self._told(len(maps), level, 0)
        noise = np.random.default_rng(CHANNEL_SEED).random(
            (len(maps), *self.codec.noise_shape()), dtype=np.float32
        )
        there = self.codec.link.carry(self.codec.project(maps, state), quality, noise)
        sent, power = (keras.ops.convert_to_numpy(each) for each in (there.sent, there.power))
        prior = np.mean(np.square(sent) + power, axis=0)
        each = keras.ops.convert_to_numpy(divergence(sent, power, prior))
        return np.asarray(each.mean(axis=0), np.float64)

    def by_kept(
        self, counts: Sequence[int], level: float, maps: np.ndarray | None = None
    ) -> dict[str, float]:
        """Figure of merit at a level with so many values sent, by the count's text; those that tell
        least are dropped first, and the decoder gets 0 for them.

        Args:
            counts: Of values, 1 to all of them.
        """
        maps = self.maps() if maps is None else maps
        nats = self.nats(level, maps)
        rank = np.argsort(np.argsort(-nats, axis=None, kind="stable")).reshape(nats.shape)
        return {f"{n}": self._score(self.outputs(maps, level, kept=rank < n)) for n in counts}

    def _told(self, count: int, level: float, state_error: int) -> tuple[np.ndarray, np.ndarray]:
        quality = np.full((count, 1), level, np.float32)
        return quality, np.clip(self.state_of(quality) + state_error, 0, STATES - 1).astype(np.float32)
