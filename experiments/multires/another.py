"""Another classifier on the same codec: a convolutional network without attention."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from semflash.codecs.multires.measuring import Measure
from semflash.codecs.multires.pictures import Pictures
from semflash.data.dataset import Dataset
from semflash.tasks.losses import cross_entropy
from semflash.tasks.residual import convolution, residual_block

BATCH, PEAK, WIDTHS = 64, 3e-3, (16, 32, 64)


def another_classifier(codec: Any, data: Dataset, steps: int, seed: int) -> keras.Model:
    """Picture to logits, learnt on the same kinds of reconstructions as the tail.

    Args:
        codec: With its weights, which stay as they are.
        steps: Of 64 pictures.
        seed: Of weights and pictures.
    """
    keras.utils.set_random_seed(seed)
    picture = keras.Input(codec.sizes.image_shape, name="picture")
    x = convolution(picture, WIDTHS[0], stride=2)
    for width in WIDTHS[1:]:
        x = residual_block(x, width, stride=2)
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(picture, layers.Dense(codec.sizes.classes, name="logits")(x), name="another")
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, alpha=0.01, warmup_target=PEAK, warmup_steps=steps // 20
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=0.01),
        loss=lambda labels, logits: cross_entropy(labels, logits, 0.05),
    )
    Measure(codec, data.val).distort(data.train)
    pictures, rng = Pictures(codec, data.train), np.random.default_rng(seed)
    for _ in range(steps):
        chosen = np.sort(rng.choice(len(data.train), BATCH, replace=False))
        found = pictures.of(chosen, rng).astype(np.float32) / np.float32(255)
        mirrored = rng.random(BATCH) < 0.5
        found[mirrored] = found[mirrored, :, ::-1]
        model.train_on_batch(found, data.train.labels[chosen])
    return model
