"""A finished codec run as models and arrays: ``load_run(out_dir)``, what export and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from semflash.codecs.base import Codec, DeviceTailSpec, FixedPayloadSpec
from semflash.codecs.registry import create
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
        tail: features to logits.
        info: run.json.
    """

    codec: Codec
    tail: keras.Model
    info: RunInfo

    @property
    def device_graph(self) -> keras.Model:
        """Image float (B, H, W, C) in [0, 1] to the latent before GDN, float (B, h, w, C)."""
        return self.codec.device_graphs()[0].model

    @property
    def tail_spec(self) -> DeviceTailSpec:
        """What turns the latent into codes on the device."""
        return self.codec.device_tail()

    @property
    def centres(self) -> np.ndarray:
        """Float32 (K,), ascending: what the decoder gets for each rank."""
        return self.tail_spec.centres

    @property
    def decoder(self) -> keras.Model:
        """[received values (B, *values_shape), ber (B, 1)] to features."""
        model: keras.Model = self.codec.decoder
        return model

    @property
    def ber_range(self) -> tuple[float, float]:
        """Lowest and highest BER of the training; the lowest is 0."""
        return 0.0, float(self.info.recipe["ber"]["high"])

    def encode_codes(self, images: np.ndarray) -> np.ndarray:
        """Codes uint8 (N, h, w, C) of uint8 images by the float encoder."""
        return encode(self.codec, images).astype(np.uint8)

    def float_accuracy(
        self, images: np.ndarray, labels: np.ndarray, ber: float = 0.0, *, seed: int = 0
    ) -> float:
        """Share of right labels, 0..1, of the float codec over a binary symmetric channel.

        Args:
            images: uint8 (N, H, W, C). labels: int (N,).
            ber: of the channel and told to the decoder.
            seed: of the bit errors.
        """
        return measure_accuracy(self.codec, self.tail, images, labels, ber, seed=seed)


def measure_accuracy(
    codec: Codec, tail: keras.Model, images: np.ndarray, labels: np.ndarray, ber: float, *, seed: int,
    told: float | None = None,
) -> float:  # fmt: skip
    """Share of right labels, 0..1 (mAP of a detector); see :meth:`TrainedCodec.float_accuracy`.

    Args:
        told: the BER the decoder is told; None: the truth.
    """
    return accuracy_of_codes(codec, tail, encode(codec, images), labels, ber, seed=seed, told=told)


def encode(codec: Codec, images: np.ndarray) -> np.ndarray:
    """Codes int32 (N, ...) of uint8 images by the float encoder."""
    return in_batches(codec.codes, images).astype(np.int32)


def accuracy_of_codes(
    codec: Codec, tail: keras.Model, codes: np.ndarray, labels: np.ndarray, ber: float, *, seed: int,
    told: float | None = None,
) -> float:  # fmt: skip
    """The same from codes int32 (N, ...), which takes the encoder only once for many BERs."""
    payload = codec.payload()
    if not isinstance(payload, FixedPayloadSpec):
        raise TrainingError("accuracy is measured of fixed payloads only", value=codec.family)
    bits, rng, found = payload.bits_per_symbol, np.random.default_rng(seed), []
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int32)
    batch = evaluation_batch(codec.sizes.image_shape)
    for start in range(0, len(codes), batch):
        sent = codes[start : start + batch]
        flips = rng.random((*sent.shape, bits), dtype=np.float32) < ber
        quality = np.full((len(sent), 1), ber if told is None else told, np.float32)
        features = codec.decode(sent ^ (flips * weights).sum(-1, dtype=np.int32), quality)
        found.append(keras.ops.convert_to_numpy(tail(features, training=False)))
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
        codec = create(str(info.recipe["family"]), info.recipe["built_sizes"])
        task_recipe = info.recipe.get("task_recipe") or {"widths": info.recipe["tail_widths"]}
        tail = restore_tail(out, task_recipe, tuple(codec.sizes.feature_shape), len(info.class_names))
    except (KeyError, TypeError) as error:
        raise TrainingError(f"run.json lacks {error}", value=out, remedy="train again") from error
    load_weights(out, codec.parts() | {"tail": tail})
    return TrainedCodec(codec, tail, info)
