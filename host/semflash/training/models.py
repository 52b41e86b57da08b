"""A finished codec run as models and arrays: ``load_run(out_dir)``, what export and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from semflash.codecs.base import Codec
from semflash.codecs.registry import create, family_of
from semflash.errors import TrainingError
from semflash.tasks.networks import restore_tail
from semflash.tasks.registry import kind_of
from semflash.training.run_dir import RunInfo, load_weights
from semflash.training.task import evaluation_batch, in_batches


@dataclass(frozen=True)
class TrainedCodec:
    """A trained codec with the tail that was fine-tuned for it.

    Attributes:
        codec: the family's codec.
        tail: features to logits; None: the family needs no task network.
        info: run.json.
    """

    codec: Codec
    tail: keras.Model | None
    info: RunInfo

    def encode_codes(self, images: np.ndarray) -> np.ndarray:
        """Codes uint8 (N, h, w, C) of uint8 images by the float encoder."""
        return encode(self.codec, images).astype(np.uint8)

    def float_accuracy(
        self, images: np.ndarray, labels: np.ndarray, ber: float = 0.0, *, seed: int = 0
    ) -> float:
        """Share of right labels, 0..1, of the float codec over a binary symmetric channel.

        Args:
            images: uint8 (N, H, W, C).
            labels: int (N,).
            ber: Of the channel and told to the decoder.
            seed: Of the bit errors.
        """
        return measure_accuracy(self.codec, self.tail, images, labels, ber, seed=seed)


def measure_accuracy(
    codec: Codec,
    tail: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    ber: float,
    *,
    seed: int,
    told: float | None = None,
) -> float:
    """Share of right labels, 0..1 (mAP of a detector); see :meth:`TrainedCodec.float_accuracy`.

    Args:
        told: the BER the decoder is told; None: the truth.
    """
    return accuracy_of_codes(codec, tail, encode(codec, images), labels, ber, seed=seed, told=told)


def encode(codec: Codec, images: np.ndarray) -> np.ndarray:
    """Codes int32 (N, ...) of uint8 images by the float encoder."""
    return in_batches(codec.codes, images).astype(np.int32)


def accuracy_of_codes(
    codec: Codec,
    tail: keras.Model,
    codes: np.ndarray,
    labels: np.ndarray,
    ber: float,
    *,
    seed: int,
    told: float | None = None,
) -> float:
    """The same from codes int32 (N, ...), which takes the encoder only once for many BERs."""
    bits, rng, found = codec.bits_per_code(), np.random.default_rng(seed), []
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int32)
    batch = evaluation_batch(codec.sizes.image_shape)
    for start in range(0, len(codes), batch):
        sent = codes[start : start + batch]
        flips = rng.random((*sent.shape, bits), dtype=np.float32) < ber
        quality = np.full((len(sent), 1), ber if told is None else told, np.float32)
        received = sent ^ (flips * weights).sum(-1, dtype=np.int32)
        found.append(keras.ops.convert_to_numpy(codec.outputs(tail, received, quality)))
    return kind_of(tail, codec.sizes.image_shape).score(labels, np.concatenate(found))


def load_run(out_dir: str | Path) -> TrainedCodec:
    """Load what :func:`semflash.training.codec.train_codec` wrote.

    Raises:
        TrainingError: not a finished run of a codec, or damaged.
    """
    out = Path(out_dir)
    info = RunInfo.load(out)
    if info.kind != "codec":
        raise TrainingError("not the run of a codec", value=out, remedy="name the directory of a codec run")
    try:
        family = str(info.recipe["family"])
        codec = create(family, info.recipe["built_sizes"])
        if family_of(family).training is not None:
            load_weights(out, codec.parts())
            return TrainedCodec(codec, None, info)
        task_recipe = info.recipe.get("task_recipe") or {"widths": info.recipe["tail_widths"]}
        tail = restore_tail(out, task_recipe, tuple(codec.sizes.feature_shape), len(info.class_names))
    except (KeyError, TypeError) as error:
        raise TrainingError(f"run.json lacks {error}", value=out, remedy="train again") from error
    load_weights(out, codec.parts() | {"tail": tail})
    return TrainedCodec(codec, tail, info)
