"""The stages of a codec's training run as plans for the loop, and what is written at its end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash import atomic
from semflash.codecs.base import Codec
from semflash.data.dataset import Dataset, Split
from semflash.data.lazy import LazyImages
from semflash.errors import UsageError
from semflash.outputs.chance import Chance
from semflash.tasks.networks import keep
from semflash.training.batches import CodecBatches
from semflash.training.chance_watch import ChanceWatch
from semflash.training.distribution import ALONE, Distribution
from semflash.training.importance import importance_of
from semflash.training.loop import StagePlan
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import TF_DATA, CodecRecipe
from semflash.training.run_dir import save_weights
from semflash.training.stages import AutoencoderStage, TaskStage, weights_of
from semflash.training.task import TrainedTask, evaluation_batch, limited
from semflash.training.transfer import Transfer
from semflash.training.validation import Validation

VARIANCE_IMAGES = 1_000


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where a run works.

    Attributes:
        task_dir: The run of the task network, beside which maps of importance are kept.
        out: The run's own folder.
        progress: Where lines and bars are shown.
        distribution: Which part of the training this process is.
    """

    task_dir: Path
    out: Path
    progress: Progress
    distribution: Distribution = ALONE


class CodecRun:
    """One run: what is trained, on what, and where it goes.

    Args:
        trained: The untrained (or attached) codec with a copy of the teacher's tail.
        teacher: The task network; it stays as it is.
    """

    def __init__(
        self,
        recipe: CodecRecipe,
        trained: TrainedCodec,
        teacher: TrainedTask,
        data: Dataset,
        place: Workplace,
    ) -> None:
        self.recipe, self.trained, self.teacher, self.data = recipe, trained, teacher, data
        self.task_dir, self.out, self.progress = place.task_dir, place.out, place.progress
        self.distribution = place.distribution
        self.validation = Validation(trained.codec, trained.tail, data.val, place.progress)
        self.train: Split = limited(data.train, recipe.train_images)
        self.variance = variance_of(teacher.head, self.train.images[:VARIANCE_IMAGES])
        self.device_codes: Any = None

    def plans(self, transfer: Transfer | None = None) -> list[StagePlan]:
        """The stages of the recipe in order; after a transfer only the fine-tuning."""
        recipe, codec = self.recipe, self.trained.codec
        batches = self._batches()
        if transfer is not None:
            frozen = () if transfer.train_encoder else device_parts(codec)
            plans = [self._task_plan("finetune", batches, transfer.epochs, recipe.task_peak, frozen)]
        else:
            plans = [
                self._task_plan(stage.name, batches, recipe.task_epochs, recipe.task_peak)
                if stage.uses_task
                else self._autoencoder_plan(stage.name, batches)
                for stage in codec.stages()
            ]
            plans.append(self._task_plan("polish", batches, recipe.polish_epochs, recipe.polish_peak))
        if recipe.int8_epochs:
            plans.append(self._int8_plan())
        return [plan for plan in plans if plan.epochs]

    def finish(self) -> TrainedCodec:
        """Measure, write run.json and weights.npz, and return the codec with its figures.

        Only the chief does so; the other workers wait for it and return the codec without figures.
        """
        done = self._measured() if self.distribution.chief else self.trained
        self.distribution.barrier()
        return done

    def _measured(self) -> TrainedCodec:
        by_ber = self.validation.accuracy_by_ber()
        results: dict[str, Any] = {"val_accuracy": by_ber, **self.validation.use_of_codes()}
        reached, chance = by_ber["0"], Chance.of(self.data.val.labels)
        if not chance.is_above(reached):
            self.progress.warn_of_codec(chance.words(reached))
        if self.device_codes is not None:
            codes = self.device_codes.validation
            results["int8_val_accuracy"] = self.validation.accuracy_by_ber(codes)
        with atomic.several(self.out) as place:
            self.publish(results, place)
        return dataclasses.replace(
            self.trained, info=self.trained.info.finished(**self._with_encoder(results))
        )

    def publish(self, results: dict[str, Any], place: Path) -> None:
        """Write run.json, weights.npz (and network.json, where the task's recipe does not describe the tail)
        of the models as they are into `place`, so that a run can be used before its end."""
        keep(place, self.teacher.info.recipe, tail=self.trained.tail)
        save_weights(place, self.trained.codec.parts() | {"tail": self.trained.tail})
        self.trained.info.finished(**self._with_encoder(results)).save(place)

    def _with_encoder(self, results: dict[str, Any]) -> dict[str, Any]:
        """The results, and of which int8 encoder the codes were on which the decoder was tuned."""
        if self.device_codes is None:
            return results
        return results | {"int8_encoder_sha256": self.device_codes.encoder_sha256}

    def _batches(self) -> Any:
        """Batches of an epoch from its generator, by the recipe's pipeline."""
        recipe, codec, where = self.recipe, self.trained.codec, self.distribution
        if recipe.pipeline != TF_DATA:
            noise_shape = codec.noise_shape()
            return CodecBatches(self.train, recipe, noise_shape, self._importance(), self.teacher.kind)
        from semflash.training.tf_batches import ChannelInputs, TfBatches

        self._importance()
        channel = ChannelInputs(recipe.ber, codec.noise_shape(), recipe.estimate_noise)
        return TfBatches(self.train, recipe.batch, recipe.augmentation, channel, where.rank, where.workers)

    def _importance(self) -> np.ndarray | None:
        recipe = self.recipe
        if not (recipe.xai_weight or recipe.xai_code_weight or self.trained.codec.needs_importance):
            return None
        if recipe.pipeline == TF_DATA or isinstance(self.train.images, LazyImages):
            raise UsageError(
                "importance maps are kept for images in memory and the numpy pipeline",
                value=recipe.pipeline,
                remedy='xai_weight=0, or pipeline="numpy" and a smaller data set',
            )
        return importance_of(
            self.teacher, self.task_dir, self.train, recipe.xai_steps, recipe.xai_kind, self.progress
        )

    @property
    def _steps(self) -> int:
        return len(self.train) // self.recipe.batch

    @property
    def _local(self) -> bool:
        return self.recipe.pipeline == TF_DATA

    def _plan(self, model: keras.Model, epochs: int, peak: float, **more: Any) -> StagePlan:
        return StagePlan(
            name=model.name,
            model=model,
            epochs=epochs,
            steps=self._steps,
            peak=peak,
            weight_decay=self.recipe.weight_decay,
            ema_decay=self.recipe.ema_decay,
            ema_every=self.recipe.ema_every,
            **more,
        )

    def _autoencoder_plan(self, name: str, batches: Any) -> StagePlan:
        model = AutoencoderStage(self.trained.codec, self.teacher.head, self.variance, name=name)
        return self._plan(
            model,
            self.recipe.autoencoder_epochs,
            self.recipe.peak,
            batches=batches,
            validate=self.validation.use_of_codes,
            constant=(self.teacher.head,),
            local=self._local,
        )

    def _task_plan(
        self, name: str, batches: Any, epochs: int, peak: float, frozen: tuple[Any, ...] = ()
    ) -> StagePlan:
        trained, teacher = self.trained, self.teacher
        model = TaskStage(
            trained.codec,
            trained.tail,
            teacher.head,
            teacher.tail,
            self.variance,
            weights_of(self.recipe),
            name=name,
            kind=teacher.kind,
        )
        watch = ChanceWatch("codec", Chance.of(self.data.val.labels), self._steps, self.progress)
        return self._plan(
            model,
            epochs,
            peak,
            batches=batches,
            validate=watch.around(self.validation.epoch),
            publish=self.publish,
            constant=(teacher.head, teacher.tail),
            frozen=frozen,
            local=self._local,
        )

    def _int8_plan(self) -> StagePlan:
        from semflash.training.int8_stage import DeviceCodes, Int8Stage

        self.device_codes = codes = DeviceCodes(
            self.trained, self.data, self.train, self.teacher, self.recipe, self.out, self.progress
        )
        model = Int8Stage(self.trained.codec, self.trained.tail, weights_of(self.recipe), self.teacher.kind)
        return self._plan(
            model,
            self.recipe.int8_epochs,
            self.recipe.int8_peak,
            batches=codes.batches,
            validate=lambda: self.validation.epoch(codes.validation),
            publish=self.publish,
            frozen=device_parts(self.trained.codec),
        )


def variance_of(head: keras.Model, images: Any) -> float:
    """Of a head's features, whatever it computes in.

    Args:
        images: uint8 (N, H, W, C), an array or LazyImages.
    """
    batch, count, total, squares = evaluation_batch(images.shape[1:]), 0, 0.0, 0.0
    for start in range(0, len(images), batch):
        piece = images[start : start + batch].astype(np.float32) / np.float32(255)
        # numpy adds up bfloat16 in bfloat16, which loses most of the sum
        features = keras.ops.convert_to_numpy(head(piece, training=False)).astype(np.float64)
        count, total, squares = count + features.size, total + features.sum(), squares + (features**2).sum()
    return float(squares / count - (total / count) ** 2)


def device_parts(codec: Codec) -> tuple[Any, ...]:
    """What runs on the device: every part that the edge does not run."""
    return tuple(part for name, part in codec.parts().items() if name not in codec.edge_parts())
