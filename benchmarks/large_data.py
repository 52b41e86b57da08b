"""What the recipes for large data would cost: steps, multiply-accumulates, memory, from the networks.

    python benchmarks/large_data.py                       # write the table of docs/large-data.md
    python benchmarks/large_data.py --check [--only NAME] # exit 1 when the page is not what is computed
    python benchmarks/large_data.py --rate 50e12 --print  # for a GPU that keeps another rate

Nothing is trained or timed: the time is multiply-accumulates over a rate that a GPU is assumed to keep, a
lower bound. Needs semflash[train].
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from doc_block import table, write_block

from semflash.codecs.base import Codec
from semflash.codecs.layers.quality_attention import QualityAttention
from semflash.codecs.registry import create, sizes_of
from semflash.tasks.keras.config import describe
from semflash.tasks.networks import build
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe
from semflash.training.task import EVALUATION_VALUES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "large-data.md"
NAMES = ("cifar100-resnet50", "cifar100-mobilenetv2", "imagenet200-resnet50", "imagenet200-mobilenetv2")
IMAGES = {"cifar100": 45_000, "imagenet200": 260_000}
CLASSES = {"cifar100": 100, "imagenet200": 200}
#: Multiply-accumulates per second that a GPU is assumed to keep: an eighth of an A100's bfloat16 peak.
RATE = 20e12
#: A step with less arithmetic than this is taken to be decided by its overhead.
OVERHEAD_MS = 10.0
#: Forward and backward together over forward alone.
TRAIN_FACTOR = 3
#: Float32 weights, their gradients and AdamW's two moments.
BYTES_PER_WEIGHT = 16
BYTES_PER_ACTIVATION = 2
#: On the host: the weights' average, and weights and AdamW's two moments while a checkpoint is written.
HOST_BYTES_PER_WEIGHT = 16
#: Assumed: batches that tf.data keeps ready, threads that decode, a decoded JPEG of ImageNet (500x375x3).
PREFETCHED, THREADS, DECODED_BYTES = 8, 16, 500 * 375 * 3
#: Images that are kept as an array: (all splits, training once more as tf.data's copy).
ARRAY_IMAGES = {"cifar100": 60_000 + 45_000}
#: Of an image on disk: index, seeds, label, BER twice; its path of 60 characters, by numpy (4 bytes each) and
#: by TensorFlow.
BYTES_PER_PATH = 8 + 16 + 4 + 16 + 60 * 4 + 60 + 24
VALIDATION_IMAGES = 5_000
HEAD = [
    "training",
    "steps",
    "10^15 MACs",
    "arithmetic per step, ms",
    "time, at least",
    "GPU memory, GiB",
    "host memory, GiB",
]


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one training.

    Attributes:
        steps: batches of all epochs. macs: of all of them, backward included.
        weights: trained. activation_bytes: outputs of all layers for a batch.
        host_bytes: of the data, the pipeline and copies of the weights; without Python and TensorFlow.
    """

    name: str
    steps: int
    macs: float
    weights: int
    activation_bytes: int
    host_bytes: int

    def row(self, rate: float) -> list[str]:
        """Of the table; rate: multiply-accumulates per second."""
        memory = (self.weights * BYTES_PER_WEIGHT + self.activation_bytes) / 2**30
        step_ms, minutes = 1000 * self.macs / rate / self.steps, self.macs / rate / 60
        time = f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.0f} min"
        if minutes < 1:
            time = "under 1 min"
        if step_ms < OVERHEAD_MS:
            time += "; overhead or decoding decides"
        return [
            self.name,
            f"{self.steps:,}",
            f"{self.macs / 1e15:.2f}",
            f"{step_ms:.1f}",
            time,
            f"{memory:.1f}",
            f"{self.host_bytes / 2**30:.1f}",
        ]


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--rate", type=float, default=RATE, help="multiply-accumulates per second (20e12)")
    parser.add_argument("--print", action="store_true", help="write nothing, print")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--only", choices=NAMES, help="with --print or --check: this recipe alone")
    args = parser.parse_args()
    if args.only and not (args.print or args.check):
        parser.error("--only goes with --print or --check: the page has all recipes")
    if args.rate != RATE and not args.print:
        parser.error("--rate goes with --print: the page is for one rate")
    block = table_of([args.only] if args.only else NAMES, args.rate)
    if args.print:
        print(block)
        return 0
    if args.check:
        page = PAGE.read_text(encoding="utf-8")
        lacking = missing(block, page)
        for line in lacking:
            print(f"docs/large-data.md lacks: {line}", file=sys.stderr)
        if not lacking and not args.only and block not in page:
            print("docs/large-data.md has other lines between these: run it again", file=sys.stderr)
            return 1
        return 1 if lacking else 0
    write_block(PAGE, "cost", "large_data.py", block)
    return 0


