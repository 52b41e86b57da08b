"""TOSC that gives boxes: loss by hand, views whose boxes follow, a detector as teacher, bundle and board."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("pycocotools", reason="mAP needs it")
pytest.importorskip("PIL.Image", reason="the folder is of image files")

from keras import ops  # noqa: E402

from fakes.box_folder import coco_folder  # noqa: E402
from fakes.teacher_answers import MadeAnswers  # noqa: E402
from fakes.training_runs import QUIET, StopAfter, weights  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.codecs.own_training import Bench  # noqa: E402
from semflash.codecs.registry import create, sizes_of  # noqa: E402
from semflash.codecs.tosc.stages import DistilStage  # noqa: E402
from semflash.codecs.tosc.training import ToscTraining  # noqa: E402
from semflash.data.augment import Augmentation  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.data.registry import load_dataset  # noqa: E402
from semflash.errors import DatasetError, TeacherError, UsageError  # noqa: E402
from semflash.outputs.boxes import BOTTOM, LEFT, RIGHT, TOP  # noqa: E402
from semflash.outputs.detections import decode_maps  # noqa: E402
from semflash.outputs.kinds import DetectionTask  # noqa: E402
from semflash.tasks.detector import Detection, target_maps  # noqa: E402
from semflash.tasks.networks import build  # noqa: E402
from semflash.training.alone.detector import DetectorAnswers  # noqa: E402
from semflash.training.alone.run import train_own  # noqa: E402
from semflash.training.models import load_run  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe, task_recipe  # noqa: E402
from semflash.training.recipes.recipe import CodecRecipe  # noqa: E402
from semflash.training.run_dir import RunInfo  # noqa: E402
from semflash.training.task import TrainedTask, train_task_network  # noqa: E402

SIZES: dict[str, Any] = {
    "task": "boxes",
    "places": "local",
    "image_shape": [32, 32, 3],
    "classes": 2,
    "middle": [[6, 2], [8, 2], [8, 1]],
    "latent": 2,
    "decoder_width": 8,
    "dropout": 0.0,
}
SHIFTED = Augmentation(flip=0.5, shift_px=5)


def batch(codec: Any, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Six images with an object each."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(-6, 18, (6, 1)).astype(np.float32)
    inputs = {
        "image": rng.random((6, 32, 32, 3), dtype=np.float32),
        "quality": quality,
        "told": quality,
        "state": rng.integers(0, 8, (6, 1)).astype(np.float32),
        "noise": rng.random((6, *codec.noise_shape()), dtype=np.float32),
        "answer": rng.normal(-1, 2, (6, *codec.sizes.output_shape)).astype(np.float32),
    }
    boxes = np.tile(np.array([4, 8, 16, 24, 1, 0], np.float32), (6, 1, 1))
    return inputs, target_maps(boxes, Detection(16, 16, 2, 2))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x.astype(np.float64))))


def terms_by_hand(
    codec: Any, inputs: dict[str, np.ndarray], targets: np.ndarray, weight: float, t: float
) -> dict[str, float]:
    """The parts of the loss in numpy, from the decoder's maps and the sent symbols."""
    values = codec.project(codec.encoder(inputs["image"], training=False), inputs["state"])
    there = codec.link.carry(values, inputs["quality"], inputs["noise"])
    answered = codec.answer(there.received, inputs["told"], inputs["state"])
    out, sent = (np.asarray(ops.convert_to_numpy(x), np.float64) for x in (answered, there.sent))
    heat, truth, objects = sigmoid(out[..., :2]), targets[..., :2], targets[..., -1].sum()
    centre = truth == 1
    focal = -np.where(
        centre, (1 - heat) ** 2 * np.log(heat), (1 - truth) ** 4 * heat**2 * np.log(1 - heat)
    ).sum()
    error = targets[..., -1:] * np.abs(out[..., 2:] - targets[..., 2:-1])
    ours, theirs = sigmoid(out[..., :2] / t), sigmoid(inputs["answer"][..., :2] / t)
    kl = (theirs * np.log(theirs / ours) + (1 - theirs) * np.log((1 - theirs) / (1 - ours))).sum()
    noise = 0.5 * 10 ** (-inputs["quality"].astype(np.float64) / 10)
    mu = sent.reshape(len(sent), -1)
    nats = 0.5 * ((mu**2 + noise) / 0.5 + np.log(0.5) - np.log(noise) - 1)
    return {
        "labels": (focal + 0.5 * error[..., :2].sum() + error[..., 2:].sum()) / objects,
        "teacher": weight * t**2 * kl / objects,
        "bottleneck": codec.sizes.bottleneck * nats.sum(axis=1).mean(),
    }


