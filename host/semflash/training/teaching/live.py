"""The teacher of a store once more, to be asked while a student learns."""

from __future__ import annotations

from pathlib import Path

from semflash.data.dataset import Dataset
from semflash.errors import TeacherError
from semflash.teachers.base import FEATURES, Teacher
from semflash.teachers.live import LiveTeacher
from semflash.teachers.opening import Options, open_keras, open_lite0, open_onnx
from semflash.teachers.store import TeacherStore


def live_teacher(
    store: TeacherStore, data: Dataset, file: Path | None = None, threads: int = 1
) -> LiveTeacher:
    """The teacher that made a store, with the same views and head; a context.

    Args:
        file: the network, of a store that one in a file made.
        threads: of the process that runs it.

    Raises:
        TeacherError: it is another teacher, or its file is not named.
        ToolMissingError: its extra is not installed.
    """
    return LiveTeacher(store, data, _teacher(store, file, threads))


def _teacher(store: TeacherStore, file: Path | None, threads: int) -> Teacher:
    known = store.manifest.teacher
    kind = known.name.partition(":")[0]
    if kind == "ensemble":
        from semflash.training.task import load_task
        from semflash.training.teaching.ensemble import FOLDER, EnsembleTeacher

        places = sorted((store.folder / FOLDER).iterdir()) if (store.folder / FOLDER).is_dir() else []
        if not places:
            raise TeacherError(
                "the networks of the ensemble are not in the store any more",
                value=store.folder / FOLDER,
                remedy="make the store again with `semflash teach`",
            )
        return EnsembleTeacher(known, [load_task(place) for place in places])
    settings = known.settings
    options = Options(
        size=(settings["height"], settings["width"]),
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        top=settings["top"],
        head=known.output == FEATURES,
        output=settings.get("output", ""),
        threads=threads,
    )
    if kind == "lite0":
        return open_lite0(options)
    if file is None:
        raise TeacherError("the file of the teacher is not named", value=known.name, remedy="name it")
    return open_onnx(file, options) if kind == "onnx" else open_keras(file, options)
