"""Files that `semflash import` once refused, or took and got wrong (tests/imports). Needs semflash[onnx]."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

from semflash.cli.main import main  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.importing import device_check  # noqa: E402
from semflash.importing.network import ImportRequest, import_network, list_splits  # noqa: E402
from semflash.tasks.networks import build  # noqa: E402
from semflash.training.codec import _check_head  # noqa: E402
from semflash.training.task import TrainedTask, load_task  # noqa: E402

FILES = Path(__file__).resolve().parents[1] / "imports"
IMAGES = np.random.default_rng(5).integers(0, 256, (9, 32, 32, 3), np.uint8)
needs_converter = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx2tf", "tf_keras")),
    reason="onnx2tf and tf-keras are not installed: pip install 'semflash[onnx]'",
)


def imported(path: Path, split: str, folder: Path, **more: Any) -> TrainedTask:
    """Import with IMAGES to check with, and read it back."""
    import_network(ImportRequest(path, split, folder / "task", check_images=IMAGES, **more))
    return load_task(folder / "task")


def by_onnxruntime(path: Path, network_input: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = np.ascontiguousarray(network_input.astype(np.float32).transpose(0, 3, 1, 2))
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in fed])


def assert_equal(logits: np.ndarray, expected: np.ndarray) -> None:
    """Within a thousandth of how far each logit moves from image to image, whatever its size."""
    assert np.abs(np.asarray(logits) - expected).max() < 1e-3 * np.asarray(expected).std(0).mean()


@needs_converter
@pytest.mark.parametrize(
    ("name", "split", "operators"),
    [
        ("resnet_stem", "p", ["CONV_2D", "MAX_POOL_2D"]),
        pytest.param("square_reshape", "r", ["CONV_2D"], marks=pytest.mark.slow),  # the next one, times 1e5
        ("square_reshape_tiny", "r", ["CONV_2D"]),
        ("avgpool_inc0_ceil0", "p", ["AVERAGE_POOL_2D", "CONV_2D", "MAX_POOL_2D"]),
        ("conv_same_lower", "r", ["CONV_2D"]),
        ("torch_dynamo", "relu", ["CONV_2D"]),
        ("torch_script", "/2/Relu_output_0", ["CONV_2D"]),
    ],
)
def test_an_onnx_file_imports_with_the_originals_numbers_and_a_head_that_a_device_runs(
    name: str, split: str, operators: list[str], tmp_path: Path
) -> None:
    path = FILES / f"{name}.onnx"
    task = imported(path, split, tmp_path)
    assert_equal(task.logits(IMAGES), by_onnxruntime(path, IMAGES / 255))
    int8 = task.info.results["int8"]
    assert 0 < int8["relative_difference"] < 0.1
    assert "refused" not in int8 and "not_on_device" not in int8
    assert sorted({*int8["operators"]} - {"PAD", "PADV2"}) == operators
    assert "3.4e+38" not in (tmp_path / "task" / "network.json").read_text()


def test_torchs_default_export_lists_its_splits_though_its_file_declares_shapes_of_weights() -> None:
    assert ("relu", (16, 16, 8)) in list_splits(FILES / "torch_dynamo.onnx")
    assert ("/2/Relu_output_0", (16, 16, 8)) in list_splits(FILES / "torch_script.onnx")


@pytest.mark.parametrize(("name", "split"), [("torch_dynamo", "relu"), ("torch_script", "/2/Relu_output_0")])
def test_what_the_installed_torch_exports_is_the_file_that_is_imported_here_or_imports(
    name: str, split: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch's CPU build is not installed (requirements/torch.lock)"
    )
    pytest.importorskip("onnxscript")
    from imports.make_torch import network, write

    write(tmp_path)
    fresh = tmp_path / f"{name}.onnx"
    fed = torch.tensor((IMAGES / 255).astype(np.float32).transpose(0, 3, 1, 2))
    expected = network()(fed).detach().numpy()
    assert_equal(by_onnxruntime(fresh, IMAGES / 255), expected)
    if _operators(fresh) != _operators(FILES / fresh.name):  # another torch than the one that made it
        assert_equal(imported(fresh, split, tmp_path).logits(IMAGES), expected)


def _operators(path: Path) -> list[tuple[str, list[str]]]:
    return [(node.op_type, list(node.output)) for node in onnx.load(path).graph.node]


def original(path: Path) -> Any:
    """A Keras file as its own Keras reads it: .h5 by Keras 2."""
    if path.suffix == ".h5":
        tf_keras = pytest.importorskip("tf_keras")
        return tf_keras.models.load_model(path, compile=False)
    return keras.saving.load_model(path, compile=False)


def finished(name: str, logits: np.ndarray) -> np.ndarray:
    """What the file's own last activation makes of logits."""
    return np.asarray(keras.ops.softmax(logits)) if name.endswith(".h5") else np.asarray(logits)


@pytest.mark.parametrize(
    ("name", "split", "largest"),
    [
        ("seq_input.keras", "r0", 1),
        ("func.keras", "r0", 1),
        ("keras2_dw.h5", "r0", 1),
        ("dw_nogroups.h5", "r0", 1),
        ("tm_old.h5", "r0", 1),
        ("augment_inside.keras", "r0", 255),
        ("augment_inside.keras", "r0:3:0", 255),
    ],
)
def test_a_keras_file_imports_under_its_own_layer_names_with_the_originals_numbers(
    name: str, split: str, largest: int, tmp_path: Path
) -> None:
    task, pixels = imported(FILES / name, split, tmp_path), IMAGES.astype(np.float32)
    expected = np.asarray(original(FILES / name)(pixels * (largest / 255), training=False))
    assert_equal(finished(name, task.logits(IMAGES)), expected)
    assert "refused" not in task.info.results["int8"]


