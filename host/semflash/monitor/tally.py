"""What a monitor run has seen so far: sums only, one place, no output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semflash.outputs.metrics import ACCURACY, IMAGES_RIGHT, Metric, normal_interval, wilson_interval
from semflash.printable import plain

_KEPT_MISMATCHES = 20


@dataclass
class Tally:
    """Running sums of one run.

    Attributes:
        wanted: images to send; received: codes came; lost: given up; labelled: decoded and classified.
        metric: what the mean of the images' values is, shown while they come.
        correct: images that are right: their label, or all of their objects and they alone.
        total, squares: sums of the images' values in `metric`, and of their squares.
        payload_bytes: the most an image can have; payload_most: the most that one had.
        damaged: payloads whose CRC was wrong on the real link. inconsistent: payloads whose counts or map
            contradict their length, or whose head cannot be trusted.
        flips: bits flipped by injection, of `bits` payload bits of the labelled images as they came.
        golden_checked, golden_wrong: payloads compared with the reference, and those that differ.
        golden_wrong_images: the first of these, by index.
        counted, count_sum, count_min, count_max: instructions (or cycles) that the device reported.
        stack_bytes: deepest stack use the device reported.
        seconds: from the first image sent to the last outcome.
        controls: how many received images were encoded with each value of each control, by its name; used:
            the values of the last one.
        figures: further metrics at the end of the run, by name (:meth:`Judge.figures`).
    """

    wanted: int
    payload_bytes: int
    metric: Metric = ACCURACY
    received: int = 0
    lost: int = 0
    labelled: int = 0
    payload_most: int = 0
    inconsistent: int = 0
    correct: int = 0
    total: float = 0.0
    squares: float = 0.0
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
    controls: dict[str, dict[int, int]] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """Mean of the images' values in :attr:`metric`; None before the first."""
        return self.total / self.labelled if self.labelled else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of :attr:`value`, Wilson's of a share, else normal; None before the first."""
        if not self.labelled:
            return None
        if self.metric.unit == "share":
            return wilson_interval(self.correct, self.labelled)
        return normal_interval(self.total, self.squares, self.labelled)

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

    @property
    def payload_bytes_mean(self) -> float | None:
        """Bytes of a payload as it came, below the most where a control cuts it; None before the first."""
        return self.bits / 8 / self.labelled if self.labelled else None

    @property
    def payload_text(self) -> str:
        """Bytes of a payload for people; the most stands for them before the first, and beside them."""
        mean = self.payload_bytes_mean
        if mean is None or mean == self.payload_bytes:
            return f"{self.payload_bytes}"
        longest = f", the longest {self.payload_most}" if self.payload_most != mean else ""
        return f"{plain(mean)}{longest} (at most {self.payload_bytes})"

    def add(self, value: float, *, right: bool | None, flips: int, payload_bytes: int) -> None:
        """One image decoded and judged.

        Args:
            value: In the metric.
            right: None where images are not right or wrong.
            flips: Bits of its payload that injection changed.
            payload_bytes: Of it, as it came.
        """
        self.labelled += 1
        self.correct += bool(right)
        self.total += value
        self.squares += value * value
        self.flips += flips
        self.bits += 8 * payload_bytes
        self.payload_most = max(self.payload_most, payload_bytes)

    def add_controls(self, used: Mapping[str, int]) -> None:
        """What a received image was encoded with."""
        for name, value in used.items():
            counts = self.controls.setdefault(name, {})
            counts[value] = counts.get(value, 0) + 1
            self.used[name] = value

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

    def _judged(self) -> dict[str, Any]:
        """The running metric; that of whole images of a detector has always been called accuracy here."""
        name = ACCURACY.name if self.metric == IMAGES_RIGHT else self.metric.name
        found: dict[str, Any] = {name: self.value, f"{name}_95": self.interval}
        return {"correct": self.correct, **found} if self.metric.unit == "share" else found

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
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
            **self._judged(),
            **self.figures,
            "payload_bytes": self.payload_bytes,
            "payload_bytes_mean": self.payload_bytes_mean,
            "payload_bytes_most": self.payload_most or None,
            "inconsistent": self.inconsistent,
            "damaged": self.damaged,
            "bits_flipped": self.flips,
            "flipped_share": self.flipped_share,
            "golden": golden,
            "count_per_image": counts,
            "stack_bytes": self.stack_bytes or None,
            "seconds": self.seconds,
            "images_per_s": self.images_per_s,
        }
