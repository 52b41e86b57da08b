"""Losses of both training stages, in keras.ops (each returns a scalar, the mean over the batch)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def cross_entropy(labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross entropy in nats; labels int (B,), logits float (B, classes), smoothing 0..1."""
    classes = logits.shape[-1]
    target = ops.one_hot(labels, classes, dtype=logits.dtype)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    return -ops.mean(ops.sum(target * ops.log_softmax(logits, axis=-1), axis=-1))


def feature_loss(decoded: Any, features: Any, variance: float) -> Any:
    """Mean squared error over the features' variance: 1.0 is what a constant guess would reach."""
    return ops.mean(ops.square(decoded - features)) / variance


def weighed_feature_loss(decoded: Any, features: Any, importance: Any, variance: float) -> Any:
    """:func:`feature_loss` with a weight per feature; importance float, broadcast to (B, h, w, c), mean 1."""
    return ops.mean(importance * ops.square(decoded - features)) / variance


def distillation(student_logits: Any, teacher_logits: Any, temperature: float) -> Any:
    """KL(teacher || student) at a temperature, times its square (Hinton et al. 2015, arXiv 1503.02531)."""
    teacher = ops.softmax(teacher_logits / temperature, axis=-1)
    log_teacher = ops.log_softmax(teacher_logits / temperature, axis=-1)
    log_student = ops.log_softmax(student_logits / temperature, axis=-1)
    divergence = ops.sum(teacher * (log_teacher - log_student), axis=-1)
    return ops.mean(divergence) * temperature**2


def accuracy(labels: Any, logits: Any) -> float:
    """Share of right labels, 0..1; numpy or tensors."""
    found = keras.ops.convert_to_numpy(logits).argmax(-1)
    return float((found == keras.ops.convert_to_numpy(labels)).mean())
