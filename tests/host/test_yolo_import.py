"""ONNX detectors of YOLO's structure: import with the original's numbers, a codec on top, mAP of the bundle.

The networks are made here with random weights; released ones are not at hand. Needs semflash[onnx].
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
keras = pytest.importorskip("keras")
pytest.importorskip("pycocotools")

from fakes.box_folder import coco_folder  # noqa: E402
from fakes.image_folders import folder_of_images  # noqa: E402
from fakes.onnx_files import residual_classifier, write  # noqa: E402
from fakes.yolo_files import HEIGHT, WIDTH, with_names, yolov5, yolov8  # noqa: E402
from semflash.bundle.reader import read_bundle  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.data.registry import load_dataset  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.importing.network import ImportRequest, import_network, list_splits  # noqa: E402
from semflash.importing.onnx.graph import read_onnx  # noqa: E402
from semflash.importing.parts import open_file  # noqa: E402
from semflash.report.answers.objects import ObjectDetails  # noqa: E402
from semflash.report.gather import view  # noqa: E402
from semflash.tasks.anchor_detector import AnchorDetection  # noqa: E402
from semflash.training.codec import train_codec  # noqa: E402
from semflash.training.progress import Progress  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe  # noqa: E402
from semflash.training.run_dir import save_weights  # noqa: E402
from semflash.training.task import load_task  # noqa: E402

needs_converter = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx2tf", "tf_keras"))
    or keras.backend.backend() != "tensorflow",
    reason="onnx2tf and tf-keras are not installed (pip install 'semflash[onnx]'), or Keras runs on JAX",
)
IMAGES = np.random.default_rng(5).integers(0, 256, (5, HEIGHT, WIDTH, 3), np.uint8)
SIDES = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
#: The network's own order, as an exporter writes it; the data set has brick and sky only.
NAMES = {0: "sky", 1: "person", 2: "brick"}


def by_onnxruntime(model: Any, images: np.ndarray) -> np.ndarray:
    """Raw output for uint8 images, one at a time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = (images / np.float32(255)).astype(np.float32).transpose(0, 3, 1, 2)
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in fed])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO folder, a network with SiLU, attention and distribution focal loss, and its import."""
    root = tmp_path_factory.mktemp("yolo")
    coco_folder(root / "shapes", train=30, test=8)
    model = yolov8(dfl=True, silu="behind", classes=3, attention=True)
    write(with_names(model, NAMES), root / "net.onnx")
    command = ["import", str(root / "net.onnx"), "--split", "features", "--out", str(root / "run/task")]
    assert main([*command, "--dataset", str(root / "shapes"), "--quiet"]) == 0
    return root


@needs_converter
def test_a_detector_imports_with_the_originals_numbers_and_the_data_sets_classes(place: Path) -> None:
    task = load_task(place / "run/task")
    assert task.kind == AnchorDetection(60, 2, HEIGHT, WIDTH)
    assert task.info.class_names == ["brick", "sky"] and task.head.output_shape == (None, 12, 16, 7)
    results = task.info.results
    assert results["source"]["output_form"] == "yolov8"
    assert max(results[f"{name}_max_difference"] for name in ("features", "boxes", "scores")) < 1e-5
    assert 0 <= results["val_map50"] <= 1 and "not_on_device" not in results["int8"]
    raw = by_onnxruntime(onnx.load(place / "net.onnx"), IMAGES).transpose(0, 2, 1)
    found = task.logits(IMAGES)
    np.testing.assert_allclose(found[..., :4] * SIDES, raw[..., :4], atol=1e-3)
    np.testing.assert_allclose(found[..., 4:], raw[..., [6, 4]], atol=1e-5)
    frozen = [layer.name for layer in task.tail.layers if layer.weights and not layer.trainable]
    assert any(name.startswith("conv2d") for name in frozen)  # 0, 1, 2, ... of the distribution


@needs_converter
def test_an_imported_detector_gets_a_codec_and_its_bundle_a_mean_average_precision(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = place / "run", ["--dataset", str(place / "shapes")]
    command = ["train", "tiny", "--task", str(run / "task"), "--out", str(run), "--set", "batch=9", *data]
    assert main([*command, "--quiet"]) == 0
    history = json.loads((run / "codec/history.json").read_text())
    assert all(np.isfinite(epoch["loss"]) for epoch in history) and 0 <= history[-1]["val_0.05"] <= 1
    assert main(["export", str(run), str(place / "net.semcodec"), "--force"]) == 0
    bundle = read_bundle(place / "net.semcodec")
    assert bundle.contract.task == AnchorDetection(60, 2, HEIGHT, WIDTH).task
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0
    capsys.readouterr()
    assert main(["evaluate", str(bundle.path), *data, "--ber", "0,0.05", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["metric"] == "map50" and [point["ber"] for point in printed["points"]] == [0, 0.05]
    for point in printed["points"]:
        low, high = point["map50_95"]
        assert 0 <= low <= point["map50"] <= high <= 1
    dataset = load_dataset(str(place / "shapes"), image_size=(HEIGHT, WIDTH))
    shown = view(bundle, dataset, [0.0], [], limit=3)
    assert shown.importance is not None and "no loss of labels" in shown.importance.reason
    assert all(np.isfinite(example.importance).all() for example in shown.examples)
    assert isinstance(shown.details, ObjectDetails) and len(shown.details.scenes) == 3


@needs_converter
def test_the_other_form_multiplies_its_objectness_in_and_its_head_runs_on_the_device(
    tmp_path: Path,
) -> None:
    model, said = yolov5(silu="everywhere"), list[str]()
    path = write(model, tmp_path / "net.onnx")
    request = ImportRequest(path, "features", tmp_path / "task", check_images=IMAGES)
    task = import_network(request, said.append)
    raw, found = by_onnxruntime(model, IMAGES), task.logits(IMAGES)
    np.testing.assert_allclose(found[..., :4] * SIDES, raw[..., :4], atol=1e-3)
    np.testing.assert_allclose(found[..., 4:], raw[..., 5:] * raw[..., 4:5], atol=1e-5)
    assert task.info.class_names == ["class 0", "class 1"]
    assert "not_on_device" not in task.info.results["int8"]  # sigmoids are tables on the device
    assert not any("the device has no" in line for line in said)


@needs_converter
@pytest.mark.slow
@pytest.mark.parametrize("silu", ["", "behind"])
def test_a_detector_without_distributions_imports_with_the_originals_numbers(
    silu: str, tmp_path: Path
) -> None:
    model = yolov8(silu=silu, batch="N")
    path = write(model, tmp_path / "net.onnx")
    import_network(ImportRequest(path, "features", tmp_path / "task", check_images=IMAGES))
    raw = by_onnxruntime(model, IMAGES).transpose(0, 2, 1)
    found = load_task(tmp_path / "task").logits(IMAGES)
    np.testing.assert_allclose(found[..., :4] * SIDES, raw[..., :4], atol=1e-2)
    np.testing.assert_allclose(found[..., 4:], raw[..., 4:], atol=1e-5)


def taught(labels: np.ndarray) -> np.ndarray:
    """What the network should give: the object's box at the cell of stride 8 in which its centre lies."""
    outputs = np.zeros((len(labels), 60, 6), np.float32)
    outputs[..., 2:4] = 0.1
    for output, rows in zip(outputs, labels, strict=True):
        for left, top, right, bottom, label, _ in rows[rows[:, 4] >= 0]:
            x, y = (left + right) / 2, (top + bottom) / 2
            anchor = int(y // 8) * (WIDTH // 8) + int(x // 8)
            output[anchor, :4] = x / WIDTH, y / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT
            output[anchor, 4 + int(label)] = 1
    return outputs


@needs_converter
@pytest.mark.slow
def test_a_codec_learns_a_detector_that_finds_its_objects_without_labels(tmp_path: Path) -> None:
    data_dir = coco_folder(tmp_path / "shapes", train=300, test=60)
    path = write(yolov8(), tmp_path / "net.onnx")
    keras.utils.set_random_seed(0)
    task = import_network(ImportRequest(path, "features", tmp_path / "task", dataset=str(data_dir)))
    data, kind = load_dataset(str(data_dir), image_size=(HEIGHT, WIDTH)), task.kind
    whole = keras.Model(task.head.inputs, task.tail(task.head.outputs[0]))
    whole.compile(
        keras.optimizers.Adam(4e-3), lambda wanted, found: kind.distillation(None, found, wanted, 1)
    )
    images = data.train.images / np.float32(255)
    whole.fit(images, taught(data.train.labels), batch_size=32, epochs=60, verbose=0)
    original = task.accuracy(data.test)
    assert original > 0.5
    save_weights(tmp_path / "task", {"head": task.head, "tail": task.tail})
    sizes = {"stem": 8, "middle": [[8, 2]], "latent": 4, "decoder_width": 16}
    recipe = replace(
        codec_recipe("tiny"),
        dataset=str(data_dir),
        batch=32,
        autoencoder_epochs=5,
        task_epochs=20,
        sizes=sizes,
        usage_weight=0.1,
    )
    codec = train_codec(recipe, tmp_path / "task", tmp_path / "codec", progress=Progress(quiet=True))
    found = [codec.float_accuracy(data.test.images, data.test.labels, ber) for ber in (0.0, 0.01, 0.05)]
    print(f"mAP@0.5: original {original:.3f}, at BER 0, 1 and 5 % {found}")  # docs/detection.md has these
    assert min(found[:2]) > original - 0.1


def refused(path: Path, out: Path, **more: Any) -> TrainingError:
    """What an import says that must fail before anything is converted."""
    with pytest.raises(TrainingError) as caught:
        import_network(ImportRequest(path, more.pop("split", "features"), out, **more))
    assert not out.exists() and caught.value.remedy
    return caught.value


def test_outputs_of_another_shape_or_form_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path, out = write(yolov8(), tmp_path / "net.onnx"), tmp_path / "out"
    assert "not that of a yolov5" in str(refused(path, out, form="yolov5", class_names=("a", "b")))
    assert "of 3 classes" in str(refused(path, out, class_names=("a", "b", "c")))
    assert "class names repeat" in str(refused(path, out, class_names=("a", "a")))
    classifier = write(residual_classifier(), tmp_path / "classifier.onnx")
    assert "is a vector" in str(refused(classifier, out, form="yolov8"))
    assert "detectors only" in str(refused(classifier, out, class_names=("a", "b", "c", "d")))
    flat = yolov8()
    del flat.graph.output[0].type.tensor_type.shape.dim[:]
    flat.graph.output[0].name = "neck"  # a map
    assert "a classifier gives" in str(refused(write(flat, path), out))


def test_names_that_cannot_be_read_matter_only_where_no_others_are_given(tmp_path: Path) -> None:
    model, out = yolov8(), tmp_path / "out"
    onnx.helper.set_model_props(model, {"names": "sky, brick"})
    path = write(model, tmp_path / "net.onnx")
    assert ("features", (12, 16, 7)) in list_splits(path)
    assert "--class-names" in str(refused(path, out).remedy)
    assert "of 3 classes" in str(refused(path, out, class_names=("a", "b", "c")))
    classifier = residual_classifier()
    onnx.helper.set_model_props(classifier, {"names": "sky, brick"})
    path = write(classifier, tmp_path / "classifier.onnx")
    file = open_file(path, list_splits(path)[0][0], None)
    assert file.meaning(None, (), ("a", "b", "c", "d")).class_names == ("a", "b", "c", "d")


def test_a_split_that_the_neck_crosses_or_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path, out = write(yolov8(), tmp_path / "net.onnx"), tmp_path / "out"
    assert "did you mean features" in str(refused(path, out, split="feature").remedy)
    crossing = refused(path, out, split="p4")
    assert "p3 goes to neck_node" in str(crossing) and "p3_norm" in str(crossing.remedy)
    assert ("features", (12, 16, 7)) in list_splits(path)


def test_data_of_another_kind_or_with_unknown_classes_is_refused(tmp_path: Path) -> None:
    boxes, out = coco_folder(tmp_path / "shapes", train=8, test=2), tmp_path / "out"
    other = with_names(yolov8(classes=3), {0: "sky", 1: "person", 2: "car"})
    error = refused(write(other, tmp_path / "net.onnx"), out, dataset=str(boxes))
    assert "does not find" in str(error) and error.value == "brick"
    plain = folder_of_images(tmp_path / "plain", classes=2, train=4, test=1, side=32)
    error = refused(write(yolov8(), tmp_path / "net.onnx"), out, dataset=str(plain))
    assert "has no boxes" in str(error)


def test_class_names_come_from_a_file_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, names = write(yolov8(), tmp_path / "net.onnx"), tmp_path / "names.txt"
    command = ["import", str(path), "--split", "features", "--out", str(tmp_path / "out")]
    names.write_text("sky\n\n person \nbrick\n", encoding="utf-8")
    assert main([*command, "--class-names", str(names)]) == 1
    assert "of 3 classes" in capsys.readouterr().err
    names.write_text("\n")
    assert main([*command, "--class-names", str(names)]) == 2
    assert main([*command, "--class-names", str(tmp_path / "none")]) == 2
    names.write_bytes(b"sky\n" * (1 << 18) + b"brick\n")
    capsys.readouterr()
    assert main([*command, "--class-names", str(names)]) == 2
    assert "larger than 1 MiB" in capsys.readouterr().err


def test_names_of_tensors_do_not_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = yolov8()
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["\x1b]0;owned\x07" if name == "features" else name for name in names]
    assert main(["import", str(write(model, tmp_path / "net.onnx")), "--list"]) == 0
    printed = capsys.readouterr().out
    assert "12x16x7  ?]0;owned?" in printed and "\x1b" not in printed


def test_splits_that_a_device_can_follow_go_beyond_sigmoids(tmp_path: Path) -> None:
    network = read_onnx(write(yolov8(silu="everywhere"), tmp_path / "net.onnx"))
    assert network.device_splits("features") == ["stem_norm", "stem", "early"]  # sigmoids run on the device
    network = read_onnx(write(yolov8(silu="behind"), tmp_path / "net.onnx"))
    assert network.device_splits("features") == ["stem_norm", "stem", "early"]  # never the one that was used
