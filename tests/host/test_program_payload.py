"""The payload's coder in Python: the vectors that the C shares, what damage does, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflash.errors import ProgramError
from semflash.program.controls import Control
from semflash.program.layout import Layout, Region, protected_bits
from semflash.program.payload import decode, encode
from semflash.program.program import Program
from semflash.program.protection import protect, unprotect
from semflash.program.quality import Ber
from semflash.program.tensors import Codes, Tensor, Values
from vectors import make_layout

CASES = json.loads((Path(__file__).parents[1] / "vectors/layout.json").read_text(encoding="utf-8"))["cases"]


def program_of(case: dict[str, Any]) -> Program:
    """The parts of a program that its payload needs."""
    return Program(
        image="image",
        tensors=msgspec.convert(case["tensors"], tuple[Tensor, ...]),
        stages=(),
        payload=Layout(msgspec.convert(case["regions"], tuple[Region, ...])),
        quality=Ber(0.0, 0.5),
        controls=msgspec.convert(case["controls"], tuple[Control, ...]),
    )


def arrays_of(program: Program, numbers: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Tensors of one image."""
    arrays = {}
    for name, values in numbers.items():
        tensor = program.tensor(name)
        kind = np.uint8 if isinstance(tensor.holds, Codes) else np.int8
        arrays[name] = np.array(values, np.int64).astype(kind).reshape(1, *tensor.shape)
    return arrays


def received(program: Program, event: dict[str, Any]) -> dict[str, Any]:
    """What the coder makes of an event, in the form of the vectors."""
    payload = np.frombuffer(bytes.fromhex(event["payload"]), np.uint8)[None]
    lost = np.isin(np.arange(payload.shape[1]), event["lost"])[None]
    found = decode(program, payload, np.array([event["bits"]]), lost)
    flat = {name: array.reshape(-1).tolist() for name, array in found.codes.items()}
    present = {name: array.reshape(-1).astype(int).tolist() for name, array in found.present.items()}
    numbers = {"corrected": int(found.corrected[0]), "consistent": bool(found.consistent[0])}
    return {"codes": flat, "present": present, **numbers}


def test_the_vectors_are_what_their_script_writes():
    assert make_layout.all_cases() == CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_payloads_are_those_of_the_shared_vectors(case):
    program = program_of(case)
    sent = encode(program, arrays_of(program, case["codes"]), case["given"])
    assert [payload.hex() for payload in sent] == [case["payload"]]
    assert sent.bits.tolist() == [case["bits"]]


@pytest.mark.parametrize(
    ("case", "number"),
    [(case, number) for case in CASES for number in range(len(case["received"]))],
    ids=lambda value: value["name"] if isinstance(value, dict) else str(value),
)
def test_what_arrived_is_read_as_the_vectors_say(case, number):
    event = case["received"][number]
    wanted = {key: event[key] for key in ("codes", "present", "corrected", "consistent")}
    assert received(program_of(case), event) == wanted


RANDOM = [case for case in CASES if case["name"].startswith("random")]


@pytest.mark.parametrize("case", RANDOM, ids=lambda case: case["name"])
def test_what_was_sent_undamaged_comes_back_and_is_consistent(case):
    program = program_of(case)
    payload = np.frombuffer(bytes.fromhex(case["payload"]), np.uint8)[None]
    enough = 8 * case["given"]["limit"] >= case["bits"]
    for bits in (np.array([case["bits"]]), None)[: 1 + enough]:
        found = decode(program, payload, bits)
        assert found.consistent.all() and not found.corrected.any()
        for name, values in arrays_of(program, case["codes"]).items():
            assert (found.codes[name] == values)[found.present[name]].all()
        again = encode(program, found.codes, case["given"])
        assert next(iter(again)).hex() == case["payload"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RANDOM), st.binary(max_size=80), st.integers(0, 2**32 - 1))
