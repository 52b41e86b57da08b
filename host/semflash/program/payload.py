"""Codes to payload and back, by the program's layout: the one bit coder of the Python side.

What is received may be damaged, cut or in part lost; the rules:

- An item of which a bit did not arrive gets the neutral code of its tensor (int8 values: the zero point).
- A code above the tensor's last one counts as the last one, and so a count never exceeds the rows there are.
- A count or map that disagrees with the length of the payload is believed as far as the payload goes: what it
  asks for beyond the end is missing, and the image is marked inconsistent.
- A payload that is longer than the program's longest is refused.
- Where a head cannot be trusted, or says another length than the payload has, nothing of the image is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from semflash.errors import ProgramError
from semflash.program.head import decode_head, encode_head, head_room
from semflash.program.layout import CountOf, Exactly, OnesOf, Region, Rest, protected_bits
from semflash.program.program import Program
from semflash.program.protection import protect, unprotect
from semflash.program.tensors import Codes, Tensor


@dataclass(frozen=True)
class Payloads:
    """What is sent for N images.

    Attributes:
        payloads: uint8 (N, the most bytes of the program); zeros behind the end of each.
        bits: int64 (N,), the length of each, without the bits that fill its last byte.
    """

    payloads: NDArray[np.uint8]
    bits: NDArray[np.int64]

    def __iter__(self) -> Iterator[bytes]:
        """The payloads, each as long as it is."""
        for payload, bits in zip(self.payloads, self.bits, strict=True):
            yield payload[: -(-int(bits) // 8)].tobytes()


@dataclass(frozen=True)
class Span:
    """Where a region lies in N payloads, as they say themselves.

    Attributes:
        region: Of the layout.
        start: int64 (N,), its first bit.
        items: int64 (N,), how many of its items were sent.
    """

    region: Region
    start: NDArray[np.int64]
    items: NDArray[np.int64]


@dataclass(frozen=True)
class Received:
    """What the receiver has of N images; one entry for each region, by the name of its tensor.

    Attributes:
        codes: uint8 (int8 for values), (N, *shape); neutral where nothing was sent or nothing arrived.
        present: bool of the same shapes; True where an item was sent and arrived.
        corrected: int64 (N,), bits that the protection changed.
        consistent: bool (N,), whether the counts and maps agree with the length of the payload; False, too,
            where the head cannot be trusted.
        spans: Where each region lies, in their order.
    """

    codes: dict[str, NDArray[np.uint8] | NDArray[np.int8]]
    present: dict[str, NDArray[np.bool_]]
    corrected: NDArray[np.int64]
    consistent: NDArray[np.bool_]
    spans: tuple[Span, ...]


def encode(
    program: Program, tensors: Mapping[str, NDArray[np.uint8] | NDArray[np.int8]], controls: Mapping[str, int]
) -> Payloads:
    """Payloads of N images.

    Args:
        tensors: (N, *shape) of each region's source, uint8 codes or int8 values.
        controls: Values that :func:`semflash.program.controls.settle` gave.

    Raises:
        ProgramError: A tensor has another type or shape, or a code that it cannot hold.
    """
    flats = {name: _flat(program.tensor(name), tensors) for name in _names(program)}
    count = len(flats[program.payload.regions[0].source])
    stream = np.zeros((count, 8 * program.payload_bytes_max), np.uint8)
    end = np.zeros(count, np.int64)
    head = program.payload.head
    if not isinstance(head, UnsetType):
        sent, end = encode_head(program, flats, head.protect is not None and controls[head.protect] > 0)
        sent = sent[:, : stream.shape[1]]
        stream[:, : sent.shape[1]] = np.where(np.arange(sent.shape[1]) < end[:, None], sent, 0)
    for region in program.payload.regions:
        room = 8 * controls[region.items.limit] - end if isinstance(region.items, Rest) else end
        chosen = _chosen(program, region, flats, room)
        items = np.unpackbits(flats[region.source].view(np.uint8)[..., None], axis=2)[..., 8 - region.bits :]
        for images, n, start in _alike(chosen.sum(axis=1), end):
            bits = items[images][chosen[images]].reshape(len(images), n * region.bits)
            sent = protect(bits, region.protection)
            _check_room(program, start + sent.shape[1])
            stream[images, start : start + sent.shape[1]] = sent
            end[images] += sent.shape[1]
    return Payloads(np.packbits(stream, axis=1), end)


def decode(
    program: Program,
    payloads: NDArray[np.uint8],
    bits: NDArray[np.int64] | None = None,
    lost: NDArray[np.bool_] | None = None,
) -> Received:
    """What the receiver has of N payloads.

    Args:
        payloads: uint8 (N, P); what stands behind the end of each is not looked at.
        bits: (N,), the length of each in bits, or rounded up to whole bytes; None means all of P bytes.
        lost: (N, P), True for bytes that did not arrive; None means that all did.

    Raises:
        ProgramError: The payloads are not uint8 (N, P), or are longer than the program's longest.
    """
    bits = _checked_lengths(program, payloads, bits)
    # Damaged counts may point beyond what was sent: there, nothing is known.
    stream = np.zeros((len(payloads), _beyond(program, payloads)), np.uint8)
    stream[:, : 8 * payloads.shape[1]] = np.unpackbits(payloads, axis=1)
    known = np.arange(stream.shape[1]) < bits[:, None]
    if lost is not None:
        known[:, : 8 * payloads.shape[1]] &= ~np.repeat(lost, 8, axis=1)
    end, corrected = np.zeros(len(payloads), np.int64), np.zeros(len(payloads), np.int64)
    flats: dict[str, NDArray[np.uint8] | NDArray[np.int8]] = {}
    present: dict[str, NDArray[np.bool_]] = {}
    spans, lost_heads = [], np.zeros(len(payloads), np.bool_)
    if not isinstance(program.payload.head, UnsetType):
        head = decode_head(program, stream, known, bits)
        end, corrected, lost_heads = head.end, head.corrected, head.lost
        for name, codes in head.codes.items():
            neutral, _ = _nothing(program.tensor(name), len(payloads))
            flats[name] = np.where(lost_heads[:, None], neutral, codes)
            present[name] = np.repeat(~lost_heads[:, None], codes.shape[1], axis=1)
    for region in program.payload.regions:
        tensor = program.tensor(region.source)
        chosen = _chosen(program, region, flats, bits - end) & ~lost_heads[:, None]
        spans.append(Span(region, end.copy(), chosen.sum(axis=1)))
        values, there = _nothing(tensor, len(payloads))
        for images, n, start in _alike(chosen.sum(axis=1), end):
            stop = start + protected_bits(n * region.bits, region.protection)
            ends = stream[images, start:stop], known[images, start:stop]
            data, whole, repaired = unprotect(*ends, n * region.bits, region.protection)
            at = np.nonzero(chosen[images])
            at = images[at[0]], at[1]
            arrived = whole.reshape(-1, region.bits).all(axis=1)
            values[at] = np.where(arrived, _items(tensor, data.reshape(-1, region.bits)), values[at])
            there[at] = arrived
            corrected[images] += repaired
            end[images] = stop
        flats[region.source], present[region.source] = values, there
    shapes = {name: (len(payloads), *program.tensor(name).shape) for name in flats}
    return Received(
        {name: flat.reshape(shapes[name]) for name, flat in flats.items()},
        {name: flat.reshape(shapes[name]) for name, flat in present.items()},
        corrected,
        ((end == bits) | ((bits % 8 == 0) & (end <= bits) & (bits < end + 8))) & ~lost_heads,
        tuple(spans),
    )


def _check_room(program: Program, bits: int) -> None:
    """A map that no selection made may ask for more than the program's longest payload."""
    if bits > program.payload_bits_max:
        raise ProgramError(
            f"a payload of this program has at most {program.payload_bits_max} bits",
            value=bits,
            remedy="select levels by the rate",
        )


