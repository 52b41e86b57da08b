"""The payload's head: spelled bits, subsets by enumeration, the Golay code, and what damage does."""

from __future__ import annotations

import binascii
from itertools import combinations, product

import numpy as np
import pytest

import programs
from semflash.errors import ProgramError
from semflash.program import golay
from semflash.program.head import encode_head, ranks
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.payload import decode, encode
from semflash.program.program import Program
from semflash.program.quality import Ber
from semflash.program.reference.receive import values
from semflash.program.reference.run import run
from semflash.program.tensors import Codes, Tensor


def small(protect: str | None = None) -> Program:
    """Five places of three levels, two small codes."""
    return Program(
        image="image",
        tensors=(
            Tensor("map", (5,), Codes(3, (0.0, 1.0, 2.0))),
            Tensor("also", (2,), Codes(16, tuple(map(float, range(16))), 8)),
            Tensor("one", (5, 1), Codes(256, tuple(map(float, range(256))), 0, -1.0)),
            Tensor("two", (5, 2), Codes(256, tuple(map(float, range(256))), 0, -1.0)),
        ),
        stages=(),
        payload=Layout(
            (Region("one", 8, Exactly("map", 1)), Region("two", 8, Exactly("map", 2))),
            head=Head("map", ("also",), protect),
        ),
        quality=Ber(0.0, 0.5),
    )


#: Levels 0 2 1 0 2: three places of five have level 1 or more, two of these three level 2.
LEVELS = [0, 2, 1, 0, 2]
ONE, TWO = [[0], [0], [0xAB], [0], [0]], [[0, 0], [1, 2], [0, 0], [0, 0], [3, 4]]


def colexicographic(n: int, k: int) -> list[tuple[int, ...]]:
    """Subsets of k of n places in the order of their ranks."""
    return sorted(combinations(range(n), k), key=lambda subset: subset[::-1])


def spelled() -> str:
    """Bits of the small payload."""
    first = colexicographic(5, 3).index((1, 2, 4))
    second = colexicographic(3, 2).index((0, 2))
    plain = f"{3:03b}{2:03b}{first:04b}{second:02b}{9:04b}{14:04b}"
    check = binascii.crc_hqx(int(plain + "0" * (-len(plain) % 8), 2).to_bytes(3), 0xFFFF)
    return plain + f"{check:016b}"