def test_any_bytes_and_losses_are_read_without_harm_within_the_levels(case, data, seed):
    program = program_of(case)
    data = data[: program.payload_bytes_max]
    rng = np.random.default_rng(seed)
    lost = rng.random((1, len(data))) < 0.2
    payload = np.frombuffer(data, np.uint8)[None]
    bits = np.array([rng.integers(0, 8 * len(data) + 1)])
    found = decode(program, payload, bits, lost)
    for tensor in program.tensors:
        assert found.codes[tensor.name].max() < tensor.holds.levels
        missing = found.codes[tensor.name][~found.present[tensor.name]]
        assert (missing == tensor.holds.neutral).all()


def test_many_images_of_different_lengths_are_those_of_one_each():
    case = RANDOM[3]
    program = program_of(case)
    rng = np.random.default_rng(0)
    arrays = {
        tensor.name: rng.integers(0, tensor.holds.levels, (200, *tensor.shape)).astype(np.uint8)
        for tensor in program.tensors
    }
    together = encode(program, arrays, case["given"])
    found = decode(program, together.payloads, together.bits)
    for i in range(200):
        one = {name: array[i : i + 1] for name, array in arrays.items()}
        alone = encode(program, one, case["given"])
        assert next(iter(alone)) == list(together)[i]
        back = decode(program, alone.payloads, alone.bits)
        assert all((back.codes[name][0] == found.codes[name][i]).all() for name in arrays)
    assert len({len(payload) for payload in together}) > 1 and found.consistent.all()


@given(st.integers(1, 40), st.sampled_from(["repeat-3", "hamming-7-4"]), st.data())
def test_a_flipped_bit_anywhere_in_a_protected_region_is_corrected(bits, protection, data):
    wanted = np.array(data.draw(st.lists(st.integers(0, 1), min_size=bits, max_size=bits)), np.uint8)[None]
    sent = protect(wanted, protection)
    assert sent.shape[1] == protected_bits(bits, protection)
    at = data.draw(st.integers(0, sent.shape[1] - 1))
    sent[0, at] ^= 1
    back, known, corrected = unprotect(sent, np.ones(sent.shape, np.bool_), bits, protection)
    assert (back == wanted).all() and known.all() and corrected.tolist() == [1]


def test_a_batch_of_no_images_is_sent_and_received():
    case = CASES[0]
    program = program_of(case)
    sent = encode(program, {"c": np.zeros((0, 3), np.uint8)}, {})
    assert sent.payloads.shape == (0, 2) and list(sent) == []
    assert decode(program, sent.payloads, sent.bits).codes["c"].shape == (0, 3)


THREE = program_of(CASES[0])


@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        ({}, "is missing"),
        ({"c": np.zeros((2, 4), np.uint8)}, "must be uint8"),
        ({"c": np.zeros((2, 3), np.int8)}, "must be uint8"),
        ({"c": np.full((2, 3), 8, np.uint8)}, "is above 7"),
    ],
)
def test_codes_that_do_not_fit_the_program_are_refused(tensors, what):
    with pytest.raises(ProgramError, match=what):
        encode(THREE, tensors, {})


@pytest.mark.parametrize(
    ("payloads", "bits"),
    [
        (np.zeros((1, 2), np.int8), None),
        (np.zeros(2, np.uint8), None),
        (np.zeros((1, 3), np.uint8), None),
        (np.zeros((1, 2), np.uint8), [17]),
        (np.zeros((1, 2), np.uint8), [-1]),
        (np.zeros((1, 2), np.uint8), [3, 3]),
    ],
)
def test_payloads_longer_than_the_program_has_are_refused(payloads, bits):
    with pytest.raises(ProgramError):
        decode(THREE, payloads, None if bits is None else np.array(bits))


def test_values_of_a_tensor_travel_as_they_are():
    program = Program(
        image="image",
        tensors=(Tensor("v", (4,), Values(0.1, -3)),),
        stages=(),
        payload=Layout((Region("v", 8),)),
        quality=Ber(0.0, 0.5),
    )
    values = np.arange(-128, 128, dtype=np.int8).reshape(64, 4)
    sent = encode(program, {"v": values}, {})
    assert (decode(program, sent.payloads).codes["v"] == values).all()
