"""`semflash import`: ONNX and Keras classifiers become task networks. Needs semflash[onnx]."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
keras = pytest.importorskip("keras")

from fakes.image_folders import folder_of_images  # noqa: E402
from fakes.onnx_files import Graph, many_operators, mobile_three, residual_classifier, write  # noqa: E402
from semflash.bundle.reader import read_bundle  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.data.registry import load_dataset  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.importing.network import ImportRequest, import_network, list_splits  # noqa: E402
from semflash.importing.onnx import graph as onnx_graph  # noqa: E402
from semflash.importing.onnx.convert import convert  # noqa: E402
from semflash.importing.onnx.graph import read_onnx  # noqa: E402
from semflash.training.task import load_task  # noqa: E402

needs_converter = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx2tf", "tf_keras")),
    reason="onnx2tf and tf-keras are not installed: pip install 'semflash[onnx]'",
)
IMAGES = np.random.default_rng(5).integers(0, 256, (9, 16, 16, 3), np.uint8)


def by_onnxruntime(model: Any, network_input: np.ndarray) -> np.ndarray:
    """The last output for float images (N, H, W, C), one at a time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = network_input.astype(np.float32).transpose(0, 3, 1, 2)
    return np.concatenate([session.run(None, {"image": image[None]})[-1] for image in fed])


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Python processes started from here on leave a file if they open a connection, which then fails."""
    trap, tried = tmp_path / "trap", tmp_path / "tried"
    trap.mkdir()
    (trap / "sitecustomize.py").write_text(
        "import pathlib, socket\n"
        "def refuse(self, address):\n"
        f"    pathlib.Path({str(tried)!r}).write_text(repr(address))\n"
        "    raise OSError('no network in this test')\n"
        "socket.socket.connect = refuse\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(trap), os.environ.get("PYTHONPATH", "")]))
    return tried


@needs_converter
def test_an_onnx_classifier_becomes_a_task_network_offline_with_the_originals_numbers(
    no_network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = residual_classifier(batch="N")
    path, out = write(model, tmp_path / "net.onnx"), tmp_path / "task"
    np.save(tmp_path / "images.npy", IMAGES)
    command = [
        "import",
        str(path),
        "--split",
        "features",
        "--out",
        str(out),
        "--mean",
        "0.4,0.5,0.6",
        "--std",
        "0.3",
        "--check-images",
        str(tmp_path / "images.npy"),
        "--json",
    ]
    assert main(command) == 0
    assert not no_network.exists()
    results = json.loads(capsys.readouterr().out)["results"]
    assert results["checked_images"] == 9
    assert results["features_max_difference"] < 1e-4 and results["logits_max_difference"] < 1e-4
    assert 0 < results["int8"]["relative_difference"] < 0.05
    assert results["int8"]["macs"] == 8 * 8 * 6 * 27 + 16 * 16 * 9  # the stem, and the preprocessing
    task = load_task(out)
    assert task.head.output_shape == (None, 8, 8, 6) and task.info.recipe["network"] == "onnx"
    probabilities = keras.ops.softmax(task.logits(IMAGES))
    expected = by_onnxruntime(model, (IMAGES / 255 - np.array([0.4, 0.5, 0.6])) / 0.3)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert len(task.tail.trainable_weights) == 6 + 2 - 2
    assert main(command) == 1
    assert "there is a run already" in "".join(capsys.readouterr())


@needs_converter
@pytest.mark.slow
def test_what_mobile_networks_are_made_of_converts_with_the_originals_numbers(tmp_path: Path) -> None:
    path = write(many_operators(), tmp_path / "net.onnx")
    images = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), np.uint8)
    request = ImportRequest(path, "features", tmp_path / "task", check_images=images)
    import_network(request)
    expected = by_onnxruntime(many_operators(), images / 255)
    np.testing.assert_allclose(load_task(tmp_path / "task").logits(images), expected, atol=1e-4)


@needs_converter
def test_hard_sigmoids_sums_and_maxima_convert_with_the_originals_numbers(tmp_path: Path) -> None:
    path = write(mobile_three(), tmp_path / "net.onnx")
    import_network(ImportRequest(path, "features", tmp_path / "task", check_images=IMAGES))
    task = load_task(tmp_path / "task")
    expected = by_onnxruntime(mobile_three(), IMAGES / 255)
    np.testing.assert_allclose(task.logits(IMAGES), expected, atol=1e-4)
    assert "not_on_device" not in task.info.results["int8"]
    assert list(read_onnx(path).device_splits("sum")) == ["stem"]


@needs_converter
@pytest.mark.slow
def test_an_imported_network_gets_a_codec_and_becomes_a_bundle(tmp_path: Path) -> None:
    data = folder_of_images(tmp_path / "data", classes=4, train=300, test=5, side=32)
    path = write(residual_classifier(side=32), tmp_path / "net.onnx")
    run = tmp_path / "run"
    common = ["--dataset", str(data), "--quiet"]
    assert main(["import", str(path), "--split", "features", "--out", str(run / "task"), *common]) == 0
    command = ["train", "tiny", "--task", str(run / "task"), "--out", str(run), "--set", "batch=16", *common]
    assert main(command) == 0
    assert main(["export", str(run), str(tmp_path / "net.semcodec"), "--force"]) == 0
    bundle = read_bundle(tmp_path / "net.semcodec")
    assert list(bundle.contract.class_names) == [f"class {index}" for index in range(4)]


@needs_converter
@pytest.mark.slow
def test_a_conversion_that_mixes_up_equal_axes_is_found_out_and_explained(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.node("Relu", [graph.conv("image", "stem", (3, 8), strides=[2, 2])], "features")
    x = graph.node("Tanh", [graph.node("Flatten", [x], "flat")], "bent")  # not the dense layer's own
    graph.node("Gemm", [x, graph.weight((8 * 64, 4)), graph.weight((4,))], "logits")
    path = write(graph.model([1, 3, 16, 16], "logits", 4), tmp_path / "net.onnx")
    with pytest.raises(TrainingError, match="not those of the original") as caught:
        import_network(ImportRequest(path, "features", tmp_path / "task"))
    assert "stem, features has as many channels" in caught.value.remedy
    assert not (tmp_path / "task").exists()


@needs_converter
@pytest.mark.slow
def test_a_torch_export_imports_with_the_originals_numbers(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layers = [
        torch.nn.Conv2d(3, 8, 3, 2, 1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, 1, 1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 4),
    ]
    network = torch.nn.Sequential(*layers).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(network, torch.zeros(1, 3, 16, 16), path, input_names=["image"], dynamo=False)
    split = list_splits(path)[1][0]
    import_network(ImportRequest(path, split, tmp_path / "task", check_images=IMAGES))
    fed = torch.tensor((IMAGES / 255).astype(np.float32).transpose(0, 3, 1, 2))
    expected = network(fed).detach().numpy()
    np.testing.assert_allclose(load_task(tmp_path / "task").logits(IMAGES), expected, atol=1e-4)


@needs_converter
def test_a_conversion_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    network = read_onnx(write(residual_classifier(), tmp_path / "net.onnx"))
    with pytest.raises(TrainingError, match="took too long"):
        convert(network, "features", IMAGES.astype(np.float32), timeout_s=0.5)


def test_the_split_points_of_a_file_are_listed_with_the_shapes_of_their_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(residual_classifier(), tmp_path / "net.onnx")
    assert main(["import", str(path), "--list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["8x8x6", "stem"],
        ["8x8x6", "stem_norm"],
        ["8x8x6", "features"],
        ["8x8x6", "sum"],
        ["8x8x6", "block"],
        ["4x4x6", "pool"],
        ["1x1x6", "average"],
    ]


def test_a_split_that_does_not_exist_is_refused_with_the_near_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(residual_classifier(), tmp_path / "net.onnx")
    assert main(["import", str(path), "--split", "feature", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "no such split point" in error and "did you mean features" in error
    assert "semflash import net.onnx --list lists all" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("inner", "features goes to sum_node"),
        ("flat", "features are maps"),
        ("logits", "nothing of the network"),
    ],
)
def test_a_split_that_is_no_single_map_is_refused(split: str, text: str, tmp_path: Path) -> None:
    network = read_onnx(write(residual_classifier(), tmp_path / "net.onnx"))
    with pytest.raises(TrainingError, match=text):
        network.find(split, "the list")


def test_a_node_can_be_named_instead_of_its_tensor(tmp_path: Path) -> None:
    network = read_onnx(write(residual_classifier(), tmp_path / "net.onnx"))
    assert network.find("features_node", "the list") == "features"


def test_an_operator_that_does_not_convert_is_named_with_its_node_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Graph()
    x = graph.node("Erf", [graph.conv("image", "stem", (3, 4))], "strange")
    graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "average")], "logits")
    path = write(graph.model([1, 3, 16, 16], "logits", 4), tmp_path / "net.onnx")
    assert main(["import", str(path), "--split", "stem", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "the ONNX operator Erf does not convert" in error and "strange_node" in error and "try: " in error


def test_custom_operators_subgraphs_and_functions_are_never_run(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("Evil", [graph.conv("image", "stem", (3, 4))], "logits", domain="com.example")
    custom = graph.model([1, 3, 16, 16], "logits", 4, domains=("com.example",))
    branch = residual_classifier()
    then = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["logits"], ["same"])],
        "then",
        [],
        [onnx.helper.make_tensor_value_info("same", 1, [1, 4])],
    )
    always = onnx.helper.make_tensor("always", onnx.TensorProto.BOOL, [], [True])
    branch.graph.initializer.append(always)
    branch.graph.node.append(
        onnx.helper.make_node("If", ["always"], ["chosen"], then_branch=then, else_branch=then)
    )
    functions = residual_classifier()
    functions.functions.append(
        onnx.helper.make_function(
            "com.example",
            "Twice",
            ["x"],
            ["y"],
            [onnx.helper.make_node("Add", ["x", "x"], ["y"])],
            [onnx.helper.make_opsetid("", 17)],
        )
    )
    functions.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    for model, text in (
        (custom, "not of the ONNX standard"),
        (branch, "graph of its own"),
        (functions, "functions"),
    ):
        with pytest.raises(TrainingError, match=text):
            read_onnx(write(model, tmp_path / "net.onnx"))


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", ""])
def test_weights_outside_the_folder_of_the_file_are_not_read(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(1000))
    folder = tmp_path / "model"
    folder.mkdir()
    model = residual_classifier()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(TrainingError, match="outside the folder"):
        read_onnx(write(model, folder / "net.onnx"))


def test_tensors_that_share_one_file_count_as_often_as_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = residual_classifier()
    (tmp_path / "net.bin").write_bytes(bytes(1000))
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="net.bin")
    monkeypatch.setattr(onnx_graph, "EXTERNAL_BYTES_MAX", 1500)
    with pytest.raises(TrainingError, match="too large") as caught:
        read_onnx(write(model, tmp_path / "net.onnx"))
    assert caught.value.value == 1000 * len(model.graph.initializer)


def test_a_subgraph_is_refused_before_the_files_that_it_names_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = residual_classifier()
    hidden = onnx.helper.make_tensor("hidden", 1, [1], [0.0])
    hidden.ClearField("float_data")
    hidden.data_location = onnx.TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="../secret")
    inner = onnx.helper.make_graph([], "inner", [], [], [hidden])
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("more", inner))
    monkeypatch.setattr(onnx, "load_external_data_for_model", lambda *_: pytest.fail("it was read"))
    with pytest.raises(TrainingError, match="graph of its own"):
        read_onnx(write(model, tmp_path / "net.onnx"))


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    model = residual_classifier()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    network = read_onnx(tmp_path / "net.onnx")
    (tmp_path / "net.bin").unlink()
    assert network.result_shape == (1, 4)
    with pytest.raises(TrainingError, match="file with weights is missing"):
        read_onnx(tmp_path / "net.onnx")


def test_damaged_missing_and_foreign_files_are_training_errors(tmp_path: Path) -> None:
    path = write(residual_classifier(), tmp_path / "net.onnx")
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(TrainingError, match=r"not an ONNX model|do not fit together|one input"):
            read_onnx(path)
    with pytest.raises(TrainingError, match="no such ONNX file"):
        read_onnx(tmp_path / "none.onnx")


def test_an_open_image_size_is_asked_for_and_other_inputs_are_refused(tmp_path: Path) -> None:
    def file(image: list[Any]) -> Path:
        graph = Graph()
        x = graph.node("GlobalAveragePool", [graph.conv("image", "stem", (3, 4))], "average")
        graph.node("Flatten", [x], "logits")
        return write(graph.model(image, "logits", 4), tmp_path / "net.onnx")

    with pytest.raises(TrainingError, match="leaves the image size open") as caught:
        read_onnx(file(["N", 3, "height", "width"]))
    assert "--size" in caught.value.remedy
    assert read_onnx(file(["N", 3, "height", "width"]), (20, 24)).image_shape == (20, 24, 3)
    with pytest.raises(TrainingError, match="another size"):
        read_onnx(file([1, 3, 16, 16]), (20, 24))
    with pytest.raises(TrainingError, match="larger than 2048"):
        read_onnx(file([1, 3, 4096, 16]))
    with pytest.raises(TrainingError, match="1 or 3 channels"):
        read_onnx(file([1, 5, 16, 16]))


def keras_classifier(path: Path) -> Any:
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="classes")(x))
    model.save(path)
    return model


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf_keras" else found(name))
    path = write(residual_classifier(), tmp_path / "net.onnx")
    assert main(["import", str(path), "--list"]) == 1
    error = capsys.readouterr().err
    assert "got: tf_keras" in error and "semflash[onnx]" in error


def test_a_keras_file_imports_with_a_data_set_and_says_how_well_it_does(tmp_path: Path) -> None:
    data = folder_of_images(tmp_path / "data", classes=2, train=30, test=3, side=32)
    other = folder_of_images(tmp_path / "other", classes=3, train=4, test=1, side=32)
    model = keras_classifier(tmp_path / "net.keras")
    with pytest.raises(TrainingError, match="data set differs"):
        import_network(ImportRequest(tmp_path / "net.keras", "stem", tmp_path / "out", str(other)))
    resized = import_network(ImportRequest(tmp_path / "net.keras", "stem", tmp_path / "sized", str(data)))
    val = load_dataset(str(data), image_size=(16, 16)).val
    right = np.asarray(model(val.images.astype(np.float32) / 255)).argmax(1) == val.labels
    assert resized.info.results["val_accuracy"] == right.mean() and len(right) == 6
    assert not (tmp_path / "out").exists()
    task = import_network(ImportRequest(tmp_path / "net.keras", "stem", tmp_path / "task"))
    assert (
        task.info.class_names == ["class 0", "class 1"]
        and task.info.results["features_max_difference"] < 1e-6
    )
    probabilities = keras.ops.softmax(load_task(tmp_path / "task").logits(IMAGES))
    np.testing.assert_allclose(probabilities, model(IMAGES.astype(np.float32) / 255), atol=1e-6)


@pytest.mark.parametrize("form", ["dense", "activation"])
@pytest.mark.parametrize("end", ["softmax", "log_softmax"])
def test_a_keras_file_that_ends_in_a_softmax_or_its_logarithm_imports_with_logits(
    end: str, form: str, tmp_path: Path
) -> None:
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(3, activation=end if form == "dense" else None, name="classes")(x)
    if form == "activation":
        x = keras.layers.Activation(end)(x)
    model = keras.Model(image, x)
    model.save(tmp_path / "net.keras")
    task = import_network(ImportRequest(tmp_path / "net.keras", "stem", tmp_path / "task"))
    assert task.info.results["logits_max_difference"] < 1e-5
    logits = load_task(tmp_path / "task").logits(IMAGES)
    finish = {"softmax": keras.ops.softmax, "log_softmax": keras.ops.log_softmax}[end]
    assert np.abs(np.exp(logits).sum(1) - 1).max() > 0.01  # neither probabilities nor their logarithms
    np.testing.assert_allclose(finish(logits), model(IMAGES.astype(np.float32) / 255), atol=1e-5)


def test_features_that_are_not_the_originals_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semflash.importing import parts as module

    keras_classifier(tmp_path / "net.keras")
    whole = module.cut_behind_scaling

    def another(*arguments: Any) -> Any:
        head, tail, beginning = whole(*arguments)
        head.set_weights([value * 1.01 for value in head.get_weights()])
        return head, tail, beginning

    monkeypatch.setattr(module, "cut_behind_scaling", another)
    with pytest.raises(TrainingError, match="features are not those of the original network"):
        import_network(ImportRequest(tmp_path / "net.keras", "stem", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["net.keras", "--out", "x"], "--split is missing"),
        (["net.keras", "--split", "stem"], "--out is missing"),
        (["net.keras", "--split", "s", "--out", "x", "--size", "32"], "is not HxW"),
        (["net.keras", "--split", "s", "--out", "x", "--mean", "a"], "is not one number"),
        (["net.keras", "--split", "s", "--out", "x", "--check-images", "none.npy"], "cannot read the images"),
    ],
)
def test_a_command_line_that_lacks_something_is_a_usage_error(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", *arguments]) == 2
    assert text in capsys.readouterr().err
