"""What is measured on the validation split in training: accuracy under bit errors, use of the codes."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
import numpy as np

from semflash.codecs.base import Codec
from semflash.data.dataset import Split
from semflash.training.models import accuracy_of_codes, encode
from semflash.training.progress import Progress

#: Bit error rates whose accuracy is reported (SemanticNN's, the ends, and 1 %).
REPORT_BERS = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2)
WATCHED_BERS = (0.0, 1e-2, 5e-2)
CHANNEL_SEED = 1
#: A centre counts as used if it takes at least this share of all codes.
USED_SHARE = 1e-3
COLLAPSED_BELOW = 0.5


@dataclass(frozen=True)
class CodeUsage:
    """How evenly the codes of many images use the centres.

    Attributes:
        used: share of the centres that take at least 0.1 % of the codes, 0..1.
        entropy_bits: of the codes, 0..log2 K.
    """

    used: float
    entropy_bits: float

    @classmethod
    def of(cls, codes: np.ndarray, levels: int) -> CodeUsage:
        """Counted over integer codes of any shape, 0..levels-1."""
        share = np.bincount(codes.ravel(), minlength=levels) / codes.size
        present = share[share > 0]
        return cls(float((share >= USED_SHARE).mean()), float(-(present * np.log2(present)).sum()))

    def figures(self) -> dict[str, float]:
        """As they stand in the history."""
        return {"centres_used": self.used, "usage_bits": self.entropy_bits}

    @property
    def collapsed(self) -> bool:
        """Fewer than half of the centres are used."""
        return self.used < COLLAPSED_BELOW


@dataclass
class Validation:
    """Validates after every epoch; says once, in the stages with the task, if the codes have collapsed."""

    codec: Codec
    tail: keras.Model
    split: Split
    progress: Progress
    warned: bool = field(default=False, init=False)

    def use_of_codes(self) -> dict[str, float]:
        """``centres_used`` (share) and ``usage_bits`` of the validation images' codes."""
        return CodeUsage.of(encode(self.codec, self.split.images), self.codec.levels()).figures()

    def epoch(self, codes: np.ndarray | None = None) -> dict[str, float]:
        """``val_BER`` (accuracy as a share) at the watched rates, and :meth:`use_of_codes`.

        Args:
            codes: of the validation images, int32 (N, ...); None: the float encoder's.
        """
        codes = encode(self.codec, self.split.images) if codes is None else codes
        figures = {f"val_{ber:g}": self._accuracy(codes, ber) for ber in WATCHED_BERS}
        usage = CodeUsage.of(codes, self.codec.levels())
        if usage.collapsed and not self.warned:
            self.warned = True
            self.progress.say(
                f"warning: the codes have collapsed: {usage.used:.0%} of the centres are in use, "
                f"{usage.entropy_bits:.2f} bits per code; raise usage_weight (0.1 is a start), or lower the "
                "learning rates peak and task_peak"
            )
        return figures | usage.figures()

    def accuracy_by_ber(self, codes: np.ndarray | None = None) -> dict[str, float]:
        """Accuracy (share) at each reported BER; the keys are the BERs as text. Codes: see :meth:`epoch`."""
        codes = encode(self.codec, self.split.images) if codes is None else codes
        return {f"{ber:g}": self._accuracy(codes, ber) for ber in REPORT_BERS}

    def _accuracy(self, codes: np.ndarray, ber: float) -> float:
        return accuracy_of_codes(self.codec, self.tail, codes, self.split.labels, ber, seed=CHANNEL_SEED)
