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
from semflash.data.augment import Augmentation, augment

CODES_FILE = "int8_codes.npz"
#: Views of each training image that are sent by the int8 device; view 0 is the image itself.
VIEWS = 2
#: Without a teacher the second view is mirrored, where the recipe mirrors.
_MIRRORED = Augmentation(flip=1.0, shift_px=0)


class DeviceNumbers:
    """What the int8 device sends of the training and validation images; computed when it is first asked for,
    which must be after the stage that trains the encoder, and kept in the run's folder.

    Args:
        bench: Images, answers and the device.
        draw: Quality, what is told, and state of each image of a batch.
    """

    def __init__(self, bench: Bench, draw: ChannelDraw) -> None:
        self.bench, self.draw = bench, draw
        adapts = bench.codec.sizes.adaptive
        self.views = VIEWS if bench.answers is None else min(VIEWS, bench.answers.views)
        self.settings = [{"state": state} for state in range(STATES)] if adapts else [{}]

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """({codes, quality, told, state, noise, answer}, labels)."""
        train, recipe, answers = self.bench.train, self.bench.recipe, self.bench.answers
        noise_shape, order = self.bench.codec.noise_shape(), rng.permutation(len(train))
        for start in range(0, len(train) - recipe.batch + 1, recipe.batch):
            chosen = order[start : start + recipe.batch]
            views = rng.integers(0, self.views, len(chosen))
            inputs = self.draw(len(chosen), rng)
            inputs["codes"] = self.numbers(self._sent["train"], inputs["state"], chosen, views)
            inputs["noise"] = rng.random((len(chosen), *noise_shape), dtype=np.float32)
            if answers is not None:
                inputs["answer"] = answers.logits(chosen, views)
            yield inputs, train.labels[chosen]

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
        train, val = self.bench.train, self.bench.data.val
        self.bench.say(f"numbers of {self.views * len(train) + len(val):,} images by the int8 device")
        views = [self.bench.device(self._view(view), self.settings) for view in range(self.views)]
        found = {
            "train": np.stack(views, axis=1),
            "validation": self.bench.device(np.asarray(val.images), self.settings)[:, None],
        }
        write_npz(path, found | {"key": np.frombuffer(key, np.uint8)})
        return found

    def _view(self, view: int) -> np.ndarray:
        """All training images in a view, uint8 (N, H, W, C)."""
        images, answers = np.asarray(self.bench.train.images), self.bench.answers
        if answers is not None:
            indices = np.arange(len(images))
            return answers.view_images(images, indices, np.full(len(images), view))
        if view == 0 or not self.bench.recipe.augmentation.flip:
            return images
        mirrored = augment(images, _MIRRORED, np.random.default_rng(0))
        return np.round(mirrored * 255).astype(np.uint8)

    def _key(self) -> bytes:
        """Of the device's tables and weights and of the images."""
        digest = hashlib.sha256()
        weights, bias = self.bench.codec.tables()
        for array in (
            weights,
            bias,
            *(keras.ops.convert_to_numpy(w) for w in self.bench.codec.encoder.weights),
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        for view in range(self.views):
            digest.update(self._view(view).tobytes())
        return digest.digest()
