"""Batches for training a codec: images, bit error rates, what the decoder is told, noise, importance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from semflash.data.augment import augment_and_tell, move_maps
from semflash.data.dataset import Split
from semflash.tasks.kinds import Classification, TaskKind
from semflash.training.importance import mean_one
from semflash.training.recipes.recipe import CodecRecipe
from semflash.training.task import shuffled

Batch = tuple[dict[str, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class CodecBatches:
    """One epoch after another, each from its own generator.

    Attributes:
        data: training images uint8 (N, H, W, C) and labels.
        recipe: batch size, augmentation, bit error rates, estimate noise.
        noise_shape: of the codec.
        importance: float16 (N, h, w) or (N, c); None: the batches hold none.
        kind: of the task, makes targets of labels.
    """

    data: Split
    recipe: CodecRecipe
    noise_shape: tuple[int, ...]
    importance: np.ndarray | None = None
    kind: TaskKind = field(default_factory=Classification)

    def __call__(self, rng: np.random.Generator) -> Iterator[Batch]:
        """({image, ber, told, noise, importance}, targets); told and importance only where asked for."""
        ber = self.recipe.ber
        for chosen in shuffled(self.data, self.recipe.batch, rng):
            image, moves = augment_and_tell(self.data.images[chosen], self.recipe.augmentation, rng)
            inputs = {"image": image, "ber": ber.sample(len(chosen), rng)}
            inputs["noise"] = rng.random((len(chosen), *self.noise_shape), dtype=np.float32)
            if self.recipe.estimate_noise:
                inputs["told"] = ber.tell(inputs["ber"], self.recipe.estimate_noise, rng)
            if self.importance is not None:
                maps = self.importance[chosen]
                if maps.ndim == 3:
                    maps = mean_one(move_maps(maps, moves, (image.shape[1], image.shape[2])))[..., None]
                else:
                    maps = maps.astype(np.float32)[:, None, None, :]
                inputs["importance"] = maps
            size = (image.shape[1], image.shape[2])
            yield inputs, self.kind.targets(self.data.labels[chosen], moves, size)