def test_the_loss_is_that_of_labels_teacher_and_bottleneck() -> None:
    """Dropping any term would be seen: each is a good part of the sum."""
    keras.utils.set_random_seed(3)
    codec = create("tosc", SIZES | {"bottleneck": 0.3})
    inputs, targets = batch(codec)
    for weight in (0.4, 0.0):
        terms = terms_by_hand(codec, inputs, targets, weight, 2.0)
        assert min(value for name, value in terms.items() if weight or name != "teacher") > 0.03 * sum(
            terms.values()
        )
        stage = DistilStage(codec, weight, 2.0)
        found = stage.compute_loss(inputs, targets, stage(inputs, training=False))
        assert float(ops.convert_to_numpy(found)) == pytest.approx(sum(terms.values()), rel=1e-3)


def test_places_and_maps_of_the_default_sizes() -> None:
    codec = create("tosc", {"task": "boxes", "places": "local", "image_shape": (64, 64, 3), "classes": 5})
    assert codec.code_shape == (8, 8, 2) and codec.payload_bytes == 128
    assert codec.sizes.output_shape == codec.decoder.output_shape[1:] == (16, 16, 9)
    assert codec.task(None) == DetectionTask(16, 16, 4, 3, 0.05, 20)


def test_a_map_without_noise_depends_on_what_its_place_sends() -> None:
    """An object in a corner changes what that corner sends, and nothing far from it."""
    keras.utils.set_random_seed(0)
    codec = create("tosc", SIZES)
    images = np.full((2, 32, 32, 3), 0.5, np.float32)
    images[1, :6, :6] = 1.0
    maps = np.asarray(ops.convert_to_numpy(codec.project(codec.encoder(images), np.full((2, 1), 7.0))))
    changed = np.abs(maps[1] - maps[0]).max(-1) > 1e-6
    assert changed[0, 0] and not changed[5:].any() and not changed[:, 5:].any()


def rectangles(count: int, seed: int) -> Split:
    """Black images with one white rectangle each, well inside, and its box."""
    rng, images = np.random.default_rng(seed), np.zeros((count, 32, 32, 3), np.uint8)
    boxes = np.zeros((count, 1, 6), np.float32)
    for image, (box,) in zip(images, boxes, strict=True):
        left, top = rng.integers(6, 14, 2)
        width, height = rng.integers(5, 12, 2)
        image[top : top + height, left : left + width] = 255
        box[:] = (left, top, left + width, top + height, rng.integers(2), 0)
    return Split(images, boxes)


def bench(recipe: CodecRecipe, answers: Any = None, **sizes: Any) -> Bench:
    data = Dataset("rectangles", rectangles(60, 0), rectangles(20, 1), rectangles(20, 2), ("a", "b"))
    codec = create("tosc", SIZES | sizes)
    return Bench(codec, recipe, data, data.train, answers, lambda *_: np.zeros(0), Path(), lambda _: None)


RECIPE = CodecRecipe(
    "rectangles-tosc",
    family="tosc",
    sizes=SIZES,
    batch=20,
    task_epochs=2,
    ema_decay=0.8,
    distillation_weight=0.8,
    temperature=2.0,
    augmentation=SHIFTED,
)


def test_boxes_follow_their_views() -> None:
    """Where the white pixels of a view are, its target maps have the box."""
    training = ToscTraining(bench(RECIPE))
    rng, indices = np.random.default_rng(0), np.arange(60)
    images, targets = training.views.of(indices, training.views.choose(indices, rng))
    white, moved = images[..., 0] == 255, 0
    maps = np.concatenate([np.where(targets[..., :2] == 1, 9.0, -9.0), targets[..., 2:-1]], -1)
    found = decode_maps(maps.astype(np.float32), Detection(16, 16, 2, 2).task, 2)
    for picture, (box,), was in zip(white, found, training.bench.data.train.labels, strict=True):
        rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
        expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert box[[LEFT, TOP, RIGHT, BOTTOM]] == pytest.approx(expected, abs=0.02)
        moved += tuple(was[0, :4]) != expected
    assert moved > 50


def detector(seed: int = 0, classes: int = 2, side: int = 32) -> TrainedTask:
    """A detector that nobody has trained, for the rectangles."""
    keras.utils.set_random_seed(seed)
    recipe = dataclasses.replace(
        task_recipe("tiny"), name="small-detector", network="detector", widths=(8, 8, 8)
    )
    head, tail = build(dataclasses.asdict(recipe), (side, side, 3), classes)
    info = RunInfo(
        kind="task",
        recipe=dataclasses.asdict(recipe),
        dataset="rectangles",
        class_names=["a", "b", "c"][:classes],
        image_shape=(side, side, 3),
        seed=seed,
        versions={},
        results={"val_map50": 0.25},
    )
    return TrainedTask(head, tail, info)


