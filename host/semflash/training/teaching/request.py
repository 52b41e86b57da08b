"""What ``semflash teach`` is asked for, and which teacher that means."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from semflash.data.dataset import Dataset
from semflash.errors import UsageError
from semflash.teachers.base import Plan, Teacher
from semflash.teachers.opening import Options, open_keras, open_lite0, open_onnx
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import TASK_RECIPES, task_recipe
from semflash.training.recipes.overrides import override
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.teaching.names import NETWORKS, Named, parsed


@dataclass(frozen=True)
class TeachRequest:
    """What to ask whom.

    Attributes:
        dataset: name of a data set, or an image folder.
        teacher: ``lite0``, ``ensemble:M``, ``onnx:FILE`` or ``keras:FILE``; empty: lite0 for colour images,
            else an ensemble.
        views: of each image, view 0 included.
        kept: logits of each answer that are kept; None: all, 10 at most.
        out: folder of the store; None: in the cache, one for each teacher, data set and setting.
        data_dir: where the files of a named data set lie.
        image_size: side that images of a folder are resized to, pixels.
        skip_bad: leave out images of a folder that cannot be read.
        seed: of the views.
        shift_px, gain: of the views (:class:`semflash.data.views.ViewSettings`).
        mirror: of the views; None: as the data set's task network is trained.
        options: of the teacher.
        task_recipe: of an ensemble's networks; empty: the data set's.
        task_set: fields of it that are replaced, ``KEY=VALUE``.
    """

    dataset: str
    teacher: str = ""
    views: int = 8
    kept: int | None = None
    out: Path | None = None
    data_dir: Path | None = None
    image_size: int = 32
    skip_bad: bool = False
    seed: int = 0
    shift_px: int = 4
    gain: float = 0.15
    mirror: bool | None = None
    options: Options = field(default_factory=Options)
    task_recipe: str = ""
    task_set: tuple[str, ...] = ()


def mirrors(name: str) -> bool:
    """Whether the task network of a data set is trained on mirrored images; True for one's own data sets."""
    recipe = TASK_RECIPES.get(name)
    return recipe is None or recipe.augmentation.flip > 0


def plan(request: TeachRequest, data: Dataset, progress: Progress) -> Plan:
    """The teacher that a request means, checked.

    Raises:
        UsageError: there is no such teacher.
        ToolMissingError: its extra is not installed.
        TeacherError, TrainingError: its file is no good, or does not take such images.
    """
    named = parsed(request.teacher) if request.teacher else _default(data)
    if named.kind == "ensemble":
        from semflash.training.teaching.ensemble import plan_ensemble

        return plan_ensemble(_recipe(request, data), named.networks, request.data_dir, progress)
    teacher: Teacher
    if named.kind == "lite0":
        if data.image_shape[2] != 3:
            progress.say("note: lite0 knows colour photographs; grey images fill all three of its channels")
        teacher = open_lite0(request.options)
    elif named.kind == "onnx":
        teacher = open_onnx(named.file, request.options)
    else:
        teacher = open_keras(named.file, request.options)
    return Plan(teacher.record, lambda folder: teacher)


def _default(data: Dataset) -> Named:
    colour = data.image_shape[2] == 3
    return Named("lite0") if colour else Named("ensemble", networks=NETWORKS)


def _recipe(request: TeachRequest, data: Dataset) -> TaskRecipe:
    """Of an ensemble's networks, without their seeds."""
    name = request.task_recipe or data.name
    if name not in TASK_RECIPES and not request.task_recipe:
        raise UsageError(
            "no task recipe is named as the data set is",
            value=data.name,
            remedy=f"--task-recipe with one of {', '.join(sorted(TASK_RECIPES))}",
        )
    own = {"dataset": request.dataset, "image_size": request.image_size, "skip_bad": request.skip_bad}
    return override(task_recipe(name), own, list(request.task_set))
