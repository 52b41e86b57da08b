"""How the numbers of a contract must fit together; run on every write and every load.

Each function raises BundleError with what, value and remedy, and returns nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from msgspec import UnsetType

from semflash.bundle.schema import (
    CODEC_FILE,
    ENCODER_MAX_BYTES,
    HISTORY_MAX_BYTES,
    Contract,
    ControlInput,
    FileRef,
    GraphInput,
    Measurement,
    ReceivedInput,
    Record,
)
from semflash.errors import BundleError, ProgramError
from semflash.fields import OUTPUTS_MAX
from semflash.outputs.kinds import (
    BOX,
    SSIM_WINDOW,
    AnchorTask,
    ClassificationTask,
    DetectionTask,
    ImageTask,
)
from semflash.program.checks import check_program
from semflash.program.quality import KINDS
from semflash.program.receiving import can_receive, sent_tensors
from semflash.program.tensors import Codes, Values

RECIPE_MAX_DEPTH = 8
#: q = pixel - 128.
IMAGE = Values(1.0 / 255.0, -128)
_EXPORT_AGAIN = "export the bundle again"


def _refuse(what: str, value: object, remedy: str = _EXPORT_AGAIN) -> BundleError:
    return BundleError(what, value=value, remedy=remedy)


def check_contract(contract: Contract) -> None:
    """Every consistency rule of the contract that needs no other file."""
    try:
        check_program(contract.program)
    except ProgramError as error:
        remedy = error.remedy or _EXPORT_AGAIN
        raise BundleError(f"device program: {error.what}", value=error.value, remedy=remedy) from error
    image = contract.program.tensor(contract.program.image)
    if image.holds != IMAGE:
        raise _refuse(
            "the image's quantisation must be scale 1/255 and zero point -128 (q = pixel - 128)", image.holds
        )
    _check_models(contract)
    _check_edge(contract)
    _check_task(contract)
    _check_picture_beside(contract)
    _check_level_map(contract)
    repeated = [name for name, times in Counter(contract.class_names).most_common(3) if times > 1]
    if repeated:
        raise _refuse("class names repeat", repeated)


def _check_models(contract: Contract) -> None:
    """One model for each graph of the program."""
    named = sorted(graph.name for graph in contract.program.graphs)
    given = sorted(model.name for model in contract.models)
    if named != given:
        raise _refuse("the device program and the models name different graphs", (named, given))
    for model in contract.models:
        if model.file.size_bytes > ENCODER_MAX_BYTES:
            raise _refuse("device graph larger than 64 MiB", model.file.size_bytes, "use a smaller encoder")


def _check_edge(contract: Contract) -> None:
    """Edge graphs read what arrives, or what an earlier one gave."""
    earlier: set[str] = set()
    controls = {control.name for control in contract.program.controls}
    for graph in contract.edge:
        if graph.name in earlier:
            raise _refuse("edge graphs share a name", graph.name)
        names = [given.name for given in graph.inputs]
        if len(set(names)) != len(names):
            raise _refuse(f"inputs of edge graph {graph.name} share a name", names)
        for given in graph.inputs:
            if isinstance(given, GraphInput) and given.graph not in earlier:
                raise _refuse(f"edge graph {graph.name} reads what no earlier one gives", given.graph)
            if isinstance(given, ReceivedInput) and not can_receive(contract.program, given.tensor):
                raise _refuse(f"edge graph {graph.name} reads what the payload does not tell", given.tensor)
            if isinstance(given, ControlInput) and given.control not in controls:
                raise _refuse(f"edge graph {graph.name} reads what is no control", given.control)
        earlier.add(graph.name)
    if not any(isinstance(given, ReceivedInput) for graph in contract.edge for given in graph.inputs):
        raise _refuse("no edge graph reads what arrives", sorted(earlier))


def _check_task(contract: Contract) -> None:
    shape = contract.program.tensor(contract.program.image).shape
    classes = len(contract.class_names)
    match contract.task:
        case ImageTask() as task:
            _check_picture(task, shape)
            return
        case AnchorTask() as task:
            _check_anchors(task, shape, classes)
        case DetectionTask() as task:
            _check_maps(task, shape)
        case ClassificationTask():
            pass
    if classes < 2:
        raise _refuse("the task needs two classes or more", classes)


def _check_picture_beside(contract: Contract) -> None:
    """A picture beside the task's output comes from a graph of its own."""
    if isinstance(contract.picture, UnsetType):
        return
    if isinstance(contract.task, ImageTask):
        raise _refuse("the task's output is the picture already", contract.picture)
    if contract.picture not in {graph.name for graph in contract.edge[:-1]}:
        raise _refuse("the picture comes from no edge graph before the last", contract.picture)
    _check_window(contract.program.tensor(contract.program.image).shape)


