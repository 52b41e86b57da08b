"""The controller of symbols: the table of cases, and a mean that stays within its bound at every slot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semflash.channels.controller import Controller, Worth
from semflash.errors import UsageError
from vectors import make_controller

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "controller.json").read_text(encoding="utf-8"))
ONE = 65_536


def controller_of(case: dict[str, Any]) -> Controller:
    worth = tuple(map(tuple, case["worth"]))
    table = Worth(tuple(case["rho"]), worth, case["snr_low"], case["snr_step"])
    return Controller(table, case["threshold"], case["v"], case["mu"], at_bound=case["at_bound"])


def test_the_table_of_cases_is_what_its_script_writes() -> None:
    assert make_controller.cases() == CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_slot_of_the_cases(case: dict[str, Any]) -> None:
    controller = controller_of(case)
    assert controller.bound == case["bound"]
    for slot in case["slots"]:
        assert controller.choose(slot["snr"]) == slot["chosen"]
        controller.spent(slot["spent"])
        assert controller.queue == slot["queue"]


def rising() -> Worth:
    """Worth that rises with rho and SNR and saturates, of 24 settings."""
    rho = [round(ONE * a * c / 24) for a in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) for c in (2, 4, 8, 24)]
    rows = []
    for snr in range(-20, 21, 5):
        bits = 64 * 24 * np.array(rho) / ONE * np.log2(1 + 10 ** (snr / 10))
        rows.append(
            tuple(int(v) for v in np.rint(32_768 * (0.1 + 0.7 * (1 - np.exp(-((bits / 120) ** 0.6))))))
        )
    return Worth(tuple(rho), tuple(rows), -2000, 500)


def sequences(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "uniform": rng.integers(-2000, 2001, count),
        "alternating": np.where(np.arange(count) % 2, 2000, -2000),
        "blocks": np.where(np.arange(count) // 500 % 2, 2000, -2000),
        "constant": np.full(count, 2000),
    }


@pytest.mark.parametrize("v", [1, 10, 100])
def test_the_mean_is_within_its_bound_after_every_slot(v: int) -> None:
    for snrs in sequences(3000).values():
        controller = Controller(rising(), round(0.05 * ONE), v)
        costs = []
        for snr in snrs:
            costs.append(controller.table.rho[controller.choose(int(snr))])
            controller.spent(costs[-1])
            assert controller.queue <= controller.bound
        means = np.cumsum(costs) / np.arange(1, len(costs) + 1)
        assert means.max() <= controller.threshold and not controller.infeasible


def test_a_queue_that_begins_at_0_exceeds_the_bound_by_what_it_holds() -> None:
    controller = Controller(rising(), 3277, 10, at_bound=False)
    costs = []
    for snr in sequences(3000)["uniform"]:
        costs.append(controller.table.rho[controller.choose(int(snr))])
        controller.spent(costs[-1])
    assert 3277 < np.mean(costs) <= 3277 + controller.queue / 3000
    assert controller.queue <= controller.bound


def test_a_bound_that_no_setting_keeps_is_told() -> None:
    controller = Controller(rising(), 100, 1)
    slots = 0
    while not controller.infeasible and slots < 10_000:
        controller.spent(controller.table.rho[controller.choose(0)])
        slots += 1
    assert 0 < slots < 10_000


@pytest.mark.parametrize(
    ("rho", "worth", "step", "more", "words"),
    [
        ((), ((),), 1, {}, "1 to 64 settings"),
        ((1,), (), 1, {}, "1 to 64 rows"),
        ((1, 2), ((1,),), 1, {}, "a worth for each"),
        ((ONE + 1,), ((1,),), 1, {}, "rho is a share"),
        ((-1,), ((1,),), 1, {}, "rho is a share"),
        ((1,), ((32_769,),), 1, {}, "a worth is a share"),
        ((1,), ((1,),), 0, {}, "an SNR apart"),
        ((1,), ((1,),), 1, {"v": 0}, "v 1 to"),
        ((1,), ((1,),), 1, {"v": 16_385}, "v 1 to"),
        ((1,), ((1,),), 1, {"mu": 0}, "mu 1 to"),
        ((1,), ((1,),), 1, {"threshold": -1}, "threshold 0 to"),
        ((0, 1), ((0, 32_768),), 1, {"v": 100}, "too large"),
    ],
)
def test_numbers_out_of_range_are_refused(
    rho: Any, worth: Any, step: int, more: dict[str, int], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Controller(Worth(rho, worth, 0, step), **({"threshold": 100} | more))
