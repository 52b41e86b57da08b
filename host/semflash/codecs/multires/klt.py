"""Where a level's coder begins, in closed form: KLT, greedy bits, Lloyd-Max levels.

The Karhunen-Loeve transform gives coefficients that are not correlated, the first with the largest variance.
Bits are given one after the other to the coefficient whose error falls most by it. Each coefficient has the
thresholds and centres of Lloyd and Max (Lloyd 1982, IEEE Trans. Inf. Theory 28; Max 1960) for its samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from semflash.program.patch_stages import COEFFICIENT_BITS_MAX

#: Samples that levels are fitted to, and rounds of the fit.
SAMPLES, ROUNDS = 20_000, 40
#: Most coefficients of a level: what is beyond them has hardly any variance.
COEFFICIENTS = 32

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """A coder in closed form.

    Attributes:
        weights: float (c, n): coefficients of a patch's n values, each of variance 1.
        bias: float (c,).
        bits: int (c,), 1 to 6.
        thresholds: c arrays of 2**bits - 1, ascending.
        centres: c arrays of 2**bits.
        back: float (n, c), and ``mean`` float (n,): a patch from its coefficients.
    """

    weights: Floats
    bias: Floats
    bits: NDArray[np.int64]
    thresholds: tuple[Floats, ...]
    centres: tuple[Floats, ...]
    back: Floats
    mean: Floats


class Transform:
    """The KLT of patches, and coders that begin with it.

    Args:
        patches: float (M, n), values in [0, 1].
    """

    def __init__(self, patches: NDArray[np.floating]) -> None:
        wide = patches.astype(np.float64)
        self.mean: Floats = wide.mean(axis=0)
        variances, vectors = np.linalg.eigh(np.cov(wide - self.mean, rowvar=False))
        order = np.argsort(-variances)[:COEFFICIENTS]
        # No variance at all, of constant pixels, divides by nothing.
        self.scale: Floats = np.sqrt(np.maximum(variances[order], 1e-12))
        self.vectors: Floats = vectors[:, order]
        self._samples = wide[:SAMPLES]
        self._known: dict[tuple[int, int], tuple[Floats, Floats, float]] = {}

    @cached_property
    def coefficients(self) -> Floats:
        """Of the samples, float (m, c), variance 1."""
        found: Floats = (self._samples - self.mean) @ self.vectors / self.scale
        return found

    def start(self, bits: int) -> Start:
        """A coder with so many bits for a patch."""
        given = allocate(bits, len(self.scale), lambda which, b: self._fitted(which, b)[2])
        used = np.flatnonzero(given)
        fitted = [self._fitted(int(which), int(given[which])) for which in used]
        weights = (self.vectors[:, used] / self.scale[used]).T
        return Start(
            weights=weights,
            bias=-weights @ self.mean,
            bits=given[used],
            thresholds=tuple(each[0] for each in fitted),
            centres=tuple(each[1] for each in fitted),
            back=self.vectors[:, used] * self.scale[used],
            mean=self.mean,
        )

    def _fitted(self, which: int, bits: int) -> tuple[Floats, Floats, float]:
        """Thresholds, centres and squared error of a coefficient with so many bits."""
        key = which, bits
        if key not in self._known:
            variance = float(self.scale[which] ** 2)
            if bits == 0:
                return np.empty(0), np.zeros(1), variance
            samples = self.coefficients[:, which]
            thresholds, centres = lloyd_max(samples, 1 << bits)
            sent = centres[np.searchsorted(thresholds, samples, side="right")]
            error = float(np.square(samples - sent).mean()) * variance
            self._known[key] = thresholds, centres, error
        return self._known[key]


def allocate(bits: int, coefficients: int, error: Callable[[int, int], float]) -> NDArray[np.int64]:
    """Bits of each coefficient, int (coefficients,), that sum to ``bits``: each goes where the error falls
    most.

    Args:
        error: Of a coefficient (number) with so many bits.
    """
    given = np.zeros(coefficients, np.int64)
    falls = np.array([error(which, 0) - error(which, 1) for which in range(min(bits, coefficients))])
    for _ in range(bits):
        best = int(falls.argmax())
        given[best] += 1
        have = int(given[best])
        falls[best] = error(best, have) - error(best, have + 1) if have < COEFFICIENT_BITS_MAX else -1.0
    return given


def lloyd_max(samples: Floats, levels: int) -> tuple[Floats, Floats]:
    """Thresholds (levels - 1,) and centres (levels,) of least squared error, both ascending.

    Centres begin at quantiles; one that no sample is nearest to stays where it is.
    """
    ordered = np.sort(samples)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centres = np.quantile(ordered, (np.arange(levels) + 0.5) / levels)
    for _ in range(ROUNDS):
        edges = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        ends = np.concatenate([[0], edges, [len(ordered)]])
        counts = np.diff(ends)
        means = (sums[ends[1:]] - sums[ends[:-1]]) / np.maximum(counts, 1)
        centres = np.where(counts > 0, means, centres)
    thresholds = (centres[1:] + centres[:-1]) / 2
    return thresholds, centres
