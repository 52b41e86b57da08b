"""Damaged and forged .tflite files: a clean error or code, nothing else, in bounded time."""

from __future__ import annotations

import random
import struct
import time

import pytest

from codegen.golden import NAMES, load, request_with, table_tail
from semflash.program.stages import TableTail
from semflash_codegen import CodegenError, generate

_PER_MODEL = 40
_SECONDS = 2.0
TAIL = table_tail(load("enc32"))


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Truncation, flipped bits, a forged word, a moved block, a forged count or shape, or a forged scale."""
    out = bytearray(data)
    kind = rng.randrange(6)
    at = rng.randrange(len(out) - 8)
    if kind == 0:
        return bytes(out[:at])
    if kind == 1:
        for _ in range(rng.randrange(1, 9)):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        word = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data), rng.getrandbits(32)])
        struct.pack_into("<I", out, at & ~3, word)
    elif kind == 3:
        size = rng.randrange(4, 64)
        out[at : at + size] = out[rng.randrange(len(out)) :][:size]
    elif kind == 4:  # small words are counts, shapes, indices, strides
        small = [i for i in range(0, len(out) - 4, 4) if 0 < struct.unpack_from("<I", out, i)[0] < 64]
        struct.pack_into("<i", out, rng.choice(small), rng.choice([-1, 0, 2, 255, 65535, 70000, 1 << 30]))
    else:
        struct.pack_into("<f", out, at & ~3, rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e-38, 3e38]))
    return bytes(out)


def outcome(data: bytes, tail: TableTail) -> str:
    """ "code" or the name of the clean error; anything else escapes."""
    try:
        generate(request_with(data, tail))
    except CodegenError as error:
        assert error.what
        return type(error).__name__
    return "code"


@pytest.mark.parametrize("name", NAMES)
def test_a_mutated_model_ends_in_a_clean_error_or_in_code_within_two_seconds(name: str) -> None:
    data = load(name)
    tail = table_tail(data)
    rng = random.Random(name)
    seen = set()
    for _ in range(_PER_MODEL):
        mutant = data
        for _ in range(rng.randrange(1, 4)):
            mutant = mutate(mutant, rng) if len(mutant) > 16 else mutant
        start = time.process_time()
        seen.add(outcome(mutant, tail))
        assert time.process_time() - start < _SECONDS
    assert "MalformedModelError" in seen


@pytest.mark.parametrize("size", [0, 1, 7, 8, 11, 12, 100])
def test_a_truncated_file_is_called_malformed(size: int) -> None:
    assert outcome(load("enc32")[:size], TAIL) == "MalformedModelError"


def test_every_truncation_of_a_model_is_refused() -> None:
    data = load("conv_valid")
    assert all(outcome(data[:n], TAIL) != "code" for n in range(0, len(data) - 64, 97))


def test_a_root_offset_that_points_to_itself_or_outside_is_refused() -> None:
    for root in (0, 4, 8, 0xFFFFFFFF, 0x7FFFFFFF):
        forged = struct.pack("<I", root) + load("enc32")[4:]
        assert outcome(forged, TAIL) == "MalformedModelError"
