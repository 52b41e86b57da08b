"""Train the network that small data starts from: host/semflash/tasks/start_weights/objects-64.npz.

nice python benchmarks/start_network.py runs/start           # about an hour on one core
nice python benchmarks/start_network.py runs/start --epochs 2 --out /tmp/try.npz

It learns 64x64 colour images of one cut-out each, of the folders of Debian's tuxpaint-stamps-default that
benchmarks/first_hour.py does NOT use: its four classes (fruit, flowers, houses, vehicles) and whatever is
kin to them stay out, so that what the start is worth is measured on things that it has never seen.
Weights are kept as float16; the last layer, which names the classes, is not kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from semflash import atomic
from semflash.data.augment import Augmentation
from semflash.data.stamps.cutouts import DEBIAN_STAMPS, SPLITS, StampClass, load_sprites
from semflash.data.stamps.images import compose_images
from semflash.training.codec import train_codec
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import codec_recipe
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.task import train_task_network

ROOT = Path(__file__).resolve().parent.parent
NAME = "objects-64"
OUT = ROOT / "host" / "semflash" / "tasks" / "start_weights"
SIDE, SEED = 64, 20_261_201
COUNTS = {"train": 12_000, "val": 10, "test": 1_200}
#: Folders of one class each.
FOLDERS = (
    ("animals/birds",),
    ("animals/fish",),
    ("animals/insects",),
    ("animals/mammals/bovines",),
    ("animals/mammals/rodents",),
    ("animals/mammals/cats", "animals/mammals/dogs", "animals/mammals/apes"),
    ("animals/mammals/deer", "animals/mammals/equines"),
    ("clothes",),
    ("hobbies/music",),
    ("household/tools",),
    ("household/dishes", "household/arttools"),
    ("seasonal/christmas",),
    ("seasonal/halloween",),
    ("seasonal/easter",),
    ("space",),
    ("sports",),
    ("symbols/alphabets/asl",),
    ("symbols/chess",),
    ("symbols/music",),
    ("symbols/shapes",),
    ("symbols/math",),
    ("symbols/alphabets/english/filled",),
    ("symbols/money",),
    ("town/roadsigns",),
    ("town/flags",),
)


def main() -> None:
    """Compose the images, train, keep the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for the images and the runs")
    parser.add_argument("--epochs", type=int, default=16, help="of the task network")
    parser.add_argument("--codec-epochs", type=int, default=2, help="of the codec's first stage")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the weights")
    args = parser.parse_args()
    images = args.work / "images"
    if not images.is_dir():
        compose(images)
    recipe = TaskRecipe(
        NAME,
        dataset=str(images),
        image_size=SIDE,
        widths=(16, 32, 64),
        epochs=args.epochs,
        batch=64,
        augmentation=Augmentation(flip=0.5, shift_px=6, erase=0.3),
    )
    trained = train_task_network(recipe, args.work / "run", progress=Progress())
    # The last layer, kernel and bias, names the classes.
    keep(args.out / f"{NAME}-task.npz", {"head": trained.head.weights, "tail": trained.tail.weights[:-2]})
    codec = replace(
        codec_recipe("photos"),
        name=NAME,
        dataset=str(images),
        batch=64,
        autoencoder_epochs=args.codec_epochs,
        task_epochs=0,
        start="",
    )
    done = train_codec(codec, args.work / "run", args.work / "codec", progress=Progress())
    parts = {name: part.weights for name, part in done.codec.parts().items()}
    keep(args.out / f"{NAME}-codec.npz", parts)


def compose(root: Path) -> None:
    """Write the images as ``root/PART/CLASS/NUMBER.png``."""
    classes = tuple(StampClass(folders[0].replace("/", "-"), folders) for folders in FOLDERS)
    sprites = load_sprites(DEBIAN_STAMPS, classes)
    making = root.with_name(root.name + ".part")
    for index, part in enumerate(SPLITS):
        pictures, labels = compose_images(
            sprites[part], COUNTS[part], SIDE, np.random.default_rng([SEED, index])
        )
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            folder = making / part / classes[label].name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{number:05d}.png")
    making.rename(root)


def keep(out: Path, parts: dict[str, Sequence[Any]]) -> None:
    """Write the weights of some parts as float16, as weights.npz of a run names them."""
    arrays = {
        f"{part}.{index:04d}": np.asarray(keras.ops.convert_to_numpy(value), np.float16)
        for part, values in parts.items()
        for index, value in enumerate(values)
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(out) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
