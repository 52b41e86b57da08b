"""A linear head on a teacher's features: multinomial logistic regression with weight decay.

    minimise  mean cross entropy + decay / 2 * sum of squared weights (of standardised features)

by L-BFGS (SciPy), from the strongest decay to the weakest, each starting where the last one ended. Taken is
the strongest decay whose cross entropy on the validation split is within one standard error of the least
(Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3): a weaker one reads hardly more
images, but is so sure of the training images that its answers say no more than their labels do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semflash.array_files import read_npz, write_npz
from semflash.errors import TeacherError, TrainingError
from semflash.teachers.answers import log_softmax

#: Goes up when the same features and labels give another head.
VERSION = 1
DECAYS = (1.0, 0.3, 0.1, 0.03, 0.01)
HEAD_FILE = "head.npz"
_ITERATIONS_MAX = 100
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Head:
    """Features to logits: ``features @ kernel + bias``.

    Attributes:
        kernel: float32 (width, classes).
        bias: float32 (classes,).
        decay: that it was fitted with.
    """

    kernel: np.ndarray
    bias: np.ndarray
    decay: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Logits float32 (n, classes) of features float (n, width)."""
        logits: np.ndarray = features.astype(np.float32) @ self.kernel + self.bias
        return logits

    @property
    def sha256(self) -> str:
        """Over kernel and bias."""
        digest = hashlib.sha256(np.ascontiguousarray(self.kernel, "<f4").tobytes())
        digest.update(np.ascontiguousarray(self.bias, "<f4").tobytes())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write head.npz."""
        arrays = {"kernel": self.kernel, "bias": self.bias, "decay": np.float64(self.decay)}
        write_npz(folder / HEAD_FILE, {name: np.asarray(value) for name, value in arrays.items()})

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read head.npz. TeacherError: missing or damaged."""
        try:
            arrays = read_npz(folder / HEAD_FILE)
            kernel, bias, decay = (arrays[name] for name in ("kernel", "bias", "decay"))
            if kernel.ndim != 2 or bias.shape != kernel.shape[1:] or decay.shape != ():
                raise KeyError("shapes")
            return cls(kernel.astype(np.float32), bias.astype(np.float32), float(decay))
        except (TrainingError, KeyError, ValueError, TypeError) as error:
            raise TeacherError(
                "the teacher's fitted head cannot be read",
                value=folder / HEAD_FILE,
                remedy="make the store again: remove its folder, then `semflash teach`",
            ) from error


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    val_features: np.ndarray,
    val_labels: np.ndarray,
    classes: int,
    *,
    decays: tuple[float, ...] = DECAYS,
    tell: Callable[[float, float, float], None] = lambda decay, entropy, accuracy: None,
) -> Head:
    """Fit one head for each decay, and take one by the validation split.

    Args:
        features: float (N, width); labels: int (N,).
        val_features, val_labels: of the validation split.
        tell: told each decay, its cross entropy (nats) and its accuracy (0..1) on the validation split.

    Raises:
        TeacherError: there are no images, a feature is no number, or SciPy finds no minimum.
    """
    for name, rows in (("training", features), ("validation", val_features)):
        if not len(rows):
            raise TeacherError(f"no {name} images to fit the head on")
        if not np.isfinite(rows).all():
            raise TeacherError(
                "the teacher's feature is no number",
                value=f"image {int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])} of the {name} split",
                remedy="another teacher, or the image size and range that this one was made for",
            )
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = features.astype(np.float32).std(axis=0, dtype=np.float64).astype(np.float32) + _LEAST_SPREAD
    inputs = (features.astype(np.float32) - mean) / spread
    start = np.zeros((inputs.shape[1] + 1, classes))
    heads, entropies = [], []
    for decay in sorted(decays, reverse=True):
        start = _minimum(inputs, labels, start, decay)
        kernel = (start[:-1] / spread[:, None]).astype(np.float32)
        bias = (start[-1] - (mean / spread) @ start[:-1]).astype(np.float32)
        heads.append(Head(kernel, bias, decay))
        logits = heads[-1](val_features)
        entropies.append(-log_softmax(logits)[np.arange(len(val_labels)), val_labels])
        tell(decay, float(entropies[-1].mean()), float((logits.argmax(axis=1) == val_labels).mean()))
    return heads[strongest_within_error(entropies)]


def strongest_within_error(entropies: list[np.ndarray]) -> int:
    """Index of the first mean that is within one standard error of the least mean; arrays (n,), in order."""
    means = [float(one.mean()) for one in entropies]
    best = int(np.argmin(means))
    error = float(entropies[best].std()) / float(np.sqrt(len(entropies[best])))
    return next(index for index, mean in enumerate(means) if mean <= means[best] + error)


def _minimum(inputs: np.ndarray, labels: np.ndarray, start: np.ndarray, decay: float) -> np.ndarray:
    """Weights (width + 1, classes), the bias last, float64."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    shape, count = start.shape, len(inputs)
    rows = np.arange(count)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        logits = inputs @ weights[:-1].astype(np.float32) + weights[-1].astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1)
        entropy = float(np.mean(np.log(sums) - logits[rows, labels], dtype=np.float64))
        errors = exponentials / sums[:, None]
        errors[rows, labels] -= 1
        errors /= count
        gradient = np.empty(shape)
        gradient[:-1] = inputs.T @ errors + decay * weights[:-1]
        gradient[-1] = errors.sum(axis=0)
        return entropy + decay / 2 * float((weights[:-1] ** 2).sum()), gradient.ravel()

    options = {"maxiter": _ITERATIONS_MAX, "ftol": 1e-6, "gtol": 1e-5}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    if not np.isfinite(found.fun):
        raise TeacherError("no head can be fitted on the teacher's features", value=f"loss {found.fun}")
    weights: np.ndarray = found.x.reshape(shape)
    return weights
