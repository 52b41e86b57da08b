"""Estimated cycles without an emulator: sorting of instructions, flash memories, what the plugin wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from semflash.bench.cycles import measure
from semflash.bench.cycles.estimate import CycleEstimate, FlashStalls, read_estimate
from semflash.bench.cycles.flash import FlashModel, flash_models
from semflash.bench.cycles.instructions import sort
from semflash.bench.cycles.measure import cycle_plan
from semflash.bench.cycles.plan import plan_text
from semflash.bench.cycles.plugin import argument
from semflash.errors import BuildError, DeviceError, ToolMissingError, UsageError
from semflash.firmware.boards.descriptions import Board, Flash, FlashCache, load_board, parse_board

QEMU = load_board("qemu-stm32f405")
MODEL = FlashModel("kind", 32, 32, 8, 32, 4, True)
BOARDS = Path(__file__).resolve().parents[2] / "boards"


@pytest.mark.parametrize(
    ("mnemonic", "operands", "kind", "words", "flow"),
    [
        ("smlad", "r4, r12, r1, r4", ".", 1, "-"),
        ("ldr.w", "r1, [r0, #4]", "L", 1, "-"),
        ("ldrd", "r1, r2, [sp]", "M", 2, "-"),
        ("strb.w", "r1, [r0]", "S", 1, "-"),
        ("ldmia.w", "r0!, {r1, r2, r3}", "M", 3, "-"),
        ("stmdb", "sp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}", "M", 9, "-"),
        ("ldmia.w", "sp!, {r4-fp, pc}", "M", 9, "r"),
        ("pop", "{r4, pc}", "M", 2, "r"),
        ("vldmia", "r0, {s0-s27}", "M", 28, "-"),
        ("vpush", "{d8-d10}", "M", 6, "-"),
        ("ldr.w", "pc, [sp], #4", "L", 1, "r"),
        ("bl", "8000100 <f>", "B", 1, "c"),
        ("blx", "r3", "B", 1, "c"),
        ("blxne", "r3", "B", 1, "c"),
        ("bx", "lr", "B", 1, "r"),
        ("bxeq", "lr", "B", 1, "q"),
        ("popne", "{r4, pc}", "M", 2, "q"),
        ("bx", "r3", "B", 1, "-"),
        ("ble.n", "8000100", "B", 1, "-"),
        ("blt.w", "8000100", "B", 1, "-"),
        ("bls.n", "8000100", "B", 1, "-"),
        ("bic.w", "r0, r1, r2", ".", 1, "-"),
        ("cbnz", "r3, 8000100", "B", 1, "-"),
        ("udiv", "r0, r0, r1", "D", 1, "-"),
        ("vmov", "r1, s0", "F", 1, "-"),
        ("vmov", "r1, r2, s0, s1", "F", 2, "-"),
        ("vfma.f32", "s0, s1, s2", "F", 3, "-"),
        ("vdiv.f32", "s0, s1, s2", "F", 14, "-"),
        ("tbb", "[pc, r0]", "L", 1, "-"),
    ],
)
def test_instructions_are_sorted_by_what_they_take(
    mnemonic: str, operands: str, kind: str, words: int, flow: str
) -> None:
    found = sort(0x8000000, mnemonic, operands)
    assert (found.kind, found.words, found.flow) == (kind, words, flow)


def test_the_harsh_reading_of_a_flash_holds_as_much_and_brings_less() -> None:
    kind, harsh = flash_models(load_board("nucleo_l476rg"))
    assert (kind.lines, kind.line_bytes, kind.data_lines, kind.wait_states) == (32, 32, 8, 4)
    assert (harsh.lines, harsh.line_bytes, harsh.data_lines, harsh.data_line_bytes) == (128, 8, 32, 8)
    assert harsh.prefetch


def test_where_a_read_is_a_line_the_harsh_reading_reads_nothing_ahead() -> None:
    kind, harsh = flash_models(QEMU)
    assert (kind.lines, kind.line_bytes, kind.prefetch) == (64, 16, True)
    assert (harsh.lines, harsh.line_bytes, harsh.prefetch) == (64, 16, False)


def test_another_core_and_an_unknown_flash_are_refused() -> None:
    with pytest.raises(UsageError, match="Cortex-M4 only"):
        flash_models(load_board("nucleo_h743zi"))
    with pytest.raises(UsageError, match="says nothing"):
        flash_models(msgspec.structs.replace(QEMU, flash=Flash(0x8000000, 1 << 20)))


@pytest.mark.parametrize(
    "cache",
    [
        FlashCache(257, 8, 16, 16, True),
        FlashCache(64, -1, 16, 16, True),
        FlashCache(64, 8, 24, 8, True),
        FlashCache(64, 8, 8, 16, True),
        FlashCache(64, 8, 0, 0, True),
        FlashCache(256, 8, 128, 4, True),
    ],
)
def test_a_description_with_an_impossible_cache_is_refused(cache: FlashCache) -> None:
    fields = "".join(f"{name} = {str(value).lower()}\n" for name, value in msgspec.to_builtins(cache).items())
    text = (BOARDS / "qemu-stm32f405.toml").read_text()
    before, after = text.split("[flash.cache]\n")
    rest = after.split("\n\n", 1)[1]
    with pytest.raises(BuildError, match="contradicts itself"):
        parse_board(f"{before}[flash.cache]\n{fields}\n{rest}".encode(), "qemu-stm32f405")


def counts(instructions: int, *, models: int = 1) -> dict[str, object]:
    stalls = [3] * models
    return {"instructions": instructions, "core": [10, 11, 12], "fetch": stalls, "read": stalls}


def test_the_last_image_counts_and_its_layers_by_number(tmp_path: Path) -> None:
    written = {
        "images": [
            {"total": counts(1), "layers": []},
            {"total": counts(9), "layers": [[0, counts(4)], [2, counts(5)]]},
        ]
    }
    path = tmp_path / "counts.json"
    path.write_bytes(msgspec.json.encode(written))
    total, layers = read_estimate(path, [MODEL])
    assert total == CycleEstimate(9, 10, 11, 12, (FlashStalls("kind", 3, 3),))
    assert {number: one.instructions for number, one in layers.items()} == {0: 4, 2: 5}
    assert total.with_flash("kind") == 17
    assert total.less([layers[0]]).instructions == 5 and total.less([layers[0]]).flash[0].fetch == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"images": []}', '{"images": [{}]}', "[]", '{"images": [{"total": 3, "layers": []}]}'],
)
def test_what_the_plugin_never_writes_is_a_clean_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(DeviceError, match="counted no cycles"):
        read_estimate(path, [MODEL])


def test_counts_of_another_number_of_flashes_are_a_clean_error(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_bytes(msgspec.json.encode({"images": [{"total": counts(1, models=2), "layers": []}]}))
    with pytest.raises(DeviceError):
        read_estimate(path, [MODEL])
    with pytest.raises(DeviceError):
        read_estimate(tmp_path / "nothing.json", [MODEL])


def test_an_image_that_is_no_firmware_has_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"\x7fELF" + bytes(20))
    with pytest.raises(BuildError, match="cannot be read"):
        plan_text(path, Flash(0x8000000, 1 << 20), [MODEL])
    with pytest.raises(ValueError, match="flash memories"):
        plan_text(path, Flash(0x8000000, 1 << 20), [])


def test_a_path_with_a_comma_is_refused_before_qemu_splits_it() -> None:
    with pytest.raises(UsageError, match="comma"):
        argument(Path("/a/cycles.so"), Path("/tmp/a,b/plan"), Path("/tmp/out"))


def without_plugin(command: str) -> Path:
    raise ToolMissingError("no compiler", remedy="install one")


def test_without_the_plugin_there_is_no_estimate_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "plugin", without_plugin)
    assert cycle_plan(QEMU, flash_of=None, wanted=None) is None
    assert cycle_plan(QEMU, flash_of=None, wanted=False) is None
    with pytest.raises(ToolMissingError):
        cycle_plan(QEMU, flash_of=None, wanted=True)
    with pytest.raises(ToolMissingError):
        cycle_plan(QEMU, flash_of="nucleo_l476rg", wanted=None)


@pytest.mark.parametrize("name", ["native", "nucleo_f446re"])
def test_boards_that_are_not_emulated_have_no_estimate(name: str) -> None:
    board: Board = load_board(name)
    assert cycle_plan(board, flash_of=None, wanted=None) is None
    with pytest.raises(UsageError, match="emulated board"):
        cycle_plan(board, flash_of=None, wanted=True)


def test_the_flash_of_another_board_is_imagined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "plugin", lambda command: Path("/cycles.so"))
    plan = cycle_plan(QEMU, flash_of="nucleo-l476rg", wanted=None)
    assert plan is not None and plan.flash_of.name == "nucleo_l476rg"
    with pytest.raises(UsageError, match="Cortex-M4 only"):
        cycle_plan(QEMU, flash_of="nucleo_h743zi", wanted=None)
