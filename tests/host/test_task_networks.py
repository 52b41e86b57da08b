"""Task networks, split points, and files that do not fit. Needs semflash[train]."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from fakes.image_folders import folder_of_images  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.codecs.registry import create  # noqa: E402
from semflash.codecs.semanticnn.sizes import SemanticNNSizes  # noqa: E402
from semflash.conversion.graphs import convert_int8  # noqa: E402
from semflash.errors import TrainingError, UsageError  # noqa: E402
from semflash.tasks import networks as task_networks  # noqa: E402
from semflash.tasks.keras.config import describe, rebuild  # noqa: E402
from semflash.tasks.keras.cuts import cut, split_points  # noqa: E402
from semflash.tasks.keras.files import load_weights_file, read_model  # noqa: E402
from semflash.tasks.preprocessing import PRESETS, matrix_of, with_preprocessing  # noqa: E402
from semflash.training.codec import train_codec  # noqa: E402
from semflash.training.models import load_run  # noqa: E402
from semflash.training.rates import rate_table  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe, task_recipe  # noqa: E402
from semflash.training.recipes.recipe import TaskRecipe  # noqa: E402
from semflash.training.task import load_task, train_task_network  # noqa: E402

IMAGE = (32, 32, 3)
IMAGES = np.random.default_rng(0).random((4, *IMAGE), dtype=np.float32)


def network(name: str, **fields: Any) -> dict[str, Any]:
    return asdict(replace(TaskRecipe("test", network=name), **fields))


def small_residual(classes: int = 5, end: str = "softmax") -> Any:
    """Conv, a residual block, dense: as small as a network with a skip connection gets."""
    layers = keras.layers
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner")(x)
    y = layers.Conv2D(4, 3, padding="same", name="outer")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(classes, activation=end, name="classes")(x))


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [("resnet50", "pool1_pool", (8, 8, 64)), ("mobilenetv2", "Conv1_relu", (16, 16, 24))],
)
def test_the_head_of_a_known_network_gives_the_features_of_the_whole_one(
    name: str, layer: str, shape: tuple[int, ...]
) -> None:
    keras.utils.set_random_seed(1)
    head, tail = task_networks.build(network(name), IMAGE, 7)
    keras.utils.set_random_seed(1)
    application = {"resnet50": keras.applications.ResNet50, "mobilenetv2": keras.applications.MobileNetV2}
    extra = {"alpha": 0.75} if name == "mobilenetv2" else {}
    whole = application[name](input_shape=IMAGE, weights=None, classes=7, **extra)
    expected = keras.Model(whole.input, whole.get_layer(layer).output)(IMAGES, training=False)
    features = head(IMAGES, training=False)
    assert head.output_shape[1:] == shape
    np.testing.assert_allclose(features, expected, atol=1e-6)
    probabilities = keras.ops.softmax(tail(features, training=False))
    np.testing.assert_allclose(probabilities, whole(IMAGES, training=False), atol=1e-6)


@pytest.mark.parametrize("end", ["activation", "layer"])
def test_a_softmax_at_the_end_is_left_out_of_the_tail(end: str) -> None:
    model = small_residual() if end == "activation" else small_residual(end="linear")
    if end == "layer":
        model = keras.Model(model.input, keras.layers.Softmax(name="softmax")(model.output))
    head, tail = cut(model, "sum")
    logits = tail(head(IMAGES))
    assert np.abs(keras.ops.convert_to_numpy(logits).sum(1) - 1).max() > 0.01
    np.testing.assert_allclose(keras.ops.softmax(logits), model(IMAGES), atol=1e-6)


def test_training_a_tail_leaves_the_model_it_was_cut_from_alone() -> None:
    model = small_residual()
    before = [value.copy() for value in model.get_weights()]
    _, tail = cut(model, "sum")
    tail.set_weights([value + 1 for value in tail.get_weights()])
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_split_through_a_skip_connection_names_it_and_says_where_a_cut_is_single() -> None:
    with pytest.raises(TrainingError, match="stem goes to sum") as caught:
        cut(small_residual(), "inner")
    assert caught.value.remedy == "cut at stem or sum or average"
    assert [name for name, _ in split_points(small_residual())] == ["stem", "sum"]


def test_a_split_that_does_not_exist_names_the_near_ones_and_how_to_list_all() -> None:
    with pytest.raises(TrainingError, match="no such split point") as caught:
        cut(small_residual(), "stemm", "the list")
    assert "did you mean stem" in caught.value.remedy and "the list lists all" in caught.value.remedy


def test_a_split_behind_the_pooling_is_refused() -> None:
    with pytest.raises(TrainingError, match="features are maps"):
        cut(small_residual(), "average")


def test_small_and_grey_images_are_refused_by_the_large_networks() -> None:
    for shape in ((28, 28, 3), (32, 32, 1)):
        with pytest.raises(UsageError, match="colour images of at least 32x32"):
            task_networks.build(network("resnet50"), shape, 10)
    with pytest.raises(UsageError, match="no such task network"):
        task_networks.build(network("resnet51"), IMAGE, 10)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_come_back_from_every_kind_of_file_and_other_classes_keep_a_random_last_layer(
    suffix: str, tmp_path: Path
) -> None:
    source, file = small_residual(), tmp_path / f"net{suffix}"
    if suffix == ".weights.h5":
        source.save_weights(file)
    else:
        source.save(file)
    same, other = small_residual(), small_residual(classes=9)
    assert load_weights_file(same, file) == []
    np.testing.assert_array_equal(same(IMAGES), source(IMAGES))
    told: list[str] = []
    if suffix == ".h5":
        assert [layer.name for layer in same.layers] == [layer.name for layer in other.layers]
    assert load_weights_file(other, file, told.append) == ["classes"]
    assert "classes starts at random" in told[0]
    np.testing.assert_array_equal(other.get_layer("stem").kernel, source.get_layer("stem").kernel)
    assert np.isfinite(np.concatenate([value.ravel() for value in other.get_weights()])).all()


def test_weights_in_the_form_that_keras_applications_publishes_without_top_leave_the_last_layer_random(
    tmp_path: Path,
) -> None:
    h5py = pytest.importorskip("h5py")
    source, target = small_residual(), small_residual()
    source.save(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5") as whole, h5py.File(tmp_path / "notop.h5", "w") as notop:
        names = [name for name in whole["model_weights"].attrs["layer_names"] if name != "classes"]
        for name in names:
            whole.copy(f"model_weights/{name}", notop)
        notop.attrs["layer_names"] = [str(name).encode() for name in names]
        for key in ("backend", "keras_version"):
            notop.attrs[key] = whole["model_weights"].attrs[key]
    assert load_weights_file(target, tmp_path / "notop.h5") == ["classes"]
    np.testing.assert_array_equal(target.get_layer("outer").kernel, source.get_layer("outer").kernel)


def test_the_kept_rates_of_the_papers_networks_are_those_of_the_code() -> None:
    folder = Path(__file__).parents[2] / "experiments" / "results" / "rate"
    kept = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert {one["case"]["name"]: one["payload_bytes"] for one in kept} == {
        "mobilenetv2-224": 3528,
        "mobilenetv2-32": 72,
        "resnet50-224": 2352,
        "resnet50-32": 48,
    }
    for one in kept:
        shapes = {"image_shape": tuple(one["image_shape"]), "feature_shape": tuple(one["feature_shape"])}
        sizes = SemanticNNSizes(**shapes, encoder="paper", latent=one["case"]["latent"])
        assert sizes.payload_bytes == one["payload_bytes"] and one["ratio_to_float_features"] == 341.33
        assert one["cost"]["aot"]["codes_wrong"] == 0 and one["cost"]["aot"]["counts_median"] > 0


def test_a_missing_weights_file_says_that_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such weights file") as caught:
        task_networks.build(network("mobilenetv2", weights=str(tmp_path / "none.h5")), IMAGE, 7)
    assert "nothing is downloaded" in caught.value.remedy


def test_a_missing_weights_file_on_the_command_line_is_an_error_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of_images(tmp_path / "data", classes=2, train=4, test=2, side=32)
    command = [
        "train",
        "cifar100-resnet50",
        "--only-task",
        "--task-set",
        "batch=4",
        "--dataset",
        str(data),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*command, "--weights", "none.h5"]) == 1
    error = capsys.readouterr().err
    assert "no such weights file" in error and "none.h5" in error and "nothing is downloaded" in error
    assert not list((tmp_path / "run").rglob("*.json"))
    assert main(["train", "cifar100-resnet50", "--task", "somewhere", "--weights", "none.h5"]) == 2
    assert "leave --weights out" in capsys.readouterr().err


def test_weights_of_another_network_and_damaged_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="alone")]).save_weights(file)
    with pytest.raises(TrainingError, match="does not fit the network"):
        load_weights_file(small_residual(), file)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(TrainingError, match="cannot read the file"):
        load_weights_file(small_residual(), file)
    with pytest.raises(TrainingError, match="not a Keras weights file"):
        load_weights_file(small_residual(), Path(__file__))


def test_a_model_file_with_a_lambda_or_a_foreign_class_is_refused_before_it_is_read(
    tmp_path: Path,
) -> None:
    image = keras.Input((4,))
    with_code = keras.Model(image, keras.layers.Lambda(lambda x: x + 1, name="code")(image))
    for suffix in (".keras", ".h5"):
        with_code.save(tmp_path / f"code{suffix}")
        with pytest.raises(TrainingError, match="Lambda, which is code") as caught:
            read_model(tmp_path / f"code{suffix}")
        assert caught.value.value == "code"
    small_residual().save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(entries["config.json"])
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system"}
    with zipfile.ZipFile(tmp_path / "foreign.keras", "w") as archive:
        for name, data in (entries | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)
    with pytest.raises(TrainingError, match="not of Keras") as caught:
        read_model(tmp_path / "foreign.keras")
    assert caught.value.value == "os.system"


@pytest.mark.parametrize("preset", PRESETS)
def test_preprocessing_is_what_keras_applications_does_to_pixels(preset: str) -> None:
    mean, std, bgr = PRESETS[preset]
    kernel, bias = matrix_of(3, mean, std, bgr)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 5, 5, 3)).astype(np.float32)
    expected = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=preset)
    scale = 255.0 if preset == "caffe" else 1.0
    np.testing.assert_allclose(
        (pixels / 255 @ kernel + bias) * (scale / 255 if preset == "caffe" else 1), expected, atol=1e-3
    )


def test_preprocessing_stands_in_the_head_and_is_not_trained() -> None:
    head, _ = cut(small_residual(), "stem")
    whole = with_preprocessing(head, {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.1)})
    expected = head((IMAGES - np.float32([0.4, 0.5, 0.6])) / np.float32([0.2, 0.3, 0.1]))
    np.testing.assert_allclose(whole(IMAGES), expected, atol=1e-5)
    assert len(whole.trainable_weights) == len(head.trainable_weights)
    assert with_preprocessing(head, {"mean": (), "std": ()}) is head
    for bad in ({"std": (0.0,)}, {"mean": (1.0, 2.0)}):
        with pytest.raises(UsageError, match=r"std is above 0|mean is one number"):
            with_preprocessing(head, bad)


def test_a_keras_file_trains_as_task_network_and_under_a_codec_and_both_come_back(tmp_path: Path) -> None:
    data = folder_of_images(tmp_path / "data", classes=2, train=40, test=4, side=32)
    small_residual(classes=2).save(tmp_path / "net.keras")
    recipe = TaskRecipe(
        "mine", str(data), epochs=1, batch=8, network="keras", model=str(tmp_path / "net.keras"), split="sum"
    )
    task = train_task_network(recipe, tmp_path / "task")
    assert task.info.recipe["model"] == "net.keras"
    (tmp_path / "net.keras").unlink()
    again = load_task(tmp_path / "task")
    np.testing.assert_array_equal(again.logits(np.uint8(IMAGES * 255)), task.logits(np.uint8(IMAGES * 255)))
    sizes = {"encoder": "paper", "latent": 4, "decoder_width": 8}
    codec = replace(codec_recipe("tiny"), dataset=str(data), batch=8, autoencoder_epochs=0, sizes=sizes)
    trained = train_codec(codec, tmp_path / "task", tmp_path / "codec")
    loaded = load_run(tmp_path / "codec")
    stem = loaded.codec.device_graph.get_layer("head").get_weights()
    for value, kept in zip(stem, again.head.get_weights(), strict=True):
        np.testing.assert_array_equal(value, kept)  # the paper's encoder begins with the head, frozen
    assert loaded.codec.payload_bytes == 4 * 4 * 4 * 3 // 8
    graph = convert_int8(loaded.codec.device_graph, np.uint8(IMAGES * 255))
    assert graph.output_shape == (4, 4, 4) and graph.macs == 16 * 16 * 4 * (27 + 36 + 36) + 4 * 4 * 4 * 64
    for value, kept in zip(loaded.tail.get_weights(), trained.tail.get_weights(), strict=True):
        np.testing.assert_array_equal(value, kept)
    assert loaded.tail.output_shape == (None, 2)


@pytest.mark.parametrize(
    ("name", "side", "features", "size_bytes"),
    [
        ("imagenet200-resnet50", 224, (56, 56, 64), 2352),
        ("imagenet200-mobilenetv2", 224, (112, 112, 24), 3528),
        ("cifar100-resnet50", 32, (8, 8, 64), 48),
        ("cifar100-mobilenetv2", 32, (16, 16, 24), 72),
    ],
)
def test_the_recipes_of_the_paper_have_its_rates(
    name: str, side: int, features: tuple[int, ...], size_bytes: int
) -> None:
    row = rate_table(codec_recipe(name), (side, side, 3), features)[0]
    assert row.payload_bytes == size_bytes and row.against_features == 341.33
    assert task_recipe(name).image_size == side
    recipe = asdict(replace(task_recipe(name), dataset=""))
    head, _ = task_networks.build(recipe, (side, side, 3), 3)
    assert head.output_shape[1:] == features


def test_the_papers_encoder_needs_the_task_networks_head() -> None:
    with pytest.raises(UsageError, match="begins with the task network's head"):
        create("semanticnn", {"encoder": "paper"})
    with pytest.raises(UsageError, match="unknown encoder"):
        create("semanticnn", {"encoder": "papyrus"})
    other, _ = cut(small_residual(), "stem")
    with pytest.raises(UsageError, match="not those of the sizes"):
        create("semanticnn", {"encoder": "paper", "image_shape": IMAGE, "head": describe(other)})


def test_a_structure_trained_in_mixed_precision_is_kept_in_float32() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        head, _ = cut(small_residual(), "stem")
    finally:
        keras.config.set_dtype_policy("float32")
    assert head(IMAGES).dtype == "bfloat16"
    copy = rebuild(describe(head), "a copy")
    copy.set_weights(head.get_weights())
    assert copy(IMAGES).dtype == "float32"
    np.testing.assert_allclose(copy(IMAGES), keras.ops.cast(head(IMAGES), "float32"), atol=0.02)


def test_a_structure_survives_json_and_damage_is_a_training_error() -> None:
    head, _ = cut(small_residual(), "sum")
    copy = rebuild(json.loads(json.dumps(describe(head))), "a copy")
    copy.set_weights(head.get_weights())
    np.testing.assert_array_equal(copy(IMAGES), head(IMAGES))
    for bad in ({}, {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}}):
        with pytest.raises(TrainingError, match="does not describe a Keras model"):
            rebuild(bad, "it")
