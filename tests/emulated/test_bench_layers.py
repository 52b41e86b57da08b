"""The layer clock on the emulated board: layers add up to the total, joined or not, and codes stay right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semflash.bench.cycles.measure import cycle_plan
from semflash.bench.run import BenchPlan, read_subject, run_bench
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.options import BuildOptions

pytestmark = pytest.mark.emulated

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/vectors/tiny.semcodec"
ENC32 = ROOT / "benchmarks/models/enc32.tflite"
QEMU = load_board("qemu-stm32f405")


def test_the_layers_of_a_bare_model_add_up_to_its_total(own_emulators: Path, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    plan = BenchPlan(QEMU, BuildOptions(out_dir=tmp_path), count=3)
    (result,) = run_bench(read_subject(str(ENC32)), ["cmsis-nn"], plan)
    assert result.codes_wrong == 0 and result.codes_checked == 3
    assert [layer.operators for layer in result.layers] == [("CONV_2D",), ("CONV_2D",)]
    assert [layer.macs for layer in result.layers] == [16 * 16 * 24 * 27, 4 * 4 * 12 * 384]
    assert result.counts_median is not None
    share = sum(layer.counts for layer in result.layers) / result.counts_median
    assert 0.9 < share <= 1.0
    assert result.encoder_stack_bytes is not None and result.stack_bytes is not None
    assert 100 < result.encoder_stack_bytes <= result.stack_bytes + 200
    assert result.memory is not None and result.sizes is not None
    flash = result.memory
    parts = (
        flash.encoder_code,
        flash.encoder_tables,
        flash.tail_tables,
        flash.model_file,
        flash.link_flash,
        flash.library_flash,
    )
    assert abs(sum(parts) - result.sizes.flash) < 64  # alignment


def test_joined_layers_share_one_figure_and_the_verb_prints_them(
    own_emulators: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from semflash.cli.main import main

    arguments = ["bench", str(TINY), "--images", "2", "--engine", "aot", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    operators = [name for layer in result["layers"] for name in layer["operators"]]
    assert operators and all(layer["counts"] > 0 for layer in result["layers"] if layer["macs"])
    assert sum(layer["macs"] for layer in result["layers"]) == result["macs"]
    assert sum(layer["counts"] for layer in result["layers"]) < result["counts_max"]


def test_cycles_are_estimated_beside_the_instructions_and_layers_share_them(
    own_emulators: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tflite_micro")
    cycles = cycle_plan(QEMU, flash_of="nucleo_l476rg", wanted=True)
    plan = BenchPlan(QEMU, BuildOptions(out_dir=tmp_path), count=2, cycles=cycles)
    (result,) = run_bench(read_subject(str(ENC32)), ["cmsis-nn"], plan)
    found = result.cycles
    assert found is not None and found.rest is not None and result.counts_median is not None
    assert found.flash_of == "nucleo_l476rg" and found.clock_hz == 80_000_000
    assert found.total.instructions == pytest.approx(result.counts_median, rel=0.01)
    assert [one.instructions for one in found.layers] == pytest.approx(
        [layer.counts for layer in result.layers], rel=0.01
    )
    parts = sum(one.instructions for one in found.layers) + found.rest.instructions
    assert parts == pytest.approx(found.total.instructions, rel=0.001)
    assert found.total.instructions < found.total.core_min <= found.total.core <= found.total.core_max
    assert found.total.core < found.total.with_flash("kind") < found.total.with_flash("harsh")
