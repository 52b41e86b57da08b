"""Fine-tuning of a copy of the task network on what a classical method delivers.

Same epochs, images and losses as the learned codecs: cross entropy and distillation from the task network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.baselines.spec import Job, Settings
from semflash.data.dataset import Split
from semflash.tasks.losses import accuracy, cross_entropy, distillation
from semflash.tasks.networks import clone_tail
from semflash.training.loop import Batch, StagePlan, fingerprint_of, run_stages
from semflash.training.task import EVALUATION_BATCH, limited

BATCH = 128
PEAK = 1e-3
WEIGHT_DECAY = 0.02
TEMPERATURE = 2.0


class Tuned(keras.Model):
    """A network with its loss; inputs {input: as ``network`` takes, teacher (B, classes)}, ``y`` int (B,)."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__(name="tune")
        self.network = network

    def build(self, input_shape: Any) -> None:
        """The network is built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits (B, classes)."""
        return self.network(inputs["input"], training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Cross entropy and distillation."""
        return cross_entropy(y, y_pred) + distillation(y_pred, x["teacher"], TEMPERATURE)


class TrainingViews:
    """The training images of a job and their mirror images, with the task network's logits of both."""

    def __init__(self, job: Job) -> None:
        self.split: Split = limited(job.data.train, job.budget.train_images)
        images = self.split.images
        self.images = (images, np.ascontiguousarray(images[:, :, ::-1]))
        self.flip = job.budget.flip
        self.teacher = np.stack([job.task.logits(view) for view in self.images])

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return len(self.split) // self.batch

    @property
    def batch(self) -> int:
        """Images per step; all of them where there are fewer than 128."""
        return min(BATCH, len(self.split))

    def chosen(self, rng: np.random.Generator) -> Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(view, index) arrays of the batches of an epoch."""
        order = rng.permutation(len(self.split))
        for step in range(self.steps):
            index = order[step * self.batch : (step + 1) * self.batch]
            yield (rng.random(len(index)) < self.flip).astype(np.int64), index


def copied_head(job: Job) -> keras.Model:
    """A copy of the task network's head with its weights."""
    head: keras.Model = keras.models.clone_model(job.task.head)
    head.set_weights(job.task.head.get_weights())
    return head


def copied_tail(job: Job) -> keras.Model:
    """A copy of the task network's tail with its weights."""
    tail: keras.Model = clone_tail(job.task.tail)
    tail.set_weights(job.task.tail.get_weights())
    return tail


def tune(
    network: keras.Model,
    job: Job,
    views: TrainingViews,
    batches: Any,
    validation: NDArray[Any],
    name: str,
    settings: Settings,
) -> None:
    """Train ``network`` in place for the job's epochs.

    Args:
        batches: epoch generator to (inputs, labels) batches.
        validation: inputs of the validation images, undamaged, (N, ...).
        settings: of the trial; ``peak``, if it is there, is the highest learning rate instead of PEAK.

    Raises:
        TrainingError: ``job.out_dir`` holds another run, or the loss is no longer finite.
    """

    def validate() -> dict[str, float]:
        return {"val_0": accuracy(job.data.val.labels, in_pieces(network, validation))}

    plan = StagePlan(
        name="tune",
        model=Tuned(network),
        epochs=job.budget.epochs,
        steps=views.steps,
        batches=batches,
        validate=validate,
        peak=float(settings.get("peak", PEAK)),
        weight_decay=WEIGHT_DECAY,
    )
    job.out_dir.mkdir(parents=True, exist_ok=True)
    described = {"method": name, "settings": dict(settings), "size_bytes": job.size_bytes} | vars(job.budget)
    run_stages(
        [plan],
        job.out_dir,
        seed=job.budget.seed,
        fingerprint=fingerprint_of(described),
        progress=job.progress,
    )


def in_pieces(network: keras.Model, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Logits float32 (N, classes), a thousand inputs at a time; uint8 inputs are scaled to [0, 1]."""
    found = []
    for start in range(0, len(inputs), EVALUATION_BATCH):
        part = inputs[start : start + EVALUATION_BATCH]
        if part.dtype == np.uint8:
            part = part.astype(np.float32) / np.float32(255)
        found.append(keras.ops.convert_to_numpy(network(part, training=False)))
    return np.concatenate(found).astype(np.float32)


def batch_of(
    inputs: NDArray[Any], views: TrainingViews, view: NDArray[np.int64], index: NDArray[np.int64]
) -> Batch:
    """One batch with its teacher logits and labels."""
    return {"input": inputs, "teacher": views.teacher[view, index]}, views.split.labels[index]
