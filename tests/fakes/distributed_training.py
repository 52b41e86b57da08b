"""A worker of a distributed training, started by a test with TF_CONFIG: arguments FOLDER OUT PART.

PART is ``task``: the tiny task network from arrays; or ``codec``: that network and a tiny codec on top of it,
both by the tf.data pipeline from files. They go to OUT/task and OUT/codec.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.recipe import TF_DATA, CodecRecipe, TaskRecipe


def recipes(folder: Path, part: str) -> tuple[TaskRecipe, CodecRecipe | None]:
    """What is trained, by the workers and by the one process that they are compared with."""
    task = replace(task_recipe("tiny"), dataset=str(folder), epochs=2, batch=16, weight_decay=0.1)
    if part == "task":
        return task, None
    codec = replace(
        codec_recipe("tiny"),
        dataset=str(folder),
        batch=16,
        pipeline=TF_DATA,
        estimate_noise=0.5,
        usage_weight=0.05,
        weight_decay=0.1,
    )
    return replace(task, epochs=1, pipeline=TF_DATA), codec


def train(folder: Path, out: Path, part: str, **how: Any) -> None:
    """Train what :func:`recipes` says."""
    from semflash.training.codec import train_codec
    from semflash.training.task import train_task_network

    task, codec = recipes(folder, part)
    train_task_network(task, out / "task", progress=Progress(quiet=True), **how)
    if codec is not None:
        train_codec(codec, out / "task", out / "codec", progress=Progress(quiet=True), **how)


def main(folder: str, out: str, part: str) -> None:
    """Train as one of the workers that TF_CONFIG names, all images left on disk."""
    from semflash.training.distribution import distribution

    here = distribution("multi-worker")
    from semflash.data import lazy as lazy_images

    lazy_images.IN_MEMORY_MAX_BYTES = 0 if part == "codec" else lazy_images.IN_MEMORY_MAX_BYTES
    train(Path(folder), Path(out), part, distribution=here)


if __name__ == "__main__":
    main(*sys.argv[1:])
