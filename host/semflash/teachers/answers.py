"""A teacher's answer in few bytes: its largest logits, and one number for all others together.

Logits are stored less their log-sum-exp, so that the exponentials of an answer sum to 1; a softmax at any
temperature takes no notice of that shift. TinyViT (arXiv 2207.10666, section 3.1) stores answers alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash.errors import TeacherError

#: Least that is stored: a share of the probability that no softmax at any useful temperature tells from 0.
FLOOR = -60_000.0


@dataclass(frozen=True)
class Answers:
    """Answers of n images, compressed.

    Attributes:
        index: classes of the k largest logits, largest first, uint8 (n, k), uint16 above 256 classes.
        logit: theirs, less the log-sum-exp of all, float16 (n, k).
        rest: log-sum-exp of the others, likewise less that of all, float16 (n,); -60,000: there are none.
    """

    index: np.ndarray
    logit: np.ndarray
    rest: np.ndarray


def index_type(classes: int) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
    """What class numbers are stored as."""
    return np.dtype("u1") if classes <= 256 else np.dtype("<u2")


def compress(logits: np.ndarray, kept: int) -> Answers:
    """Keep the largest ``kept`` logits of each answer, float (n, classes).

    Raises:
        TeacherError: a logit is no number, or fewer classes are there than are to be kept.
    """
    classes = logits.shape[1]
    if not 1 <= kept <= classes:
        raise TeacherError(
            f"answers of {classes} classes have 1 to {classes} logits to keep",
            value=kept,
            remedy=f"--keep {min(classes, 10)}",
        )
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        raise TeacherError(
            "the teacher's answer is no number",
            value=f"{logits[row][~np.isfinite(logits[row])][0]} for image {row} of the batch",
            remedy="another teacher, or the image size and range that this one was made for",
        )
    values = log_softmax(logits)
    order = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")
    top = np.take_along_axis(values, order[:, :kept], axis=1)
    others = np.take_along_axis(values, order[:, kept:], axis=1)
    rest = _log_sum_exp(others) if others.shape[1] else np.full(len(values), FLOOR)
    return Answers(
        order[:, :kept].astype(index_type(classes)),
        np.maximum(top, FLOOR).astype("<f2"),
        np.maximum(rest, FLOOR).astype("<f2"),
    )


def expand(answers: Answers, classes: int) -> np.ndarray:
    """Logits float32 (n, classes); what the rest holds is shared evenly among the classes not kept."""
    kept = answers.index.shape[1]
    others = max(classes - kept, 1)
    even = answers.rest.astype(np.float32) - np.float32(np.log(others))
    logits = np.repeat(even[:, None], classes, axis=1)
    np.put_along_axis(logits, answers.index.astype(np.int64), answers.logit.astype(np.float32), axis=1)
    return logits


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logits less their log-sum-exp, float64 (n, classes)."""
    values = logits.astype(np.float64)
    shifted: np.ndarray = values - _log_sum_exp(values)[:, None]
    return shifted


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    """Over the last axis, float64 (n,)."""
    largest = values.max(axis=1, keepdims=True)
    summed: np.ndarray = np.log(np.exp(values - largest).sum(axis=1)) + largest[:, 0]
    return summed
