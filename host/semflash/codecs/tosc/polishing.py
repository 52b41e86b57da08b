"""The last stage: the decoder learns on the numbers that the quantised device sends, in every state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import keras
import numpy as np

from semflash.array_files import read_npz, write_npz
from semflash.codecs.own_training import Bench
from semflash.codecs.tosc.drawing import ChannelDraw
from semflash.codecs.tosc.sizes import STATES
from semflash.codecs.tosc.views import ViewsOf

CODES_FILE = "int8_codes.npz"
#: Views of each training image that are sent by the int8 device; view 0 is the image itself.
VIEWS = 2
#: The first so many training images are sent: reference kernels take milliseconds for each.
IMAGES_MAX = 20_000


class DeviceNumbers:
    """What the int8 device sends of the training and validation images; computed when it is first asked for,
    which must be after the stage that trains the encoder, and kept in the run's folder.

    Args:
        bench: Images, answers and the device.
        draw: Quality, what is told, and state of each image of a batch.
        views: Of the training images.
    """

    def __init__(self, bench: Bench, draw: ChannelDraw, views: ViewsOf) -> None:
        self.bench, self.draw, self.views = bench, draw, views
        adapts = bench.codec.sizes.adaptive
        self.count, self.images = min(VIEWS, views.count), min(IMAGES_MAX, len(bench.train))
        self.settings = [{"state": state} for state in range(STATES)] if adapts else [{}]

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """({codes, quality, told, state, noise, answer}, targets)."""
        recipe, answers = self.bench.recipe, self.bench.answers
        noise_shape, order = self.bench.codec.noise_shape(), rng.permutation(self.images)
        for start in range(0, self.images - recipe.batch + 1, recipe.batch):
            chosen = order[start : start + recipe.batch]
            views = self.views.within(chosen, rng.integers(0, self.count, len(chosen)))
            inputs = self.draw(len(chosen), rng)
            inputs["codes"] = self.numbers(self._sent["train"], inputs["state"], chosen, views)
            inputs["noise"] = rng.random((len(chosen), *noise_shape), dtype=np.float32)
            if answers is not None:
                inputs["answer"] = answers.logits(chosen, views)
            yield inputs, self.views.targets(chosen, views)

    def validation(self, state: int) -> np.ndarray:
        """Numbers of the validation images in a state, int32 (N, h, w, C)."""
        count = len(self.bench.data.val)
        states, zeros = np.full((count, 1), state, np.float32), np.zeros(count, np.int64)
        return self.numbers(self._sent["validation"], states, np.arange(count), zeros)

    def numbers(self, sent: np.ndarray, states: np.ndarray, chosen: np.ndarray, views: np.ndarray) -> Any:
        """Int32 (n, h, w, C) out of uint8 (settings, views, N, h, w, C)."""
        setting = np.minimum(states[:, 0].astype(np.int64), len(self.settings) - 1)
        found = sent[setting, views, chosen]
        signed = self.bench.codec.sizes.channel == "symbols"
        return found.view(np.int8).astype(np.int32) if signed else found.astype(np.int32)

    @cached_property
    def _sent(self) -> dict[str, np.ndarray]:
        """``train`` and ``validation``, uint8 (settings, views, N, h, w, C)."""
        path, key = self.bench.out / CODES_FILE, self._key()
        if path.is_file():
            kept = read_npz(path)
            if kept.pop("key").tobytes() == key:
                return kept
        val = self.bench.data.val
        self.bench.say(f"numbers of {self.count * self.images + len(val):,} images by the int8 device")
        views = [self.bench.device(self._view(view), self.settings) for view in range(self.count)]
        found = {
            "train": np.stack(views, axis=1),
            "validation": self.bench.device(np.asarray(val.images), self.settings)[:, None],
        }
        write_npz(path, found | {"key": np.frombuffer(key, np.uint8)})
        return found

    def _view(self, view: int) -> np.ndarray:
        """The training images that are sent in a view, uint8 (N, H, W, C)."""
        indices = np.arange(self.images)
        return self.views.of(indices, self.views.within(indices, np.full(len(indices), view)))[0]

    def _key(self) -> bytes:
        """Of the weights of all that the device does, centres among them, and of the images."""
        digest, codec = hashlib.sha256(), self.bench.codec
        for name, part in codec.parts().items():
            for weight in () if name in codec.edge_parts() else part.weights:
                digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
        for view in range(self.count):
            digest.update(self._view(view).tobytes())
        return digest.digest()
