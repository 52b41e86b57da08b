"""A finished codec run as models and arrays: ``load_run(out_dir)``, what export and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.codecs.base import Codec, GdnTailSpec
from semflash.codecs.registry import create
from semflash.errors import TrainingError
from semflash.training.losses import accuracy
from semflash.training.run_dir import RunInfo, load_weights
from semflash.training.task import in_batches, rebuild_tail


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
    def gdn_beta(self) -> np.ndarray:
        """Float32 (C,)."""
        return self._tail_spec().beta

    @property
    def gdn_gamma(self) -> np.ndarray:
        """Float32 (C, C); den_j = beta_j + sum_i x_i^2 gamma[i, j]."""
        return self._tail_spec().gamma

    @property
    def prelu_alpha(self) -> np.ndarray:
        """Float32 (C,), > 0."""
        return self._tail_spec().alpha

    @property
    def centres(self) -> np.ndarray:
        """Float32 (K,), ascending."""
        return self.codec.device_tail().centres

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
        return in_batches(self.codec.codes, images).astype(np.uint8)

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

    def _tail_spec(self) -> GdnTailSpec:
        spec = self.codec.device_tail()
        if not isinstance(spec, GdnTailSpec):
            raise TrainingError("this codec family has no GDN tail", value=self.codec.family)
        return spec


def measure_accuracy(
    codec: Codec, tail: keras.Model, images: np.ndarray, labels: np.ndarray, ber: float, *, seed: int
) -> float:
    """Share of right labels, 0..1; see :meth:`TrainedCodec.float_accuracy`."""
    rng = np.random.default_rng(seed)
    shape = codec.noise_shape()

    def logits(batch: np.ndarray) -> Any:
        noise = rng.random((len(batch), *shape), dtype=np.float32)
        quality = np.full((len(batch), 1), ber, np.float32)
        return tail(codec.transmit(batch, quality, noise, training=False), training=False)

    return accuracy(labels, in_batches(logits, images))


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
        tail = rebuild_tail(task_recipe, tuple(codec.sizes.feature_shape), len(info.class_names))
    except (KeyError, TypeError) as error:
        raise TrainingError(f"run.json lacks {error}", value=out, remedy="train again") from error
    load_weights(out, codec.parts() | {"tail": tail})
    return TrainedCodec(codec, tail, info)
