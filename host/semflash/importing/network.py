"""Import of a network that was trained elsewhere: ``import_network(request)`` behind ``semflash import``.

Leaves the run directory of a task network, as if it had been trained here: ``semflash train RECIPE --task
DIR`` puts a codec on top. Nothing is written unless head and tail compute what the original computes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.conversion.int8_check import check_int8
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.errors import ExportError, TrainingError
from semflash.importing.device_operators import beyond_device
from semflash.importing.parts import Meaning, Parts, check_packages, open_file
from semflash.tasks.keras.cuts import split_points
from semflash.tasks.keras.files import read_model
from semflash.tasks.networks import keep
from semflash.tasks.preprocessing import matrix_of, with_preprocessing
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.run_dir import RUN_FILE, RunInfo, save_weights
from semflash.training.task import TrainedTask

CHECK_IMAGES = 16
CALIBRATION_IMAGES = 64
#: Largest difference of features and output, as a share of the largest absolute value (at least of 1, of
#: scores 0.05): what float32 sums in another order differ by. A wrong layout or a lost operator changes tens
#: of per cent. A detector's scores are tiny where it sees nothing, as in noise; exchanged ones must differ.
TOLERANCE = 2e-4
_LEAST_SCALE = {"scores": 0.05}


@dataclass(frozen=True)
class ImportRequest:
    """What to import.

    Attributes:
        model: ``.onnx``, ``.keras`` or ``.h5`` file.
        split: tensor, node or layer at which it is cut.
        out: directory to write.
        dataset, data_dir: data set it works on: gives class names, images to check with, and accuracy; None:
            class names are the file's or numbers, and the images are noise.
        check_images: uint8 (N, H, W, C) to check with instead.
        mean, std, bgr: what the network does to an image in [0, 1] first (:mod:`.preprocessing`).
        size: height and width, for an ONNX file that leaves them open.
        overwrite: replace a run that is in ``out``.
        form: of an ONNX detector's output, ``yolov8`` or ``yolov5``; None: told by its shape.
        class_names: of an ONNX detector, in its order; empty: those in the file.
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
    form: str | None = None
    class_names: tuple[str, ...] = ()


def list_splits(model: Path, size: tuple[int, int] | None = None) -> list[tuple[str, tuple[int, ...]]]:
    """Where a network can be cut: names and shapes (h, w, c), from the image on."""
    if model.suffix != ".onnx":
        return split_points(read_model(model))
    check_packages()
    from semflash.importing.onnx.graph import read_onnx

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
    file = open_file(request.model, request.split, request.size)
    image_shape, data = file.image_shape, None
    if request.dataset is not None:
        data = load_dataset(request.dataset, data_dir=request.data_dir, image_size=image_shape[:2])
    names = None if data is None else data.class_names
    meaning = file.meaning(request.form, request.class_names, names)
    _check_data(data, image_shape, meaning)
    images = _check_images(request, data, image_shape)
    say(f"cutting {request.model.name} at {request.split}")
    kernel, bias = matrix_of(image_shape[2], request.mean, request.std, request.bgr)
    network_input = (images.astype(np.float32) / np.float32(255)) @ kernel + bias
    parts = file.parts(meaning, network_input)
    recipe = dataclasses.asdict(_recipe(request, parts))
    head = with_preprocessing(parts.head, recipe)
    results = _compare(parts, head, images, network_input)
    differences = [f"{name} by {results[f'{name}_max_difference']:.2e}" for name in parts.pieces]
    say(f"features differ by {results['features_max_difference']:.2e} at most, {', '.join(differences)}")
    results["int8"] = _int8(head, parts, data, images, say)
    task = TrainedTask(head, parts.tail, _info(request, recipe, data, image_shape, meaning, results))
    if data is not None:
        kind = task.kind
        task = dataclasses.replace(
            task, info=task.info.finished(**{f"val_{kind.metric}": task.accuracy(data.val)})
        )
        say(f"{kind.metric} on the validation split: {task.info.results[f'val_{kind.metric}']:.4f}")
    _write(request.out, task)
    return task


