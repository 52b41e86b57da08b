"""The head and encoder of a network of the paper, built and run in the emulator, against the kept figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import rate_table  # noqa: E402

pytestmark = pytest.mark.emulated


def test_mobilenetv2_at_32_costs_on_the_board_what_the_table_says(
    own_emulators: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_table, "BUILDS", tmp_path)
    (case,) = [one for one in rate_table.CASES if one.name == "mobilenetv2-32"]
    found = json.loads(json.dumps(rate_table.measure(case, "qemu-stm32f405")))
    kept = json.loads((rate_table.RESULTS / "mobilenetv2-32.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in found if key != "cost"} == {
        key: kept[key] for key in kept if key != "cost"
    }
    cost, known = found["cost"]["aot"], kept["cost"]["aot"]
    assert (cost["codes_checked"], cost["codes_wrong"]) == (3, 0)
    assert cost["macs"] == known["macs"]
    # Another release of the compiler may count a little differently.
    assert cost["counts_median"] == pytest.approx(known["counts_median"], rel=0.05)
    assert cost["encoder_ram_bytes"] == pytest.approx(known["encoder_ram_bytes"], rel=0.1)
