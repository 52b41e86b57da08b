"""The parts of a training run's directory, found without Keras."""

from __future__ import annotations

from pathlib import Path

from semflash.errors import TrainingError
from semflash.training.run_dir import has_run

CODEC_DIR, TASK_DIR = "codec", "task"


def find_run(run_dir: Path) -> tuple[Path, Path | None]:
    """(codec run, task run or None).

    Args:
        run_dir: what ``semflash train`` made (with ``codec/`` and ``task/``), or a codec run itself.

    Raises:
        TrainingError: there is no finished codec run in it.
    """
    if has_run(run_dir / CODEC_DIR):
        task = run_dir / TASK_DIR
        return run_dir / CODEC_DIR, task if has_run(task) else None
    if has_run(run_dir):
        return run_dir, None
    raise TrainingError(
        "no finished codec run here", value=run_dir, remedy="semflash train RECIPE --out DIR, then export DIR"
    )
