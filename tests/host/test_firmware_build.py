"""Building firmware: what comes out, what is refused, and that the same input gives the same image."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from semflash.bundle.reader import read_bundle
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BuildError, ToolMissingError
from semflash.firmware.boards.descriptions import Board, Flash, RamRegion, load_board
from semflash.firmware.building import elf, sources
from semflash.firmware.building import firmware as building
from semflash.firmware.building.model import generate_model
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.project import write_if_changed
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator.native import NativeDevice
from semflash_codegen.request import KERNELS

TINY = Path(__file__).resolve().parents[1] / "vectors" / "tiny.semcodec"
NATIVE, QEMU = load_board("native"), load_board("qemu-stm32f405")
needs_arm = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def _with(board: Board, *, flash: int | None = None, ram: int | None = None) -> Board:
    """The board with another amount of memory."""
    changes: dict[str, object] = {}
    if flash is not None:
        changes["flash"] = Flash(0x0800_0000, flash)
    if ram is not None:
        changes["ram"] = (RamRegion("sram", 0x2000_0000, ram),)
    return msgspec.structs.replace(board, **changes)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    """The tiny bundle, built with CMSIS-NN for the emulated board."""
    return building.build(TINY, QEMU, kernels="cmsis-nn", out_dir=tmp_path_factory.mktemp("build") / "tiny")


@pytest.mark.parametrize("kernels", KERNELS)
def test_native_codes_equal_the_golden_reference(tmp_path: Path, kernels: str) -> None:
    built = building.build(TINY, NATIVE, kernels=kernels, out_dir=tmp_path / "out")
    bundle = read_bundle(TINY)
    images = np.random.default_rng(1).integers(0, 256, (50, *bundle.image_shape), dtype=np.uint8)
    rows = (images.astype(np.int16) - 128).astype(np.int8)
    codes = NativeDevice(built.image_path).encode(rows)
    np.testing.assert_array_equal(codes, GoldenEncoder(bundle).payloads(images))


@needs_arm
def test_a_build_says_what_runs_where_and_how_large_it_is(firmware: BuildResult) -> None:
    assert firmware.image_path.is_file()
    assert firmware.cmsis_nn.startswith("bakenn")
    assert "arm_convolve_wrapper_s8" in firmware.convolution_symbols
    assert [layer.operator for layer in firmware.layers][:2] == ["CONV_2D", "MAX_POOL_2D"]
    sizes = firmware.sizes
    assert sizes is not None
    assert sizes.code + sizes.tables + sizes.other_flash == sizes.flash
    assert sizes.tables >= firmware.constant_bytes
    assert sizes.ram_static >= firmware.state_bytes
    assert BuildResult.load(Path(firmware.directory)) == firmware


@needs_arm
def test_sizes_equal_those_that_binutils_prints(firmware: BuildResult) -> None:
    import subprocess

    command = ["arm-none-eabi-size", "-B", str(firmware.image_path)]
    text, data, bss = map(
        int,
        subprocess.run(command, capture_output=True, text=True, check=True)
        .stdout.splitlines()[1]
        .split()[:3],
    )
    assert firmware.sizes is not None
    assert (firmware.sizes.flash, firmware.sizes.ram_static) == (text + data, data + bss)


@needs_arm
def test_the_same_input_gives_the_same_image_in_another_folder(firmware: BuildResult, tmp_path: Path) -> None:
    again = building.build(TINY, QEMU, kernels="cmsis-nn", out_dir=tmp_path / "elsewhere")
    assert again.build_id == firmware.build_id
    first, second = (result.image_path.with_suffix(".bin").read_bytes() for result in (firmware, again))
    assert first == second


@needs_arm
def test_building_again_compiles_nothing(firmware: BuildResult) -> None:
    folder = Path(firmware.directory)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.o")}
    assert before
    building.build(TINY, QEMU, kernels="cmsis-nn", out_dir=folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.o")}


@needs_arm
def test_the_build_id_follows_sources_and_settings(firmware: BuildResult) -> None:
    files = {"a.c": b"1", "b.c": b"2"}
    ids = {
        sources.build_id(files, "x"),
        sources.build_id(files, "y"),
        sources.build_id(files | {"a.c": b"3"}, "x"),
        sources.build_id({"a.c": b"12", "b.c": b""}, "x"),
        sources.build_id({"a.c": b"1", "c.c": b"2"}, "x"),
    }
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("board", "memory"),
    [(_with(QEMU, flash=500), "flash"), (_with(QEMU, ram=2000), "RAM"), (_with(QEMU, ram=6000), "RAM")],
)
def test_a_model_larger_than_the_board_is_refused_and_says_by_how_much(
    tmp_path: Path, board: Board, memory: str
) -> None:
    with pytest.raises(BuildError) as caught:
        building.build(TINY, board, kernels="cmsis-nn", out_dir=tmp_path / "out")
    text = str(caught.value)
    assert memory in text
    assert "bytes too m" in text
    assert not (tmp_path / "out").exists()


@needs_arm
def test_code_that_overflows_flash_is_refused_and_says_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="FLASH") as caught:
        building.build(TINY, _with(QEMU, flash=6000), out_dir=tmp_path / "out")
    assert "bytes too many" in str(caught.value.value)
    assert not (tmp_path / "out" / "build.json").exists()


@needs_arm
def test_link_buffers_that_leave_no_stack_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="RAM") as caught:
        building.build(TINY, _with(QEMU, ram=10_000), kernels="cmsis-nn", out_dir=tmp_path / "out")
    assert "bytes too many" in caught.value.what
    assert "stack" in str(caught.value.value)
    with pytest.raises(BuildError, match="nothing was built"):
        BuildResult.load(tmp_path / "out")


@needs_arm
def test_static_data_that_overflows_ram_is_refused_and_says_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="RAM") as caught:
        building.build(TINY, _with(QEMU, ram=6_200), kernels="fused", out_dir=tmp_path / "out")
    assert "bytes too many" in str(caught.value)


def test_an_image_without_the_planned_convolutions_is_refused(tmp_path: Path) -> None:
    plain = building.build(TINY, NATIVE, kernels="reference", out_dir=tmp_path / "out")
    model = generate_model(read_bundle(TINY), NATIVE, BuildOptions(kernels="cmsis-nn"))
    with pytest.raises(BuildError, match="lacks CMSIS-NN") as caught:
        building.check_convolutions(plain.image_path, model)
    assert "arm_convolve_wrapper_s8" in str(caught.value.value)


def test_reference_kernels_need_and_contain_no_cmsis_nn(tmp_path: Path) -> None:
    built = building.build(TINY, NATIVE, kernels="reference", out_dir=tmp_path / "out")
    assert built.cmsis_nn == "none"
    assert not [name for name in elf.symbols(built.image_path) if name.startswith("arm_")]
    assert not (tmp_path / "out" / "cmsis").exists()


def test_a_cmsis_nn_folder_without_cmsis_nn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="CMSIS-NN"):
        building.build(TINY, NATIVE, kernels="cmsis-nn", cmsis_nn_dir=tmp_path, out_dir=tmp_path / "out")


def test_a_folder_with_other_peoples_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BuildError, match="no build made"):
        building.build(TINY, NATIVE, out_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_sources_that_a_build_no_longer_names_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    sources.place({"device/a.c": b"a", "model/m.c": b"m"}, folder)
    sources.place({"device/b.c": b"b"}, folder)
    assert not (folder / "device/a.c").exists()
    assert not (folder / "model/m.c").exists()
    assert (folder / "device/b.c").read_bytes() == b"b"


def test_writing_the_same_content_keeps_the_time_stamp(tmp_path: Path) -> None:
    path = tmp_path / "a" / "f"
    assert write_if_changed(path, "x")
    before = path.stat().st_mtime_ns
    assert not write_if_changed(path, "x")
    assert path.stat().st_mtime_ns == before
    assert write_if_changed(path, "y")
    assert [p.name for p in path.parent.iterdir()] == ["f"]


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "nothing was built"), ("{", "damaged"), ("{}", "damaged"), ("#" * 2**21, "damaged")],
)
def test_a_missing_or_damaged_build_json_is_an_error(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "build.json").write_text(text)
    with pytest.raises(BuildError, match=says):
        BuildResult.load(tmp_path)


def test_symbols_of_a_file_that_is_not_elf_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"no elf")
    with pytest.raises(BuildError, match="not an ELF"):
        elf.symbols(tmp_path / "image")
