"""Import of a network that was trained elsewhere: ``import_network(request)`` behind ``semflash import``.

Leaves the run directory of a task network, as if it had been trained here: ``semflash train RECIPE --task
DIR`` puts a codec on top. Nothing is written unless head and tail compute what the original computes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash import atomic
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.data.summary import summary
from semflash.errors import TrainingError
from semflash.importing.compare import compare
from semflash.importing.device_check import check_on_device
from semflash.importing.parts import Meaning, Parts, check_packages, open_file
from semflash.tasks.keras.cuts import split_points
from semflash.tasks.keras.files import read_model
from semflash.tasks.keras.input_range import Beginning
from semflash.tasks.networks import keep
from semflash.tasks.preprocessing import matrix_of, own_input, with_beginning, with_preprocessing
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.run_dir import RunInfo, has_run, save_weights
from semflash.training.task import TrainedTask

CHECK_IMAGES = 16
CALIBRATION_IMAGES = 64
#: Fewer images than this do not show how values move from one to another: noise is added.
_LEAST_IMAGES = 2


def _nothing(text: str) -> None:
    del text


@dataclass(frozen=True)
class ImportRequest:
    """What to import.

    Attributes:
        model: ``.onnx``, ``.keras`` or ``.h5`` file.
        split: tensor, node or layer at which it is cut.
        out: directory to write.
        dataset: The data set that the network works on, which gives class names, images to check with, and
            accuracy. Without one (None) class names are the file's or numbers, and the images are noise.
        data_dir: Where the files of the data set lie.
        check_images: uint8 (N, H, W, C) to check with instead.
        mean: What is taken off an image in [0, 1] to make the network's input (:mod:`.preprocessing`).
            Without mean and std the network's first steps tell both.
        std: What the difference is divided by.
        bgr: Whether the network takes blue first.
        size: height and width, for an ONNX file that leaves them open.
        overwrite: replace a run that is in ``out``.
        form: of an ONNX detector's output, ``yolov8`` or ``yolov5``; None: told by its shape.
        class_names: of an ONNX detector, in its order; empty: those in the file.
        skip_bad: leave out images of a folder that cannot be read.
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
    skip_bad: bool = False


def list_splits(model: Path, size: tuple[int, int] | None = None) -> list[tuple[str, tuple[int, ...]]]:
    """Where a network can be cut: names and shapes (h, w, c), from the image on."""
    if model.suffix != ".onnx":
        return split_points(read_model(model))
    check_packages()
    from semflash.importing.onnx.graph import read_onnx

    return [(name, (*shape[1:], shape[0])) for name, shape in read_onnx(model, size).split_points()]


def import_network(
    request: ImportRequest, say: Callable[[str], None] = _nothing, detail: Callable[[str], None] = _nothing
) -> TrainedTask:
    """Convert, cut, check and write.

    Args:
        say: Told what is being done.
        detail: Told what the converter said.

    Raises:
        TrainingError: The file, the split or an operator is no good, head and tail do not compute what the
            original does, or the int8 head not what the float one does; the largest differences are named.
        DatasetError: The data set is missing.
        ToolMissingError: A package is not installed.
    """
    if has_run(request.out) and not request.overwrite:
        raise TrainingError(
            "there is a run already", value=request.out, remedy="--overwrite, or another --out"
        )
    file = open_file(request.model, request.split, request.size)
    image_shape, data = file.image_shape, None
    if request.dataset is not None:
        data = load_dataset(
            request.dataset, data_dir=request.data_dir, image_size=image_shape[:2], skip_bad=request.skip_bad
        )
        for line in summary(data):
            say(line)
    names = None if data is None else data.class_names
    meaning = file.meaning(request.form, request.class_names, names)
    _check_data(data, image_shape, meaning)
    images = _check_images(request, data, image_shape)
    say(f"cutting {request.model.name} at {request.split}")
    own = own_input(dataclasses.asdict(request), file.beginning)
    _say_range(request, own, file.beginning, say)
    kernel, bias = matrix_of(image_shape[2], **own)
    network_input = (images.astype(np.float32) / np.float32(255)) @ kernel + bias
    parts = file.parts(meaning, network_input)
    detail(parts.log)
    recipe = with_beginning(dataclasses.asdict(_recipe(request, parts)), file.beginning)
    head = with_preprocessing(parts.head, recipe)
    results = compare(parts, head, images, network_input)
    differences = [f"{name} by {results[f'{name}_max_difference']:.2e}" for name in parts.pieces]
    say(f"features differ by {results['features_max_difference']:.2e} at most, {', '.join(differences)}")
    calibration = images if data is None else _some(data.train.images, CALIBRATION_IMAGES)
    results["int8"] = check_on_device(
        parts, lambda part: with_preprocessing(part, recipe), calibration, images, say
    )
    results["network_input"] = own
    task = TrainedTask(head, parts.tail, _info(request, recipe, data, image_shape, meaning, results))
    if data is not None:
        kind = task.kind
        task = dataclasses.replace(
            task, info=task.info.finished(**{f"val_{kind.metric}": task.accuracy(data.val)})
        )
        say(f"{kind.metric} on the validation split: {task.info.results[f'val_{kind.metric}']:.4f}")
    _write(request.out, task)
    return task


