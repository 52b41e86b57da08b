"""The engine `tflm` on the host side: the user's tree, the library made of it, what the build refuses.

The trees here are a few empty files; a real one was built and run by hand (docs/engines.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semflash.bundle.reader import read_bundle
from semflash.cli.main import main
from semflash.errors import BuildError, ToolMissingError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building import firmware as building
from semflash.firmware.building import tflm_tree
from semflash.firmware.building.model import generate_model, tflm_arena_bytes
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.sources import Library, gather, settings_ini
from semflash.runtime.reference import ReferenceGraph
from semflash.settings import parse_settings

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/vectors/tiny.semcodec"
QEMU = load_board("qemu-stm32f405")
MICRO = "tensorflow/lite/micro"
FILES = (
    f"{MICRO}/micro_interpreter.cc",
    f"{MICRO}/micro_interpreter.h",
    f"{MICRO}/fake_micro_context.cc",
    f"{MICRO}/recording_micro_allocator.cc",
    f"{MICRO}/kernels/kernel_util.cc",
    f"{MICRO}/kernels/micro_tensor_utils.cc",
    f"{MICRO}/kernels/cmsis_nn/conv.cc",
    f"{MICRO}/kernels/conv_common.cc",
    f"{MICRO}/kernels/cmsis_nn/svdf.cc",
    "third_party/cmsis_nn/Include/arm_nnfunctions.h",
    "third_party/cmsis_nn/Source/ConvolutionFunctions/arm_convolve_s8.c",
    "third_party/cmsis_nn/Source/ConvolutionFunctions/arm_convolve_f32.c",
    "third_party/cmsis_nn/Source/LSTMFunctions/arm_lstm.c",
    "third_party/flatbuffers/include/flatbuffers/flatbuffers.h",
    "third_party/cmsis/CMSIS/Core/Include/cmsis_compiler.h",
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with nothing in its files; SEMFLASH_TFLM_DIR names none."""
    monkeypatch.delenv(tflm_tree.VARIABLE, raising=False)
    for name in FILES:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"/* {name} */\n")
    return tmp_path / "tree"


def test_without_a_tree_the_error_says_what_to_run(tree: Path) -> None:
    with pytest.raises(ToolMissingError) as caught:
        building.build(TINY, QEMU, engine="tflm")
    assert "create_tflm_tree.py" in str(caught.value)
    assert "TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp OPTIMIZED_KERNEL_DIR=cmsis_nn" in str(
        caught.value
    )


def test_the_environment_names_the_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tflm_tree.VARIABLE, str(tree))
    assert tflm_tree.locate(None).root == tree.resolve()


def test_a_named_tree_goes_before_the_environments(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tflm_tree.VARIABLE, "/nowhere")
    assert tflm_tree.locate(tree).root == tree.resolve()


@pytest.mark.parametrize("name", [f"{MICRO}/micro_interpreter.cc", f"{MICRO}/kernels/cmsis_nn/conv.cc"])
def test_a_tree_without_cmsis_nn_kernels_is_refused_and_the_file_named(tree: Path, name: str) -> None:
    (tree / name).unlink()
    with pytest.raises(BuildError, match=name.rsplit("/", 1)[1]):
        tflm_tree.locate(tree)


def test_the_library_holds_core_headers_and_the_kernels_of_the_model_alone(tree: Path) -> None:
    files = tflm_tree.locate(tree).library(("CONV_2D",))
    assert f"{MICRO}/kernels/cmsis_nn/conv.cc" in files and f"{MICRO}/kernels/conv_common.cc" in files
    assert f"{MICRO}/micro_interpreter.h" in files and f"{MICRO}/micro_interpreter.cc" in files
    assert f"{MICRO}/kernels/cmsis_nn/svdf.cc" not in files
    assert not [name for name in files if "fake" in name or "recording" in name or "LSTM" in name]


def test_floating_point_kernels_of_cmsis_nn_stay_out(tree: Path) -> None:
    names = [Path(name).name for name in tflm_tree.locate(tree).library(("CONV_2D",))]
    assert "arm_convolve_s8.c" in names and "arm_convolve_f32.c" not in names


def test_a_kernel_that_the_tree_lacks_is_named(tree: Path) -> None:
    with pytest.raises(BuildError, match="softmax"):
        tflm_tree.locate(tree).library(("CONV_2D", "SOFTMAX"))


def test_a_file_that_is_too_large_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm_tree, "_MAX_FILE_BYTES", 8)
    with pytest.raises(BuildError, match="too large"):
        tflm_tree.locate(tree).library(("CONV_2D",))


