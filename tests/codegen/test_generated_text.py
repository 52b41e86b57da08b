"""The generated text and the package around it: determinism, constants, capacity, requests, imports."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from codegen.building import compile_model, host_compiler, run
from codegen.golden import HASH, NAMES, load, request_for, table_tail
from semflash.program.stages import GdnTail, Tail
from semflash_codegen import CodegenError, CodegenRequest, c_text, cmsis_nn, generate
from semflash_codegen.errors import CapacityError, KernelSourceError, MalformedModelError, RequestError


def constants(header: str) -> dict[str, int]:
    """SF_MODEL_* numbers of a header."""
    pairs = re.findall(r"#define SF_MODEL_(\w+) (0x[0-9a-f]+|\d+)", header)
    return {name: int(value, 0) for name, value in pairs}


def gdn_tail(channels: int, zero_point: int, **change: list[int]) -> GdnTail:
    tables = {
        "beta": [(1 << 31) - i for i in range(channels)],
        "gamma": [0, 11] * (channels**2 // 2),
        "threshold": [-(1 << 31), -5, 0, 1, 7, 9, (1 << 31) - 1] * channels,
    }
    return GdnTail(channels, 8, zero_point, **{**tables, **change})


def with_tail(tail: GdnTail) -> CodegenRequest:
    """A request around enc32 and a tail, whether they fit or not."""
    good = request_for(load("enc32"))
    stages = (good.program.stages[0], Tail("latent", "codes", (tail,)))
    return replace(good, program=msgspec.structs.replace(good.program, stages=stages))


@pytest.mark.parametrize("kernels", ["auto", "cmsis-nn"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_request_gives_the_same_bytes(name: str, kernels: str) -> None:
    request = request_for(load(name), kernels)
    assert generate(request).files == generate(request).files


@pytest.mark.parametrize("kernels", ["auto", "cmsis-nn"])
def test_the_text_does_not_depend_on_the_hash_seed_of_python(kernels: str, tmp_path: Path) -> None:
    code = (
        "import hashlib,sys; sys.path[:0] = sys.argv[3:];"
        "from codegen.golden import *; from semflash_codegen import generate;"
        "files = generate(request_for(load(sys.argv[1]), sys.argv[2])).files;"
        "print(hashlib.sha256(str(files).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    paths = [str(root / folder) for folder in ("tests", "codegen", "host")]
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, "mobile", kernels, *paths],
            env={"PYTHONHASHSEED": seed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_header_holds_the_sizes_that_the_runtime_asks_for() -> None:
    generated = generate(request_for(load("enc32")))
    values = constants(generated.files["sf_model.h"])
    assert values == {
        "ROWS": 32,
        "ROW_BYTES": 96,
        "LATENT_POSITIONS": 16,
        "LATENT_CHANNELS": 12,
        "BITS_PER_SYMBOL": 3,
        "PAYLOAD_BYTES": 72,
        "STATE_BYTES": generated.report.state_bytes,
        "FLASH_BYTES": generated.report.constant_bytes,
        "MACS": 239616,
        "BUNDLE_HASH": 0x01234567,
    }
    assert f"bundle hash {HASH}" in generated.files["sf_model.c"]
    assert "#if SF_RUNTIME_API != 2\n#error" in generated.files["sf_model.h"]


def test_a_gdn_tail_with_extreme_integers_compiles_without_a_warning(tmp_path: Path) -> None:
    fit = table_tail(load("enc32"))
    request = with_tail(gdn_tail(fit.channels, fit.zero_point))
    compile_model(tmp_path, generate(request), host_compiler())


def test_a_name_cannot_break_out_of_a_comment(tmp_path: Path) -> None:
    request = replace(request_for(load("enc32")), model_name="x */ int y; /* \\\n#error ??/")
    generated = generate(request)
    assert "#error ?" not in generated.files["sf_model.c"]
    compile_model(tmp_path, generated, host_compiler())


@pytest.mark.parametrize("limit", ["flash_bytes", "ram_bytes"])
def test_a_model_that_does_not_fit_says_by_how_much(limit: str) -> None:
    encoder = load("enc32")
    report = generate(request_for(encoder)).report
    need = report.constant_bytes if limit == "flash_bytes" else report.state_bytes
    generate(request_for(encoder, **{limit: need}))
    with pytest.raises(CapacityError, match="100 bytes too much"):
        generate(request_for(encoder, **{limit: need - 100}))


def test_static_asserts_guard_the_boards_memory(tmp_path: Path) -> None:
    generated = generate(request_for(load("enc32"), flash_bytes=100_000, ram_bytes=100_000))
    header = generated.files["sf_model.h"].replace("<= 100000", "<= 1000")
    broken = replace(generated, files={**generated.files, "sf_model.h": header})
    with pytest.raises(AssertionError, match="does not fit into the 100000 bytes of the board's flash"):
        run_compile(tmp_path, broken)
    run_compile(tmp_path, generated)


def run_compile(folder: Path, generated: object) -> None:
    compile_model(folder, generated, host_compiler())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "interpreter"},
        {"kernels": "fast"},
        {"bundle_hash": "xyz"},
        {"prefix": "9lives"},
        {"prefix": "sf-model"},
        {"prefix": ""},
        {"models": {}},
    ],
    ids=str,
)
def test_an_inconsistent_request_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        generate(replace(request_for(load("enc32")), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "tail",
    [
        gdn_tail(4, -7),
        gdn_tail(12, -7, beta=[0] * 11),
        gdn_tail(12, -7, gamma=[(1 << 31) - 1] * 144),
        gdn_tail(12, -7, threshold=[3, 2, 1, 0, 0, 0, 0] * 12),
        gdn_tail(12, -6),
    ],
    ids=["channels", "lengths", "overflow", "order", "zero point"],
)
def test_a_tail_that_does_not_fit_is_refused(tail: GdnTail) -> None:
    with pytest.raises(RequestError):
        generate(with_tail(tail))


def test_cmsis_nn_is_found_in_its_package_or_in_the_users_tree(tmp_path: Path) -> None:
    packaged = cmsis_nn.locate()
    assert packaged.origin == "bakenn 1.0.0"
    assert cmsis_nn.locate(packaged.nn).nn == packaged.nn
    with pytest.raises(KernelSourceError) as caught:
        cmsis_nn.locate(tmp_path)
    assert "arm_nnfunctions.h" in str(caught.value.value)


def test_every_packaged_cmsis_nn_source_but_the_freestanding_memory_shim_is_listed() -> None:
    root = cmsis_nn.locate().nn
    present = {path.relative_to(root).as_posix() for path in root.rglob("*.c")}
    assert present - set(cmsis_nn.SOURCES) == {"Source/NNSupportFunctions/bakenn_cmsis_memory.c"}


def test_of_semflash_the_generator_imports_the_program_alone_and_no_interpreter(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import semflash_codegen;"
        "import semflash_codegen.cmsis_nn as c; c.locate();"
        "bad = {'tensorflow', 'keras', 'ai_edge_litert', 'bakenn'} & set(sys.modules);"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('semflash.')};"
        "bad |= rooms - {'program', 'fields', 'errors'};"
        "sys.exit(str(bad) if bad else 0)"
    )
    run([sys.executable, "-c", code, str(root / "codegen"), str(root / "host")])


def test_an_error_carries_what_value_and_remedy() -> None:
    error = CodegenError("it is wrong", value=3, remedy="mend it")
    assert str(error) == "it is wrong (got: 3)\n  try: mend it"


def test_the_examples_of_the_c_text_module_run() -> None:
    assert doctest.testmod(c_text).failed == 0


def test_an_encoder_of_zero_bytes_is_refused() -> None:
    with pytest.raises(MalformedModelError, match="not a TensorFlow Lite model"):
        generate(replace(request_for(load("enc32")), models={"encoder": b""}))
