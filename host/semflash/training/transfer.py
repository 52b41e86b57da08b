"""A codec trained on one task network and data set, attached to another of the same shapes."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from semflash.codecs.base import Codec
from semflash.errors import TrainingError
from semflash.training.models import load_run
from semflash.training.run_dir import WEIGHTS_FILE
from semflash.training.task import TrainedTask


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Where the codec comes from, and how it is tuned.

    Attributes:
        run_dir: directory of a finished codec run.
        epochs: of fine-tuning decoder and tail (stage 2's loss); 0: attached as it is, with the new task
            network's own tail.
        train_encoder: tune the device's side, too; otherwise firmware that is out there still fits.
    """

    run_dir: Path
    epochs: int = 0
    train_encoder: bool = False


def attach(transfer: Transfer, teacher: TrainedTask) -> tuple[Codec, dict[str, Any]]:
    """The codec with its trained weights, and what the new run's recipe says about its origin.

    Raises:
        TrainingError: no codec run there, or images or features of another shape.
    """
    source = load_run(transfer.run_dir)
    sizes = source.codec.sizes
    _same("images", tuple(sizes.image_shape), tuple(teacher.info.image_shape))
    _same("features", tuple(sizes.feature_shape), tuple(teacher.head.output_shape[1:]))
    weights = (transfer.run_dir / WEIGHTS_FILE).read_bytes()
    origin = {
        "recipe": source.info.recipe["name"],
        "dataset": source.info.dataset,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "epochs": transfer.epochs,
        "train_encoder": transfer.train_encoder,
    }
    return source.codec, {"family": source.codec.family, "codec_from": origin}


def _same(what: str, codec: tuple[int, ...], task: tuple[int, ...]) -> None:
    if codec != task:
        raise TrainingError(
            f"the codec's {what} are {codec}, the task network's {task}",
            value=f"{codec} and {task}",
            remedy="attach a codec to a task network of the same shapes, or train a new one",
        )
