"""Small COCO and VOC folders made for the tests: coloured rectangles on grey, with their boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"brick": (200, 30, 20), "sky": (20, 60, 210)}
SIZE = (64, 48)  # width, height


def picture(path: Path, rng: np.random.Generator) -> list[tuple[int, int, int, int, str]]:
    """Write an image with a rectangle in each half; returns (left, top, right, bottom, class)."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    objects = []
    for half in (0, 32):
        name = str(rng.choice(list(COLOURS)))
        left, top = half + int(rng.integers(0, 8)), int(rng.integers(0, 16))
        right, bottom = left + int(rng.integers(12, 24)), top + int(rng.integers(12, 32))
        pixels[top:bottom, left:right] = COLOURS[name]
        objects.append((left, top, right, bottom, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return objects


def coco_folder(
    root: Path, train: int = 12, test: int = 4, names: tuple[str, str] = ("brick", "sky")
) -> Path:
    """``instances_train2017.json`` and ``instances_val2017.json`` with their images."""
    rng = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train2017", train), ("val2017", test)):
        content = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [{"id": 7, "name": names[1]}, {"id": 3, "name": names[0]}]
        for index in range(count):
            name = f"{index:012d}.png"
            content["images"].append({"id": 100 + index, "file_name": name, "width": 64, "height": 48})
            for left, top, right, bottom, label in picture(root / split / name, rng):
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]),
                        "image_id": 100 + index,
                        "iscrowd": 0,
                        "category_id": 3 if label == "brick" else 7,
                        "bbox": [left, top, right - left, bottom - top],
                    }
                )
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return root


def voc_xml(objects: list[tuple[int, int, int, int, str]], difficult: int = 0) -> str:
    """An annotation: VOC counts pixels from 1 and includes the last one."""
    body = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{left + 1}</xmin>"
        f"<ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for left, top, right, bottom, name in objects
    )
    return f"<?xml version='1.0' encoding='utf-8'?><annotation>{body}</annotation>"


def voc_folder(root: Path, train: int = 12, test: int = 4) -> Path:
    """``Annotations``, ``JPEGImages`` (png) and ``ImageSets/Main``."""
    rng = np.random.default_rng(0)
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for split, first, count in (("train", 0, train), ("test", train, test)):
        names = [f"2007_{first + index:06d}" for index in range(count)]
        for name in names:
            objects = picture(root / "JPEGImages" / f"{name}.png", rng)
            (root / "Annotations" / f"{name}.xml").write_text(voc_xml(objects), encoding="utf-8")
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names) + "\n")
    return root
