"""The device's bit coder on the vectors that the host's coder uses too, and on random layouts."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectors.spelled import hexadecimal, random_cases, spell

CASES = json.loads((Path(__file__).parents[1] / "vectors/layout.json").read_text(encoding="utf-8"))["cases"]
RULES = {"every": 0, "count": 1, "ones": 2, "rest": 3, "exactly": 4}
PROTECTIONS = {"none": 0, "repeat-3": 1, "hamming-7-4": 2}
ERR_ARGUMENT, ERR_MEMORY = -1, -4


def layout_message(case: dict[str, Any]) -> bytes:
    """A case for harness_layout: u8 regions, each u16 rows, u16 items in a row, u8 source, bits, rule,
    told by, at least, protection; u8 tensors, each u16 size and bytes; u8 controls, each u16."""
    names = [tensor["name"] for tensor in case["tensors"]]
    shapes = {tensor["name"]: tensor["shape"] for tensor in case["tensors"]}
    message = bytes([len(case["regions"])])
    for region in case["regions"]:
        rows, numbers = shapes[region["source"]][0], len(case["codes"][region["source"]])
        items = region["items"]
        told = items.get("count", items.get("mask"))
        message += struct.pack(
            "<HH6B",
            rows,
            numbers // rows,
            names.index(region["source"]),
            region["bits"],
            RULES[items["kind"]],
            0 if told is None else names.index(told),
            items.get("at_least", 1),
            PROTECTIONS[region["protection"]],
        )
    message += bytes([len(names)])
    for name in names:
        message += struct.pack("<H", len(case["codes"][name]))
        message += bytes(number & 255 for number in case["codes"][name])
    message += bytes([len(case["given"])])
    return message + b"".join(struct.pack("<H", value) for value in case["given"].values())


def write(harness, message: bytes, room: int) -> tuple[int, int, bytes]:
    """(result, bits, payload) of harness_layout."""
    out, bits = harness.ffi.new("uint8_t[]", room + 1), harness.ffi.new("uint32_t *")
    result = harness.lib.harness_layout(message, len(message), out, room, bits)
    return result, bits[0], bytes(harness.ffi.buffer(out, max(result, 0)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_device_writes_the_payloads_of_the_shared_vectors(harness, case):
    size = len(case["payload"]) // 2
    result, bits, payload = write(harness, layout_message(case), size)
    assert (result, bits, payload.hex()) == (size, case["bits"], case["payload"])
    if size:
        assert write(harness, layout_message(case), size - 1)[0] == ERR_MEMORY


def test_other_random_layouts_are_written_as_they_are_spelled(harness):
    for case in random_cases(count=400, seed=99):
        result, bits, payload = write(harness, layout_message(case), 4096)
        assert (result >= 0, bits, payload.hex()) == (True, case["bits"], case["payload"])


regions = st.lists(
    st.tuples(st.lists(st.integers(0, 255), max_size=30), st.integers(1, 8), st.sampled_from([*PROTECTIONS])),
    min_size=1,
    max_size=6,
)


@given(regions)
def test_regions_of_any_width_and_protection_follow_without_a_gap(harness, parts):
    parts = [(items or [0], width, protection) for items, width, protection in parts]
    case = {
        "tensors": [{"name": str(i), "shape": [len(items)]} for i, (items, _, _) in enumerate(parts)],
        "regions": [
            {"source": str(i), "bits": width, "items": {"kind": "every"}, "protection": protection}
            for i, (_, width, protection) in enumerate(parts)
        ],
        "codes": {str(i): [n % (1 << width) for n in items] for i, (items, width, _) in enumerate(parts)},
        "given": {},
    }
    spelled = "".join(
        spell("".join(f"{n % (1 << width):0{width}b}" for n in items), protection)
        for items, width, protection in parts
    )
    result, bits, payload = write(harness, layout_message(case), 2048)
    assert (result, bits, payload.hex()) == (-(-len(spelled) // 8), len(spelled), hexadecimal(spelled))


def test_a_count_above_the_rows_counts_as_all_of_them(harness):
    case = next(case for case in CASES if case["name"].startswith("the first rows"))
    most = case | {"codes": case["codes"] | {"n": [255]}}
    assert write(harness, layout_message(most), 64)[1] == 3 + 16


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0), (2, 0), (4, 2), (5, 0), (5, 9), (6, 5), (7, 2), (9, 3)],
    ids=[
        "no rows",
        "no items",
        "no such tensor",
        "no bits",
        "nine bits",
        "no such rule",
        "no such count",
        "no such protection",
    ],
)
def test_tables_that_point_outside_are_refused(harness, at, value):
    case = next(case for case in CASES if case["name"].startswith("the first rows"))
    message = bytearray(layout_message(case))
    region = 1 + 10  # the second one, which is counted
    message[region + at] = value
    assert write(harness, bytes(message), 64)[0] == ERR_ARGUMENT


def test_a_limit_that_no_control_gives_or_that_cuts_a_protected_region_is_refused(harness):
    case = next(case for case in CASES if case["name"] == "a payload of at most 2 bytes")
    assert write(harness, layout_message(case | {"given": {}}), 64)[0] == ERR_ARGUMENT
    message = bytearray(layout_message(case))
    message[1 + 9] = 1
    assert write(harness, bytes(message), 64)[0] == ERR_ARGUMENT


def test_misuse_of_the_bit_writer_is_answered_by_the_documented_status(harness):
    assert harness.lib.harness_bits_misuse() == 0


@pytest.mark.parametrize("room", [0, 1, 7, 4096])
def test_layouts_stay_in_their_buffers(sanitised_driver, room):
    messages = [layout_message(case) for case in [*CASES, *random_cases(count=100, seed=5)]]
    broken = [
        bytes(b ^ (i * 37 + k & 255) if k % 9 == i % 9 else b for k, b in enumerate(message))
        for i, message in enumerate(messages)
    ]
    data = b"".join(struct.pack("<H", len(message)) + message for message in messages + broken)
    command = [str(sanitised_driver), "layout", str(room)]
    result = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    assert len(result.stdout) >= 8 * (len(messages) + len(broken))