def _check_level_map(contract: Contract) -> None:
    """The map of levels arrives, and its patches tile the image."""
    name = contract.level_map
    if isinstance(name, UnsetType):
        return
    program = contract.program
    if name not in sent_tensors(program):
        raise _refuse("the payload does not tell the map of levels", name)
    tensor, image = program.tensor(name), program.tensor(program.image).shape
    if not isinstance(tensor.holds, Codes):
        raise _refuse("the map of levels holds no codes", name)
    if len(tensor.shape) not in (2, 3) or tensor.shape[2:] not in ((), (1,)):
        raise _refuse("the map of levels is not (rows, columns)", tensor.shape)
    if any(pixels % patches for pixels, patches in zip(image[:2], tensor.shape[:2], strict=True)):
        raise _refuse("the patches of the map of levels do not tile the image", (tensor.shape, image))


def _check_picture(task: ImageTask, shape: tuple[int, ...]) -> None:
    if (task.height, task.width, task.channels) != shape:
        raise _refuse("the pictures are of another size than the image", (task, shape))
    _check_window(shape)


def _check_window(shape: tuple[int, ...]) -> None:
    if min(shape[:2]) < SSIM_WINDOW:
        raise _refuse(
            f"the window of SSIM, {SSIM_WINDOW} pixels, does not fit into the picture", tuple(shape[:2])
        )


def _check_anchors(task: AnchorTask, shape: tuple[int, ...], classes: int) -> None:
    if (task.height, task.width) != shape[:2]:
        raise _refuse("the detector's boxes are of another image", (task.height, task.width))
    values = task.anchors * (BOX + classes)
    if values > OUTPUTS_MAX:
        raise _refuse("the task tail gives too many numbers", values, "a smaller detector")


def _check_maps(task: DetectionTask, shape: tuple[int, ...]) -> None:
    covered = (task.height * task.stride, task.width * task.stride)
    if covered != shape[:2]:
        raise _refuse("the detection grid does not cover the image", (covered, shape[:2]))
    if task.peak_window % 2 == 0:
        raise _refuse("the window of a detection peak needs a middle (odd side)", task.peak_window)


def references(contract: Contract, record: Record) -> list[FileRef]:
    """Every file of a bundle beside codec.json."""
    files = [model.file for model in contract.models] + [graph.file for graph in contract.edge]
    return files if record.history is None else [*files, record.history]


def check_file_names(contract: Contract, record: Record) -> None:
    """Every file of the bundle has a name of its own, on file systems that ignore case, too. BundleError."""
    names = [CODEC_FILE, *(reference.file for reference in references(contract, record))]
    if len({name.lower() for name in names}) != len(names):
        raise _refuse("files of the bundle share a name", names)


def check_record(record: Record) -> None:
    """Limits of the freely formed part of the record."""
    if record.history is not None and record.history.size_bytes > HISTORY_MAX_BYTES:
        raise _refuse("training history larger than 64 MiB", record.history.size_bytes)
    for measured in record.measurements:
        _check_measurement(measured)
    _check_depth(record.recipe, RECIPE_MAX_DEPTH)


def _check_measurement(measured: Measurement) -> None:
    """Scores fit their metrics, and levels their kind of quality."""
    if len({metric.name for metric in measured.metrics}) != len(measured.metrics):
        raise _refuse("metrics of a measurement share a name", [metric.name for metric in measured.metrics])
    low, high = KINDS[measured.quality].limits
    for point in measured.points:
        if not low <= point.level <= high:
            raise _refuse(f"a measurement at no {KINDS[measured.quality].title}", point.level)
        if len(point.scores) != len(measured.metrics):
            raise _refuse("a measurement has not one score for each metric", len(point.scores))
        for metric, score in zip(measured.metrics, point.scores, strict=True):
            inside = metric.unit != "share" or (score.low >= 0 and score.high <= 1)
            if not (score.low <= score.value <= score.high and inside):
                raise _refuse(f"{metric.name} of a measurement contradicts itself", score)


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise _refuse(f"record.recipe is nested deeper than {RECIPE_MAX_DEPTH} levels", "recipe")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, left - 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, left - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refuse("record.recipe holds a number that is not finite", value)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise _refuse("record.recipe holds a value that is not JSON", type(value).__name__)
