"""The integers of the tokens' stage against the formulas they stand for, and what a program may not say."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow")

from fakes import token_stages
from fakes.token_stages import LONE, SCENES, SMALL, ZERO_POINT, Sizes, real_features
from semflash.channels.of_quality import SymbolNoise
from semflash.conversion import token_formula
from semflash.conversion.tokens import exponentials
from semflash.errors import ProgramError
from semflash.program.checks import check_program
from semflash.program.payload import decode, encode
from semflash.program.program import Program
from semflash.program.reference import tokens
from semflash.program.tokens.stages import SendTokens, kept_at_most

replace = msgspec.structs.replace


@pytest.mark.parametrize("variance", [0, 1, 2, 3, 1023, 1 << 20, (1 << 30) - 1, (1 << 32) - 1])
def test_the_inverse_deviation_is_right_to_one_in_20_000(variance: int) -> None:
    inverse, exponent = tokens.inverse_deviation(np.array([variance]))
    found = float(inverse[0]) * 2.0 ** float(exponent[0]) / 2**32
    assert found == pytest.approx(1 / math.sqrt(max(variance, 1)), rel=5e-5)
    assert 65_537 <= inverse[0] <= 131_071


def test_the_norm_of_extreme_constant_and_random_tokens() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-32768, 32768, (200, 48))
    x[0], x[1], x[2], x[3] = 0, 32767, -32768, np.where(np.arange(48) % 2, 32767, -32768)
    x[4], x[5], x[6] = np.arange(48) == 7, 5 * (np.arange(48) == 7), 30_000 * (np.arange(48) == 7)
    x[7:60] = rng.integers(-40, 41, (53, 48))
    found = tokens.norm(x)
    assert (found[:3] == 0).all() and np.abs(found).max() <= 32_767
    real = (x - x.mean(axis=1, keepdims=True)) / np.maximum(x.std(axis=1, keepdims=True), 1e-9) * 2048
    assert np.abs(found[60:] - real[60:]).max() < 2.0
    assert found[6] == pytest.approx(real[6], abs=2.0)
    # a step of 1 in a token of small numbers is 1/40 of its deviation
    assert np.abs(found[7:60] - real[7:60]).max() < 2048 / 20


def test_rows_of_the_softmax_sum_to_one() -> None:
    """A value that is the same in all tokens comes out as it is."""
    stage = token_stages.integers(SCENES)
    rng = np.random.default_rng(1)
    for count in (1, 2, 17, 65):
        qkv = rng.integers(-4095, 4096, (count, 3 * 48))
        qkv[:, 96:] = 4000
        assert np.abs(tokens.attend(qkv, stage, stage.blocks[0]) - 4000).max() <= 1


def test_the_exponentials_fall_from_4095_to_0() -> None:
    table = exponentials()
    assert table[0] == 4095 and table[16] == round(4095 / math.e) and table[-1] == 0 and len(table) == 256


@pytest.mark.parametrize("sizes", [SCENES, SMALL, LONE], ids=["scenes", "small", "lone"])
def test_integers_send_what_the_formulas_send(sizes: Sizes) -> None:
    """The same tokens, and symbols half a step apart on average."""
    real_stage, stage = token_stages.stage(sizes), token_stages.integers(sizes)
    features = token_stages.features(sizes, 12)
    choice = len(sizes.each) - 1
    widths = tuple(2 * each for each in sizes.each)
    for share in (20, 128, 255):
        levels, values = tokens.run(stage, features, ZERO_POINT, share, choice, widths)
        wanted = token_formula.codes(real_stage, real_features(features), share, choice)
        assert (levels == wanted["levels"]).mean() > 0.98
        both = ((levels > 0) & (wanted["levels"] > 0)).reshape(len(features), -1)
        apart = values[choice][both].astype(int) - wanted[real_stage.symbols[choice]][both]
        assert np.abs(apart).mean() < 0.6
        sent = values[choice][(levels > 0).reshape(len(features), -1)] / 40
        assert 2 * np.square(sent).mean() == pytest.approx(1.0, abs=0.01)
        assert ((levels > 0).sum(axis=(1, 2)) <= kept_at_most(levels[0].size, share, sizes.slack)).all()


def test_more_alpha_never_keeps_fewer_at_most() -> None:
    most = [kept_at_most(64, share, 8) for share in range(1, 256)]
    assert most == sorted(most) and most[0] == 9 and most[-1] == 64
    assert [kept_at_most(64, share, 0) for share in (1, 4, 255)] == [1, 2, 64]


def test_a_token_of_zeros_sends_zeros() -> None:
    stage = token_stages.integers(SMALL)
    nothing = replace(stage, encoder_bias=[0] * len(stage.encoder_bias))
    assert (tokens.symbols(np.zeros((2, 16), np.int64), nothing, 4) == 0).all()


def changed(**fields: Any) -> Program:
    stage = token_stages.integers(SMALL)
    return token_stages.program(SMALL, replace(stage, **fields))


def block_with(stage: SendTokens, part: str, **fields: Any) -> tuple[Any, ...]:
    first = stage.blocks[0]
    return (replace(first, **{part: replace(getattr(first, part), **fields)}), *stage.blocks[1:])


def test_a_sound_program_passes() -> None:
    check_program(changed())


def test_programs_whose_numbers_do_not_fit_are_refused() -> None:
    stage = token_stages.integers(SMALL)
    full = [127] * len(stage.blocks[0].qkv.weights)
    wrong = {
        "places, budget or encoder": {"places": stage.places[1:]},
        "a head has at most": {"heads": 3},
        "the exponentials fall": {"exponentials": [4094, *stage.exponentials[1:]]},
        "have the wrong lengths": {"blocks": block_with(stage, "out", bias=[0])},
        "can leave int32": {
            "blocks": block_with(
                stage, "qkv", weights=full, bias=[(1 << 31) - 1] * len(stage.blocks[0].qkv.bias)
            )
        },
        "a gate weighs": {"blocks": block_with(stage, "gate", gate=[1])},
        "output 0 of a gate": {"blocks": block_with(stage, "gate", gate=[32767] * 16)},
        "a hidden layer": {"blocks": block_with(stage, "wide", weights=[], bias=[], multiplier=[])},
    }
    for words, fields in wrong.items():
        with pytest.raises(ProgramError, match=words):
            check_program(changed(**fields))


def test_controls_and_tensors_that_do_not_fit_are_refused() -> None:
    program = changed()
    alpha, choice, protect = program.controls
    cases: list[tuple[str, Program]] = [
        ("must be alpha", replace(program, controls=(replace(alpha, low=0), choice, protect))),
        ("must be alpha", replace(program, controls=(replace(alpha, unit="entry"), choice, protect))),
        ("must choose one of 2", replace(program, controls=(alpha, replace(choice, high=2), protect))),
        ("no such control", replace(program, controls=(alpha, protect))),
    ]
    for name, words in (("symbols_1", "a step of a symbol"), ("features", "int8 features")):
        tensors = []
        for tensor in program.tensors:
            if tensor.name == name == "symbols_1":
                tensor = replace(tensor, holds=replace(tensor.holds, scale=0.02))
            elif tensor.name == name:
                tensor = replace(tensor, shape=(15, 16))
            tensors.append(tensor)
        cases.append((words, replace(program, tensors=tuple(tensors))))
    for words, broken in cases:
        with pytest.raises(ProgramError, match=words):
            check_program(broken)


def test_a_channel_leaves_the_head_and_damages_the_symbols() -> None:
    """At -10 dB; the same tokens are kept, and nothing is where nothing was sent."""
    stage = token_stages.integers(SMALL)
    program = token_stages.program(SMALL, stage)
    features = token_stages.features(SMALL, 6)
    levels, values = tokens.run(stage, features, ZERO_POINT, 128, 1, (2, 16))
    tensors = {"levels": levels, **dict(zip(stage.symbols, values, strict=True))}
    for protect in (0, 1):
        sent = encode(program, tensors, {"alpha": 128, "symbols": 1, "protect": protect})
        channel = SymbolNoise(program)
        noisy = channel.damage(sent.payloads, -10.0, channel.rng(0, -10.0), sent.bits)
        assert (noisy != sent.payloads).any(axis=1).all()
        arrived = decode(program, noisy, sent.bits)
        assert arrived.consistent.all() and np.array_equal(arrived.codes["levels"], levels)
        kept = levels.reshape(6, -1) > 0
        noise = arrived.codes["symbols_2"][kept].astype(float) - values[1][kept]
        assert 60 < noise.std() < 90  # 40 sqrt(10 / 2) = 89.4, less what the receiver's int8 cuts
        assert (arrived.codes["symbols_2"][~kept] == 0).all()