def test_platformio_builds_it_as_a_library(tree: Path) -> None:
    files = tflm_tree.locate(tree).library(("CONV_2D",))
    library = Library(tflm_tree.LIBRARY, "tflm", files, tflm_tree.INCLUDES, tflm_tree.DEFINES)
    assert json.loads(files["library.json"])["name"] == tflm_tree.LIBRARY
    text = settings_ini({"A": "1"}, [], library)
    assert f"libraries = {tflm_tree.LIBRARY}" in text and "-DTF_LITE_STATIC_MEMORY=1" in text
    assert "-isystem libraries/tflm/third_party/flatbuffers/include" in text
    placed = gather(ROOT, QEMU, {}, None, library)
    assert f"libraries/tflm/{MICRO}/micro_interpreter.cc" in placed
    assert not [name for name in gather(ROOT, QEMU, {}, None) if name.startswith("libraries/")]


def test_an_image_without_the_convolution_symbols_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BuildOptions(engine="tflm", tflm_dir=tree)
    monkeypatch.setattr(tflm_tree.TflmTree, "library", lambda self, operators: {})
    model = generate_model(read_bundle(TINY), QEMU, options)
    monkeypatch.setattr("semflash.firmware.building.elf.symbols", lambda image: {"main", "arm_add_s8"})
    with pytest.raises(BuildError, match="arm_convolve_wrapper_s8"):
        building.check_convolutions(Path("image.elf"), model)


def test_this_computer_has_no_engine_tflm(tree: Path) -> None:
    with pytest.raises(BuildError, match="microcontrollers"):
        building.build(TINY, load_board("native"), engine="tflm", tflm_dir=tree)


def test_the_hosts_interpreter_runs_the_bundle_in_the_arena_with_the_resolvers_operators(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = pytest.importorskip("tflite_micro").runtime
    bundle = read_bundle(TINY)
    monkeypatch.setattr(tflm_tree.TflmTree, "library", lambda self, operators: {})
    model = generate_model(bundle, QEMU, BuildOptions(engine="tflm", tflm_dir=tree))
    graph = ReferenceGraph(bundle.models["encoder"], "tiny")
    listed = [one["op_name"] for one in graph._interpreter._get_ops_details() if one["op_name"] != "DELEGATE"]
    (text,) = (text for name, text in model.files.items() if name.endswith("tflm.cc"))
    called = {
        "AddConv2D": "CONV_2D",
        "AddMaxPool2D": "MAX_POOL_2D",
        "AddDepthwiseConv2D": "DEPTHWISE_CONV_2D",
    }
    resolver = [
        called[line.split("->")[1].split("(")[0]] for line in text.splitlines() if "resolver->Add" in line
    ]
    assert resolver == list(dict.fromkeys(listed))
    interpreter = runtime.Interpreter.from_bytes(bundle.models["encoder"], arena_size=model.arena_bytes)
    images = np.random.default_rng(0).integers(-128, 128, (5, *bundle.image_shape)).astype(np.int8)
    for image, wanted in zip(images, graph.run(images), strict=True):
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        assert np.array_equal(interpreter.get_output(0)[0], wanted)


#: A child, for TFLite-Micro may also crash where an arena is too small.
_TRY_ARENA = (
    "import sys; from pathlib import Path; from tflite_micro import runtime; "
    "model = Path(sys.argv[1]).read_bytes(); "
    "runtime.Interpreter.from_bytes(model, arena_size=int(sys.argv[2])).invoke(); print('it ran')"
)


def runs_in(model: Path, arena_bytes: int) -> bool:
    """Whether TFLite-Micro runs the model once in an arena of this size."""
    command = [sys.executable, "-c", _TRY_ARENA, str(model), str(arena_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "ModuleNotFoundError" not in done.stderr
    return done.returncode == 0 and "it ran" in done.stdout


def test_the_measured_arena_is_the_least_that_runs(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    bundle = read_bundle(TINY)
    assert bundle.record.arena_bytes is None, "nothing would be measured"
    measured, model = tflm_arena_bytes(bundle), tmp_path / "encoder.tflite"
    model.write_bytes(bundle.models["encoder"])
    assert runs_in(model, measured)
    assert not runs_in(model, measured - 16), "16 bytes less, the step of the arena's alignment, run, too"


def test_the_settings_name_a_tree_from_their_own_folder(tmp_path: Path) -> None:
    settings = parse_settings('[build]\nengine = "tflm"\ntflm_dir = "tree"\n', tmp_path / "semflash.toml")
    assert settings.build.tflm_dir == str(tmp_path / "tree")


def test_the_build_verb_says_what_to_run_and_exits_with_1(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(TINY), "--engine", "tflm"]) == 1
    assert "create_tflm_tree.py" in capsys.readouterr().err


def test_bench_refuses_engines_named_twice_over(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(TINY), "--compare", "--engine", "aot"]) == 2
    assert "exclude each other" in capsys.readouterr().err