def table_of(names: Sequence[str], rate: float = RATE) -> str:
    """Two rows a recipe: task network and codec."""
    rows = [cost.row(rate) for name in names for cost in costs(task_recipe(name), codec_recipe(name))]
    return table(HEAD, rows)


def missing(block: str, page: str) -> list[str]:
    """Lines of a table that a page does not have."""
    return [line for line in block.splitlines() if line not in page.splitlines()]


def costs(task: TaskRecipe, recipe: CodecRecipe) -> tuple[Cost, Cost]:
    """Of the task network, and of the codec with both its stages."""
    shape = (task.image_size, task.image_size, 3)
    head, tail = build(dataclasses.asdict(task), shape, CLASSES[task.dataset])
    codec = _codec(recipe, head, shape)
    encoder, decoder = codec.device().network, codec.decoder
    images = IMAGES[task.dataset]
    network = macs_of(head) + macs_of(tail)
    weights = head.count_params() + tail.count_params()
    alone = Cost(
        f"`{task.name}`, task network",
        task.epochs * (images // task.batch),
        task.epochs * images * TRAIN_FACTOR * network,
        weights,
        task.batch * (activations_of(head) + activations_of(tail)),
        host_bytes(task, shape, weights),
    )
    way = macs_of(encoder) + macs_of(decoder)
    first = recipe.autoencoder_epochs * (TRAIN_FACTOR * way + macs_of(head))
    second = recipe.task_epochs * (TRAIN_FACTOR * (way + macs_of(tail)) + network)
    parts = (encoder, decoder, tail)
    weights = sum(part.count_params() for part in parts)
    epochs = recipe.autoencoder_epochs + recipe.task_epochs
    return alone, Cost(
        f"`{recipe.name}`, codec",
        epochs * (images // recipe.batch),
        images * (first + second),
        weights,
        recipe.batch * sum(activations_of(part) for part in parts),
        host_bytes(recipe, shape, weights, codec.noise_shape()),
    )


def host_bytes(
    recipe: TaskRecipe | CodecRecipe, shape: tuple[int, int, int], weights: int, noise: tuple[int, ...] = ()
) -> int:
    """Data, pipeline, copies of the weights and validation; docs/large-data.md says it in words.

    There is no shuffle buffer: an epoch's order is a permutation of indices.
    """
    side, count = math.prod(shape), IMAGES[recipe.dataset]
    in_memory = ARRAY_IMAGES.get(recipe.dataset)
    data = in_memory * side if in_memory else count * BYTES_PER_PATH
    # float32 images and, of a codec, a number per sent bit; one batch is being made and one is in the step
    example = 4 * (side + (math.prod(noise) if noise else 0))
    batches = (PREFETCHED + 2) * recipe.batch * example
    in_flight = THREADS * ((side if in_memory else DECODED_BYTES) + example)
    codes = 4 * VALIDATION_IMAGES * math.prod(noise[:-1]) if noise else 0
    validation = codes + 5 * EVALUATION_VALUES  # uint8 and float32 of the images of one evaluated batch
    return data + batches + in_flight + weights * HOST_BYTES_PER_WEIGHT + validation


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
