"""Attention of a vision transformer in a file: which outputs are one, what is stored, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
keras = pytest.importorskip("keras")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from fakes.image_folders import folder_of_images  # noqa: E402
from fakes.teacher_networks import QUIET, SIDE, data_of, request_of  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.data.dataset import Dataset  # noqa: E402
from semflash.errors import TeacherError, UsageError  # noqa: E402
from semflash.teachers.attended import grid_of, resampled, row_cls  # noqa: E402
from semflash.teachers.attention_store import MAPS, RECORD, load  # noqa: E402
from semflash.teachers.opening import Options  # noqa: E402
from semflash.training.alone.run import train_own  # noqa: E402
from semflash.training.recipes.recipe import CodecRecipe  # noqa: E402
from semflash.training.teaching.attention import teach_attention  # noqa: E402

#: 3x3 patches of 4 pixels, two heads of 5.
PATCH, WIDTH, HEADS, EACH = 4, 10, 2, 5
PATCHES = (SIDE // PATCH) ** 2


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "kernel": rng.normal(0, 0.4, (WIDTH, 3, PATCH, PATCH)).astype(np.float32),
        "tokens": rng.normal(0, 1, (1, 3, WIDTH)).astype(np.float32),
        "query": rng.normal(0, 1, (WIDTH, WIDTH)).astype(np.float32),
        "key": rng.normal(0, 1, (WIDTH, WIDTH)).astype(np.float32),
    }


def transformer(path: Path, registers: int, *, side: int = SIDE) -> Path:
    """Patches, CLS and registers before them; outputs: attention, queries, keys, row CLS, and the tokens."""
    known = weights()
    arrays = known | {
        "tokens": known["tokens"][:, : 1 + registers],
        "flat": np.array([0, WIDTH, -1], np.int64),
        "split": np.array([0, 0, HEADS, EACH], np.int64),
        "root": np.array(EACH**-0.5, np.float32),
        "first": np.array(0, np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["map"], strides=[PATCH, PATCH]),
        helper.make_node("Reshape", ["map", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["patches"], perm=[0, 2, 1]),
        helper.make_node("Concat", ["tokens", "patches"], ["all"], axis=1),
    ]
    for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("MatMul", ["all", name], [f"{name}_flat"]),
            helper.make_node("Reshape", [f"{name}_flat", "split"], [f"{name}_split"]),
            helper.make_node("Transpose", [f"{name}_split"], [f"{name}s"], perm=order),
        ]
    nodes += [
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["querys", "turned"], ["products"]),
        helper.make_node("Mul", ["products", "root"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["attention"], axis=-1),
        helper.make_node("Gather", ["attention", "first"], ["row"], axis=2),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("attention", "querys", "keys", "row", "all")
    ]
    graph = helper.make_graph(
        nodes,
        "transformer",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def expected(images: np.ndarray, registers: int) -> np.ndarray:
    """Row CLS over the patches in numpy, (N, 3, 3), each summing to 1."""
    known, side = weights(), SIDE // PATCH
    parts = (images / 255).reshape(-1, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    patches = parts.reshape(len(images), PATCHES, -1) @ known["kernel"].reshape(WIDTH, -1).T
    tokens = np.repeat(known["tokens"][:, : 1 + registers], len(images), axis=0)
    every = np.concatenate([tokens, patches], axis=1)
    found = []
    for head in range(HEADS):
        part = slice(head * EACH, (head + 1) * EACH)
        query, keys = every[:, 0] @ known["query"][:, part], every @ known["key"][:, part]
        scores = np.exp(np.einsum("nd,ntd->nt", query, keys) / np.sqrt(EACH))
        found.append(scores / scores.sum(axis=1, keepdims=True))
    row = np.mean(found, axis=0)[:, 1 + registers :]
    return (row / row.sum(axis=1, keepdims=True)).reshape(-1, side, side)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_images(
        tmp_path_factory.mktemp("photos") / "photos", classes=2, train=20, test=4, side=SIDE
    )


@pytest.fixture(scope="module")
def data(photos: Path) -> Dataset:
    return data_of(photos)


@pytest.mark.parametrize(
    ("output", "registers"), [("attention", 0), ("attention", 2), ("row", 2), ("querys,keys", 1)]
)
def test_the_attention_of_an_onnx_transformer_is_row_cls_without_registers(
    output: str, registers: int, photos: Path, data: Dataset, tmp_path: Path
) -> None:
    path = transformer(tmp_path / "vit.onnx", registers)
    options = Options(output=output, registers=registers)
    request = request_of(photos, f"onnx:{path}", tmp_path / "s", mirror=False, options=options)
    store = teach_attention(request, QUIET)
    for split, maps in ((data.train, store.train), (data.val, store.val)):
        assert np.abs(maps - expected(np.asarray(split.images[:]), registers)).max() < 2e-3
    again = load(tmp_path / "s", data)
    assert np.array_equal(again.train, store.train) and again.record.grid == (3, 3)
    assert again.plain()["name"] == "onnx:vit.onnx" and again.plain()["settings"]["output"] == output
    assert not (tmp_path / "s" / "asked").exists()


def test_the_mean_of_both_ways_round_is_stored_where_it_is_asked_for(
    photos: Path, data: Dataset, tmp_path: Path
) -> None:
    path = transformer(tmp_path / "vit.onnx", 0)
    options = Options(output="attention", registers=0)
    store = teach_attention(request_of(photos, f"onnx:{path}", tmp_path / "s", options=options), QUIET)
    images = np.asarray(data.train.images[:])
    both = (expected(images, 0) + expected(images[:, :, ::-1], 0)[:, :, ::-1]) / 2
    assert store.record.mirrored and np.abs(store.train - both).max() < 2e-3
    with pytest.raises(TeacherError, match="another teacher or of other settings"):
        teach_attention(
            request_of(photos, f"onnx:{path}", tmp_path / "s", mirror=False, options=options), QUIET
        )


def test_a_keras_model_that_gives_an_attention_is_a_teacher_too(
    photos: Path, data: Dataset, tmp_path: Path
) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    known = weights()
    kernel = known["kernel"].transpose(2, 3, 1, 0)
    x = keras.layers.Conv2D(WIDTH, PATCH, strides=PATCH, use_bias=False, name="patches")(image)
    x = keras.layers.Reshape((PATCHES, WIDTH))(x)
    x = keras.layers.ZeroPadding1D((1, 0))(x)  # a CLS token of zeros attends to all alike
    outputs = [
        keras.layers.Permute((2, 1, 3))(
            keras.layers.Reshape((PATCHES + 1, HEADS, EACH))(keras.layers.Dense(WIDTH, name=name)(x))
        )
        for name in ("query", "key")
    ]
    model = keras.Model(image, outputs)
    model.get_layer("patches").set_weights([kernel])
    bias = np.linspace(-1, 1, WIDTH).astype(np.float32)
    model.get_layer("query").set_weights([known["query"], bias])
    model.get_layer("key").set_weights([known["key"], 0 * bias])
    model.save(tmp_path / "vit.keras")
    request = request_of(
        photos,
        f"keras:{tmp_path / 'vit.keras'}",
        tmp_path / "s",
        mirror=False,
        options=Options(registers=0),
    )
    store = teach_attention(request, QUIET)
    images = np.asarray(data.train.images[:]) / 255
    side = SIDE // PATCH
    parts = images.reshape(-1, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    keys = parts.reshape(len(images), PATCHES, -1) @ known["kernel"].reshape(WIDTH, -1).T @ known["key"]
    rows = []
    for head in range(HEADS):
        part = slice(head * EACH, (head + 1) * EACH)
        scores = np.exp(keys[..., part] @ bias[part] / np.sqrt(EACH))
        rows.append(scores / (1 + scores.sum(axis=1, keepdims=True)))
    wanted = np.mean(rows, axis=0)
    wanted = (wanted / wanted.sum(axis=1, keepdims=True)).reshape(-1, side, side)
    assert np.abs(store.train - wanted).max() < 2e-3


@pytest.mark.parametrize(
    ("output", "registers", "message"),
    [
        ("all", 0, "an attention's sums to 1"),
        ("attention", 1, "do not cover an image of 12x12"),
        ("attention", 12, "12 registers and no patch"),
        ("querys,row", 0, r"queries and keys are both"),
        ("", 0, "which output of the network"),
        ("attention,keys,row", 0, "one output, or two"),
        ("querys,querys", 0, "one output, or two"),
        ("value", 0, "no such output"),
    ],
)
def test_what_is_no_attention_is_refused(
    output: str, registers: int, message: str, photos: Path, tmp_path: Path
) -> None:
    path = transformer(tmp_path / "vit.onnx", 0)
    options = Options(output=output, registers=registers)
    with pytest.raises(TeacherError) as raised:
        teach_attention(request_of(photos, f"onnx:{path}", tmp_path / "s", options=options), QUIET)
    assert raised.match(message) or message in str(raised.value.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / MAPS).write_bytes(b"no maps"),
        lambda place: (place / RECORD).write_text("{"),
        lambda place: (place / RECORD).unlink(),
        lambda place: _changed(place, "format", 9),
        lambda place: _changed(place, "grid", [4, 4]),
        lambda place: _changed(place, "data_sha256", "0" * 64),
    ],
    ids=["maps", "record", "none", "format", "grid", "data"],
)
def test_a_damaged_store_is_refused(damage: Any, photos: Path, data: Dataset, tmp_path: Path) -> None:
    path = transformer(tmp_path / "vit.onnx", 0)
    options = Options(output="row", registers=0)
    teach_attention(request_of(photos, f"onnx:{path}", tmp_path / "s", options=options), QUIET)
    load(tmp_path / "s", data)
    damage(tmp_path / "s")
    with pytest.raises(TeacherError):
        load(tmp_path / "s", data)


def _changed(place: Path, key: str, value: Any) -> None:
    record = json.loads((place / RECORD).read_text()) | {key: value}
    (place / RECORD).write_text(json.dumps(record))


def test_a_family_takes_what_it_learns_from_and_nothing_else(
    photos: Path, data: Dataset, tmp_path: Path
) -> None:
    path = transformer(tmp_path / "vit.onnx", 0)
    options = Options(output="row", registers=0)
    teach_attention(request_of(photos, f"onnx:{path}", tmp_path / "s", options=options), QUIET)
    sizes = {"image_shape": [SIDE, SIDE, 3]}
    recipe = CodecRecipe("r", dataset=str(photos), batch=8, sizes=sizes, teacher=str(tmp_path / "s"))
    with pytest.raises(UsageError, match="learns from a teacher's answers"):
        train_own(replace(recipe, family="tosc"), tmp_path / "tosc")
    with pytest.raises(TeacherError, match="no stored attention"):
        train_own(replace(recipe, family="multires", teacher=str(tmp_path)), tmp_path / "multires")


def test_the_verb_stores_attention_and_says_where(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = transformer(tmp_path / "vit.onnx", 2)
    told = ["teach", str(photos), "--teacher", f"onnx:{path}", "--image-size", str(SIDE)]
    told += ["--out", str(tmp_path / "s"), "--json"]
    assert main([*told, "--attention", "--output", "row", "--registers", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "s") and found["grid"] == [3, 3]
    assert main([*told, "--registers", "2", "--output", "row"]) == UsageError.exit_code
    assert main(["teach", str(photos), "--teacher", "lite0", "--attention"]) == UsageError.exit_code


# Functions


def test_attention_without_heads_and_of_all_tokens_is_taken_alike() -> None:
    rng = np.random.default_rng(1)
    square = rng.random((4, 2, 6, 6))
    square /= square.sum(axis=-1, keepdims=True)
    row = square[:, :, 0].mean(axis=1)[:, 2:]
    row /= row.sum(axis=1, keepdims=True)
    for form in (square, square.mean(axis=1), square[:, :, 0], square[:, :, 0].mean(axis=1)):
        assert np.allclose(row_cls([form], 1), row, atol=1e-6)


def test_a_grid_has_square_patches() -> None:
    assert grid_of(256, (224, 224)) == (16, 16) and grid_of(8, (32, 64)) == (2, 4)
    with pytest.raises(ValueError, match="registers"):
        grid_of(260, (224, 224))


def test_maps_of_another_grid_are_shared_out_by_area() -> None:
    maps = np.arange(16, dtype=float).reshape(1, 4, 4) / 120
    coarse = resampled(maps, (2, 2))
    assert np.allclose(coarse[0], [[10 / 120, 18 / 120], [42 / 120, 50 / 120]])
    fine = resampled(np.array([[[0.25, 0.75]]]), (1, 3))
    assert np.allclose(fine[0, 0], [1 / 6, 1 / 12 + 1 / 4, 1 / 2])
