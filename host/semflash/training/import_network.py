"""Import of a classifier that was trained elsewhere: ``import_network(request)`` behind ``semflash import``.

Leaves the run directory of a task network, as if it had been trained here: ``semflash train RECIPE --task
DIR`` puts a codec on top. Nothing is written unless head and tail compute what the original computes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.errors import ExportError, ToolMissingError, TrainingError
from semflash.training.datasets import Dataset, load_dataset
from semflash.training.int8_check import check_int8
from semflash.training.keras_cuts import cut, ends_in_softmax, head_and_whole, split_points
from semflash.training.keras_files import read_model
from semflash.training.preprocessing import matrix_of, with_preprocessing
from semflash.training.recipes import KERAS, ONNX, TaskRecipe
from semflash.training.run_dir import RUN_FILE, RunInfo, save_weights
from semflash.training.task import TrainedTask
from semflash.training.task_networks import keep

CHECK_IMAGES = 16
CALIBRATION_IMAGES = 64
#: Largest difference of features and logits, as a share of the largest absolute value (at least of 1): what
#: float32 sums in another order differ by. A wrong layout or a lost operator changes tens of per cent.
TOLERANCE = 2e-4
_PACKAGES = (
    "onnx",
    "onnx2tf",
    "tf_keras",
    "onnxsim",
    "onnxruntime",
    "onnx_graphsurgeon",
    "sng4onnx",
    "psutil",
)


@dataclass(frozen=True)
class ImportRequest:
    """What to import.

    Attributes:
        model: ``.onnx``, ``.keras`` or ``.h5`` file.
        split: tensor, node or layer at which it is cut.
        out: directory to write.
        dataset, data_dir: data set it classifies: gives class names, images to check with, and accuracy;
            None: class names are numbers, and the images are noise.
        check_images: uint8 (N, H, W, C) to check with instead.
        mean, std, bgr: what the network does to an image in [0, 1] first (:mod:`.preprocessing`).
        size: height and width, for an ONNX file that leaves them open.
        overwrite: replace a run that is in ``out``.
    """

    model: Path
    split: str
    out: Path
    dataset: str | None = None
    data_dir: Path | None = None
    check_images: np.ndarray | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False
    size: tuple[int, int] | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class _Cut:
    """Both sides of a cut, for the network's own input.

    ``expected``: what the original gives for images float (N, H, W, C), features and result; ``finish``: what
    it does behind the logits, a softmax or nothing.
    """

    kind: str
    split: str
    head: keras.Model
    tail: keras.Model
    expected: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    finish: Callable[[Any], Any] = lambda logits: logits
    remedy: str = "report the network's operators; nothing was written"


def list_splits(model: Path, size: tuple[int, int] | None = None) -> list[tuple[str, tuple[int, ...]]]:
    """Where a network can be cut: names and shapes (h, w, c), from the image on."""
    if model.suffix != ".onnx":
        return split_points(read_model(model))
    _check_packages()
    from semflash.training.onnx_graph import read_onnx

    return [(name, (*shape[1:], shape[0])) for name, shape in read_onnx(model, size).split_points()]


def import_network(request: ImportRequest, say: Callable[[str], None] = lambda text: None) -> TrainedTask:
    """Convert, cut, check and write.

    Args:
        say: told what is being done.

    Raises:
        TrainingError: the file, the split or an operator is no good, or head and tail do not compute what the
            original does; the largest differences are named.
        DatasetError: the data set is missing. ToolMissingError: a package is not installed.
    """
    if (request.out / RUN_FILE).exists() and not request.overwrite:
        raise TrainingError(
            "there is a run already", value=request.out, remedy="--overwrite, or another --out"
        )
    image_shape, classes, make = _read(request)
    data = None
    if request.dataset is not None:
        data = load_dataset(request.dataset, data_dir=request.data_dir, image_size=image_shape[:2])
    _check_data(data, image_shape, classes)
    images = _check_images(request, data, image_shape)
    say(f"cutting {request.model.name} at {request.split}")
    kernel, bias = matrix_of(image_shape[2], request.mean, request.std, request.bgr)
    network_input = (images.astype(np.float32) / np.float32(255)) @ kernel + bias
    parts = make(network_input)
    recipe = dataclasses.asdict(_recipe(request, parts))
    head = with_preprocessing(parts.head, recipe)
    results = _compare(parts, head, images, network_input)
    say(
        f"features differ by {results['features_max_difference']:.2e} at most, "
        f"logits by {results['logits_max_difference']:.2e}"
    )
    results["int8"] = _int8(head, data, images, say)
    task = TrainedTask(head, parts.tail, _info(request, recipe, data, image_shape, classes, results))
    if data is not None:
        task = dataclasses.replace(task, info=task.info.finished(val_accuracy=task.accuracy(data.val)))
    request.out.mkdir(parents=True, exist_ok=True)
    keep(request.out, recipe, head=head, tail=parts.tail)
    save_weights(request.out, {"head": head, "tail": parts.tail})
    task.info.save(request.out)
    return task


def _read(request: ImportRequest) -> tuple[tuple[int, int, int], int, Callable[[np.ndarray], _Cut]]:
    """Image shape, number of classes, and what makes the cut for images float (N, H, W, C)."""
    listing = f"semflash import {request.model.name} --list"
    if request.model.suffix == ".onnx":
        _check_packages()
        from semflash.training.onnx_graph import read_onnx

        network = read_onnx(request.model, request.size)
        tensor = network.find(request.split, listing)
        return network.image_shape, network.classes, lambda images: _from_onnx(network, tensor, images)
    model = read_model(request.model)
    head, tail = cut(model, request.split, listing)
    whole = head_and_whole(model, request.split)

    def expected(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, result = whole(images, training=False)
        return keras.ops.convert_to_numpy(features), keras.ops.convert_to_numpy(result)

    shape = tuple(head.input_shape[1:])
    image_shape = (int(shape[0]), int(shape[1]), int(shape[2]))
    finish = keras.ops.softmax if ends_in_softmax(model) else _Cut.finish
    parts = _Cut(KERAS, request.split, head, tail, expected, finish)
    return image_shape, int(tail.output_shape[-1]), lambda _: parts


def _from_onnx(network: Any, tensor: str, images: np.ndarray) -> _Cut:
    from semflash.training.onnx_convert import convert
    from semflash.training.tflite_layers import keras_model

    converted = convert(network, tensor, images)
    head = keras_model(converted.head, "head", "image")
    tail = keras_model(converted.tail, "tail", "features")
    parts = _Cut(
        ONNX, tensor, head, tail, lambda _: (converted.features.transpose(0, 2, 3, 1), converted.logits)
    )
    equal = network.ambiguous()
    if not equal:
        return parts
    remedy = (
        f"onnx2tf tells axes by their lengths, and {', '.join(equal[:3])} has as many channels as rows and "
        "columns: export the network for another image size, or with another number of channels there"
    )
    return dataclasses.replace(parts, remedy=remedy)


def _compare(
    parts: _Cut, head: keras.Model, images: np.ndarray, network_input: np.ndarray
) -> dict[str, Any]:  # fmt: skip
    """Largest differences of features and logits from the original. TrainingError: they are too large."""
    expected = parts.expected(network_input)
    features = head(images.astype(np.float32) / np.float32(255), training=False)
    logits = parts.finish(parts.tail(features, training=False))
    found = [keras.ops.convert_to_numpy(value) for value in (features, logits)]
    results: dict[str, Any] = {"checked_images": len(images), "tolerance": TOLERANCE}
    for name, mine, original in zip(("features", "logits"), found, expected, strict=True):
        if mine.shape != original.shape:
            raise TrainingError(
                f"the {name} have another shape than the original's", value=f"{mine.shape}, {original.shape}"
            )
        difference = float(np.abs(mine - original).max())
        scale = max(1.0, float(np.abs(original).max()))
        results |= {f"{name}_max_difference": difference, f"{name}_max": float(np.abs(original).max())}
        if not difference <= TOLERANCE * scale:
            raise TrainingError(
                f"the {name} are not those of the original network",
                value=f"they differ by {difference:.3g}, values reach {scale:.3g}",
                remedy=parts.remedy,
            )
    return results


def _int8(
    head: keras.Model, data: Dataset | None, images: np.ndarray, say: Callable[[str], None]
) -> dict[str, Any]:  # fmt: skip
    """The int8 check, or why the head does not quantise: a codec with its own encoder does not need that."""
    calibration = images if data is None else data.train.images[:CALIBRATION_IMAGES]
    try:
        check = check_int8(head, calibration, images)
    except ExportError as error:
        say(f"the head does not run on a device as it is: {error.what}")
        return {"refused": str(error)}
    say(
        f"int8 head: features differ by {check.max_difference:.3g} at most "
        f"({check.relative_difference:.1%} of their spread), {check.macs:,} MACs"
    )
    return check.described()


def _check_images(
    request: ImportRequest, data: Dataset | None, image_shape: tuple[int, int, int]
) -> np.ndarray:  # fmt: skip
    if request.check_images is not None:
        images = request.check_images
        if images.dtype != np.uint8 or tuple(images.shape[1:]) != image_shape or not len(images):
            raise TrainingError(
                f"images to check with are uint8 (N, {', '.join(map(str, image_shape))})",
                value=f"{images.dtype} {images.shape}",
            )
        return images
    if data is not None:
        return data.val.images[:CHECK_IMAGES]
    return np.random.default_rng(0).integers(0, 256, (CHECK_IMAGES, *image_shape), np.uint8)


def _check_data(data: Dataset | None, image_shape: tuple[int, int, int], classes: int) -> None:
    if data is None:
        return
    if data.image_shape != image_shape or len(data.class_names) != classes:
        raise TrainingError(
            f"the network takes images {image_shape} and gives {classes} classes; the data set differs",
            value=f"{data.name}: {data.image_shape}, {len(data.class_names)} classes",
            remedy="name the data set that the network was trained for",
        )


def _recipe(request: ImportRequest, parts: _Cut) -> TaskRecipe:
    return TaskRecipe(
        request.model.stem, request.dataset or "", epochs=0, network=parts.kind, model=request.model.name,
        split=parts.split, mean=request.mean, std=request.std, bgr=request.bgr,
    )  # fmt: skip


def _info(
    request: ImportRequest, recipe: dict[str, Any], data: Dataset | None, image_shape: tuple[int, int, int],
    classes: int, results: dict[str, Any],
) -> RunInfo:  # fmt: skip
    names = [f"class {index}" for index in range(classes)] if data is None else list(data.class_names)
    versions = {
        "python": platform.python_version(), "numpy": np.__version__, "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }  # fmt: skip
    digest = hashlib.sha256(request.model.read_bytes()).hexdigest()
    source = {"file": request.model.name, "sha256": digest}
    return RunInfo(
        "task", recipe, request.dataset or "", names, image_shape, 0, versions, results | {"source": source}
    )


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            "importing ONNX networks needs Python packages that are missing",
            value=", ".join(missing),
            remedy="pip install 'semflash[onnx]'",
        )
