"""JPEG and WebP, named by a classifier that learned from such pictures for as long as the codec's tail."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from experiments.multires import names
from semflash.baselines.image_streams import ImageStream
from semflash.baselines.jpeg import JpegStream
from semflash.baselines.webp import WebpStream
from semflash.data.dataset import Split
from semflash.tasks.losses import cross_entropy

#: Sides that an image is scaled to, until it fits.
SIDES = (64, 48, 32, 16)
STREAMS: dict[str, type[JpegStream] | type[WebpStream]] = {"jpeg": JpegStream, "webp": WebpStream}
BATCH, PEAK, SMOOTHING = 64, 1e-3, 0.05
#: Share of the pictures that are shown whole.
WHOLE = 0.1

Pixels = NDArray[np.uint8]


def pictures_of(stream: ImageStream, images: Pixels) -> tuple[Pixels, float]:
    """What arrives of images uint8 (N, H, W, C), and the mean bits of one."""
    found, bits = np.empty_like(images), 0
    for place, image in enumerate(images):
        payload = stream.encode(image)
        decoded = stream.decode(payload)
        if decoded is None:
            raise ValueError("a stream that was just made cannot be decoded")
        found[place], bits = decoded, bits + 8 * len(payload)
    return found, bits / len(images)


def tuned(classifier: keras.Model, train: Split, steps: int, images: int, seed: int) -> keras.Model:
    """The classifier after so many steps of 64 pictures of both formats, at the rates of the tables.

    Args:
        classifier: As the task network; it is changed.
        images: Training images that are compressed, each once in each format at a rate of chance.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(train), min(images, len(train)), replace=False))
    originals = np.asarray(train.images[chosen])
    pool = [originals]
    for stream_of in STREAMS.values():
        rates, found = rng.choice(names.RATES, len(chosen)), np.empty_like(originals)
        for rate in names.RATES:
            here = rates == rate
            found[here] = pictures_of(stream_of(originals.shape[1:], rate, SIDES), originals[here])[0]
        pool.append(found)
    _fit(classifier, np.stack(pool), train.labels[chosen], steps, rng)
    return classifier


def _fit(model: Any, pool: Pixels, labels: NDArray[Any], steps: int, rng: np.random.Generator) -> None:
    """``pool``: uint8 (1 + formats, N, H, W, C), the images as they are first."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 2, alpha=0.01, warmup_target=PEAK, warmup_steps=steps // 2
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=1.0),
        loss=lambda truth, logits: cross_entropy(truth, logits, SMOOTHING),
    )
    shares = [WHOLE, *[(1 - WHOLE) / (len(pool) - 1)] * (len(pool) - 1)]
    for _ in range(steps):
        which = rng.integers(pool.shape[1], size=BATCH)
        found = pool[rng.choice(len(pool), BATCH, p=shares), which].astype(np.float32) / np.float32(255)
        mirrored = rng.random(BATCH) < 0.5
        found[mirrored] = found[mirrored, :, ::-1]
        model.train_on_batch(found, labels[which])
