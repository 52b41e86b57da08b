"""The device's frame decoder and session under libFuzzer with ASan and UBSan."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Program, and macros of the tiny model: with controls and fragments it is another device.
TARGETS = {
    "frames": ("frames", ()),
    "device": ("device", ()),
    "steered": ("device", ("-DSF_TINY_STEERED=1", "-DSF_LINK_FRAGMENT_BYTES=7")),
}
#: A step of the device target makes frames of any length from a few bytes.
MAX_LEN = {"frames": 8192, "device": 256, "steered": 256}
FLAGS = ("-std=c11", "-O2", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


def build(target: str, out: Path) -> Path:
    """One fuzz program.

    Raises:
        RuntimeError: the compiler's output.
    """
    name, macros = TARGETS[target]
    sources = [
        *sorted((ROOT / "device/src").glob("*.c")),
        *sorted((ROOT / "device/stages").glob("*.c")),
        HERE / f"fuzz_{name}.c",
    ]
    sources += [ROOT / "device/port/native/native.c", ROOT / "tests/c/tiny_model/sf_model.c"]
    includes = [ROOT / "device/include", ROOT / "device/port/native", ROOT / "tests/c/tiny_model"]
    program = out / f"fuzz_{target}"
    command = [
        "clang",
        *FLAGS,
        *macros,
        *(f"-I{folder}" for folder in includes),
        *map(str, sources),
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are; skips where clang cannot fuzz."""
    out = tmp_path_factory.mktemp("fuzz")
    if shutil.which("clang") is None:
        pytest.skip("no clang: apt-get install clang libclang-rt-14-dev")
    probe = out / "probe.c"
    probe.write_text(
        "#include <stddef.h>\n#include <stdint.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d == NULL && n; }\n"
    )
    command = ["clang", *FLAGS, str(probe), "-o", str(out / "probe")]
    if subprocess.run(command, capture_output=True, timeout=120, check=False).returncode != 0:
        pytest.skip("clang's fuzzer runtime is missing: apt-get install libclang-rt-14-dev")
    return out


def fuzz(program: Path, corpus: Path, *options: str, timeout_s: float = 240) -> int:
    """Run; the number of inputs tried. A finding fails the test with its report."""
    target = program.name.removeprefix("fuzz_")
    command = [
        str(program),
        *options,
        f"-max_len={MAX_LEN[target]}",
        "-timeout=5",
        # libFuzzer would take the most memory that this test's own process ever had for its own, because the
        # kernel hands that figure on to a child. The sanitizer looks at what is in use now.
        "-rss_limit_mb=0",
        str(corpus),
    ]
    done = subprocess.run(
        command,
        cwd=program.parent,
        # Freed memory that the sanitizer keeps back would count as growth.
        env=os.environ | {"ASAN_OPTIONS": "quarantine_size_mb=16:hard_rss_limit_mb=1024"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    found = re.findall(r"^(?:Done|stat::number_of_executed_units:) +(\d+)", done.stderr, re.M)
    return int(found[-1]) if found else 0


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_and_five_thousand_mutations_do_no_harm(folder: Path, target: str, tmp_path: Path) -> None:
    corpus = shutil.copytree(HERE / "corpus" / TARGETS[target][0], tmp_path / "corpus")
    assert fuzz(build(target, folder), corpus, "-runs=5000", "-seed=1") >= 5000


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_thirty_seconds_of_fuzzing_a_target_find_nothing(folder: Path, target: str, tmp_path: Path) -> None:
    corpus = shutil.copytree(HERE / "corpus" / TARGETS[target][0], tmp_path / "corpus")
    assert fuzz(build(target, folder), corpus, "-max_total_time=30") > 5_000
