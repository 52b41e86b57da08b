"""What the recipes for large data would cost: multiply-accumulates and memory, computed from the networks.

    python benchmarks/large_data.py           # print the table of docs/large-data.md

Nothing is trained. The time is multiply-accumulates over a rate that a GPU is assumed to keep (--rate).
Needs semflash[train].
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from semflash.codecs.base import Codec
from semflash.codecs.keras_config import describe
from semflash.codecs.layers.quality_attention import QualityAttention
from semflash.codecs.registry import create, sizes_of
from semflash.training.recipes import CodecRecipe, TaskRecipe, codec_recipe, task_recipe
from semflash.training.task_networks import build

NAMES = ("cifar100-resnet50", "cifar100-mobilenetv2", "imagenet200-resnet50", "imagenet200-mobilenetv2")
IMAGES = {"cifar100": 45_000, "imagenet200": 260_000}
CLASSES = {"cifar100": 100, "imagenet200": 200}
#: Forward and backward together over forward alone.
TRAIN_FACTOR = 3
#: Float32 weights, their gradients and AdamW's two moments.
BYTES_PER_WEIGHT = 16
BYTES_PER_ACTIVATION = 2


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one training: multiply-accumulates of all of it, weights, activations of a batch in bytes."""

    name: str
    macs: float
    weights: int
    activation_bytes: int

    def row(self, rate: float) -> str:
        """A line of the table; rate: multiply-accumulates per second."""
        memory = (self.weights * BYTES_PER_WEIGHT + self.activation_bytes) / 2**30
        return f"| {self.name} | {self.macs / 1e15:.1f} | {self.macs / rate / 3600:.1f} | {memory:.1f} |"


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--rate", type=float, default=20e12, help="multiply-accumulates per second (20e12)")
    rate = parser.parse_args().rate
    print("| training | 10^15 MACs | hours | memory, GiB |\n| --- | --- | --- | --- |")
    for name in NAMES:
        for cost in costs(task_recipe(name), codec_recipe(name)):
            print(cost.row(rate), flush=True)
    return 0


def costs(task: TaskRecipe, recipe: CodecRecipe) -> tuple[Cost, Cost]:
    """Of the task network, and of the codec with both its stages."""
    shape = (task.image_size, task.image_size, 3)
    head, tail = build(dataclasses.asdict(task), shape, CLASSES[task.dataset])
    codec = _codec(recipe, head, shape)
    encoder, decoder = codec.device_graphs()[0].model, codec.decoder
    images = IMAGES[task.dataset]
    network = macs_of(head) + macs_of(tail)
    alone = Cost(
        f"`{task.name}`, task network", task.epochs * images * TRAIN_FACTOR * network,
        head.count_params() + tail.count_params(), task.batch * (activations_of(head) + activations_of(tail)),
    )  # fmt: skip
    way = macs_of(encoder) + macs_of(decoder)
    first = recipe.autoencoder_epochs * (TRAIN_FACTOR * way + macs_of(head))
    second = recipe.task_epochs * (TRAIN_FACTOR * (way + macs_of(tail)) + network)
    parts = (encoder, decoder, tail)
    return alone, Cost(
        f"`{recipe.name}`, codec", images * (first + second),
        sum(part.count_params() for part in parts),
        recipe.batch * sum(activations_of(part) for part in parts),
    )  # fmt: skip


def _codec(recipe: CodecRecipe, head: keras.Model, shape: tuple[int, ...]) -> Codec:
    fields = {"image_shape": shape, "feature_shape": head.output_shape[1:], "head": describe(head)}
    return create(recipe.family, dataclasses.asdict(sizes_of(recipe.family, fields | recipe.sizes)))


def _layers(model: keras.Model) -> list[Any]:
    """Layers of a model and of the models in it; a layer made of layers counts as one."""
    found: list[Any] = []
    for layer in model.layers:
        found += _layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def macs_of(model: keras.Model) -> int:
    """Multiply-accumulates of one image: convolutions and dense layers."""
    total = 0
    for layer in _layers(model):
        weights = [weight for weight in layer.weights if len(weight.shape) >= 2]
        if not weights:
            continue
        shape = layer.output.shape
        positions = shape[1] * shape[2] if len(shape) == 4 else 1
        if isinstance(layer, QualityAttention):
            positions = 1
        if isinstance(layer, keras.layers.Conv2DTranspose):
            positions = layer.input.shape[1] * layer.input.shape[2]
        total += positions * sum(math.prod(weight.shape) for weight in weights)
    return total


def activations_of(model: keras.Model) -> int:
    """Bytes of all layers' outputs for one image, which the backward pass wants."""
    sizes = []
    for layer in _layers(model):
        size = BYTES_PER_ACTIVATION
        for side in layer.output.shape[1:]:
            size *= int(side)
        sizes.append(size)
    return sum(sizes)


if __name__ == "__main__":
    sys.exit(main())
