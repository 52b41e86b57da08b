"""Which segments matter to a task, without a human hand: its log-probability of the label is asked.

Segment k of an image matters by

    e(k) = drop(k) + gain * alone(k)
    drop(k)  = log p(label | image) - log p(label | image without k)
    alone(k) = log p(label | k alone) - log p(label | no segment)

Removed, a segment has the mean colour of the ring of three pixels around it; alone, everything else has the
mean colour of the image, which is also what no segment is: a network that never saw an image of one colour
says anything of it, and that is no evidence for or against a segment. Only the 16 largest segments are
asked. A segment of more than 45 % of the image is ruled out (weight 0): removing nearly everything lowers
any probability. What remains is divided by the image's largest e and clipped to 0..1; where no e is above 0,
all weights are 0: nothing is known to matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from semflash.errors import SegmentError
from semflash.segments.maps import SEGMENTS_MAX

VERSION = 2
RING_PX = 3
#: Log-probabilities below this count as this: a network that is sure gives any number.
LOG_MIN = -12.0

#: uint8 images (n, H, W, C) to log-probabilities float (n, classes).
LogProbabilities = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Rule:
    """How evidence becomes weights.

    Attributes:
        large: share of the image above which a segment is ruled out, 0..1; 1: none is.
        gain: what a segment alone counts beside its removal.
        most: segments of an image that are asked, the largest.
    """

    large: float = 0.45
    gain: float = 0.5
    most: int = 16

    def plain(self) -> dict[str, Any]:
        """Plain values that decide the weights."""
        return {"version": VERSION, "ring_px": RING_PX, "log_min": LOG_MIN, **asdict(self)}


def ask(
    images: np.ndarray, labels: np.ndarray, maps: np.ndarray, task: LogProbabilities, rule: Rule
) -> tuple[np.ndarray, np.ndarray]:
    """Drops and gains, float32 (n, 64) each; NaN: no such segment, or not asked.

    Args:
        images: uint8 (n, H, W, C).
        labels: int (n,).
        maps: uint8 (n, H, W).
        task: the task network.

    Raises:
        SegmentError: an answer of the task network is no number.
    """
    drops = np.full((len(images), SEGMENTS_MAX), np.nan, np.float32)
    alone = drops.copy()
    changed, places = [], []
    for index, (image, numbers) in enumerate(zip(images, maps, strict=True)):
        for k in largest(numbers, rule.most):
            inside = numbers == k
            changed += [without(image, inside), only(image, inside)]
            places.append((index, k))
    whole = _of_label(task(images), labels)
    nothing = _of_label(
        task(np.stack([only(image, np.zeros(image.shape[:2], bool)) for image in images])), labels
    )
    owners = np.array([index for index, _ in places])
    answers = _of_label(task(np.stack(changed)), np.repeat(labels[owners], 2)).reshape(-1, 2)
    rows, columns = owners, np.array([k for _, k in places])
    drops[rows, columns] = whole[owners] - answers[:, 0]
    alone[rows, columns] = answers[:, 1] - nothing[owners]
    return drops, alone


def weights_of(drops: np.ndarray, alone: np.ndarray, maps: np.ndarray, rule: Rule) -> np.ndarray:
    """Weights float32 (n, 64), 0 to 1, of :func:`ask`'s evidence on these maps."""
    evidence = np.nan_to_num(drops + rule.gain * alone, nan=0.0)
    flat = maps.reshape(len(maps), -1)
    shares = np.stack([np.bincount(one, minlength=SEGMENTS_MAX) for one in flat]) / flat.shape[1]
    evidence = np.where(shares > rule.large, 0.0, evidence).clip(0.0)
    most = evidence.max(axis=1, keepdims=True)
    return np.asarray(evidence / np.where(most > 0, most, 1.0), np.float32)


def largest(numbers: np.ndarray, most: int) -> np.ndarray:
    """Numbers of the largest segments of a map, at most so many, the largest first."""
    sizes = np.bincount(numbers.reshape(-1), minlength=SEGMENTS_MAX)
    order = np.argsort(-sizes, kind="stable")[:most]
    return order[sizes[order] > 0]


def without(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """A copy whose segment (bool (H, W)) has the mean colour of the ring around it; of the whole image where
    the segment is all of it."""
    ring = grown(inside, RING_PX) & ~inside
    colour = image[ring].mean(0) if ring.any() else image.reshape(-1, image.shape[2]).mean(0)
    result = image.copy()
    result[inside] = colour.round()
    return result


def only(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """A copy that has the image's mean colour outside of the segment."""
    result = image.copy()
    result[~inside] = image.reshape(-1, image.shape[2]).mean(0).round()
    return result


def grown(inside: np.ndarray, pixels: int) -> np.ndarray:
    """A region grown by so many pixels up, down, left and right."""
    for _ in range(pixels):
        padded = np.pad(inside, 1)
        inside = inside | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return inside


def _of_label(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-probability of each label, float64 (n,)."""
    found = np.asarray(log_probabilities, np.float64)[np.arange(len(labels)), labels]
    if np.isnan(found).any():
        raise SegmentError(
            "the task network's answer is no number",
            value=f"{int(np.isnan(found).sum())} of {len(found)} images",
            remedy="another task network: --task RUN",
        )
    return found.clip(LOG_MIN)
