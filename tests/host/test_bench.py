"""The parts of the bench that need no board: map, bare models, layers, tables, chart."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semflash.bench.bench import BenchResult
from semflash.bench.chart import check_chart, draw_chart, panels
from semflash.bench.layers import layer_costs
from semflash.bench.reference import golden_payloads, reference_name
from semflash.bench.run import read_subject, variant_options
from semflash.bundle.reader import read_bundle
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BuildError, ModelError, UsageError
from semflash.firmware.building import memory_map
from semflash.firmware.building.bare_model import bare_model, is_bare
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.result import LayerInfo

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/vectors/tiny.semcodec"
ENC32 = ROOT / "benchmarks/models/enc32.tflite"
sys.path.insert(0, str(ROOT / "benchmarks"))

MAP = """\
Discarded input sections

 .text.gone     0x00000000       0x40 .pio/build/b/device/kernels/pad.o

Linker script and memory map

 .isr_vector    0x08000000      0x1c4 .pio/build/b/device/port/stm32f4/startup.o
 .text.sf_fused_run
                0x08000200      0x100 .pio/build/b/device/kernels/fused.o
 .text.sf_gdn_codes
                0x08000300       0x20 .pio/build/b/device/stages/gdn.o
 .text.sf_frame 0x08000320       0x30 .pio/build/b/device/src/frame.o
 .text.memcpy   0x08000350       0x10 /usr/lib/libc_nano.a(memcpy.o)
 .rodata.sf_model_tail1_table
                0x08000360       0x80 .pio/build/b/model/sf_model.o
 .rodata.sf_model_g0_layer0
                0x080003e0        0x8 .pio/build/b/model/sf_model.o
 .rodata        0x080003e8      0x200 .pio/build/b/model/sf_model_tflm_model.o
 .text          0x080005e8       0x50 .pio/build/b/lib1/libtflm.a(micro_interpreter.o)
 *fill*         0x08000638        0x4
 .data.table    0x20000000        0x8 /usr/lib/libc_nano.a(impure.o)
 .bss.state     0x20000010      0x400 .pio/build/b/device/app/main.o
 .bss.payload   0x20000410       0x30 .pio/build/b/device/app/main.o
 .bss.queue     0x20000440      0x800 .pio/build/b/device/app/main.o
 .bss.thing     0x20000c40        0x4 .pio/build/b/device/port/stm32f4/port.o
 .ARM.attributes
                0x00000034       0x34 .pio/build/b/model/sf_model.o
 .debug_info    0x00000000      0x999 .pio/build/b/model/sf_model.o
"""


def test_the_map_tells_encoder_from_link_from_library() -> None:
    kinds = memory_map.kinds(MAP)
    assert kinds.encoder_code == 0x100 + 0x20 + 0x50
    assert (kinds.encoder_tables, kinds.tail_tables, kinds.model_file) == (8, 0x80, 0x200)
    assert (kinds.link_flash, kinds.library_flash) == (0x1C4 + 0x30, 0x10 + 8)
    assert (kinds.encoder_ram, kinds.payload_ram, kinds.link_ram, kinds.other_ram) == (0x400, 0x30, 0x800, 12)


def test_projections_and_normalisation_count_as_the_encoders() -> None:
    more = """\
 .rodata.sf_model_project1_3_weights
                0x08000700       0x60 .pio/build/b/model/sf_model.o
 .rodata.sf_model_normalise2
                0x08000760        0x8 .pio/build/b/model/sf_model.o
 .text.project_position
                0x08000768       0x10 .pio/build/b/device/src/values.o
