"""Controls that follow the channel: which value belongs to a level, and when another is due."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semflash.edge.adaptation import Adaptation
from semflash.edge.following import (
    CHANGE_EVERY,
    Following,
    check_error,
    class_text,
    followed,
    settings_at,
    value_at,
)
from semflash.errors import UsageError
from semflash.program.controls import Control
from semflash.program.quality import Ber, Snr

SNR, BER = Snr(-6.0, 18.0), Ber(0.0, 0.06)
#: Class s covers the 3 dB from -6 + 3 s, the last one all above.
STATE = Control("state", 1, 0, 7, 4, "entry", follows=tuple(float(db) for db in range(-6, 18, 3)))
FALLING = Control("rate", 2, 10, 13, 10, "entry", follows=(9.0, 6.0, 3.0, 0.0))
RATES = Control("state", 1, 0, 4, 0, "entry", follows=(0.0, 1e-4, 1e-3, 1e-2, 1e-1))
DEAF = Control("bytes", 9, 6, 48, 48, "bytes")


@pytest.mark.parametrize(
    ("control", "level", "value"),
    [
        (STATE, -100.0, 0),
        (STATE, -6.0, 0),
        (STATE, -3.001, 0),
        (STATE, -3.0, 1),
        (STATE, 0.0, 2),
        (STATE, 14.99, 6),
        (STATE, 15.0, 7),
        (STATE, 100.0, 7),
        (FALLING, 20.0, 10),
        (FALLING, 9.0, 10),
        (FALLING, 8.9, 11),
        (FALLING, 3.0, 12),
        (FALLING, 0.0, 13),
        (FALLING, -5.0, 13),
        (RATES, 0.0, 0),
        (RATES, 9e-5, 0),
        (RATES, 1e-4, 1),
        (RATES, 0.02, 3),
        (RATES, 0.5, 4),
    ],
)
def test_the_value_of_a_level_is_the_last_that_it_reaches(control: Control, level: float, value: int) -> None:
    assert value_at(control, level) == value


def heard(following: Following, *steps: tuple[int, float | None]) -> list[tuple[int, int]]:
    """(image, value) of every change while so many images come at an estimate each; images count from 1."""
    found, image = [], 0
    for images, estimate in steps:
        for _ in range(images):
            image += 1
            value = following.hear(estimate)
            if value is not None:
                found.append((image, value))
    return found


@pytest.mark.parametrize(
    ("control", "quality", "steps", "changes"),
    [
        # The first change may come with the 16th image, and each after the next with 16 more between.
        (STATE, SNR, [(40, 16.0)], [(16, 7)]),
        (STATE, SNR, [(15, 16.0)], []),
        (STATE, SNR, [(16, 16.0), (1, -5.0), (30, -5.0)], [(16, 7), (32, 0)]),
        (STATE, SNR, [(1, -5.0), (1, 16.0)] * 40, [(16, 7), (33, 0), (50, 7), (67, 0)]),
        # The default, 4, is for 6 to 9 dB: it stays a third of a class, 1 dB, beyond both edges.
        (STATE, SNR, [(100, 9.99)], []),
        (STATE, SNR, [(100, 10.0)], [(16, 5)]),
        (STATE, SNR, [(100, 5.0)], []),
        (STATE, SNR, [(100, 4.99)], [(16, 3)]),
        # What is far off is taken at once, whatever lies between.
        (STATE, SNR, [(20, 0.5)], [(16, 2)]),
        # The ends have one edge only.
        (STATE, SNR, [(20, 100.0), (100, 14.0), (20, 13.99)], [(16, 7), (121, 6)]),
        (STATE, SNR, [(20, -100.0), (100, -2.01), (20, -2.0)], [(16, 0), (121, 1)]),
        # Falling levels are the same, turned round: 10 is for 9 dB and more.
        (FALLING, SNR, [(20, 8.01), (20, 7.99)], [(21, 11)]),
        (FALLING, SNR, [(20, -3.0)], [(16, 13)]),
        # Rates are counted in powers of ten; a third of one is a factor of 2.15.
        (RATES, BER, [(50, 2.1e-4)], []),
        (RATES, BER, [(50, 2.2e-4)], [(16, 1)]),
        (RATES, BER, [(20, 5e-4), (30, 4.7e-5), (20, 4.6e-5)], [(16, 1), (51, 0)]),
        (RATES, BER, [(20, 5e-3), (20, 0.0)], [(16, 2), (32, 0)]),
        # No estimate, or none that is a number, is no reason to change; images count all the same.
        (STATE, SNR, [(50, None), (1, 16.0)], [(51, 7)]),
        (STATE, SNR, [(20, math.nan), (20, math.inf), (20, -math.inf)], []),
    ],
)
def test_another_value_is_due_at_these_images(control, quality, steps, changes) -> None:
    following = Following(control, quality)
    assert heard(following, *steps) == changes
    assert following.changes == len(changes)
    assert following.value == (changes[-1][1] if changes else control.default)


@given(st.lists(st.floats(-30, 40), min_size=1, max_size=300))
def test_changes_are_16_images_apart_and_never_within_the_hysteresis(levels: list[float]) -> None:
    following = Following(STATE, SNR)
    last = 0
    for image, level in enumerate(levels, 1):
        before = following.value
        value = following.hear(level)
        assert STATE.low <= following.value <= STATE.high
        if value is None:
            assert following.value == before
            continue
        assert value == following.value == value_at(STATE, level) != before
        assert image - last >= CHANGE_EVERY
        low, high = -6.0 + 3 * before, -3.0 + 3 * before
        assert (before < 7 and level >= high + 1.0) or (before > 0 and level < low - 1.0)
        last = image


@given(st.floats(-8, 20), st.lists(st.floats(-0.99, 0.99), min_size=100, max_size=100))
def test_an_estimate_that_wavers_by_less_than_a_third_of_a_class_settles(
    level: float, wavering: list[float]
) -> None:
    following = Following(STATE, SNR)
    changes = heard(following, *((1, level + part) for part in wavering))
    assert len(changes) <= 2


def test_a_wrong_value_keeps_its_distance_and_its_range() -> None:
    for error in (-2, -1, 1, 2):
        following = Following(STATE, SNR, error=error)
        assert following.value == 4 + error
        heard(following, (20, -10.0))
        assert following.right == 0 and following.value == max(0, error)
        heard(following, (20, 20.0))
        assert following.right == 7 and following.value == min(7, 7 + error)


def test_an_error_at_the_end_of_the_range_is_no_change() -> None:
    following = Following(msgspec.structs.replace(STATE, default=6), SNR, error=1)
    assert following.value == 7
    assert heard(following, (40, 20.0)) == [] and (following.right, following.changes) == (7, 0)


def test_a_control_of_one_value_never_changes() -> None:
    alone = Control("state", 1, 3, 3, 3, "entry", follows=(0.0,))
    assert heard(Following(alone, SNR), (50, -50.0), (50, 50.0)) == [] and value_at(alone, -9.0) == 3
    assert class_text(alone, 3, SNR) == "any"


def test_settings_of_a_level_are_those_that_follow_and_those_that_are_fixed() -> None:
    controls = (STATE, DEAF)
    assert followed(controls) == (STATE,)
    assert settings_at(controls, 7.0) == {"state": 4}
    assert settings_at(controls, 7.0, {"bytes": 20}) == {"state": 4, "bytes": 20}
    assert settings_at(controls, 7.0, {"state": 1}, error=2) == {"state": 1}
    assert [settings_at(controls, level, error=-2)["state"] for level in (-6.0, 0.0, 18.0)] == [0, 0, 5]


def test_an_error_of_what_does_not_follow_is_refused() -> None:
    check_error((DEAF,), {}, 0)
    check_error((STATE,), {}, -7)
    for controls, fixed in (((DEAF,), {}), ((STATE,), {"state": 3}), ((), {})):
        with pytest.raises(UsageError, match="no control of this bundle follows"):
            check_error(controls, fixed, 1)
    with pytest.raises(UsageError, match="-7 to 7"):
        check_error((STATE,), {}, 8)


def test_classes_are_told_in_words() -> None:
    assert [class_text(STATE, value, SNR) for value in (0, 4, 7)] == [
        "below -3 dB",
        "6 dB to 9 dB",
        "from 15 dB",
    ]
    assert [class_text(FALLING, value, SNR) for value in (10, 12, 13)] == [
        "from 9 dB",
        "3 dB to 6 dB",
        "below 3 dB",
    ]
    assert class_text(RATES, 3, BER) == "1 % to 10 %"


def test_a_run_has_controls_that_follow_and_controls_that_are_fixed() -> None:
    import programs

    program = msgspec.structs.replace(programs.plain(), controls=(STATE, DEAF), quality=SNR)
    free = Adaptation(program, {"bytes": 20})
    assert free.settings == {"bytes": 20, "state": 4} and free.said() == {"bytes": 20, "state": "auto"}
    told = [free.hear(16.0) for _ in range(16)]
    assert told == [{}] * 15 + [{"state": 7}] and free.settings == {"bytes": 20, "state": 7}
    assert free.as_dict({"state": {7: 2, 4: 16}}) == {
        "state": {"set": "auto", "value": 7, "changes": 1, "used": {"4": 16, "7": 2}},
        "bytes": {"set": 20, "used": {}},
    }
    held = Adaptation(program, {"state": 2})
    assert [held.hear(16.0) for _ in range(40)] == [{}] * 40 and held.settings == {"state": 2}
    assert [control.name for control in held.controls] == ["state"]
    wrong = Adaptation(program, {}, error=-1)
    assert wrong.settings == {"state": 3}