def sent(program: Program, controls: dict[str, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    tensors = {
        "map": np.array([LEVELS], np.uint8),
        "also": np.array([[9, 14]], np.uint8),
        "one": np.array([ONE], np.uint8),
        "two": np.array([TWO], np.uint8),
    }
    found = encode(program, tensors, controls or {})
    return found.payloads, found.bits


def test_a_payload_with_a_head_is_as_it_is_spelled() -> None:
    payloads, bits = sent(small())
    text = spelled() + "10101011" + "".join(f"{byte:08b}" for byte in (1, 2, 3, 4))
    assert bits.tolist() == [len(text)]
    assert "".join(f"{byte:08b}" for byte in payloads[0])[: len(text)] == text


def test_a_protected_head_is_the_value_five_times_and_words_of_golay() -> None:
    payloads, bits = sent(small("protect"), {"protect": 1})
    plain = spelled()
    plain += "0" * (-len(plain) % 12)
    words = golay.protect(np.array([int(bit) for bit in plain], np.uint8).reshape(-1, 12))
    text = "11111" + "".join(map(str, words.ravel().tolist()))
    assert "".join(f"{byte:08b}" for byte in payloads[0]).startswith(text)
    assert bits.tolist() == [len(text) + 8 * 5]
    payloads, bits = sent(small("protect"), {"protect": 0})
    assert "".join(f"{byte:08b}" for byte in payloads[0]).startswith("00000" + spelled())


@pytest.mark.parametrize(("n", "kinds"), [(6, 2), (5, 3), (4, 4)])
def test_ranks_number_the_subsets_in_their_order(n: int, kinds: int) -> None:
    for levels in product(range(kinds), repeat=n):
        (found,) = ranks(np.array([levels], np.uint8), kinds).tolist()
        universe = list(range(n))
        for level, rank in enumerate(found, 1):
            inside = tuple(i for i, place in enumerate(universe) if levels[place] >= level)
            assert colexicographic(len(universe), len(inside))[rank] == inside
            universe = [universe[i] for i in inside]


def test_the_code_is_golays() -> None:
    """Known weights: 1, 759, 2576, 759 and 1 words of 0, 8, 12, 16 and 24 ones."""
    data = (np.arange(4096)[:, None] >> np.arange(11, -1, -1) & 1).astype(np.uint8)
    words = golay.protect(data)
    assert (words[:, :12] == data).all()
    weights, counts = np.unique(words.sum(axis=1), return_counts=True)
    assert dict(zip(weights.tolist(), counts.tolist(), strict=True)) == {
        0: 1,
        8: 759,
        12: 2576,
        16: 759,
        24: 1,
    }
    sums = words[np.array([1 << i for i in range(12)])]
    assert (words == (data[:, ::-1] @ sums % 2)).all()


def test_three_flipped_bits_of_a_word_are_corrected_and_four_are_found() -> None:
    data = (np.arange(0, 4096, 371)[:, None] >> np.arange(11, -1, -1) & 1).astype(np.uint8)
    words = golay.protect(data)
    for weight in range(5):
        for places in combinations(range(24), weight):
            received = words[:3].copy()
            received[:, list(places)] ^= 1
            found, corrected, sound = golay.unprotect(received)
            if weight < 4:
                assert sound.all() and (corrected == weight).all() and (found == data[:3]).all()
            else:
                assert not sound.any()


def lost(program: Program, payloads: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Whether each payload is taken for lost; it then tells nothing at all."""
    found = decode(program, payloads, bits)
    name = program.payload.sources[0]
    gone = ~found.present[name].reshape(len(payloads), -1).all(axis=1)
    for name in program.payload.sources:
        holds = program.tensor(name).holds
        assert isinstance(holds, Codes)
        assert (found.codes[name][gone] == holds.neutral).all() and not found.present[name][gone].any()
    assert not found.consistent[gone].any()
    return gone


def test_a_head_with_one_to_three_flipped_bits_is_lost() -> None:
    """All of them: a CRC-16 of this polynomial finds every three flipped bits in so few."""
    payloads, bits = sent(small())
    head = len(spelled())
    for weight in (1, 2, 3):
        places = np.array(list(combinations(range(head), weight)))
        streams = np.repeat(np.unpackbits(payloads, axis=1), len(places), axis=0)
        np.put_along_axis(streams, places, 1 - np.take_along_axis(streams, places, 1), 1)
        assert lost(small(), np.packbits(streams, axis=1), np.repeat(bits, len(places))).all()


def test_a_protected_head_survives_three_flips_in_each_word() -> None:
    program = small("protect")
    payloads, bits = sent(program, {"protect": 1})
    rng = np.random.default_rng(0)
    streams = np.repeat(np.unpackbits(payloads, axis=1), 500, axis=0)
    for row in streams:
        row[rng.choice(5, 2, replace=False)] ^= 1
        for word in range(3):
            row[5 + 24 * word + rng.choice(24, 3, replace=False)] ^= 1
    found = decode(program, np.packbits(streams, axis=1), np.repeat(bits, 500))
    assert found.consistent.all() and (found.codes["map"] == LEVELS).all()
    assert (found.codes["also"] == [9, 14]).all() and (found.corrected == 9).all()


def test_lengths_that_do_not_fit_the_map_are_lost() -> None:
    payloads, bits = sent(small())
    wide = np.pad(payloads, ((0, 0), (0, 4)))[:, : small().payload_bytes_max]
    lengths = np.arange(8 * wide.shape[1] + 1)
    gone = lost(small(), np.repeat(wide, len(lengths), axis=0), lengths)
    whole = -(-int(bits[0]) // 8) * 8
    assert lengths[~gone].tolist() == [int(bits[0])] if whole == bits[0] else [int(bits[0]), whole]


def forged(counts: tuple[int, int], numbers: str) -> tuple[np.ndarray, np.ndarray]:
    """A head with a right check over whatever it says, filled to the longest payload."""
    plain = f"{counts[0]:03b}{counts[1]:03b}{numbers}"
    data = int(plain + "0" * (-len(plain) % 8), 2).to_bytes(-(-len(plain) // 8))
    plain += f"{binascii.crc_hqx(data, 0xFFFF):016b}"
    size = small().payload_bytes_max
    bits = np.array([int(bit) for bit in plain.ljust(8 * size, "0")], np.uint8)
    lengths = np.arange(8 * size + 1)
    return np.repeat(np.packbits(bits)[None], len(lengths), axis=0), lengths


@pytest.mark.parametrize(
    ("counts", "numbers"),
    [
        ((6, 0), "00000000"),  # more places than there are
        ((7, 7), "00000000"),
        ((2, 3), "0000" + "00000000"),  # more at level 2 than at level 1
        ((3, 2), "1010" + "00" + "00000000"),  # rank 10 of 10 subsets
        ((3, 2), "1111" + "00" + "00000000"),
        ((3, 2), "0000" + "11" + "00000000"),  # rank 3 of 3
    ],
)
def test_a_count_or_rank_that_no_map_has_is_lost_even_with_a_right_check(counts, numbers) -> None:
    assert lost(small(), *forged(counts, numbers)).all()


def test_a_forged_head_that_is_sound_is_believed() -> None:
    """So that the cases above fail for their own reasons."""
    payloads, lengths = forged((3, 2), "1001" + "10" + "00000000")
    gone = lost(small(), payloads, lengths)
    size = 6 + 14 + 16 + 8 + 2 * 16  # counts, ranks and codes, check, one place of level 1, two of level 2
    assert lengths[~gone].tolist() == [size, 80]


def test_random_bytes_of_every_length_never_raise_and_are_lost() -> None:
    rng = np.random.default_rng(1)
    for program in (small(), small("protect"), programs.detailed(protect=True)):
        most = program.payload_bytes_max
        payloads = rng.integers(0, 256, (20_000, most)).astype(np.uint8)
        lengths = rng.integers(0, 8 * most + 1, len(payloads))
        assert lost(program, payloads, lengths).mean() > 0.999
        for name in ("map", "levels"):
            if name in program.payload.sources:
                assert np.isfinite(values(program, decode(program, payloads[:50], lengths[:50]), name)).all()


def test_bits_that_did_not_arrive_lose_the_head_or_an_item() -> None:
    payloads, bits = sent(small())
    size = -(-int(bits[0]) // 8)
    gone = np.eye(size, payloads.shape[1], dtype=bool)
    found = decode(small(), np.repeat(payloads, size, axis=0), np.repeat(bits, size), gone)
    head = -(-len(spelled()) // 8)
    assert not found.present["map"][:head].any() and found.present["map"][head:].all()
    missing = 5 - (found.present["one"].sum((1, 2)) + found.present["two"].sum((1, 2)))[head:]
    assert set(missing.tolist()) <= {1, 2} and found.consistent[head:].all()


@pytest.mark.parametrize("protect", [0, 1])
def test_flipped_bits_never_make_another_map(protect: int) -> None:
    program = programs.detailed(protect=True)
    rng = np.random.default_rng(2)
    images = rng.integers(-128, 128, (500, 8, 6, 1)).astype(np.int8)
    scores = rng.integers(-128, 128, (500, 4, 3, 1)).astype(np.int8)
    done = run(program, images, lambda name, inputs: [scores], {"rate": 34, "protect": protect})
    streams = np.unpackbits(done.sent.payloads, axis=1)
    arrived = []
    for ber in (0.0001, 0.0025, 0.01, 0.05):
        for _ in range(10):
            noisy = np.packbits(streams ^ (rng.random(streams.shape) < ber), axis=1)
            found = decode(program, noisy, done.sent.bits)
            there = found.present["levels"].all(axis=(1, 2))
            assert (found.codes["levels"][there] == done.tensors["levels"][there]).all()
            assert (found.codes["background"][there] == done.tensors["background"][there]).all()
            arrived.append(there.mean())
    at = np.mean(np.reshape(arrived, (4, 10)), axis=1)
    assert at[0] > 0.98 and (at[2] > 0.999 if protect else at[2] < 0.8)


def test_maps_that_no_rate_allows_are_refused() -> None:
    program = programs.detailed()
    tensors = {
        "levels": np.full((1, 4, 3), 3, np.uint8),
        "background": np.zeros((1, 1), np.uint8),
        **{f"codes-{n}": np.zeros((1, 12, size), np.uint8) for n, size in ((1, 1), (2, 2), (3, 4))},
    }
    with pytest.raises(ProgramError, match="at most") as error:
        encode(program, tensors, {"rate": 40})
    assert error.value.remedy


def test_heads_of_no_images_are_none() -> None:
    maps = {"map": np.zeros((0, 5), np.uint8), "also": np.zeros((0, 2), np.uint8)}
    bits, ends = encode_head(small(), maps, False)
    assert bits.shape[0] == 0 and ends.shape == (0,)
