"""Payloads spelled out as strings of bits: the reference for both coders, and random layouts made with it."""

from __future__ import annotations

import random
from typing import Any

#: Hamming(7,4) as tables print it: data bits d1 d2 d3 d4 to p1 p2 d1 p3 d2 d3 d4.
WORDS = {
    "0000": "0000000",
    "0001": "1101001",
    "0010": "0101010",
    "0011": "1000011",
    "0100": "1001100",
    "0101": "0100101",
    "0110": "1100110",
    "0111": "0001111",
    "1000": "1110000",
    "1001": "0011001",
    "1010": "1011010",
    "1011": "0110011",
    "1100": "0111100",
    "1101": "1010101",
    "1110": "0010110",
    "1111": "1111111",
}

EVERY = {"kind": "every"}
LIMIT = {"kind": "rest", "limit": "limit"}


def codes(name: str, shape: list[int], levels: int, neutral: int = 0) -> dict[str, Any]:
    """A tensor of codes."""
    return {"name": name, "shape": shape, "holds": {"kind": "codes", "levels": levels, "neutral": neutral}}


def region(source: str, bits: int, items: dict[str, Any] = EVERY, protection: str = "none") -> dict[str, Any]:
    """A region."""
    return {"source": source, "bits": bits, "items": items, "protection": protection}


def hexadecimal(bits: str) -> str:
    """Bits, blanks between them where they help, filled with zeros to bytes."""
    bits = bits.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).hex()


def case(
    name: str,
    tensors: list[Any],
    regions: list[Any],
    values: dict[str, list[int]],
    bits: str,
    *received: Any,
    limit: int | None = None,
) -> dict[str, Any]:
    """A case; undamaged, it gives back what was sent unless `received` begins with something else."""
    control = {"name": "limit", "id": 1, "low": 0, "high": 1000, "default": 1000, "unit": "bytes"}
    used = limit is not None
    return {
        "name": name,
        "tensors": tensors,
        "regions": regions,
        "controls": [control] if used else [],
        "given": {"limit": limit} if used else {},
        "codes": values,
        "payload": hexadecimal(bits),
        "bits": len(bits.replace(" ", "")),
        "received": list(received),
    }


def spell(bits: str, protection: str) -> str:
    """Bits of a region as they are sent."""
    if protection == "repeat-3":
        return bits + bits + bits
    if protection == "hamming-7-4":
        bits += "0" * (-len(bits) % 4)
        return "".join(WORDS[bits[i : i + 4]] for i in range(0, len(bits), 4))
    return bits


def random_cases(count: int = 60, seed: int = 7) -> list[dict[str, Any]]:
    """Layouts of a map, a count, counted and masked tensors and limited ones, of any width."""
    rng = random.Random(seed)
    cases = []
    for number in range(count):
        rows, each, levels = rng.randint(1, 9), rng.randint(1, 5), rng.randint(2, 9)
        limit, width = rng.randint(0, 60), rng.randint(1, 8)
        tensors = [
            codes("map", [rows], levels),
            codes("n", [1], rows + 1),
            codes("masked", [rows, each], 1 << width),
            codes("counted", [rows, each], 200),
            codes("tail", [rows * each], 3),
        ]
        values = {
            t["name"]: [rng.randrange(t["holds"]["levels"]) for _ in range(_items(t["shape"]))]
            for t in tensors
        }
        at_least = rng.randint(1, levels - 1)
        sent_rows = [r for r in range(rows) if values["map"][r] >= at_least]
        masked = [values["masked"][r * each + i] for r in sent_rows for i in range(each)]
        parts = [
            ("map", (levels - 1).bit_length(), EVERY, values["map"]),
            ("n", rows.bit_length(), EVERY, values["n"]),
            ("masked", width, {"kind": "ones", "mask": "map", "at_least": at_least}, masked),
            ("counted", 8, {"kind": "count", "count": "n"}, values["counted"][: values["n"][0] * each]),
        ]
        regions, bits = [], ""
        for name, item_bits, items, sent in parts:
            protection = rng.choice(["none", "repeat-3", "hamming-7-4"])
            regions.append(region(name, item_bits, items, protection))
            bits += spell("".join(f"{value:0{item_bits}b}" for value in sent), protection)
        regions.append(region("tail", 2, LIMIT))
        for value in values["tail"]:
            if len(bits) + 2 <= 8 * limit:
                bits += f"{value:02b}"
        cases.append(case(f"random layout {number}", tensors, regions, values, bits, limit=limit))
    return cases


def _items(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