def test_splits_have_the_layers_names_in_sequential_files() -> None:
    assert [split for split, _ in list_splits(FILES / "seq_input.keras")] == ["c0", "r0"]
    assert [split for split, _ in list_splits(FILES / "tm_old.h5")] == ["c0", "b0", "r0", "d0"]


@pytest.mark.parametrize("split", ["r0", "r0:2:0"])
def test_a_file_of_mixed_precision_becomes_one_of_float32_on_the_same_weights(
    split: str, tmp_path: Path
) -> None:
    path = FILES / "mixed_f16.keras"
    task = imported(path, split, tmp_path)
    half = np.asarray(original(path)(IMAGES / 255), np.float32)
    difference = np.abs(np.asarray(task.logits(IMAGES)) - half).max()
    assert difference < 0.02 * np.abs(half).max()  # float16 has 11 bits
    assert "float16" not in (tmp_path / "task" / "network.json").read_text()


def test_a_head_with_a_constant_sum_runs_on_the_device_and_a_refused_one_is_told_with_a_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import", str(FILES / "relu_then_bn.keras"), "--split", "b0", "--out", str(tmp_path / "task")]
    assert main(command) == 0
    assert "no device runs this head" not in capsys.readouterr().out
    task = load_task(tmp_path / "task")
    assert not task.info.results["int8"].get("refused")
    _check_head(task)
    task.info.results["int8"] |= {"refused": "layer 2 ADD", "device_splits": ["r0"]}
    with pytest.raises(TrainingError, match="no device runs it: layer 2 ADD") as caught:
        _check_head(task)
    assert "--split r0" in caught.value.remedy


def test_a_network_that_scales_pixels_itself_is_given_pixels_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = FILES / "augment_inside.keras", tmp_path / "task"
    assert main(["import", str(path), "--split", "r0", "--out", str(out)]) == 0
    assert "scales pixels of 0..255 itself" in capsys.readouterr().out
    run = json.loads((out / "run.json").read_text())
    assert run["results"]["network_input"] == {"mean": [], "std": [1 / 255], "bgr": False}
    head = json.loads((out / "network.json").read_text())["head"]
    assert [layer["class_name"] for layer in head["config"]["layers"]] == ["InputLayer", "Conv2D", "ReLU"]
    assert main(["import", str(path), "--split", "r0", "--out", str(out), "--overwrite", "--std", "1"]) == 0
    assert "--mean and --std give it 0..1: leave them out" in capsys.readouterr().out


def test_the_network_of_a_recipe_that_scales_pixels_itself_is_given_pixels_too() -> None:
    path, said = FILES / "augment_inside.keras", list[str]()
    recipe = {"network": "keras", "model": str(path), "split": "r0"}
    head, tail = build(recipe, (32, 32, 3), 10, said.append)
    logits = tail(head((IMAGES / 255).astype(np.float32), training=False), training=False)
    expected = np.asarray(original(path)(IMAGES.astype(np.float32), training=False))
    assert_equal(np.asarray(logits), expected)
    assert said == ["the network scales pixels of 0..255 itself, and is given those"]


def test_a_file_that_keras_cannot_build_is_not_called_damaged(tmp_path: Path) -> None:
    shutil.copy(FILES / "keras2_dw.h5", tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        config = file.attrs["model_config"]
        file.attrs["model_config"] = config.replace('"ZeroPadding2D"', '"TFOpLambda"')
        file.attrs["keras_version"] = "2.11.0"
    with pytest.raises(TrainingError, match=r"cannot build the model, which Keras 2\.11\.0 wrote") as caught:
        list_splits(tmp_path / "net.h5")
    assert "TFOpLambda" in str(caught.value) and "whole" not in caught.value.remedy


def test_an_int8_head_that_has_lost_the_features_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    image = keras.Input((32, 32, 3))
    far = keras.initializers.Constant(1e4)  # the int8 step becomes 40, and the features move by about 1
    x = keras.layers.Conv2D(4, 3, strides=2, bias_initializer=far, name="stem")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(image, keras.layers.Dense(3)(x)).save(tmp_path / "net.keras")
    with pytest.raises(TrainingError, match="int8 head is not the float one any more") as caught:
        imported(tmp_path / "net.keras", "stem", tmp_path)
    assert "% of their spread" in str(caught.value.value) and "--check-images" in caught.value.remedy
    assert not (tmp_path / "task").exists()
    assert device_check.INT8_LIMIT == 0.5  # as docs/networks.md says


@needs_converter
def test_the_converters_log_is_shown_with_v_and_its_errors_have_no_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(FILES / "conv_same_lower.onnx")
    model.graph.node[0].name = "/stem/Conv"
    attribute = next(one for one in model.graph.node[0].attribute if one.name == "auto_pad")
    attribute.s = b"SAME_SIDEWAYS"
    onnx.save(model, tmp_path / "net.onnx")
    monkeypatch.setattr(onnx.checker, "check_model", lambda model: None)
    assert (
        main(["import", str(tmp_path / "net.onnx"), "--split", "r", "--out", str(tmp_path / "o"), "-v"]) == 1
    )
    error = capsys.readouterr().err
    assert "\x1b[" not in error and "?[31m" not in error and "-v shows the converter's log" in error