def _beyond(program: Program, payloads: NDArray[np.uint8]) -> int:
    """Bits that may be looked at: those of the payloads, and what damaged counts point to."""
    most = max(8 * payloads.shape[1], program.payload_bits_max)
    return most if isinstance(program.payload.head, UnsetType) else max(most, head_room(program))


def _names(program: Program) -> set[str]:
    """The tensors that the payload is made of."""
    names = set(program.payload.sources)
    for region in program.payload.regions:
        match region.items:
            case CountOf(count):
                names.add(count)
            case OnesOf(mask):
                names.add(mask)
    return names


def _flat(tensor: Tensor, tensors: Mapping[str, NDArray]) -> NDArray:
    """(N, items) of one tensor, checked."""
    if tensor.name not in tensors:
        raise ProgramError(
            "a tensor of the payload is missing", value=tensor.name, remedy="run the program first"
        )
    array = tensors[tensor.name]
    wanted = np.uint8 if isinstance(tensor.holds, Codes) else np.int8
    if array.dtype != wanted or array.shape[1:] != tensor.shape:
        raise ProgramError(
            f"{tensor.name} must be {np.dtype(wanted).name} (N, {', '.join(map(str, tensor.shape))})",
            value=f"{array.dtype} {array.shape}",
        )
    if isinstance(tensor.holds, Codes) and int(array.max(initial=0)) >= tensor.holds.levels:
        raise ProgramError(
            f"a code of {tensor.name} is above {tensor.holds.levels - 1}", value=int(array.max())
        )
    return np.ascontiguousarray(array).reshape(len(array), tensor.items)


