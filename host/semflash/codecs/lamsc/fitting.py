"""Where the codec begins, in closed form: a weighted transform, and levels of blocks that choose them.

The Karhunen-Loeve transform is taken of blocks that count by their importance. Each level has bits and
Lloyd-Max centres of its own, fitted to the blocks that have this level; which blocks have it follows from the
levels, so both are found in turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.multires.klt import allocate, lloyd_max
from semflash.codecs.patch_codes import falls_of
from semflash.codecs.patch_side import FallTables, PatchCoder
from semflash.program.map_sizes import MapSizes
from semflash.program.reference import select
from semflash.program.reference.falls import slopes

Floats = NDArray[np.float64]

#: Turns, and blocks that a level is fitted to.
ROUNDS, SAMPLES = 4, 4_000
#: A level that fewer blocks have is fitted to blocks of all levels.
FEW = 300
#: Bytes that levels are chosen for, drawn evenly on a scale of logarithms.
RATES = (60, 500)


@dataclass(frozen=True)
class Levels:
    """The closed form.

    Attributes:
        vectors: float (n, K), orthonormal columns: a block's coefficients, the largest variance first.
        deviation: float (K,), of each coefficient.
        bits: int (levels - 1, K), 0 to 6. The last level has bits for every coefficient that another has.
        centres: For each level K arrays of 2**bits (none of those without bits).
    """

    vectors: Floats
    deviation: Floats
    bits: NDArray[np.int64]
    centres: tuple[tuple[Floats, ...], ...]

    @property
    def coders(self) -> tuple[PatchCoder, ...]:
        """What the device computes at each level: the nearest centre of each coefficient."""
        return tuple(
            PatchCoder(
                self.vectors[:, used].T.astype(np.float32),
                np.zeros(len(used), np.float32),
                bits[used],
                tuple((centres[which][1:] + centres[which][:-1]) / 2 for which in used),
            )
            for bits, centres in zip(self.bits, self.centres, strict=True)
            for used in [np.flatnonzero(bits)]
        )

    @property
    def tables(self) -> FallTables:
        """What each level leaves of a block, of the coefficients that the last level has."""
        last = np.flatnonzero(self.bits[-1])
        used = [np.flatnonzero(bits) for bits in self.bits]
        return FallTables(
            tuple(np.searchsorted(last, each) for each in used),
            tuple(
                tuple(centres[which] for which in each)
                for centres, each in zip(self.centres, used, strict=True)
            ),
        )


def transform(values: Floats, weights: Floats, count: int) -> tuple[Floats, Floats]:
    """Directions (n, count) of most weighted variance around 0, and the deviation along each, (count,).

    Args:
        values: (M, n), less the background.
        weights: (M,), above 0.
    """
    moments = (values * weights[:, None]).T @ values / weights.sum()
    variances, vectors = np.linalg.eigh(moments)
    # No variance at all, of constant pixels, divides by nothing.
    return vectors[:, ::-1][:, :count].copy(), np.sqrt(np.maximum(variances[::-1][:count], 1e-12))


def fit(values: Floats, weights: Floats, coefficients: int, sizes: MapSizes, *, seed: int = 0) -> Levels:
    """Transform and levels of the blocks of some images.

    Args:
        values: (N, blocks, n), less the background, of pixels in [0, 1].
        weights: (N, blocks), 0..1, above 0: what each block counts.
        sizes: Of the payload.
    """
    images, blocks, n = values.shape
    rng = np.random.default_rng(seed)
    flat = values.reshape(-1, n)
    vectors, deviation = transform(flat, weights.reshape(-1), coefficients)
    found = (flat @ vectors).reshape(images, blocks, coefficients)
    rates = np.exp(rng.uniform(float(np.log(RATES[0])), float(np.log(RATES[1])), images)).astype(np.int64)
    whole = np.maximum(np.rint(weights * 4096), 1).astype(np.int64)
    kinds = len(sizes.levels)
    energy = np.log(whole * (found**2).sum(axis=-1) + 1e-12)
    levels = np.digitize(energy, np.quantile(energy, np.linspace(0, 1, kinds + 1)[1:-1]))
    for _ in range(ROUNDS):
        made = _levels(found, levels, sizes, vectors, deviation, rng)
        last = np.flatnonzero(made.bits[-1])
        falls = falls_of(made.tables, made.coders, found[..., last])
        worth = slopes(falls, sizes.levels) * whole[..., None]
        levels = select.select_by_worth(worth, sizes, rates)
    return made


def _levels(
    found: Floats,
    levels: NDArray[np.integer],
    sizes: MapSizes,
    vectors: Floats,
    deviation: Floats,
    rng: np.random.Generator,
) -> Levels:
    count = found.shape[-1]
    bits, centres = [], []
    allowed = np.ones(count, np.bool_)
    for level in range(len(sizes.levels) - 1, 0, -1):
        samples = found[levels == level]
        if len(samples) < FEW:
            samples = found.reshape(-1, count)
        samples = samples[rng.permutation(len(samples))[:SAMPLES]]
        fitted = _Fitted(samples, allowed)
        given = allocate(sizes.levels[level], count, fitted.error)
        if level == len(sizes.levels) - 1:
            allowed = given > 0
        bits.append(given)
        centres.append(tuple(fitted.centres(which, int(b)) for which, b in enumerate(given)))
    return Levels(vectors, deviation, np.stack(bits[::-1]), tuple(centres[::-1]))


class _Fitted:
    """Centres of coefficients, each with any number of bits.

    Args:
        samples: (m, K).
        allowed: Which of them may have bits, (K,).
    """

    def __init__(self, samples: Floats, allowed: NDArray[np.bool_]) -> None:
        self._samples, self._allowed = samples, allowed
        self._known: dict[tuple[int, int], Floats] = {}

    def centres(self, which: int, bits: int) -> Floats:
        """Of a coefficient with so many bits; none without bits."""
        if bits == 0:
            return np.zeros(0)
        if (which, bits) not in self._known:
            self._known[which, bits] = np.sort(lloyd_max(self._samples[:, which], 1 << bits)[1])
        return self._known[which, bits]

    def error(self, which: int, bits: int) -> float:
        """Mean squared error of a coefficient with so many bits."""
        own = self._samples[:, which]
        if bits == 0 or not self._allowed[which]:
            return float(np.square(own).mean()) + bits  # never worth a bit
        centres = self.centres(which, bits)
        sent = centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, own, side="right")]
        return float(np.square(own - sent).mean())
