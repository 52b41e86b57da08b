"""Splits inside nested Keras models, the usual layout of transfer learning. Needs semflash[train]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from semflash.errors import TrainingError  # noqa: E402
from semflash.importing import parts as import_parts  # noqa: E402
from semflash.importing.network import ImportRequest, import_network, list_splits  # noqa: E402
from semflash.tasks.keras.cuts import cut, split_points  # noqa: E402
from semflash.tasks.keras.nested import flattened  # noqa: E402
from semflash.training.task import load_task  # noqa: E402

SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(3).integers(0, 256, (5, *SHAPE), np.uint8)
PIXELS = IMAGES.astype(np.float32) / np.float32(255)
layers = keras.layers


def mobile(name: str = "mobile", prefix: str = "") -> Any:
    """A stem and one inverted residual block, with statistics of BatchNorm that are not 0 and 1."""
    image = keras.Input(SHAPE)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name=f"{prefix}stem")(image)
    x = layers.BatchNormalization(name=f"{prefix}stem_norm")(x)
    x = layers.ReLU(6.0, name=f"{prefix}stem_relu")(x)
    y = layers.Conv2D(16, 1, name=f"{prefix}expand")(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name=f"{prefix}depthwise")(y)
    y = layers.Conv2D(8, 1, name=f"{prefix}project")(y)
    x = layers.Add(name=f"{prefix}block")([x, y])
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name=f"{prefix}last")(x)
    model = keras.Model(image, x, name=name)
    rng = np.random.default_rng(1)
    norm = model.get_layer(f"{prefix}stem_norm")
    norm.set_weights([rng.uniform(0.5, 1.5, value.shape) for value in norm.get_weights()])
    return model


def transferred(base: Any) -> Any:
    """Preprocessing, a base that stays as it is, and a new end."""
    base.trainable = False
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.Sequential(
                [layers.RandomFlip("horizontal"), layers.Rescaling(2.0, -1.0, name="to_signs")], name="first"
            ),
            base,
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


@pytest.mark.parametrize("split", ["stem_relu", "block", "mobile"])
def test_a_network_imports_cut_inside_its_base_model_with_the_numbers_of_the_nested_one(
    split: str, tmp_path: Path
) -> None:
    base = mobile()
    model = transferred(base)
    model.save(tmp_path / "net.keras")
    imported = import_network(ImportRequest(tmp_path / "net.keras", split, tmp_path / "task"))
    assert imported.info.results["features_max_difference"] < 1e-5
    task = load_task(tmp_path / "task")
    inside = keras.Model(base.input, base.get_layer(split).output if split != "mobile" else base.output)
    np.testing.assert_allclose(
        task.head(PIXELS, training=False), inside(PIXELS * 2 - 1, training=False), atol=1e-5
    )
    np.testing.assert_allclose(
        keras.ops.softmax(task.logits(IMAGES)), model(PIXELS, training=False), atol=1e-5
    )
    cut = task.head.get_layer("head")  # behind the preprocessing, which has the rescaling in it
    assert not any(isinstance(layer, keras.Model) for layer in (*cut.layers, *task.tail.layers))
    # the base model was frozen, so only the new end is fine-tuned
    assert [weight.path.split("/")[0] for weight in task.tail.trainable_weights] == ["classes", "classes"]


def test_the_layers_of_nested_models_are_listed_and_near_names_come_from_them(tmp_path: Path) -> None:
    model = transferred(mobile())
    model.save(tmp_path / "net.keras")
    names = [name for name, _ in list_splits(tmp_path / "net.keras")]
    assert names[-5:] == ["stem", "stem_norm", "stem_relu", "block", "last"] and names[-6] == "to_signs"
    with pytest.raises(TrainingError, match="no such split point") as caught:
        cut(model, "stem_rellu", "the list")
    assert "did you mean stem_relu" in caught.value.remedy
    with pytest.raises(TrainingError, match="stem_relu goes to block"):
        cut(model, "depthwise")


def test_models_are_flattened_to_any_depth_and_through_skip_connections_around_them() -> None:
    image = keras.Input(SHAPE, name="image")
    inner = mobile("inner")
    middle_in = keras.Input(SHAPE)
    middle = keras.Model(middle_in, layers.ReLU(name="behind")(inner(middle_in)), name="middle")
    x = middle(image, training=False)
    x = layers.Add(name="sum")([x, layers.Conv2D(6, 5, strides=4, padding="same", name="beside")(image)])
    model = keras.Model(image, layers.Dense(4, name="end")(layers.GlobalAveragePooling2D()(x)))
    head, tail = cut(model, "sum")
    np.testing.assert_allclose(tail(head(PIXELS)), model(PIXELS, training=False), atol=1e-5)
    with pytest.raises(TrainingError, match="image goes to beside") as caught:
        cut(model, "stem")
    assert caught.value.remedy.startswith("cut at sum or ")
    plain = keras.Model(image, layers.GlobalAveragePooling2D()(middle(image)))
    head, _ = cut(plain, "stem")
    np.testing.assert_allclose(head(PIXELS), inner.get_layer("stem")(PIXELS), atol=1e-6)


def test_a_name_that_several_nested_layers_have_is_refused_and_the_outer_name_tells_them_apart() -> None:
    keras.utils.set_random_seed(2)
    first, image = mobile("first"), keras.Input(SHAPE)
    second_in = keras.Input((8, 8, 6))
    second = keras.Model(second_in, layers.Conv2D(5, 3, name="stem")(second_in), name="second")
    x = layers.ReLU(name="last")(second(first(image)))
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))
    with pytest.raises(TrainingError, match="several layers of the nested models") as caught:
        cut(model, "stem")
    assert caught.value.remedy == "split at first.stem or second.stem"
    inside = keras.Model(first.input, first.get_layer("stem").output)
    for name in ("first.stem", "first/stem"):
        head, tail = cut(model, name)
        np.testing.assert_allclose(head(PIXELS), inside(PIXELS), atol=1e-6)
        np.testing.assert_allclose(tail(head(PIXELS)), model(PIXELS, training=False), atol=1e-5)
    assert cut(model, "last")[0].output_shape == (None, 6, 6, 5)  # a layer outside keeps its name
    assert "first.last" in [name for name, _ in split_points(model)]


def test_a_model_that_is_called_twice_keeps_one_set_of_weights() -> None:
    block_in = keras.Input((16, 16, 3))
    block = keras.Model(block_in, layers.Conv2D(3, 3, padding="same", name="conv")(block_in), name="block")
    image = keras.Input(SHAPE)
    x = layers.MaxPooling2D(name="pool")(image)
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(block(block(x)))))
    assert len(flattened(model).model.weights) == len(model.weights) == 4
    head, tail = cut(model, "pool")
    assert len(tail.weights) == 4
    np.testing.assert_allclose(tail(head(PIXELS)), model(PIXELS, training=False), atol=1e-5)
    with pytest.raises(TrainingError, match="used again behind it"):
        cut(model, "conv")


def test_flattened_weights_that_are_not_the_originals_are_found_by_the_numeric_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transferred(mobile()).save(tmp_path / "net.keras")

    def damaged(model: Any) -> Any:
        flat = flattened(model)
        flat.model.set_weights([value * 1.01 for value in flat.model.get_weights()])
        return flat

    monkeypatch.setattr(import_parts, "flattened", damaged)
    with pytest.raises(TrainingError, match="features are not those of the original network"):
        import_network(ImportRequest(tmp_path / "net.keras", "stem_relu", tmp_path / "task"))
    assert not (tmp_path / "task").exists()
