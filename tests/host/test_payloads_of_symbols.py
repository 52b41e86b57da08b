"""Payloads that hold values: noise and fading on what they are, the other bits as QPSK, all of it seeded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs import PIXELS, table_tail
from semflash.channels.fading import Fading
from semflash.channels.of_quality import SymbolNoise, channel_for
from semflash.channels.on_air import Stretch, from_symbols, has_symbols, stretches, to_symbols
from semflash.errors import UsageError
from semflash.program.checks import check_program
from semflash.program.layout import CountOf, Layout, Region
from semflash.program.payload import decode, encode
from semflash.program.program import Program
from semflash.program.quality import Ber, Quality, Snr
from semflash.program.reference.receive import values
from semflash.program.stages import Graph, Tail
from semflash.program.tensors import Codes, Tensor, Values

REACH = 4.0 * math.sqrt(0.5)
SCALE = REACH / 127
SNR = Snr(-6.0, 18.0)


def plain_symbols(quality: Quality = SNR, zero_point: int = 0, items: int = 32) -> Program:
    """What a graph gives is sent as it is."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("symbols", (1, items // 2, 2), Values(SCALE, zero_point)),
        ),
        stages=(Graph("encoder", ("image",), ("symbols",)),),
        payload=Layout((Region("symbols", 8),)),
        quality=quality,
    )


