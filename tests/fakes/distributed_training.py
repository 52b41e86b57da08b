"""A process of a distributed training, started by the test: ``python distributed_training.py FOLDER OUT MODE``.

MODE is ``alone`` or ``multi-worker``, with TF_CONFIG in the environment.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path


def main(folder: str, out: str, mode: str) -> None:
    """Train the tiny task network and a tiny codec, two epochs of three steps each."""
    from semflash.training.distribution import distribution

    here = distribution(None if mode == "alone" else "multi-worker")
    from semflash.training.codec import train_codec
    from semflash.training.progress import Progress
    from semflash.training.recipes import codec_recipe, task_recipe
    from semflash.training.task import train_task_network

    quiet = Progress(quiet=True)
    task = replace(task_recipe("tiny"), dataset=folder, epochs=2, batch=16, weight_decay=0.1)
    train_task_network(task, Path(out) / "task", progress=quiet, distribution=here)
    if mode != "alone":
        wait_for(Path(out) / "task" / "run.json")
    codec = replace(codec_recipe("tiny"), dataset=folder, batch=16)
    train_codec(codec, Path(out) / "task", Path(out) / "codec", progress=quiet, distribution=here)


def wait_for(path: Path) -> None:
    """Until the chief has written it."""
    import time

    for _ in range(600):
        if path.is_file():
            return
        time.sleep(0.1)
    raise SystemExit(f"{path} did not appear")


if __name__ == "__main__":
    main(*sys.argv[1:])
