"""The controller in C: the table of cases, a million slots against its twin, wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI

from semflash.channels.controller import Controller, Worth
from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, compile_native

ROOT, HERE = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
CASES = json.loads((HERE.parent / "vectors" / "controller.json").read_text(encoding="utf-8"))
DECLARED = """
int controller_slots(uint8_t settings, uint8_t rows, int32_t low, int32_t step, const uint32_t *rho,
                     const uint16_t *worth, uint32_t threshold, uint32_t v, uint32_t mu, int at_bound,
                     const int32_t *snr, const int32_t *more, size_t n, uint8_t *chosen, uint32_t *queue,
                     uint32_t *bound);
"""
SHELL = """
#include <stddef.h>
#include "semflash/controller.h"
__attribute__((visibility("default"))) %s
int controller_slots(uint8_t settings, uint8_t rows, int32_t low, int32_t step, const uint32_t *rho,
                     const uint16_t *worth, uint32_t threshold, uint32_t v, uint32_t mu, int at_bound,
                     const int32_t *snr, const int32_t *more, size_t n, uint8_t *chosen, uint32_t *queue,
                     uint32_t *bound) {
    const sf_worth_t table = {settings, rows, low, step, rho, worth};
    sf_controller_t controller;
    if (sf_controller_init(&controller, &table, threshold, v, mu, at_bound) != SF_OK) {
        return -1;
    }
    *bound = controller.bound;
    for (size_t i = 0; i < n; i++) {
        chosen[i] = (uint8_t)sf_controller_choose(&controller, snr[i]);
        const int64_t spent = (int64_t)rho[chosen[i]] + more[i];
        sf_controller_spent(&controller, spent < 0 ? 0u : (uint32_t)spent);
        queue[i] = controller.queue;
    }
    return sf_controller_infeasible(&controller);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("controller")
    source = folder / "shell.c"
    source.write_text(SHELL % DECLARED, encoding="utf-8")
    out = compile_native(
        [source, ROOT / "device/src/controller.c"],
        [ROOT / "device/include"],
        folder / "controller.so",
        warnings=STRICT_WARNINGS,
    )
    ffi = FFI()
    ffi.cdef(DECLARED)
    return ffi, ffi.dlopen(str(out))


def run(library: Any, case: dict[str, Any], snr: np.ndarray, more: np.ndarray) -> tuple[int, Any, Any, int]:
    """What the C gives: infeasible (-1: refused), settings, queues, bound."""
    ffi, lib = library
    rho, worth = np.array(case["rho"], np.uint32), np.array(case["worth"], np.uint16)
    chosen, queue, bound = np.zeros(len(snr), np.uint8), np.zeros(len(snr), np.uint32), np.zeros(1, np.uint32)
    arrays = [rho, worth, snr.astype(np.int32), more.astype(np.int32), chosen, queue, bound]
    kinds = ("uint32_t *", "uint16_t *", "int32_t *", "int32_t *", "uint8_t *", "uint32_t *", "uint32_t *")
    at = [ffi.cast(kind, array.ctypes.data) for kind, array in zip(kinds, arrays, strict=True)]
    status = lib.controller_slots(
        case.get("settings", len(rho)),
        case.get("rows", len(worth)),
        case["snr_low"],
        case["snr_step"],
        *at[:2],
        case["threshold"],
        case["v"],
        case["mu"],
        case["at_bound"],
        *at[2:4],
        len(snr),
        *at[4:],
    )
    return status, chosen, queue, int(bound[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_slot_of_the_cases(case: dict[str, Any], library: Any) -> None:
    slots = case["slots"]
    snr, chosen, spent, queue = (
        np.array([slot[name] for slot in slots], np.int64) for name in ("snr", "chosen", "spent", "queue")
    )
    status, found, queues, bound = run(library, case, snr, spent - np.array(case["rho"])[chosen])
    assert status >= 0 and bound == case["bound"]
    assert np.array_equal(found, chosen) and np.array_equal(queues, queue)


def test_a_million_slots_equal_the_twin(library: Any) -> None:
    """Ten tables, costs at and around what was expected, SNRs from end to end of int32 among them."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        settings, rows, count = int(rng.integers(1, 12)), int(rng.integers(1, 6)), 100_000
        case = {
            "rho": rng.integers(0, 65_537, settings).tolist(),
            "worth": rng.integers(0, 32_769, (rows, settings)).tolist(),
            "snr_low": int(rng.integers(-5000, 5000)),
            "snr_step": int(rng.integers(1, 1000)),
            "threshold": int(rng.integers(0, 65_537)),
            "v": int(rng.integers(1, 20)),
            "mu": int(rng.integers(1, 256)),
            "at_bound": bool(seed % 2),
        }
        snr = rng.integers(-8000, 8000, count)
        snr[:2] = -(1 << 31), (1 << 31) - 1
        more = rng.integers(-70_000, 70_000, count) if seed % 3 == 0 else rng.integers(-300, 300, count)
        table = Worth(tuple(case["rho"]), tuple(map(tuple, case["worth"])), case["snr_low"], case["snr_step"])
        twin = Controller(table, case["threshold"], case["v"], case["mu"], at_bound=case["at_bound"])
        status, chosen, queues, bound = run(library, case, snr, more)
        assert bound == twin.bound
        for number in range(count):
            setting = twin.choose(int(snr[number]))
            assert setting == chosen[number]
            twin.spent(min(max(table.rho[setting] + int(more[number]), 0), 65_536))
            assert twin.queue == queues[number]
        assert status == int(twin.infeasible)


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": 0},
        {"settings": 65},
        {"rows": 0},
        {"rows": 65},
        {"snr_step": 0},
        {"rho": [0, 65_537]},
        {"worth": [[0, 32_769]]},
        {"threshold": 65_537},
        {"v": 0},
        {"v": 16_385},
        {"mu": 0},
        {"mu": 256},
        {"rho": [0, 1], "v": 100},
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], library: Any) -> None:
    sound = {"rho": [0, 60_000], "worth": [[0, 32_768]], "snr_low": 0, "snr_step": 500}
    case = sound | {"threshold": 100, "v": 1, "mu": 1, "at_bound": True}
    nothing = np.zeros(0, np.int64)
    assert run(library, case, nothing, nothing)[0] == 0
    assert run(library, case | changes, nothing, nothing)[0] == -1
