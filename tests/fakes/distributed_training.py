"""A process of a distributed training, started by the test: arguments FOLDER OUT MODE.

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
    codec = replace(codec_recipe("tiny"), dataset=folder, batch=16)
    train_codec(codec, Path(out) / "task", Path(out) / "codec", progress=quiet, distribution=here)


if __name__ == "__main__":
    main(*sys.argv[1:])
