"""A small residual task network, split after its first convolution stage into head (device) and tail (edge).

    image (H, W, C) in [0, 1]
      | head:  Conv 3x3 16, BatchNorm, ReLU, MaxPool 2            what the device would run first
    features (H/2, W/2, 16)
      | tail:  residual block w0             14 x 14 for 28 x 28 images
      |        residual block w1, stride 2    7 x 7
      |        residual block w2, stride 2    4 x 4
      |        global average, dense
    logits (classes)

The residual blocks are those of He et al. 2015 (arXiv 1512.03385, figure 2) with a 1x1 projection beside
them where the shape changes. About 9 M multiply-accumulates and 0.3 M weights at 28x28x1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers, ops

BN_MOMENTUM = 0.95
WIDTHS = (32, 64, 128)
HEAD_CHANNELS = 16


def build_head(image_shape: tuple[int, int, int], channels: int = HEAD_CHANNELS) -> keras.Model:
    """Head: float32 images (B, H, W, C) in [0, 1] to features (B, H/2, W/2, channels), >= 0."""
    image = keras.Input(image_shape, name="image")
    x = convolution(image, channels)
    x = layers.MaxPooling2D(name="pool")(x)
    return keras.Model(image, x, name="head")


def build_tail(
    feature_shape: tuple[int, int, int], classes: int, widths: tuple[int, ...] = WIDTHS
) -> keras.Model:
    """Tail: features (B, h, w, c) to logits (B, classes)."""
    features = keras.Input(feature_shape, name="features")
    x = features
    for index, width in enumerate(widths):
        x = residual_block(x, width, stride=1 if index == 0 else 2)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(features, logits, name="tail")


def convolution(x: Any, channels: int, *, kernel: int = 3, stride: int = 1, activation: bool = True) -> Any:
    """Convolution without bias, BatchNorm and, if asked for, ReLU."""
    x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=BN_MOMENTUM)(x)
    return layers.ReLU()(x) if activation else x


def residual_block(x: Any, channels: int, *, stride: int = 1) -> Any:
    """Two convolutions beside an identity, or beside a 1x1 projection where channels or size change."""
    y = convolution(x, channels, stride=stride)
    y = convolution(y, channels, activation=False)
    if stride != 1 or x.shape[-1] != channels:
        x = convolution(x, channels, kernel=1, stride=stride, activation=False)
    return layers.ReLU()(layers.Add()([x, y]))


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers made within it compute in a Keras dtype policy, such as ``mixed_bfloat16``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class TaskNetwork(keras.Model):
    """Head and tail as one model, for training: images (B, H, W, C) in [0, 1] to the tail's output.

    ``loss`` takes targets, outputs and label smoothing (:meth:`semflash.tasks.kinds.TaskKind.loss`).
    """

    def __init__(
        self, head: keras.Model, tail: keras.Model, loss: Callable[..., Any], label_smoothing: float = 0.0
    ) -> None:
        super().__init__(name="task_network")
        self.head = head
        self.tail = tail
        self.task_loss = loss
        self.label_smoothing = label_smoothing

    def call(self, images: Any, training: bool = False) -> Any:
        """What the tail gives: logits (B, classes), or a detector's maps."""
        return self.tail(self.head(images, training=training), training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The task kind's loss; ``y``: its targets."""
        return self.task_loss(y, ops.cast(y_pred, "float32"), self.label_smoothing)
