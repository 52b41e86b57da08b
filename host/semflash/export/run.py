"""Export of a training run's directory: finds the parts, loads them and calls :func:`export_codec`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import HISTORY_MAX_BYTES, SUFFIX
from semflash.conversion.folding import Form
from semflash.data.dataset import Dataset
from semflash.errors import TrainingError
from semflash.export.export import Origin, Target, export_codec, none_better_than_guessing
from semflash.export.found import find_run
from semflash.outputs.registry import output_of
from semflash.training.models import load_run
from semflash.training.run_dir import reached
from semflash.training.task import dataset_of, load_task

HISTORY_FILE = "history.json"


def export(
    run_dir: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    task_dir: str | Path | None = None,
    whole_graph: bool = False,
    overwrite: bool = False,
    data_dir: str | Path | None = None,
    data: str | None = None,
    force: bool = False,
    modulation: Form = "auto",
) -> Bundle:
    """Export a finished codec run.

    Args:
        run_dir: see :func:`semflash.export.found.find_run`.
        out: bundle directory to make.
        name: of the bundle; default: the directory's name.
        task_dir: Run of the task network, whose figure of merit on the test split goes into the record.
        whole_graph: See :func:`semflash.export.export.export_codec`.
        overwrite: See there.
        force: See there.
        modulation: See there.
        data_dir: where the data set's files lie.
        data: where the folder of the training is now; None: where it was.

    Raises:
        TrainingError, DatasetError, ExportError, BundleError: see there.
    """
    codec_dir, found_task = find_run(Path(run_dir))
    task = found_task if task_dir is None else Path(task_dir)
    trained = load_run(codec_dir)
    dataset = dataset_of(trained.info, data_dir, data)
    best = reached(trained.info.results)
    output = output_of(trained.codec.task(trained.tail), dataset.class_names)
    none_better_than_guessing(best, output, dataset, force)  # now, not after minutes of proving
    task_value = None if task is None else load_task(task).accuracy(dataset.test)
    origin = Origin(
        recipe=_recipe(trained.info, dataset),
        seed=trained.info.seed,
        history=_history(codec_dir),
        task_value=task_value,
        encoder_sha256=trained.info.results.get("int8_encoder_sha256"),
    )
    target = Target(name or Path(out).name.removesuffix(SUFFIX), whole_graph, overwrite, force, modulation)
    return export_codec(trained, out, dataset, target, origin)


def _recipe(info: Any, dataset: Dataset) -> dict[str, Any]:
    """Plain JSON values: the recipe, the versions, the run's own figures, and of a stored teacher its
    record."""
    teacher = info.recipe.get("teacher_record")
    return ({} if teacher is None else {"teacher": teacher}) | {
        "recipe": info.recipe,
        "dataset": info.dataset if dataset.source is None else dataset.source.name,
        "data": {} if dataset.source is None else dataset.source.plain(),
        "versions": info.versions,
        "results": info.results,
    }


def _history(codec_dir: Path) -> bytes | None:
    path = codec_dir / HISTORY_FILE
    if not path.is_file():
        return None
    if path.stat().st_size > HISTORY_MAX_BYTES:
        raise TrainingError("the training history is larger than 64 MiB", value=path)
    return path.read_bytes()
