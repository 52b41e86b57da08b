"""Board native from Python: the encoder call, the port, the compiler call and their errors."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs

from c import tiny_reference as tiny
from semflash.errors import BuildError, DeviceError, LinkError, ToolMissingError, UsageError
from semflash.firmware.emulator import native_compiler
from semflash.firmware.emulator.native import NativeDevice, NativePort, compile_native
from vectors.make_frames import TYPES, raw_frame, wire

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/c/tiny_model"
HELLO_REQUEST = wire(raw_frame(TYPES["HELLO_REQUEST"], bundle=0, request=0))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [
        *(ROOT / "device/src").glob("*.c"),
        *(ROOT / "device/stages").glob("*.c"),
        ROOT / "device/port/native/native.c",
        TINY / "sf_model.c",
    ]
    includes = [ROOT / "device/include", TINY]
    return compile_native(sources, includes, tmp_path_factory.mktemp("native") / "device.so")


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(-128, 128, (count, 28, 28, 1)).astype(np.int8)


def test_the_library_says_what_is_compiled_in(library):
    info = NativeDevice(library).info
    assert (info.bundle_hash, info.rows, info.row_bytes, info.payload_bytes) == (0x5EED1234, 28, 28, 18)
    assert (info.latent_positions, info.latent_channels, info.bits_per_symbol) == (16, 3, 3)
    assert info.engine == "test/handmade"


def test_latents_are_those_of_the_graph(library):
    batch = images(5)
    blocks = batch.reshape(5, 4, 7, 4, 7).transpose(0, 1, 3, 2, 4).reshape(5, 16, 49)
    expected = np.stack([blocks.max(-1), blocks.min(-1), blocks[..., -1]], axis=-1)
    assert (NativeDevice(library).latents(batch) == expected).all()


def test_the_codes_are_the_bundles_reference_tail_on_the_latents(library):
    """semflash.bundle's numpy tail and packing, which share no code with the device."""
    from semflash.bundle import packing
    from semflash.program.reference import tails
    from semflash.program.stages import GdnTail

    tail = GdnTail(
        channels=3,
        levels=8,
        zero_point=-2,
        beta=list(tiny.BETA),
        gamma=[value for row in tiny.GAMMA for value in row],
        threshold=[value for row in tiny.THRESHOLD for value in row],
    )
    device, batch = NativeDevice(library), images(2000)
    codes = tails.codes(device.latents(batch).reshape(-1, 4, 4, 3), tail)
    assert (device.encode(batch) == packing.pack(codes, 3)).all()


def test_encoding_is_repeatable_and_independent_of_the_batch(library):
    device, batch = NativeDevice(library), images(7)
    whole = device.encode(batch)
    device.latents(batch[:1])
    assert (np.concatenate([device.encode(batch[i : i + 1]) for i in range(7)]) == whole).all()
    assert device.encode(batch[:0]).shape == (0, 18)


def test_images_that_are_not_contiguous_are_encoded_all_the_same(library):
    device, batch = NativeDevice(library), images(6)
    assert (device.encode(batch[::2]) == device.encode(batch)[::2]).all()


@pytest.mark.parametrize(
    "bad",
    [
        images(2).astype(np.uint8),
        images(2).astype(np.float32),
        images(2)[:, :27],
        images(2)[:, :, :27],
        images(2)[0],
        np.zeros((2, 14, 56, 1), np.int8),
    ],
    ids=["uint8", "float32", "27 rows", "27 columns", "no batch", "14 x 56"],
)
def test_images_of_the_wrong_type_or_shape_are_refused(library, bad):
    with pytest.raises(UsageError, match="do not fit"):
        NativeDevice(library).encode(bad)


def test_two_devices_do_not_share_state(library):
    first, second = NativePort(library, timeout=0), NativePort(library, timeout=0)
    first.write(wire(raw_frame(TYPES["ROWS"], struct.pack("<HH", 0, 14) + bytes(14 * 28), bundle=0x5EED1234)))
    second.write(HELLO_REQUEST)
    assert first.in_waiting > 0 and len(second.read(1000)) > 72


