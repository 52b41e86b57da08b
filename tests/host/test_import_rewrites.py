"""What is changed in a network before and after onnx2tf: the numbers stay ONNX Runtime's and numpy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
keras = pytest.importorskip("keras")
pytest.importorskip("onnxruntime")

from fakes.onnx_files import Graph  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.importing import compare as module  # noqa: E402
from semflash.importing.compare import compare  # noqa: E402
from semflash.importing.device_operators import splits_within  # noqa: E402
from semflash.importing.onnx.beginning import beginning_of  # noqa: E402
from semflash.importing.onnx.child import _report  # noqa: E402
from semflash.importing.onnx.rewrites import plain_names, rewrite  # noqa: E402
from semflash.importing.parts import Parts  # noqa: E402
from semflash.importing.tflite.max_pools import maximum, padded_nowhere  # noqa: E402
from semflash.tasks.keras.graph_cuts import Step  # noqa: E402
from semflash.tasks.keras.input_range import Affine  # noqa: E402
from semflash.tasks.keras.input_range import beginning_of as keras_beginning  # noqa: E402
from semflash.tasks.keras.layers import ConstantPad  # noqa: E402
from semflash.tasks.preprocessing import matrix_of, own_input, with_beginning  # noqa: E402

RANDOM = np.random.default_rng(3)


def run(model: Any, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def lower(kind: str) -> Callable[[Graph], str]:
    def build(graph: Graph) -> str:
        more = {"auto_pad": "SAME_LOWER", "strides": [2, 2]}
        if kind == "Conv":
            return graph.node("Conv", ["image", graph.weight((4, 3, 3, 3))], "y", **more)
        return graph.node(kind, ["image"], "y", kernel_shape=[3, 3], **more)

    return build


def average(graph: Graph) -> str:
    return graph.node("AveragePool", ["image"], "y", kernel_shape=[5, 3], strides=[3, 2], pads=[2, 1, 2, 1])


def dense(kind: str, **attributes: Any) -> Callable[[Graph], str]:
    def build(graph: Graph) -> str:
        x = graph.conv("image", "map", (3, 8), strides=[2, 2])
        x = graph.node("Flatten", [x], "flat")
        size = (4, 512) if attributes.get("transB") else (512, 4)
        bias = [graph.weight((4,))] if kind == "Gemm" else []
        return graph.node(kind, [x, graph.weight(size), *bias], "y", **attributes)

    return build


@pytest.mark.parametrize(
    ("build", "gone"),
    [
        (lower("Conv"), "SAME_LOWER"),
        (lower("MaxPool"), "SAME_LOWER"),
        (lower("AveragePool"), "SAME_LOWER"),
        (average, "pads: [2, 1, 2, 1] strides: [3, 2]"),
        (dense("Gemm", transB=1, alpha=0.5, beta=2.0), "Gemm"),
        (dense("Gemm"), "Gemm"),
        (dense("MatMul"), "MatMul"),
    ],
)
def test_a_rewritten_network_gives_the_same_numbers(build: Callable[[Graph], str], gone: str) -> None:
    graph = Graph()
    model = graph.model([1, 3, 16, 16], build(graph), 4)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    x = RANDOM.standard_normal((1, 3, 16, 16)).astype(np.float32)
    expected, kinds = run(model, x), [node.op_type for node in model.graph.node]
    changed = rewrite(model)
    np.testing.assert_allclose(run(changed, x), expected, rtol=1e-4, atol=1e-5)
    assert gone not in str(changed.graph.node)
    assert [node.op_type for node in changed.graph.node] != kinds or gone == "SAME_LOWER"


def test_names_are_plain_and_can_be_told_back() -> None:
    graph = Graph()
    graph.node("Relu", [graph.conv("image", "/1/Conv_output_0", (3, 4))], "../../y")
    model = graph.model([1, 3, 8, 8], "../../y", 4)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    x = RANDOM.standard_normal((1, 3, 8, 8)).astype(np.float32)
    expected = run(model, x)
    names = plain_names(model)
    np.testing.assert_array_equal(run(model, x), expected)
    assert names["n0"] == "/1/Conv_output_0_node" and "../../y" in names.values()
    used = [*(name for node in model.graph.node for name in (*node.input, *node.output, node.name))]
    assert all(name.isalnum() for name in used)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("pads", "size", "strides"),
    [
        (((1, 1), (1, 1)), (3, 3), (2, 2)),
        (((0, 1), (0, 1)), (3, 3), (2, 2)),
        (((2, 2), (1, 1)), (5, 3), (3, 2)),
        (((1, 0), (1, 0)), (2, 2), (2, 2)),
    ],
)
def test_a_padded_maximum_is_exact_without_the_paddings_number(
    pads: Any, size: tuple[int, int], strides: tuple[int, int], relu: bool
) -> None:
    image = keras.Input((16, 14, 3))
    x = keras.layers.ReLU()(image) if relu else image
    padded = padded_nowhere(x, np.array([(0, 0), *pads, (0, 0)]), float(np.finfo(np.float32).min))
    assert padded is not None
    y = maximum(padded, size, strides)
    if y is None:
        assert not relu and pads == ((1, 0), (1, 0))  # the int8 check judges what is left
        return
    model = keras.Model(image, y)
    values = (RANDOM.standard_normal((2, 16, 14, 3)) - 3).astype(np.float32)
    seen = np.maximum(values, 0) if relu else values
    margin = np.pad(seen, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(margin, size, (1, 2))
    np.testing.assert_array_equal(model(values), windows[:, :: strides[0], :: strides[1]].max((-2, -1)))
    pads_of = [layer.value for layer in model.layers if isinstance(layer, ConstantPad)]
    assert not [value for value in pads_of if value != 0]


def test_other_padding_is_not_taken_for_a_maximums() -> None:
    image = keras.Input((8, 8, 3))
    assert padded_nowhere(image, np.array([(0, 0), (1, 1), (1, 1), (0, 0)]), 0.0) is None
    assert padded_nowhere(image, np.array([(0, 0), (1, 1), (1, 1), (1, 0)]), -np.inf) is None


@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (1e-5, 0.0), (1e-5, 7.0), (1e3, 0.0)])
@pytest.mark.parametrize("right", [True, False])
def test_a_tail_of_mistaken_order_is_refused_whatever_the_size_of_its_numbers(
    scale: float, bias: float, right: bool
) -> None:
    images = RANDOM.integers(0, 256, (6, 4, 4, 3), np.uint8)
    kernel = (RANDOM.standard_normal((48, 5)) * scale).astype(np.float32)
    head = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Identity()])
    tail = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
    tail.layers[-1].set_weights([kernel, np.full(5, bias, np.float32)])

    def expected(network_input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        map_ = network_input if right else network_input.transpose(0, 3, 1, 2)
        return network_input, (map_.reshape(6, 48) @ kernel + np.float32(bias)).astype(np.float32)

    parts = Parts("onnx", "split", head, tail, expected)
    given = images.astype(np.float32) / np.float32(255)
    if right:
        assert compare(parts, head, images, given)["tolerance"] == module.TOLERANCE == 1e-3
        return
    with pytest.raises(TrainingError, match="the logits are not those of the original"):
        compare(parts, head, images, given)


def test_a_split_is_never_told_to_use_itself() -> None:
    steps = (Step("a", ("image",), ("r",)), Step("b", ("r",), ("p",)), Step("c", ("p",), ("g",)))
    kinds = {"r": "Conv", "p": "AveragePool", "g": "GlobalAveragePool"}
    assert splits_within(steps, kinds, "image", ["r", "p"], "p") == ["r"]


IMAGE = RANDOM.random((2, 5, 5, 3)).astype(np.float32)
MEANS, STDS = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def begun(layers: Callable[[Any], Any]) -> Any:
    image = keras.Input((5, 5, 3))
    x = layers(image)
    return keras.Model(image, keras.layers.Conv2D(2, 3)(x)), image


@pytest.mark.parametrize(
    ("layers", "pixels"),
    [
        (lambda x: keras.layers.Rescaling(1 / 255)(x), True),
        (lambda x: keras.layers.Rescaling(1 / 127.5, -1)(keras.layers.RandomFlip()(x)), True),
        (lambda x: x / 255.0, True),
        (lambda x: keras.ops.subtract(x, np.array([103.9, 116.8, 123.7], np.float32)), True),
        (lambda x: keras.layers.Normalization(mean=MEANS * 255, variance=(STDS * 255) ** 2)(x), True),
        (
            lambda x: keras.layers.Normalization(mean=MEANS, variance=STDS**2)(
                keras.layers.Rescaling(1 / 255)(x)
            ),
            True,
        ),
        (lambda x: keras.layers.Normalization(mean=MEANS, variance=STDS**2)(x), False),
        (lambda x: keras.layers.Rescaling(2.0, -1.0)(x), False),
        (lambda x: keras.layers.BatchNormalization()(x), False),
        (lambda x: x, False),
    ],
)
@pytest.mark.parametrize("bgr", [False, True])
def test_the_first_steps_of_a_keras_model_tell_its_input_and_go_into_the_preprocessing(
    layers: Callable[[Any], Any], pixels: bool, bgr: bool
) -> None:
    model, _ = begun(layers)
    beginning = keras_beginning(model)
    assert beginning.whole.for_pixels is pixels
    own = own_input({"bgr": bgr}, beginning)
    assert own["std"] == ((1 / 255,) if pixels else ())
    kernel, bias = matrix_of(3, **own)
    steps = keras.Model(model.inputs[0], beginning.tensor)
    expected = np.asarray(steps(IMAGE @ kernel + bias, training=False))
    recipe = with_beginning({"bgr": bgr, "network": "keras"}, beginning)
    kernel, bias = matrix_of(3, recipe["mean"], recipe["std"], bgr)
    np.testing.assert_allclose(IMAGE @ kernel + bias, expected, rtol=1e-5, atol=2e-5)


def test_a_batch_norm_on_pixels_tells_them_and_stays_in_the_network() -> None:
    model, image = begun(keras.layers.BatchNormalization())
    model.layers[1].set_weights([np.ones(3), np.zeros(3), np.full(3, 120.0), np.full(3, 4900.0)])
    beginning = keras_beginning(model)
    assert beginning.whole.for_pixels and beginning.tensor is image and not beginning.fixed.changes


@pytest.mark.parametrize("channels_first", [True, False])
def test_the_first_steps_of_an_onnx_network_tell_its_input(channels_first: bool) -> None:
    graph = Graph()
    shape = (1, 3, 1, 1) if channels_first else (1, 1, 1, 3)
    x = graph.node("Div", ["image", graph.constant(np.float32(255))], "scaled")
    x = graph.node("Sub", [x, graph.constant(MEANS.astype(np.float32).reshape(shape))], "shifted")
    x = graph.node("Mul", [graph.constant((1 / STDS).astype(np.float32).reshape(shape)), x], "normal")
    graph.node("Relu", [x], "y")
    model = graph.model([1, 3, 8, 8] if channels_first else [1, 8, 8, 3], "y", 4)
    found = beginning_of(model, "image", 3, channels_first=channels_first, until="y")
    assert found.tensor == "normal" and found.whole.for_pixels
    np.testing.assert_allclose(found.fixed.scale, 1 / STDS / 255, rtol=1e-6)
    np.testing.assert_allclose(found.fixed.offset, -MEANS / STDS, rtol=1e-6)
    before = beginning_of(model, "image", 3, channels_first=channels_first, until="shifted")
    assert before.tensor == "scaled" and before.whole.for_pixels


def test_a_step_that_turns_the_image_round_stays_in_the_network() -> None:
    model, image = begun(lambda x: keras.ops.subtract(1.0, x))
    assert keras_beginning(model).tensor is image
    assert not Affine.of(3, -1.0, 1.0).for_pixels


def test_the_reason_of_a_converter_that_only_ends_is_its_last_error_without_colours(tmp_path: Any) -> None:
    log = "\x1b[33mWARNING:\x1b[0m x\n\x1b[31mERROR:\x1b[0m Wrong name: /1/y\nonnx_op_name: n3\nbye\n"
    _report(tmp_path, "converting", log, SystemExit(1), {"n3": "/1/Conv"})
    text = (tmp_path / "error.json").read_text()
    assert "ERROR: Wrong name: /1/y" in text and '"/1/Conv"' in text and "31m" not in text
    _report(tmp_path, "converting", "", ValueError("\x1b[31mERROR:\x1b[0m no"), {})
    assert "31m" not in (tmp_path / "error.json").read_text()