def _checked_lengths(
    program: Program, payloads: NDArray[np.uint8], bits: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """The lengths in bits, int64 (N,)."""
    if payloads.dtype != np.uint8 or payloads.ndim != 2:
        raise ProgramError("payloads must be uint8 (N, P)", value=f"{payloads.dtype} {payloads.shape}")
    lengths = np.full(len(payloads), 8 * payloads.shape[1]) if bits is None else np.asarray(bits, np.int64)
    most = min(8 * payloads.shape[1], 8 * program.payload_bytes_max)
    if lengths.shape != (len(payloads),) or lengths.min(initial=0) < 0 or lengths.max(initial=0) > most:
        raise ProgramError(
            f"a payload of this program has at most {most} bits here",
            value=f"{lengths.shape}, longest {lengths.max(initial=0)}",
            remedy="look whether device and edge run the same bundle",
        )
    return lengths.astype(np.int64)


def _chosen(
    program: Program, region: Region, flats: Mapping[str, NDArray], room: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(N, items), which items of the region's source are sent; ``room`` is the bits that are left."""
    tensor = program.tensor(region.source)
    match region.items:
        case CountOf(count):
            rows = np.arange(tensor.rows) < flats[count]
        case OnesOf(mask, at_least):
            rows = flats[mask] >= at_least
        case Exactly(levels, level):
            rows = flats[levels] == level
        case Rest():
            return np.arange(tensor.items) < (np.maximum(room, 0) // region.bits)[:, None]
        case _:
            return np.ones((len(room), tensor.items), np.bool_)
    return np.repeat(rows, tensor.items // tensor.rows, axis=1)


def _alike(
    counts: NDArray[np.int64], starts: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """Groups of images that send equally many items from the same bit on: (images, items, first bit)."""
    pairs, group = np.unique(np.stack([counts, starts], axis=1), axis=0, return_inverse=True)
    for number, (count, start) in enumerate(pairs.tolist()):
        yield np.nonzero(group.reshape(-1) == number)[0], count, start


def _nothing(tensor: Tensor, images: int) -> tuple[NDArray, NDArray[np.bool_]]:
    """What stands where nothing arrived."""
    shape = (images, tensor.items)
    if isinstance(tensor.holds, Codes):
        return np.full(shape, tensor.holds.neutral, np.uint8), np.zeros(shape, np.bool_)
    return np.full(shape, tensor.holds.zero_point, np.int8), np.zeros(shape, np.bool_)


def _items(tensor: Tensor, bits: NDArray[np.uint8]) -> NDArray:
    """(M, bits) to items (M,)."""
    padded = np.zeros((len(bits), 8), np.uint8)
    padded[:, 8 - bits.shape[1] :] = bits
    items = np.packbits(padded, axis=1)[:, 0]
    if isinstance(tensor.holds, Codes):
        return np.minimum(items, np.uint8(tensor.holds.levels - 1))
    return items.view(np.int8)
