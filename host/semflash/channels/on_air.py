"""Payloads as complex symbols of a channel with an SNR, and back.

A region of int8 values travels as what it is: two values in a row are the I and Q part of one symbol, at
their real values, whose nominal power E(I^2 + Q^2) is 1. The receiver's samples are int8, too: rounded, and
saturated at -128 and 127. All other bits, those of a protected region of values among them, travel in pairs
as QPSK symbols (:mod:`semflash.channels.modulation`) and are decided one by one. A head, whose check tells
whether it arrived, is repeated until it did: it stays as it is, and its bits count for the payload's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflash.channels.modulation import demodulate_bits, modulate_bits
from semflash.program.layout import Region, protected_bits
from semflash.program.payload import decode
from semflash.program.program import Program
from semflash.program.tensors import Values

_BITS = 8


@dataclass(frozen=True)
class Stretch:
    """Bits of a payload that travel in one way.

    Attributes:
        start: The first bit.
        stop: The bit behind the last.
        holds: What the bytes of int8 values mean; None: bits.
    """

    start: int
    stop: int
    holds: Values | None

    @property
    def symbols(self) -> int:
        """Complex symbols on the air."""
        parts = (self.stop - self.start) // (_BITS if self.holds is not None else 1)
        return -(-parts // 2)


def has_symbols(program: Program) -> bool:
    """Whether a payload of the program holds values that travel as what they are."""
    return any(_values(program, region) is not None for region in program.payload.regions)


def _values(program: Program, region: Region) -> Values | None:
    holds = program.tensor(region.source).holds
    return holds if isinstance(holds, Values) and region.protection == "none" else None


def stretches(
    program: Program, payloads: NDArray[np.uint8], bits: NDArray[np.int64] | None
) -> Iterator[tuple[NDArray[np.intp], tuple[Stretch, ...]]]:
    """Payloads that are made alike, as indices, and the stretches of these.

    A payload's own counts say where its regions lie; one that was damaged before may ask for more than it
    has, and its last stretch ends where the payload does.

    Args:
        payloads: uint8 (N, P).
        bits: int64 (N,), the length of each; None: all of P bytes.
    """
    whole = program.payload_bits_max
    lengths = np.full(len(payloads), _BITS * payloads.shape[1]) if bits is None else bits
    if program.payload.is_fixed and bool((lengths >= whole).all()):
        yield np.arange(len(payloads)), _all_of(program)
        return
    spans = decode(program, payloads, bits).spans
    keys = np.stack([lengths, *(part for span in spans for part in (span.start, span.items))], axis=1)
    alike, which = np.unique(keys, axis=0, return_inverse=True)
    regions = [span.region for span in spans]
    for number, key in enumerate(alike.tolist()):
        yield np.nonzero(which.ravel() == number)[0], _of(program, regions, key[0], key[1::2], key[2::2])


def _all_of(program: Program) -> tuple[Stretch, ...]:
    """The stretches of a whole payload of a program whose payloads are all alike."""
    regions = program.payload.regions
    sizes = [program.region_bits_max(region) for region in regions]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    items = [program.tensor(region.source).items for region in regions]
    return _of(program, regions, sum(sizes), starts, items)


def _of(
    program: Program, regions: Sequence[Region], length: int, starts: Sequence[int], items: Sequence[int]
) -> tuple[Stretch, ...]:
    """Stretches of one payload, from behind its head to its last bit; neighbours of bits are one."""
    found: list[Stretch] = []
    for region, start, count in zip(regions, starts, items, strict=True):
        holds = _values(program, region)
        stop = min(start + protected_bits(count * region.bits, region.protection), length)
        if holds is not None:
            stop = max(start, stop - (stop - start) % _BITS)
        if stop <= start:
            continue
        if found and found[-1].holds is None and holds is None:
            found[-1] = Stretch(found[-1].start, stop, None)
        else:
            found.append(Stretch(start, stop, holds))
    return tuple(found)


def to_symbols(bits: NDArray[np.uint8], parts: Sequence[Stretch]) -> NDArray[np.float64]:
    """Symbols float64 (N, S, 2), I and Q last, of payload bits uint8 (N, B) that are made alike.

    A stretch of an odd number of parts ends with a symbol whose Q is 0 (of values), or that of a 0 bit.
    """
    return np.concatenate(
        [np.zeros((len(bits), 0, 2)), *(_stretch_to_symbols(bits, part) for part in parts)], axis=1
    )


def _stretch_to_symbols(bits: NDArray[np.uint8], part: Stretch) -> NDArray[np.float64]:
    inside = bits[:, part.start : part.stop]
    if part.holds is None:
        return modulate_bits(np.pad(inside, ((0, 0), (0, inside.shape[1] % 2))))
    values = np.packbits(inside, axis=1).view(np.int8).astype(np.float64)
    real = part.holds.scale * (values - part.holds.zero_point)
    return np.pad(real, ((0, 0), (0, real.shape[1] % 2))).reshape(len(bits), part.symbols, 2)


def from_symbols(
    symbols: NDArray[np.floating], parts: Sequence[Stretch], bits: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Payload bits uint8 (N, B) of symbols (N, S, 2) as they arrived.

    Args:
        bits: What was sent; bits that no symbol carries, which fill the last byte, stay as they are.
    """
    received, at = bits.copy(), 0
    for part in parts:
        flat = symbols[:, at : at + part.symbols].reshape(len(symbols), 2 * part.symbols)
        at += part.symbols
        if part.holds is None:
            found = demodulate_bits(flat)
        else:
            samples = np.clip(np.rint(flat / part.holds.scale) + part.holds.zero_point, -128, 127)
            found = np.unpackbits(samples.astype(np.int8).view(np.uint8), axis=1)
        received[:, part.start : part.stop] = found[:, : part.stop - part.start]
    return received
