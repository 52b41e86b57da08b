"""A compressed image, decoded on the edge, and the task network tuned on what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.baselines.base import Erased, Method, up_to_loss
from semflash.baselines.image_streams import ImageStream
from semflash.baselines.spec import Job, MethodSpec, Settings
from semflash.baselines.tuning import (
    TrainingViews,
    batch_of,
    copied_head,
    copied_tail,
    in_pieces,
    tune,
)
from semflash.channels.bits import flip_bits
from semflash.codecs.layers.channel import BerRange
from semflash.training.loop import Batch

LADDER = (16, 8, 4, 1)


class ImageMethod(Method):
    """Args: stream: the format. network: images in [0, 1] to logits. prior: logits where nothing decodes."""

    def __init__(
        self,
        stream: ImageStream,
        network: keras.Model,
        prior: NDArray[np.float32],
        spec: MethodSpec,
        settings: dict[str, Any],
    ) -> None:
        self.stream, self.network, self.prior = stream, network, prior
        self.name, self.title, self.citation = spec.name, spec.title, spec.citation
        self.settings = settings
        self.undecodable = 0

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        """One stream per image, none longer than the budget."""
        return [self.stream.encode(image) for image in images]

    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Erased | None = None
    ) -> NDArray[np.float32]:
        """A stream that lacks a byte is decoded as far as that byte, if its format can."""
        del ber  # a decoder of images has no use for it
        if erased is not None:
            payloads = [up_to_loss(p, mask) for p, mask in zip(payloads, erased, strict=True)]
        decoded = [self.stream.decode(payload) if payload else None for payload in payloads]
        found = np.tile(self.prior, (len(payloads), 1))
        good = np.array([image is not None for image in decoded], np.bool_)
        if good.any():
            images = np.stack([image for image in decoded if image is not None])
            found[good] = in_pieces(self.network, images)
        self.undecodable = int((~good).sum())
        return found


def build_image_method(kind: type[ImageStream], job: Job, settings: Settings, spec: MethodSpec) -> Method:
    """Compress the training images, tune a copy of the whole task network on them and on their mirror images.

    Args:
        settings: ``side``: pixels that images are scaled to first; ``bit_errors``: whether training sees
            streams with flipped bits (decoded if they can be); ``peak``: see
            :func:`semflash.baselines.tuning.tune`.
    """
    first = int(settings["side"])
    sides = (first, *(side for side in LADDER if side < first))[:4]
    stream = kind(job.data.image_shape, job.size_bytes, sides)
    image = keras.Input(job.data.image_shape)
    network = keras.Model(image, copied_tail(job)(copied_head(job)(image)))
    views = TrainingViews(job)
    job.progress.say(f"{spec.title}: compressing {len(views.split):,} images")
    payloads = [stream.encode(pixels) for pixels in views.split.images]
    decoded = np.stack([_decoded(stream, payload) for payload in payloads])
    clean = np.stack([decoded, decoded[:, :, ::-1]])
    bit_errors = BerRange() if settings.get("bit_errors") else None

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        for view, index in views.chosen(rng):
            images = clean[view, index]
            if bit_errors is not None:
                rates = bit_errors.sample(len(index), rng)[:, 0]
                for place, (mirrored, i, rate) in enumerate(zip(view, index, rates, strict=True)):
                    image = _damaged(stream, payloads[i], float(rate), decoded[i], rng)
                    images[place] = image[:, ::-1] if mirrored else image
            yield batch_of(images.astype(np.float32) / np.float32(255), views, view, index)

    validation = np.stack([_decoded(stream, stream.encode(pixels)) for pixels in job.data.val.images])
    described = dict(settings) | {"sides": list(sides)}
    tune(network, job, views, batches, validation, spec.name, described)
    return ImageMethod(stream, network, job.prior, spec, described)


def _decoded(stream: ImageStream, payload: bytes) -> NDArray[np.uint8]:
    """What an undamaged stream decodes to; black where even that fails."""
    image = stream.decode(payload)
    return np.zeros((stream.height, stream.width, stream.channels), np.uint8) if image is None else image


def _damaged(
    stream: ImageStream, payload: bytes, rate: float, clean: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Decoded after bit errors; the clean image where it cannot be, which in use is no image."""
    received = flip_bits(np.frombuffer(payload, np.uint8)[None], rate, rng).tobytes()
    image = None if received == payload else stream.decode(received)
    return clean if image is None else image
