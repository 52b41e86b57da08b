"""The head that is fitted on a teacher's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from semflash.errors import TeacherError
from semflash.teachers.answers import log_softmax
from semflash.teachers.head import Head, fit_head, strongest_within_error


def _blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    centres = np.random.default_rng(99).standard_normal((3, 8))
    return (centres[labels] + rng.standard_normal((count, 8))).astype(np.float32) * 5 + 40, labels


def test_the_head_is_where_the_gradient_of_the_penalised_loss_is_zero() -> None:
    """Checked by differences of the loss in float64, written here once more."""
    (x, y), (vx, vy), decay = _blobs(300, 0), _blobs(200, 1), 0.1
    head = fit_head(x, y, vx, vy, 3, decays=(decay,))
    spread, mean = x.astype(np.float64).std(0) + 1e-3, x.astype(np.float64).mean(0)

    def loss(kernel: np.ndarray, bias: np.ndarray) -> float:
        logits = x.astype(np.float64) @ kernel + bias
        standardised = kernel * spread[:, None]
        entropy = -log_softmax(logits)[np.arange(300), y].mean()
        return float(entropy + decay / 2 * (standardised**2).sum())

    kernel, bias = head.kernel.astype(np.float64), head.bias.astype(np.float64)
    at = loss(kernel, bias)
    rng = np.random.default_rng(5)
    for size in (1e-2, 1e-1):
        for _ in range(20):
            step = rng.standard_normal(kernel.shape) * size / spread[:, None]
            assert loss(kernel + step, bias - mean @ step) > at - 1e-6
            assert loss(kernel, bias + rng.standard_normal(3) * size) > at - 1e-6
    assert (head(vx).argmax(1) == vy).mean() > 0.7


def test_the_strongest_decay_within_one_standard_error_is_taken() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(400)
    noise = (noise - noise.mean()) / noise.std()  # standard error 0.05
    assert strongest_within_error([noise + 1.2, noise + 1.04, noise + 1.0, noise + 1.1]) == 1
    assert strongest_within_error([noise + 1.2, noise + 1.06, noise + 1.0, noise + 1.1]) == 2
    (x, y), (vx, vy) = _blobs(300, 0), _blobs(200, 1)
    told: list[float] = []
    fit_head(x, y, vx, vy, 3, decays=(0.01, 1.0, 0.1), tell=lambda decay, *_: told.append(decay))
    assert told == [1.0, 0.1, 0.01]


def test_a_head_needs_images_and_numbers() -> None:
    (x, y), (vx, vy) = _blobs(30, 0), _blobs(20, 1)
    with pytest.raises(TeacherError, match="no training images"):
        fit_head(x[:0], y[:0], vx, vy, 3)
    spoilt = x.copy()
    spoilt[4, 2] = np.inf
    with pytest.raises(TeacherError, match="no number") as caught:
        fit_head(spoilt, y, vx, vy, 3)
    assert "image 4 of the training split" in str(caught.value.value)


def test_a_damaged_head_is_refused(tmp_path: Path) -> None:
    (x, y), (vx, vy) = _blobs(30, 0), _blobs(20, 1)
    head = fit_head(x, y, vx, vy, 3, decays=(1.0,))
    head.save(tmp_path)
    again = Head.load(tmp_path, head.sha256)
    assert again.sha256 == head.sha256 and again.decay == 1.0 and (again(x) == head(x)).all()
    fit_head(x, y, vx, vy, 3, decays=(0.1,)).save(tmp_path)
    with pytest.raises(TeacherError, match="head cannot be read"):
        Head.load(tmp_path, head.sha256)
    (tmp_path / "head.npz").write_bytes(b"PK")
    with pytest.raises(TeacherError, match="head cannot be read"):
        Head.load(tmp_path, head.sha256)