def counted_symbols(protection: str = "none") -> Program:
    """A count of 3 bits, as many rows of two values as it says, and 5 codes of 3 bits behind them."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("number", (1, 1, 1), Values(0.1, 0)),
            Tensor("count", (1, 1, 1), Codes(8)),
            Tensor("rows", (7, 3), Values(SCALE, 5), live="count"),
            Tensor("latent", (1, 1, 5), Values(0.1, 0)),
            Tensor("codes", (1, 1, 5), Codes(8, tuple(float(i) for i in range(8)))),
        ),
        stages=(
            Graph("first", ("image",), ("number", "latent")),
            Tail("number", "count", (table_tail(1, 8),)),
            Graph("second", ("image",), ("rows",)),
            Tail("latent", "codes", (table_tail(5, 8),)),
        ),
        payload=Layout(
            (
                Region("count", 3, protection="hamming-7-4"),
                Region("rows", 8, CountOf("count"), protection=protection),  # type: ignore[arg-type]
                Region("codes", 3),
            )
        ),
        quality=SNR,
    )


def counted_payloads(program: Program, images: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 8, (images, 1, 1, 1)).astype(np.uint8)
    rows = rng.integers(-100, 101, (images, 7, 3)).astype(np.int8)
    rows[np.arange(7)[None] >= count.reshape(-1, 1)] = 5
    codes = rng.integers(0, 8, (images, 1, 1, 5)).astype(np.uint8)
    tensors = {"count": count, "rows": rows, "codes": codes}
    return tensors, encode(program, tensors, {})


def test_the_programs_of_these_tests_are_programs() -> None:
    for program in (plain_symbols(), plain_symbols(Ber(0.0, 0.1)), counted_symbols()):
        check_program(program)
        assert has_symbols(program)
    assert not has_symbols(counted_symbols("repeat-3")), "protected values travel as bits"


@pytest.mark.parametrize("snr_db", [4.0, 9.0, 15.0])
def test_noise_has_the_power_that_the_ratio_says(snr_db: float) -> None:
    program, rng = plain_symbols(items=2000), np.random.default_rng(1)
    # a unit of int8 is 1/45 of a part's nominal size; the noise stays inside what int8 can express
    sent = rng.integers(-20, 21, (400, 2000)).astype(np.int8)
    channel = channel_for(program)
    noisy = channel.damage(sent.view(np.uint8), snr_db, channel.rng(4, snr_db)).view(np.int8)
    assert abs(noisy.astype(int)).max() < 127, "nothing is saturated, which would take power away"
    noise = SCALE * (noisy.astype(np.float64) - sent)
    expected = 10 ** (-snr_db / 10)
    quantisation = 2 * SCALE**2 / 12
    power = 2 * float((noise**2).mean())
    assert power - quantisation == pytest.approx(expected, rel=0.01)
    assert abs(float(noise.mean())) < 4 * math.sqrt(expected / noise.size)
    parts = noise.reshape(-1, 2)
    assert abs(np.corrcoef(parts[:, 0], parts[:, 1])[0, 1]) < 0.01


def test_values_are_rounded_and_saturated_and_never_wrap_around() -> None:
    channel = channel_for(plain_symbols(zero_point=3))
    high = np.full((2000, 32), 127, np.int8)
    noisy = channel.damage(high.view(np.uint8), 3.0, channel.rng(0, 3.0)).view(np.int8)
    assert noisy.min() > 0 and (noisy == 127).mean() > 0.4
    drowned = channel.damage(high.view(np.uint8), -40.0, channel.rng(0, -40.0)).view(np.int8)
    assert {-128, 127} <= set(np.unique(drowned)) and (drowned == 127).mean() == pytest.approx(0.5, abs=0.03)


def test_an_image_meets_its_noise_alone_or_among_others() -> None:
    channel = channel_for(plain_symbols())
    sent = np.random.default_rng(0).integers(0, 256, (50, 32), np.uint8)
    together = channel.damage(sent, 6.0, channel.rng(2, 6.0))
    rng = channel.rng(2, 6.0)
    np.testing.assert_array_equal(together, np.concatenate([channel.damage(r[None], 6.0, rng) for r in sent]))


@pytest.mark.parametrize("fading", [Fading(), Fading("rayleigh")])
def test_a_clean_channel_changes_nothing_and_levels_may_differ_by_payload(fading: Fading) -> None:
    for program, count in ((plain_symbols(), 60), (counted_symbols(), 60)):
        channel = channel_for(program, fading)
        payloads, bits = np.random.default_rng(0).integers(0, 256, (count, program.payload_bytes_max)), None
        payloads = payloads.astype(np.uint8)
        if program == counted_symbols():
            sent = counted_payloads(program, count)[1]
            payloads, bits = sent.payloads, sent.bits
        levels = np.where(np.arange(count) < 30, 100.0, -10.0)
        noisy = channel.damage(payloads, levels, channel.rng(0, 1.0), bits)
        changed = (noisy != payloads).any(axis=1)
        assert not changed[:30].any() and changed[30:].mean() > 0.9


def test_only_values_get_analogue_noise_wherever_the_counts_put_them() -> None:
    program = counted_symbols()
    tensors, sent = counted_payloads(program, 300)
    channel = channel_for(program)
    noisy = channel.damage(sent.payloads, 22.0, channel.rng(0, 22.0), sent.bits)
    arrived = decode(program, noisy, sent.bits)
    np.testing.assert_array_equal(arrived.codes["count"], tensors["count"])
    np.testing.assert_array_equal(arrived.codes["codes"], tensors["codes"])  # 22 dB: no bit of QPSK is wrong
    live = arrived.present["rows"]
    moved = arrived.codes["rows"].astype(int) - tensors["rows"]
    assert not moved[~live].any() and (moved[live] != 0).mean() > 0.7
    power = 2 * (SCALE * moved[live]).var() - 2 * SCALE**2 / 12
    assert power == pytest.approx(10**-2.2, rel=0.05)
    behind = np.arange(8 * noisy.shape[1]) >= sent.bits[:, None]
    assert not (np.unpackbits(noisy ^ sent.payloads, axis=1).astype(bool) & behind).any()


def test_bits_beside_values_are_wrong_as_often_as_those_of_qpsk() -> None:
    program = counted_symbols()
    _, sent = counted_payloads(program, 4000)
    spans = {span.region.source: span for span in decode(program, sent.payloads, sent.bits).spans}
    channel = channel_for(program)
    noisy = channel.damage(sent.payloads, 3.0, channel.rng(1, 3.0), sent.bits)
    flipped = np.unpackbits(noisy ^ sent.payloads, axis=1)
    wrong = sum(
        int(row[start : start + 15].sum()) for row, start in zip(flipped, spans["codes"].start, strict=True)
    )
    share = 0.5 * math.erfc(math.sqrt(10**0.3 / 2))
    assert wrong / (15 * 4000) == pytest.approx(share, abs=4 * math.sqrt(share / 60_000))


def test_protected_values_are_bits() -> None:
    program = counted_symbols("repeat-3")
    tensors, sent = counted_payloads(program, 200)
    channel = channel_for(program)
    noisy = channel.damage(sent.payloads, 12.0, channel.rng(0, 12.0), sent.bits)
    arrived = decode(program, noisy, sent.bits)
    np.testing.assert_array_equal(
        arrived.codes["rows"][arrived.present["rows"]], tensors["rows"][arrived.present["rows"]]
    )
    bare = SymbolNoise()
    np.testing.assert_array_equal(noisy, bare.damage(sent.payloads, 12.0, bare.rng(0, 12.0)))


def test_flipped_bits_hit_values_as_any_byte() -> None:
    channel = channel_for(plain_symbols(Ber(0.0, 0.1)))
    sent = np.zeros((2000, 32), np.uint8)
    noisy = channel.damage(sent, 0.05, channel.rng(0, 0.05))
    by_place = np.unpackbits(noisy, axis=1).reshape(-1, 8).mean(axis=0)
    np.testing.assert_allclose(by_place, 0.05, atol=4 * math.sqrt(0.05 / 64_000))


def test_fading_divides_the_noise_by_the_gain_that_the_pilots_meet() -> None:
    program, fading = plain_symbols(), Fading("rayleigh")
    channel = channel_for(program, fading)
    sent = np.random.default_rng(0).integers(-40, 41, (1, 32)).astype(np.int8)
    for index in range(40):
        rng = channel.rng(7, 12.0, index)
        noisy = channel.damage(sent.view(np.uint8), 12.0, rng).view(np.int8)
        # the same draws, and the formulas by hand: y = h x + n, x' = y / h
        again = np.random.default_rng([7, round(112.0 * 2**32), index])
        h = complex(*(again.standard_normal(2) / math.sqrt(2)))
        assert channel.gain(7, 12.0, index) == pytest.approx(h)
        n = again.standard_normal((16, 2)) * math.sqrt(10**-1.2 / 2)
        x = (SCALE * sent.astype(float)).reshape(16, 2)
        y = (h * (x[:, 0] + 1j * x[:, 1]) + n[:, 0] + 1j * n[:, 1]) / h
        expected = np.clip(np.rint(np.stack([y.real, y.imag], 1) / SCALE), -128, 127).reshape(1, 32)
        np.testing.assert_array_equal(noisy, expected)


def test_gains_have_a_mean_power_of_one_and_belong_to_image_seed_and_level() -> None:
    channel = channel_for(plain_symbols(), Fading("rayleigh"))
    gains = np.array([channel.gain(3, 6.0, index) for index in range(20_000)])
    assert float((abs(gains) ** 2).mean()) == pytest.approx(1.0, abs=4 / math.sqrt(20_000))
    assert abs(gains.mean()) < 4 / math.sqrt(20_000)
    # |h|^2 is exponential: a deep fade of 20 dB comes once in a hundred images
    assert float((abs(gains) ** 2 < 0.01).mean()) == pytest.approx(1 - math.exp(-0.01), abs=0.003)
    assert len({channel.gain(*key) for key in ((3, 6.0, 1), (4, 6.0, 1), (3, 7.0, 1), (3, 6.0, 2))}) == 4
    assert channel_for(plain_symbols()).gain(3, 6.0, 1) == 1.0


def test_a_block_of_symbols_shares_a_gain() -> None:
    program = plain_symbols(items=64)
    sent = np.zeros((400, 64), np.int8)
    spread = {}
    for name, fading in (("image", Fading("rayleigh")), ("block", Fading("rayleigh", 4))):
        channel = channel_for(program, fading)
        noise = channel.damage(sent.view(np.uint8), 20.0, channel.rng(0, 20.0)).view(np.int8).astype(float)
        per_block = np.log((noise.reshape(400, 8, 8) ** 2).mean(-1) + 0.1)
        spread[name] = per_block.std(axis=1).mean(), per_block.mean(axis=1).std()
    assert spread["image"][0] < 0.7 * spread["block"][0], "within an image noise differs by block"
    assert spread["image"][1] > 2 * spread["block"][1], "between images a single gain differs more"


@pytest.mark.parametrize("snr_db", [0.0, 9.0])
def test_pilots_tell_the_mean_ratio_of_a_channel_that_fades(snr_db: float) -> None:
    channel = channel_for(plain_symbols(), Fading("rayleigh"))
    estimator = channel.estimator(1 << 20)
    for index in range(8000):
        gain = channel.gain(0, snr_db, index)
        estimator.add(bytes(4), snr_db, channel.pilot_rng(0, snr_db, index), gain)
    assert estimator.value == pytest.approx(snr_db, abs=0.25)


def test_wrong_pilot_bits_are_counted_after_equalisation() -> None:
    channel = channel_for(plain_symbols(), Fading("rayleigh"))
    estimator = channel.estimator()
    assert estimator.add(bytes(4), 100.0, np.random.default_rng(0), -0.3 + 0.1j) == 0
    assert estimator.add(b"\x80\0\0\0", 100.0, np.random.default_rng(0), 1j) == 1


def test_fading_of_bit_errors_and_of_strange_names_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fade"):
        channel_for(plain_symbols(Ber(0.0, 0.1)), Fading("rayleigh"))
    assert Fading.parse("none") == Fading() and not Fading.parse("none")
    assert Fading.parse("rayleigh:16") == Fading("rayleigh", 16)
    assert str(Fading("rayleigh", 16)) == "rayleigh:16" and str(Fading("rayleigh")) == "rayleigh"
    for text in ("rician", "", "rayleigh:", "rayleigh:-1", "rayleigh:x", "rayleigh:9999999999", "none:4"):
        with pytest.raises(UsageError, match="no such fading"):
            Fading.parse(text)
    for block in (0, 1 << 21):
        with pytest.raises(UsageError, match="a symbol or more"):
            Fading.parse(f"rayleigh:{block}")
    with pytest.raises(UsageError, match="a symbol or more"):
        Fading("none", 4)


def test_an_odd_number_of_values_or_bits_comes_back() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (9, 40), np.uint8)
    parts = (Stretch(0, 3, None), Stretch(3, 27, Values(0.5, -7)), Stretch(27, 38, None))
    symbols = to_symbols(bits, parts)
    assert symbols.shape == (9, 2 + 2 + 6, 2) and [part.symbols for part in parts] == [2, 2, 6]
    np.testing.assert_array_equal(from_symbols(symbols, parts, bits), bits)
    np.testing.assert_array_equal(symbols[:, 3, 1], 0.0)


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_any_bytes_can_be_damaged_whatever_their_counts_claim(seed: int, cut: int) -> None:
    program, rng = counted_symbols(), np.random.default_rng(seed)
    size = program.payload_bytes_max
    payloads = rng.integers(0, 256, (4, size), np.uint8)
    bits = rng.integers(0, 8 * size + 1, 4)
    for images, parts in stretches(program, payloads, bits):
        ends = [0, *(place for part in parts for place in (part.start, part.stop))]
        assert ends == sorted(ends) and ends[-1] <= bits[images].min()
    noisy = channel_for(program, Fading("rayleigh", 1 + cut)).damage(payloads, 0.0, rng, bits)
    assert noisy.shape == payloads.shape
    assert np.isfinite(values(program, decode(program, noisy, bits), "rows")).all()