def _write(out: Path, task: TrainedTask) -> None:
    """Write all files beside their places, then rename them; run.json, without which there is no run, is the
    first to go and the last to come. A failure while writing leaves an old run as it was."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=out) as place:
        new = Path(place)
        keep(new, task.info.recipe, head=task.head, tail=task.tail)
        save_weights(new, {"head": task.head, "tail": task.tail})
        task.info.save(new)
        (out / RUN_FILE).unlink(missing_ok=True)
        for path in sorted(new.iterdir(), key=lambda path: path.name == RUN_FILE):
            path.replace(out / path.name)


def _compare(
    parts: Parts, head: keras.Model, images: np.ndarray, network_input: np.ndarray
) -> dict[str, Any]:  # fmt: skip
    """Largest differences of features and output from the original. TrainingError: they are too large."""
    expected = parts.expected(network_input)
    features = head(images.astype(np.float32) / np.float32(255), training=False)
    logits = parts.finish(parts.tail(features, training=False))
    found = [keras.ops.convert_to_numpy(value) for value in (features, logits)]
    results: dict[str, Any] = {"checked_images": len(images), "tolerance": TOLERANCE}
    pairs = {"features": (found[0], expected[0])}
    pairs |= {name: (found[1][..., part], expected[1][..., part]) for name, part in parts.pieces.items()}
    for name, (mine, original) in pairs.items():
        if mine.shape != original.shape:
            raise TrainingError(
                f"the {name} have another shape than the original's", value=f"{mine.shape}, {original.shape}"
            )
        difference = float(np.abs(mine - original).max())
        scale = max(_LEAST_SCALE.get(name, 1.0), float(np.abs(original).max()))
        results |= {f"{name}_max_difference": difference, f"{name}_max": float(np.abs(original).max())}
        if not difference <= TOLERANCE * scale:
            raise TrainingError(
                f"the {name} are not those of the original network",
                value=f"they differ by {difference:.3g}, values reach {scale:.3g}",
                remedy=parts.remedy,
            )
    return results


def _int8(
    head: keras.Model, parts: Parts, data: Dataset | None, images: np.ndarray, say: Callable[[str], None]
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
    missing = beyond_device(check.operators)
    if not missing:
        return check.described()
    say(f"the device has no {', '.join(missing)}: {_near(parts)}; the default encoder does not run the head")
    return check.described() | {"not_on_device": missing, "device_splits": list(parts.device_splits)}


def _near(parts: Parts) -> str:
    splits = " or ".join(parts.device_splits)
    return f"a codec behind the head needs the split {splits}" if splits else "no codec goes behind this head"


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


def _check_data(data: Dataset | None, image_shape: tuple[int, int, int], meaning: Meaning) -> None:
    if data is None:
        return
    if meaning.output.detects != data.has_boxes:
        raise TrainingError(
            "the network detects objects, and the data set has no boxes" if meaning.output.detects
            else "the network classifies images, and the data set has boxes",
            value=data.name, remedy="a COCO or VOC folder for a detector, an image folder for a classifier",
        )  # fmt: skip
    classes = len(meaning.chosen)
    if data.image_shape != image_shape or len(data.class_names) != classes:
        raise TrainingError(
            f"the network takes images {image_shape} and gives {classes} classes; the data set differs",
            value=f"{data.name}: {data.image_shape}, {len(data.class_names)} classes",
            remedy="name the data set that the network was trained for",
        )


def _recipe(request: ImportRequest, parts: Parts) -> TaskRecipe:
    return TaskRecipe(
        request.model.stem, request.dataset or "", epochs=0, network=parts.kind, model=request.model.name,
        split=parts.split, mean=request.mean, std=request.std, bgr=request.bgr,
    )  # fmt: skip


def _info(
    request: ImportRequest, recipe: dict[str, Any], data: Dataset | None, image_shape: tuple[int, int, int],
    meaning: Meaning, results: dict[str, Any],
) -> RunInfo:  # fmt: skip
    versions = {
        "python": platform.python_version(), "numpy": np.__version__, "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }  # fmt: skip
    digest = hashlib.sha256(request.model.read_bytes()).hexdigest()
    source = {"file": request.model.name, "sha256": digest, "output_form": meaning.output.form}
    return RunInfo(
        "task", recipe, request.dataset or "", list(meaning.class_names), image_shape, 0, versions,
        results | {"source": source, "named": meaning.named or data is not None},
        data={} if data is None or data.source is None else data.source.plain(),
    )  # fmt: skip