def test_the_teacher_is_asked_for_the_very_views_that_the_student_sees() -> None:
    data, task = bench(RECIPE).data, detector()
    sizes = {"middle": [[6, 2], [8, 2], [8, 2]]}  # maps of 8x8, as the detector's
    answers = DetectorAnswers(task, data, SHIFTED, 7)
    training = ToscTraining(bench(RECIPE, answers, **sizes))
    training.check()
    assert training.teacher_share == 0.8 and training.stages()[0].model.share == 0.8
    for inputs, targets in training.batches(np.random.default_rng(0)):
        pixels = np.rint(inputs["image"] * 255).astype(np.uint8)
        np.testing.assert_allclose(inputs["answer"], task.logits(pixels), atol=1e-4)
        assert targets.shape == (20, 8, 8, 7)
    record = answers.record()
    assert record["name"] == "small-detector" and record["val_map50"] == 0.25
    again, other = (DetectorAnswers(detector(seed), data, SHIFTED, 0).record() for seed in (0, 1))
    assert again == record and other["sha256"] != record["sha256"]


def test_views_of_a_run_do_not_depend_on_whether_there_is_a_teacher() -> None:
    sizes, recipe = {"middle": [[6, 2], [8, 2], [8, 2]]}, dataclasses.replace(RECIPE, seed=7)
    answers = DetectorAnswers(detector(), bench(recipe).data, SHIFTED, 7)
    one, other = (
        next(ToscTraining(bench(recipe, a, **sizes)).batches(np.random.default_rng(0)))
        for a in (answers, None)
    )
    assert "answer" not in other[0]
    np.testing.assert_array_equal(one[0]["image"], other[0]["image"])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"places": "global"}, "where they are from"),
        ({"image_shape": [36, 30, 3]}, "squares of whole pixels"),
        ({"task": "poems"}, "unknown task"),
        ({"classes": 0}, "classes at 2"),
    ],
)
def test_sizes_that_cannot_give_boxes_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sizes_of("tosc", SIZES | wrong)


def test_teachers_data_and_views_that_do_not_fit_are_refused() -> None:
    data = bench(RECIPE).data
    for task in (detector(classes=3), detector(side=48)):
        with pytest.raises(TeacherError, match="no detector of the classes and images of rectangles"):
            DetectorAnswers(task, data, SHIFTED, 0)
    labels = np.arange(60) % 2
    with pytest.raises(UsageError, match=r"gives \(16, 16, 6\), the teacher \(2,\)"):
        ToscTraining(bench(RECIPE, MadeAnswers(labels, classes=2))).check()
    with pytest.raises(UsageError, match="not mixed"):
        ToscTraining(bench(dataclasses.replace(RECIPE, augmentation=Augmentation(mix=0.5)))).check()
    with pytest.raises(UsageError, match="finds objects of 5 classes"):
        ToscTraining(bench(RECIPE, classes=5)).check()
    flat = Dataset(
        "flat",
        *(Split(one.images, np.arange(len(one.images)) % 2) for one in (data.train, data.val, data.test)),
        ("a", "b"),
    )
    named = create("tosc", SIZES | {"task": "labels", "middle": [[6, 2], [8, 2], [8, 2]]})
    maps = DetectorAnswers(detector(), data, SHIFTED, 0)
    with pytest.raises(UsageError, match=r"gives \(2,\), the teacher \(8, 8, 6\)"):
        ToscTraining(dataclasses.replace(bench(RECIPE, maps), codec=named, data=flat)).check()
    with pytest.raises(DatasetError, match="finds objects of 2 classes, and the data set has one label"):
        create("tosc", SIZES).check_data(None, flat)
    with pytest.raises(DatasetError, match="tells 2 classes apart, and the data set has boxes"):
        create("tosc", {"classes": 2}).check_data(None, data)


def test_what_is_recorded_of_labels_is_what_it_was_before_there_were_boxes() -> None:
    assert "task" not in sizes_of("tosc", {}).plain()
    sizes = sizes_of("tosc", SIZES)
    plain = sizes.plain()
    assert plain["task"] == "boxes" and sizes_of("tosc", json.loads(json.dumps(plain))) == sizes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco") / "shapes", train=40, test=12)


@pytest.fixture(scope="module")
def teacher(folder: Path) -> Path:
    task = dataclasses.replace(
        task_recipe("tiny"), dataset=str(folder), network="detector", widths=(8, 8, 8), batch=12, epochs=1
    )
    train_task_network(task, folder.parent / "teacher" / "task", progress=QUIET)
    return folder.parent / "teacher"


