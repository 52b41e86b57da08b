"""A worker of a distributed training, started by a test with TF_CONFIG: arguments FOLDER OUT PART.

PART is ``task``: the tiny task network; or ``both``: a tiny codec on top of it, too.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path


def main(folder: str, out: str, part: str) -> None:
    """Train as :mod:`test_large_data` does alone."""
    from semflash.training.distribution import distribution

    here = distribution("multi-worker")
    from semflash.training.codec import train_codec
    from semflash.training.progress import Progress
    from semflash.training.recipes import codec_recipe, task_recipe
    from semflash.training.task import train_task_network

    quiet = Progress(quiet=True)
    task = replace(task_recipe("tiny"), dataset=folder, epochs=2, batch=16, weight_decay=0.1)
    place = Path(out) / "task" if part == "both" else Path(out)
    train_task_network(task, place, progress=quiet, distribution=here)
    if part == "both":
        codec = replace(codec_recipe("tiny"), dataset=folder, batch=16)
        train_codec(codec, place, Path(out) / "codec", progress=quiet, distribution=here)


if __name__ == "__main__":
    main(*sys.argv[1:])
