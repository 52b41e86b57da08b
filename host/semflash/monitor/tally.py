"""What a monitor run has seen so far: sums only, one place, no output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from semflash.edge.evaluate import wilson_interval

_KEPT_MISMATCHES = 20


@dataclass
class Tally:
    """Running sums of one run.

    Attributes:
        wanted: images to send; received: codes came; lost: given up; labelled: decoded and classified.
        correct: labels that are right; of a detector: images in which all objects and they alone were found.
        payload_bytes: of one image; damaged: payloads whose CRC was wrong on the real link.
        flips: bits flipped by injection, of `bits` payload bits.
        golden_checked, golden_wrong: payloads compared with the reference, and those that differ.
        golden_wrong_images: the first of these, by index.
        counted, count_sum, count_min, count_max: instructions (or cycles) that the device reported.
        stack_bytes: deepest stack use the device reported.
        seconds: from the first image sent to the last outcome.
        figures: of a detector, at the end of the run: ``map50`` and numbers of objects.
    """

    wanted: int
    payload_bytes: int
    received: int = 0
    lost: int = 0
    labelled: int = 0
    correct: int = 0
    damaged: int = 0
    flips: int = 0
    bits: int = 0
    golden_checked: int = 0
    golden_wrong: int = 0
    golden_wrong_images: list[int] = field(default_factory=list)
    counted: int = 0
    count_sum: int = 0
    count_min: int = 0
    count_max: int = 0
    stack_bytes: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """Share of right labels; None before the first."""
        return self.correct / self.labelled if self.labelled else None

    @property
    def images_per_s(self) -> float | None:
        """Images whose codes came, per second of the run."""
        return self.received / self.seconds if self.seconds > 0 and self.received else None

    @property
    def count_mean(self) -> float | None:
        """Instructions (or cycles) per image."""
        return self.count_sum / self.counted if self.counted else None

    @property
    def flipped_share(self) -> float | None:
        """The BER that the injected flips amount to."""
        return self.flips / self.bits if self.bits else None

    def add_label(self, *, right: bool, flips: int) -> None:
        """One image decoded."""
        self.labelled += 1
        self.correct += right
        self.flips += flips
        self.bits += 8 * self.payload_bytes

    def add_golden(self, index: int, *, equal: bool) -> None:
        """One payload compared with the reference."""
        self.golden_checked += 1
        if not equal:
            self.golden_wrong += 1
            if len(self.golden_wrong_images) < _KEPT_MISMATCHES:
                self.golden_wrong_images.append(index)

    def add_count(self, count: int) -> None:
        """Instructions or cycles of one image."""
        self.count_min = min(self.count_min, count) if self.counted else count
        self.count_max = max(self.count_max, count)
        self.counted += 1
        self.count_sum += count

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        interval = wilson_interval(self.correct, self.labelled) if self.labelled else None
        golden = {
            "checked": self.golden_checked,
            "different": self.golden_wrong,
            "first_different": self.golden_wrong_images,
        }
        counts = {
            "images": self.counted,
            "mean": self.count_mean,
            "min": self.count_min,
            "max": self.count_max,
        }
        return {
            "images": self.wanted,
            "received": self.received,
            "lost": self.lost,
            "unanswered": self.wanted - self.received - self.lost,
            "labelled": self.labelled,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_95": interval,
            **self.figures,
            "payload_bytes": self.payload_bytes,
            "damaged": self.damaged,
            "bits_flipped": self.flips,
            "flipped_share": self.flipped_share,
            "golden": golden,
            "count_per_image": counts,
            "stack_bytes": self.stack_bytes or None,
            "seconds": self.seconds,
            "images_per_s": self.images_per_s,
        }
