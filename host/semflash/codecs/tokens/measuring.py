"""Figures of a codec in training: accuracy and tokens kept by alpha, accuracy by SNR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.data.dataset import Split
from semflash.program.tokens.stages import SHARE_MAX

BATCH = 250
#: alpha in 1/255, and ratios in dB, that are looked at after each pass and at the end.
WATCHED, REPORTED = (51,), (255, 153, 102, 51, 26)
CLEAN, RATIOS = 20.0, (20.0, 10.0, 0.0, -10.0, -20.0)
#: Images that are looked at after each pass, and at the end.
WATCHED_IMAGES, REPORTED_IMAGES = 500, 1_000


@dataclass(frozen=True)
class Setting:
    """What an accuracy is measured for.

    Attributes:
        share: alpha in 1/255.
        choice: Of symbols.
        snr: In dB.
        mask: ``gates``: theirs; ``random``: as many tokens as alpha says, drawn; ``all``: every token.
    """

    share: int
    choice: int
    snr: float = CLEAN
    mask: str = "gates"


class Measure:
    """Figures on some images.

    Args:
        codec: :class:`semflash.codecs.tokens.codec.Tokens`.
        split: The images and labels.
    """

    def __init__(self, codec: Any, split: Split) -> None:
        self.codec, self.split = codec, split

    def of(self, setting: Setting, *, seed: int = 0, images: int | None = None) -> tuple[float, np.ndarray]:
        """Share of right labels, and the tokens kept of each image, bool (N, n)."""
        rng, right, kept = np.random.default_rng(seed), [], []
        stop = len(self.split) if images is None else min(images, len(self.split))
        for start in range(0, stop, BATCH):
            part = slice(start, min(start + BATCH, stop))
            pixels = np.asarray(self.split.images[part]).astype(np.float32) / np.float32(255)
            logits, keep = self._answer(setting, pixels, rng)
            right.append(logits.argmax(axis=1) == np.asarray(self.split.labels[part]))
            kept.append(keep > 0.5)
        return float(np.concatenate(right).mean()), np.concatenate(kept)

    def _answer(
        self, setting: Setting, pixels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        count, sizes = len(pixels), self.codec.sizes
        logits, trace = self.codec.carry(
            pixels,
            np.full((count, 1), setting.share, np.float32),
            self.codec.use_of(setting.choice),
            np.full((count, 1), setting.snr, np.float32),
            rng.standard_normal((count, *self.codec.noise_shape()), dtype=np.float32),
            keep=_mask(setting, count, sizes.tokens, rng),
        )
        return ops.convert_to_numpy(logits), ops.convert_to_numpy(trace["keep"])

    def watched_whole(self) -> dict[str, float]:
        """After a pass of a stage that keeps every token."""
        choice = len(self.codec.sizes.symbols_each) - 1
        return {"val_accuracy": self.of(Setting(SHARE_MAX, choice, mask="all"), images=WATCHED_IMAGES)[0]}

    def watched(self) -> dict[str, float]:
        """After a pass of a stage with gates."""
        found: dict[str, float] = {}
        for share in WATCHED:
            accuracy, kept = self.of(Setting(share, self.codec.sizes.choice_default), images=WATCHED_IMAGES)
            found |= {f"val_share_{share}": accuracy, f"kept_share_{share}": float(kept.mean())}
        return found

    def results(self) -> dict[str, Any]:
        """``val_accuracy`` by SNR at the defaults, best first; accuracy and share kept by alpha."""
        sizes = self.codec.sizes
        share, choice = sizes.share_default, sizes.choice_default
        many = REPORTED_IMAGES
        by_snr = {f"{snr:g}": self.of(Setting(share, choice, snr), images=many)[0] for snr in RATIOS}
        by_share = {}
        for each in REPORTED:
            accuracy, kept = self.of(Setting(each, choice), images=many)
            random, _ = self.of(Setting(each, choice, mask="random"), images=many)
            shares = kept.mean(axis=1)
            by_share[str(each)] = {
                "accuracy": accuracy,
                "kept": float(shares.mean()),
                "kept_deviation": float(shares.std()),
                "random": random,
            }
        return {"val_accuracy": by_snr, "by_share": by_share}


def _mask(setting: Setting, count: int, tokens: int, rng: np.random.Generator) -> Any:
    if setting.mask == "gates":
        return None
    if setting.mask == "all":
        return keras.ops.ones((count, tokens))
    ranks = rng.random((count, tokens)).argsort(axis=1).argsort(axis=1)
    kept = max(1, round(tokens * setting.share / SHARE_MAX))
    return (ranks < kept).astype(np.float32)