def recipe_of(folder: Path, teacher: Path | None) -> CodecRecipe:
    sizes = SIZES | {"middle": [[6, 2], [8, 2], [8, 2]]}
    named = "" if teacher is None else str(teacher)
    return dataclasses.replace(RECIPE, dataset=str(folder), sizes=sizes, batch=12, teacher=named)


@pytest.fixture(scope="module")
def run(folder: Path, teacher: Path) -> Path:
    """Distilled, with a last stage on the numbers of the int8 device."""
    recipe = dataclasses.replace(recipe_of(folder, teacher), int8_epochs=1)
    train_own(recipe, folder.parent / "run", progress=QUIET)
    return folder.parent / "run"


def test_a_run_names_its_teacher_and_measures_map(run: Path, folder: Path) -> None:
    trained = load_run(run)
    assert trained.info.recipe["teacher"] == "tiny" and trained.info.recipe["built_sizes"]["task"] == "boxes"
    assert trained.info.recipe["teacher_record"]["output"] == "maps"
    results = trained.info.results
    assert list(results["val_accuracy"]) == ["18", "12", "6", "0", "-6"]
    assert all(0 <= value <= 1 for value in results["val_accuracy"].values())
    assert np.asarray(results["nats"]["18"]).shape == trained.codec.code_shape
    history = json.loads((run / "history.json").read_text())
    assert [one["stage"] for one in history] == ["distil", "distil", "polish"]


def test_a_stopped_run_goes_on_to_the_same_weights(
    run: Path, folder: Path, teacher: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(recipe_of(folder, teacher / "task"), int8_epochs=1)
    with pytest.raises(KeyboardInterrupt):
        train_own(recipe, tmp_path, progress=StopAfter(1))
    train_own(recipe, tmp_path, progress=QUIET)
    expected, found = weights(run), weights(tmp_path)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key


def test_the_teacher_decides_what_is_learnt(run: Path, folder: Path, tmp_path: Path) -> None:
    """The same seed and views without the teacher come to other weights."""
    train_own(dataclasses.replace(recipe_of(folder, None), int8_epochs=1), tmp_path, progress=QUIET)
    with_it, without = weights(run), weights(tmp_path)
    apart = [np.abs(with_it[key] - without[key]).max() for key in with_it if key.startswith("encoder.")]
    assert max(apart) > 1e-3


def test_a_bundle_finds_objects_on_the_native_board(run: Path, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="the converter of int8 graphs is TensorFlow's")
    from semflash.edge.decoder import EdgeDecoder
    from semflash.edge.golden import GoldenEncoder
    from semflash.edge.preprocess import to_int8
    from semflash.export.run import export
    from semflash.firmware.boards.descriptions import load_board
    from semflash.firmware.building.firmware import build
    from semflash.firmware.emulator.native import NativeDevice

    bundle = export(run, tmp_path / "shapes.semcodec", force=True)
    assert bundle.contract.task == DetectionTask(8, 8, 4, 3, 0.05, 20)
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0
    assert bundle.record.recipe["teacher"]["output"] == "maps"
    data, codec = load_dataset(str(folder), image_size=(32, 32)), load_run(run).codec
    device = NativeDevice(build(bundle.path, load_board("native"), out_dir=tmp_path / "build").image_path)
    pixels = to_int8(data.test.images, bundle.image_shape)
    for state in (0, 3, 7):
        sent = GoldenEncoder(bundle).run(data.test.images, {"state": state}).sent
        found = device.send(pixels, {1: state})
        assert [bytes(each) for each in found] == [bytes(each) for each in sent]
        numbers = sent.payloads.view(np.int8).reshape(-1, *codec.code_shape).astype(np.int32)
        told, used = (np.full((12, 1), value, np.float32) for value in (6.0, state))
        expected = ops.convert_to_numpy(codec.decode(numbers, told, state=used))
        maps = EdgeDecoder(bundle).logits(sent.payloads, 6.0, controls={"state": state})
        np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3)
    assert main(["evaluate", str(bundle.path), "--dataset", str(folder), "--snr", "18,-6", "--json"]) == 0


def test_the_recipe_is_there_and_cheap_to_name() -> None:
    recipe = codec_recipe("scenes-tosc")
    sizes = sizes_of("tosc", recipe.sizes | {"image_shape": (64, 64, 3), "classes": 5})
    assert (sizes.latent_shape, sizes.payload_bytes, sizes.output_shape) == ((8, 8, 4), 256, (16, 16, 9))
    assert task_recipe("scenes-teacher").network == "detector"