def test_a_port_reads_what_is_there_when_the_timeout_ends(library):
    port = NativePort(library, timeout=0.05)
    assert port.read(10) == b"" and port.in_waiting == 0
    assert port.write(HELLO_REQUEST) == len(HELLO_REQUEST)
    waiting = port.in_waiting
    assert waiting > 72
    assert len(port.read(10)) == 10 and len(port.read(1000)) == waiting - 10
    port.write(HELLO_REQUEST)
    port.reset_input_buffer()
    assert port.in_waiting == 0


def test_a_reader_wakes_when_another_thread_writes(library):
    port = NativePort(library, timeout=10)
    threading.Timer(0.05, port.write, [HELLO_REQUEST]).start()
    start = time.monotonic()
    assert port.read(50) and time.monotonic() - start < 5


def test_closing_wakes_a_waiting_reader_and_ends_the_port(library):
    port = NativePort(library, timeout=None)
    threading.Timer(0.05, port.close).start()
    assert port.read(1) == b""
    for use in (lambda: port.read(1), lambda: port.write(b"x"), lambda: port.in_waiting):
        with pytest.raises(LinkError, match="closed"):
            use()


def test_a_megabyte_of_noise_then_hello(library):
    port = NativePort(library, timeout=0)
    port.write(np.random.default_rng(0).integers(0, 256, 1_000_000).astype(np.uint8).tobytes())
    port.read(1 << 24)
    port.write(b"\0" + HELLO_REQUEST)
    [hello] = filter(None, port.read(1000).split(b"\0"))
    assert cobs.decode(hello)[1] == TYPES["HELLO"]


def test_answers_that_nobody_reads_do_not_grow_for_ever(library, monkeypatch):
    monkeypatch.setattr("semflash.firmware.emulator.native._OUTPUT_LIMIT", 10_000)
    port = NativePort(library, timeout=0)
    with pytest.raises(LinkError, match="not read"):
        for _ in range(1000):
            port.write(HELLO_REQUEST)


def test_a_missing_library_and_a_file_that_is_none_are_device_errors(tmp_path):
    with pytest.raises(DeviceError, match="does not exist"):
        NativeDevice(tmp_path / "none.so")
    junk = tmp_path / "junk.so"
    junk.write_bytes(b"\x7fELF not really")
    with pytest.raises(DeviceError, match="not a semflash device library"):
        NativeDevice(junk)


def test_a_library_without_the_interface_or_of_another_version_is_a_device_error(tmp_path):
    source = tmp_path / "other.c"
    source.write_text("int unrelated(void) { return 1; }\n", encoding="utf-8")
    with pytest.raises(DeviceError, match="not a semflash device library"):
        NativeDevice(compile_native([source], [], tmp_path / "other.so"))
    source.write_text(
        '__attribute__((visibility("default"))) unsigned sf_native_abi(void);\n'
        "unsigned sf_native_abi(void) { return 99; }\n",
        encoding="utf-8",
    )
    with pytest.raises(DeviceError, match="interface 99"):
        NativeDevice(compile_native([source], [], tmp_path / "newer.so"))


def test_a_compiler_error_is_a_build_error_with_the_compilers_words(tmp_path):
    source = tmp_path / "broken.c"
    source.write_text("int f(void) { return undeclared; }\n", encoding="utf-8")
    with pytest.raises(BuildError, match="undeclared"):
        compile_native([source], [], tmp_path / "broken.so")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.c"]


def test_no_compiler_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler-here")
    with pytest.raises(ToolMissingError, match=r"\$CC"):
        native_compiler.find_compiler()
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="no C compiler"):
        native_compiler.find_compiler()


def test_the_declarations_in_python_are_those_of_the_header():
    from semflash.firmware.emulator import native_library

    header = " ".join((ROOT / "device/port/native/native.h").read_text(encoding="utf-8").split())
    for declaration in native_library._DECLARATIONS.split(";"):
        name = declaration.split("(")[0].strip().replace("int sf_native", "sf_status_t sf_native")
        assert " ".join(name.split()) in header, name
    assert f"#define SF_NATIVE_ABI {native_library._ABI}" in header