def _say_range(
    request: ImportRequest, own: dict[str, Any], beginning: Beginning, say: Callable[[str], None]
) -> None:
    """Whether the network scales pixels itself, and whether what it is given goes with that."""
    if not beginning.whole.for_pixels:
        return
    if not request.mean and not request.std:
        say("the network scales pixels of 0..255 itself, and is given those")
        return
    kernel, bias = matrix_of(1, own["mean"][:1], own["std"][:1], False)
    low, high = sorted((float(bias[0]) + 0.0, float(kernel[0, 0] + bias[0])))
    say(
        f"the first steps of the network are for pixels of 0..255, and --mean and --std give it "
        f"{low:.3g}..{high:.3g}: leave them out, unless that is meant"
    )


def _write(out: Path, task: TrainedTask) -> None:
    """Write all files, which take their places at once. A failure leaves an old run as it was."""
    with atomic.several(out) as place:
        keep(place, task.info.recipe, head=task.head, tail=task.tail)
        save_weights(place, {"head": task.head, "tail": task.tail})
        task.info.save(place)


def _check_images(
    request: ImportRequest, data: Dataset | None, image_shape: tuple[int, int, int]
) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (CHECK_IMAGES, *image_shape), np.uint8)
    images = request.check_images
    if images is None:
        images = noise if data is None else _some(data.val.images, CHECK_IMAGES)
    elif images.dtype != np.uint8 or tuple(images.shape[1:]) != image_shape or not len(images):
        raise TrainingError(
            f"images to check with are uint8 (N, {', '.join(map(str, image_shape))})",
            value=f"{images.dtype} {images.shape}",
        )
    return images if len(images) >= _LEAST_IMAGES else np.concatenate([images, noise[:_LEAST_IMAGES]])


def _some(images: Any, count: int) -> np.ndarray:
    """As many images, from all over a data set: folders are sorted by class."""
    return np.asarray(images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)])


def _check_data(data: Dataset | None, image_shape: tuple[int, int, int], meaning: Meaning) -> None:
    if data is None:
        return
    if meaning.output.detects != data.has_boxes:
        raise TrainingError(
            "the network detects objects, and the data set has no boxes"
            if meaning.output.detects
            else "the network classifies images, and the data set has boxes",
            value=data.name,
            remedy="a COCO or VOC folder for a detector, an image folder for a classifier",
        )
    classes = len(meaning.chosen)
    if data.image_shape != image_shape or len(data.class_names) != classes:
        raise TrainingError(
            f"the network takes images {image_shape} and gives {classes} classes; the data set differs",
            value=f"{data.name}: {data.image_shape}, {len(data.class_names)} classes",
            remedy="name the data set that the network was trained for",
        )


def _recipe(request: ImportRequest, parts: Parts) -> TaskRecipe:
    return TaskRecipe(
        request.model.stem,
        request.dataset or "",
        epochs=0,
        network=parts.kind,
        model=request.model.name,
        split=parts.split,
        mean=request.mean,
        std=request.std,
        bgr=request.bgr,
        skip_bad=request.skip_bad,
    )


def _info(
    request: ImportRequest,
    recipe: dict[str, Any],
    data: Dataset | None,
    image_shape: tuple[int, int, int],
    meaning: Meaning,
    results: dict[str, Any],
) -> RunInfo:
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    digest = hashlib.sha256(request.model.read_bytes()).hexdigest()
    source = {"file": request.model.name, "sha256": digest, "output_form": meaning.output.form}
    return RunInfo(
        "task",
        recipe,
        request.dataset or "",
        list(meaning.class_names),
        image_shape,
        0,
        versions,
        results | {"source": source, "named": meaning.named or data is not None},
        data={} if data is None or data.source is None else data.source.plain(),
    )
