"""Helpers of the tests of patches in C: heads and arrays of the harness, counts, rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from semflash.program.map_sizes import MapSizes


def head_of(harness: Any, sizes: MapSizes) -> Any:
    """A harness_head_t, and the array it points to."""
    bits = harness.ffi.new("uint16_t[]", sizes.levels)
    fields = {
        "level_bits": bits,
        "fixed_bits": sizes.fixed,
        "places": sizes.places,
        "levels": len(sizes.levels),
        "also_items": sizes.also // 4,
        "protectable": int(sizes.protectable),
    }
    return harness.ffi.new("harness_head_t *", fields), bits


def pointer(harness: Any, kind: str, array: np.ndarray) -> Any:
    assert array.flags.c_contiguous
    return harness.ffi.cast(f"{kind} *", array.ctypes.data)


def counts_of(levels: np.ndarray, kinds: int) -> np.ndarray:
    return np.stack([(levels >= level).sum(axis=1) for level in range(1, kinds)], axis=1)


def told_rates(rng: np.random.Generator, sizes: MapSizes, protect: np.ndarray, images: int) -> np.ndarray:
    """Rates 0 to 1,100 as a control brings them into its range."""
    least = np.where(protect, -(-sizes.least(True) // 8), -(-sizes.least(False) // 8))
    return np.maximum(rng.integers(0, 1101, images), least)
