"""Write tests/vectors/layout.json: payloads of device programs, for the coders in Python and in C alike.

Payloads are spelled out as strings of bits, by hand or (the last cases) by the few lines of
tests/vectors/spelled.py, which share no code with either coder. Run it again after a change of the layout:
`PYTHONPATH=tests python -m vectors.make_layout`.

Each case: `tensors`, `regions` and `controls` as in a device program; `given`, the values of the controls;
`codes`, the numbers of each tensor in raster order; `payload` (hex) and `bits`, what is sent. `received`:
what the host has after the channel, from a payload of `bits` bits of which the bytes `lost` did not arrive.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vectors.spelled import LIMIT, case, codes, hexadecimal, random_cases, region


def arrived(bits: str, got: dict[str, list[int]], **more: Any) -> dict[str, Any]:
    """One event at the receiver; `length` cuts the payload, everything is present unless said otherwise."""
    length = more.pop("length", len(bits.replace(" ", "")))
    present = {name: [1] * len(values) for name, values in got.items()} | more.pop("present", {})
    event = {"payload": hexadecimal(bits), "bits": length, "lost": [], "codes": got, "present": present}
    return event | {"corrected": 0, "consistent": True} | more


def plain_cases() -> list[dict[str, Any]]:
    """Regions without protection whose size is fixed."""
    three = [codes("c", [3], 8)]
    five = [codes("c", [2], 5, neutral=2)]
    values = [{"name": "v", "shape": [4], "holds": {"kind": "values", "scale": 0.5, "zero_point": 3}}]
    got = {"c": [5, 1, 7]}
    return [
        case(
            "three codes of three bits",
            three,
            [region("c", 3)],
            got,
            "101 001 111",
            arrived("101 001 111", got),
        ),
        case(
            "bits that fill the last byte are not looked at",
            three,
            [region("c", 3)],
            got,
            "101 001 111",
            arrived("101 001 111 1111111", got, length=16),
        ),
        case(
            "what is cut off is neutral",
            three,
            [region("c", 3)],
            got,
            "101 001 111",
            arrived("101 001 111", {"c": [5, 1, 0]}, length=8, present={"c": [1, 1, 0]}, consistent=False),
            arrived("101 001 111", {"c": [0, 0, 0]}, length=0, present={"c": [0, 0, 0]}, consistent=False),
        ),
        case(
            "a lost byte takes every code that it holds a bit of",
            [codes("c", [4], 32, neutral=9)],
            [region("c", 5)],
            {"c": [17, 2, 31, 0]},
            "10001 00010 11111 00000",
            arrived("10001 00010 11111 00000", {"c": [17, 9, 9, 9]}, present={"c": [1, 0, 0, 0]}, lost=[1]),
            arrived("10001 00010 11111 00000", {"c": [9, 9, 31, 0]}, present={"c": [0, 0, 1, 1]}, lost=[0]),
        ),
        case(
            "a code above the last one counts as the last one",
            five,
            [region("c", 3)],
            {"c": [4, 0]},
            "100 000",
            arrived("111 101", {"c": [4, 4]}),
            arrived("100 000", {"c": [4, 0]}),
        ),
        case(
            "regions of different widths follow without a gap",
            [codes("a", [2], 8), codes("b", [2, 1], 32)],
            [region("a", 3), region("b", 5)],
            {"a": [1, 6], "b": [17, 2]},
            "001 110 10001 00010",
            arrived("001 110 10001 00010", {"a": [1, 6], "b": [17, 2]}),
        ),
        case(
            "int8 values are bytes in two's complement, and the zero point is neutral",
            values,
            [region("v", 8)],
            {"v": [-1, 0, 127, -128]},
            "11111111 00000000 01111111 10000000",
            arrived(
                "11111111 00000000 01111111 10000000",
                {"v": [-1, 3, 127, -128]},
                lost=[1],
                present={"v": [1, 0, 1, 1]},
            ),
        ),
    ]


def counted_cases() -> list[dict[str, Any]]:
    """Regions whose size stands in the payload, whole and damaged."""
    count = {"kind": "count", "count": "n"}
    tensors = [codes("n", [1], 5), codes("c", [4, 2], 4, neutral=1)]
    regions = [region("n", 3), region("c", 2, count)]
    sent = {"n": [2], "c": [1, 2, 3, 0, 3, 3, 3, 3]}
    got = {"n": [2], "c": [1, 2, 3, 0, 1, 1, 1, 1]}
    half = {"c": [1, 1, 1, 1, 0, 0, 0, 0]}
    mask = [codes("m", [4], 2), codes("c", [4, 2], 4)]
    ones = [region("m", 1), region("c", 2, {"kind": "ones", "mask": "m", "at_least": 1})]
    levels = [codes("m", [2, 2], 3), codes("a", [4], 4), codes("b", [4, 1], 8, neutral=7)]
    planes = [
        region("m", 2),
        region("a", 2, {"kind": "ones", "mask": "m", "at_least": 1}),
        region("b", 3, {"kind": "ones", "mask": "m", "at_least": 2}),
    ]
    masked = {"m": [1, 0, 0, 1], "c": [3, 1, 0, 0, 0, 0, 2, 2]}
    maps = {"m": [1, 0, 2, 2], "a": [3, 0, 1, 2], "b": [7, 7, 5, 0]}
    there = {"m": [1] * 4, "a": [1, 0, 1, 1], "b": [0, 0, 1, 1]}
    return [
        case(
            "the first rows are sent, as many as the count says",
            tensors,
            regions,
            sent,
            "010 01 10 11 00",
            arrived("010 01 10 11 00", got, present=half),
        ),
        case(
            "a count that grew asks for rows that are missing",
            tensors,
            regions,
            sent,
            "010 01 10 11 00",
            arrived("011 01 10 11 00", got | {"n": [3]}, present=half, consistent=False),
        ),
        case(
            "a count above the most counts as the most",
            tensors,
            regions,
            sent,
            "010 01 10 11 00",
            arrived("111 01 10 11 00", got | {"n": [4]}, present=half, consistent=False),
        ),
        case(
            "a count that shrank leaves bits over",
            tensors,
            regions,
            sent,
            "010 01 10 11 00",
            arrived("000 01 10 11 00", {"n": [0], "c": [1] * 8}, present={"c": [0] * 8}, consistent=False),
        ),
        case(
            "a lost count is its neutral code",
            tensors,
            regions,
            sent,
            "010 01 10 11 00",
            arrived(
                "010 01 10 11 00",
                {"n": [0], "c": [1] * 8},
                present={"n": [0], "c": [0] * 8},
                lost=[0, 1],
                consistent=False,
            ),
        ),
        case(
            "a count of zero sends nothing",
            tensors,
            regions,
            {"n": [0], "c": [3] * 8},
            "000",
            arrived("000", {"n": [0], "c": [1] * 8}, present={"c": [0] * 8}),
        ),
        case(
            "the rows are sent whose mask is set",
            mask,
            ones,
            masked,
            "1001 11 01 10 10",
            arrived("1001 11 01 10 10", masked, present={"c": [1, 1, 0, 0, 0, 0, 1, 1]}),
            arrived(
                "0001 11 01 10 10",
                {"m": [0, 0, 0, 1], "c": [0, 0, 0, 0, 0, 0, 3, 1]},
                present={"c": [0, 0, 0, 0, 0, 0, 1, 1]},
                consistent=False,
            ),
            arrived(
                "0011 11 01 10 10",
                {"m": [0, 0, 1, 1], "c": [0, 0, 0, 0, 3, 1, 2, 2]},
                present={"c": [0, 0, 0, 0, 1, 1, 1, 1]},
            ),
        ),
        case(
            "an empty mask sends nothing",
            mask,
            ones,
            {"m": [0] * 4, "c": [3] * 8},
            "0000",
            arrived("0000", {"m": [0] * 4, "c": [0] * 8}, present={"c": [0] * 8}),
        ),
        case(
            "a map of levels serves two planes",
            levels,
            planes,
            maps,
            "01 00 10 10 11 01 10 101 000",
            arrived("01 00 10 10 11 01 10 101 000", maps, present=there),
        ),
    ]


def limited_cases() -> list[dict[str, Any]]:
    """Payloads that a control cuts to any number of bytes."""
    tensors = [codes("s", [3], 8, neutral=4), codes("c", [5], 8, neutral=3)]
    regions = [region("s", 3, LIMIT), region("c", 3, LIMIT)]
    values = {"s": [7, 1, 2], "c": [1, 2, 3, 4, 5]}
    whole = "111 001 010 001 010 011 100 101"
    # bytes: bits that are sent; whole codes only
    sent = {0: 0, 1: 6, 2: 15, 3: 24, 4: 24, 1000: 24}
    cases = []
    for limit, bits in sent.items():
        n = bits // 3
        got = [7, 1, 2, 1, 2, 3, 4, 5][:n] + [4, 4, 4, 3, 3, 3, 3, 3][n:]
        there = [1] * n + [0] * (8 - n)
        cut = whole.replace(" ", "")[:bits]
        names = {"s": got[:3], "c": got[3:]}
        events = [arrived(cut, names, present={"s": there[:3], "c": there[3:]})]
        if bits:
            whole_bytes = 8 * -(-bits // 8)
            events.append(arrived(cut, names, present={"s": there[:3], "c": there[3:]}, length=whole_bytes))
        cases.append(
            case(f"a payload of at most {limit} bytes", tensors, regions, values, cut, *events, limit=limit)
        )
    behind = [region("s", 3, protection="repeat-3"), region("c", 3, LIMIT)]
    fixed = "111001010 111001010 111001010"
    lost = {"s": [7, 1, 2], "c": [3] * 5}
    cases.append(
        case(
            "what is not limited is sent beyond the limit",
            tensors,
            behind,
            values,
            fixed,
            arrived(fixed, lost, present={"c": [0] * 5}),
            limit=2,
        )
    )
    return cases


def protected_cases() -> list[dict[str, Any]]:
    """Repetition and Hamming(7,4), undamaged, corrected, and beyond help."""
    pair, value = [codes("c", [2], 8, neutral=6)], {"c": [5, 1]}
    three = [region("c", 3, protection="repeat-3")]
    sent = "101001 101001 101001"
    words = [region("c", 4, protection="hamming-7-4")]
    nibbles, two = [codes("c", [2], 16, neutral=2)], {"c": [11, 8]}
    odd = [codes("c", [3], 4)]
    coded = "0110011 1110000"
    flips = [
        arrived(coded[:i] + "10"[int(coded[i])] + coded[i + 1 :], two, corrected=1)
        for i in range(len(coded))
        if coded[i] != " "
    ]
    everywhere = {"c": [0, 0]}
    return [
        case(
            "three copies of a region, one behind the other",
            pair,
            three,
            value,
            sent,
            arrived(sent, value),
            arrived("101001 001001 101001", value, corrected=1),
            arrived("010110 101001 101001", value, corrected=6),
            arrived("001001 001001 101001", {"c": [1, 1]}, corrected=1),
        ),
        case(
            "copies that were cut off have no vote",
            pair,
            three,
            value,
            sent,
            arrived(sent, value, length=6, consistent=False),
            arrived("101001 111001", value, length=12, corrected=1, consistent=False),
            arrived(sent, {"c": [5, 6]}, length=5, present={"c": [1, 0]}, consistent=False),
            arrived("101001 101001 101001", value, lost=[0]),
        ),
        case(
            "words of four bits, and every single flipped bit",
            nibbles,
            words,
            two,
            coded,
            arrived(coded, two),
            *flips,
        ),
        case(
            "two flipped bits in a word are taken for another one",
            nibbles,
            words,
            two,
            coded,
            arrived("1010011 1110000", {"c": [3, 8]}, corrected=1),
        ),
        case(
            "a word that was cut is missing",
            nibbles,
            words,
            two,
            coded,
            arrived(coded, {"c": [11, 2]}, length=13, present={"c": [1, 0]}, consistent=False),
        ),
        case(
            "the last word is filled with zeros",
            odd,
            [region("c", 2, protection="hamming-7-4")],
            {"c": [2, 3, 3]},
            "0110011 0111100",
            arrived("0110011 0111100", {"c": [2, 3, 3]}),
        ),
        case(
            "a protected map, then what it tells",
            [codes("m", [4], 2), codes("c", [4], 4)],
            [region("m", 1, protection="hamming-7-4"), region("c", 2, {"kind": "ones", "mask": "m"})],
            {"m": [1, 0, 1, 1], "c": [3, 0, 2, 1]},
            "0110011 11 10 01",
            arrived(
                "0100011 11 10 01",
                {"m": [1, 0, 1, 1], "c": [3, 0, 2, 1]},
                corrected=1,
                present={"c": [1, 0, 1, 1]},
            ),
        ),
        case(
            "nothing of a region arrived",
            pair,
            three,
            value,
            sent,
            arrived(sent, {"c": [6, 6]}, length=0, present=everywhere, consistent=False),
        ),
    ]


def all_cases() -> list[dict[str, Any]]:
    """Every case of the table."""
    return plain_cases() + counted_cases() + limited_cases() + protected_cases() + random_cases()


def main() -> None:
    """Write layout.json beside this file."""
    path = Path(__file__).with_name("layout.json")
    temporary = path.with_suffix(".json.tmp")
    lines = ",\n".join(json.dumps(c) for c in all_cases())
    about = "payloads of device programs, written by make_layout.py"
    temporary.write_text(f'{{"about": "{about}", "cases": [\n{lines}\n]}}\n', encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    main()