"""
    before, after = memory_map.kinds(MAP), memory_map.kinds(MAP + more)
    assert after.tail_tables - before.tail_tables == 0x68
    assert after.encoder_code - before.encoder_code == 0x10
    assert (after.encoder_tables, after.link_flash) == (before.encoder_tables, before.link_flash)


@pytest.mark.parametrize("text", ["", "no map", "\0" * 100])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="no map"):
        memory_map.kinds(text)


def test_a_bare_model_is_a_bundle_whose_payload_is_its_output() -> None:
    pytest.importorskip("tflite_micro")
    bundle = read_subject(str(ENC32))
    images = np.random.default_rng(1).integers(0, 256, (3, *bundle.image_shape), dtype=np.uint8)
    payloads = golden_payloads(bundle, images)
    assert (
        is_bare(bundle)
        and bundle.program.payload.regions[0].bits == 8
        and reference_name(bundle) == "tflite-micro"
    )
    assert payloads.shape == (3, 4 * 4 * 12)
    from semflash.runtime.reference import ReferenceGraph

    values = ReferenceGraph(next(iter(bundle.models.values())), "enc32").run(
        (images.astype(np.int16) - 128).astype(np.int8)
    )
    assert np.array_equal(payloads, (values.astype(np.int16) + 128).astype(np.uint8).reshape(3, -1))


def test_an_output_too_large_for_a_frame_goes_out_with_its_low_bits() -> None:
    bundle = read_subject(str(ROOT / "benchmarks/models/resnet50_head.tflite"))
    assert (bundle.program.payload.regions[0].bits, bundle.payload_bytes) == (4, 14 * 14 * 32 * 4 // 8)
    table = np.array(bundle.written.device_tail.table).reshape(-1, 256)  # type: ignore[union-attr]
    assert np.array_equal(table[0], np.arange(256) % 16)


def test_the_golden_payloads_of_a_bundle_are_the_golden_encoders() -> None:
    bundle = read_bundle(TINY)
    images = np.random.default_rng(2).integers(0, 256, (4, *bundle.image_shape), dtype=np.uint8)
    assert np.array_equal(golden_payloads(bundle, images), GoldenEncoder(bundle).payloads(images))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64])
def test_a_file_that_is_no_model_is_a_clean_error(data: bytes) -> None:
    with pytest.raises(ModelError):
        bare_model(data, Path("x.tflite"))


def test_a_missing_file_is_a_clean_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        read_subject(str(tmp_path / "none.tflite"))


def test_variants_change_engine_kernels_and_weights() -> None:
    options = BuildOptions(kernels="fused")
    assert variant_options("aot", options).kernels == "fused"
    assert variant_options("cmsis-nn", options).kernels == "cmsis-nn"
    assert variant_options("small", options).weights == "small"
    assert variant_options("tflm", options).engine == "tflm"
    with pytest.raises(UsageError, match="no such engine"):
        variant_options("tvm", options)


def test_layers_come_from_the_images_in_turn_and_joined_ones_share_a_line() -> None:
    layers = (
        LayerInfo("a", "CONV_2D", "fused", "", 100, 1, 0),
        LayerInfo("b", "MAX_POOL_2D", "fused", "", 0, 0, 0),
        LayerInfo("c", "CONV_2D", "fused", "", 50, 1, 1),
    )
    built: Any = SimpleNamespace(layers=layers)
    hello: Any = SimpleNamespace(count=lambda ticks: 10 * ticks)
    received: Any = [SimpleNamespace(index=i, ticks=t) for i, t in ((0, 99), (1, 30), (2, 7))]
    first, second = layer_costs(built, hello, received)
    assert (first.operators, first.macs, first.counts, first.counts_per_mac) == (
        ("CONV_2D", "MAX_POOL_2D"),
        100,
        300,
        3.0,
    )
    assert (second.names, second.counts) == (("c",), 70)


def result(**changes: Any) -> BenchResult:
    values: dict[str, Any] = {
        "board": "qemu-stm32f405",
        "bundle_name": "m",
        "bundle_hash": "ab",
        "build_id": "1",
        "engine": "aot/fused",
        "cmsis_nn": "none",
        "images": 4,
        "macs": 100,
        "counter": "instructions",
        "counts_min": 80,
        "counts_median": 82,
        "counts_max": 90,
        "counts_per_mac": 0.82,
        "host_seconds_per_image": 0.1,
        "state_bytes": 64,
        "arena_bytes": 0,
        "stack_bytes": 200,
        "sizes": None,
        "payload_bytes": 4,
        "codes_checked": 4,
        "codes_wrong": 0,
        **changes,
    }
    return BenchResult(**values)


def test_the_encoders_ram_is_its_state_and_its_stack() -> None:
    measured = result(memory=memory_map.kinds(MAP), encoder_stack_bytes=300)
    assert measured.encoder_ram_bytes == 0x400 + 300
    assert result().encoder_ram_bytes is None and result().encoder_flash_bytes is None


@pytest.mark.parametrize("name", ["cost.svg", "cost.png"])
def test_the_chart_is_a_picture_and_the_same_twice(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    check_chart(path)
    draw_chart([result(), result(engine="tflm/cmsis-nn", counts_median=400)], path)
    first = path.read_bytes()
    draw_chart([result(), result(engine="tflm/cmsis-nn", counts_median=400)], path)
    assert first[:5] in (b"<?xml", b"\x89PNG\r") and path.read_bytes() == first
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_no_panel_of_the_chart_is_empty_and_its_title_says_what_was_measured() -> None:
    memory = memory_map.kinds(MAP)
    whole = result(memory=memory, encoder_stack_bytes=300)
    assert [title for title, _ in panels([whole])] == [
        "instructions per image",
        "RAM of the encoder and its stack, B",
        "flash of the encoder, B",
    ]
    assert panels([whole])[1][1] == [0x400 + 300]
    short = panels([whole, result(memory=memory)])  # one of them with --no-layers
    assert short[1] == ("RAM of the encoder without its stack, B", [0x400, 0x400])
    native = panels([result(counter="none", counts_median=None)])
    assert native == [
        ("ms per image on this computer", [100.0]),
        ("RAM of the encoder without its stack, B", [64]),
    ]


def test_a_chart_in_a_folder_that_does_not_exist_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="folder does not exist"):
        check_chart(tmp_path / "missing" / "cost.png")


def test_a_chart_of_another_kind_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(UsageError, match="PNG"):
        check_chart(Path("cost.pdf"))


def test_the_tables_of_the_document_come_from_the_results() -> None:
    import device_cost

    layer = {"operators": ["CONV_2D"], "kernel": "fused", "counts": 800, "macs": 1000, "counts_per_mac": 0.8}
    cost = {
        "engine": "aot/fused",
        "macs": 1000,
        "counts_median": 820,
        "counts_per_mac": 0.82,
        "encoder_stack_bytes": 300,
        "memory": {"encoder_code": 10, "encoder_tables": 20, "model_file": 0, "encoder_ram": 500},
        "layers": [layer],
    }
    text = device_cost.with_blocks(
        "a\n<!-- totals: written by benchmarks/device_cost.py -->\nold\n<!-- end totals -->\n"
        "<!-- goals: written by benchmarks/device_cost.py -->\n<!-- end goals -->\n"
        "<!-- layers: written by benchmarks/device_cost.py -->\n<!-- end layers -->\nz\n",
        device_cost.blocks({"enc32": {"aot": cost, "tflm": {"refused": "no room"}}}),
    )
    assert "old" not in text and text.startswith("a\n") and text.endswith("z\n")
    assert "| enc32 | aot (aot/fused) | 1,000 | 820 | 0.82 (0.80) | 800: 500 + 300 | 30: 10 + 20 |" in text
    assert "| enc32 | tflm | | no room |" in text and "| enc32 | rows in, tail, packing | | 20 | | |" in text
    assert "| enc32 | aot | 0.800 of 0.82 | 0.820 of 0.82 | 800 of 1,638 | 30 of 16,384 |" in text


def test_a_figure_that_misses_its_goal_is_bold() -> None:
    import device_cost

    assert device_cost._against("17,000", 17000, 16384) == "**17,000** of 16,384"
    assert device_cost._against("0.9", 0.9, None) == "0.9"
