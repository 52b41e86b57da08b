"""COCO and VOC folders: images with boxes, as the rest of semflash reads them (needs Pillow, not TensorFlow).

    COCO   annotations/instances_train*.json, instances_val*.json (or test*)
           images in a folder called as the file after ``instances_``, here or under images/
    VOC    Annotations/NAME.xml, JPEGImages/NAME.*, ImageSets/Main/train.txt (or trainval), test.txt (or val)

Source: cocodataset.org, "data format"; Everingham et al. 2010 and the development kit of VOC2012.
Annotations are untrusted input: sizes are limited, paths may not leave the folder, XML with a document type
or entities is refused.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from semflash.data.image_files import (
    ImageFileError,
    each,
    open_regular,
    opened,
    orientation_of,
    pixels_of,
    swaps_sides,
)
from semflash.data.image_folder import FolderData, resized, skip
from semflash.data.source import DataSource, check_known, listing_sha256, written
from semflash.data.upright_boxes import Frame, upright_boxes
from semflash.errors import DatasetError
from semflash.outputs.boxes import BOX_FIELDS, padded

JSON_MAX_BYTES = 2 << 30
XML_MAX_BYTES = 1 << 20
LIST_MAX_BYTES = 64 << 20
IMAGES_MAX = 1_000_000
OBJECTS_MAX = 1_000
SUFFIXES = (".jpg", ".jpeg", ".png")
_LAYOUT = "see the layouts in docs/detection.md"


@dataclass(frozen=True)
class Annotated:
    """An image file and its objects: (left, top, right, bottom, class name, ignored), pixels of the file.

    stated: width and height of the image according to the annotation; None: it does not say.
    """

    path: Path
    objects: list[tuple[float, float, float, float, str, bool]]
    stated: tuple[int, int] | None = None


Arrays = tuple[np.ndarray, np.ndarray]


def is_detection_folder(root: Path) -> bool:
    """Whether it is laid out as COCO or VOC."""
    return any((root / "annotations").glob("instances_*.json")) or (root / "Annotations").is_dir()


def read_detection_folder(
    root: Path, size: tuple[int, int], *, skip_bad: bool = False, known: DataSource | None = None
) -> FolderData:
    """Read both splits, images put upright and stretched to ``size`` (height, width), their boxes with them.

    Args:
        skip_bad: leave out images that cannot be read, and say so in the notes.
        known: what the folder must be, before an image is opened; None: anything.

    Returns:
        train and test images uint8 (N, height, width, 3), boxes float32 (N, M, 6).

    Raises:
        DatasetError: files missing, too large, malformed or unsafe; images that cannot be read or are not
            those of the annotations (all of them are named); a class in test that train has not.
    """
    coco = any((root / "annotations").glob("instances_*.json"))
    train, test = (_coco(root, part) if coco else _voc(root, part) for part in ("train", "test"))
    names = sorted({one[4] for image in train for one in image.objects})
    unknown = {one[4] for image in test for one in image.objects} - set(names)
    if unknown:
        raise DatasetError("test has classes that train has not", value=", ".join(sorted(unknown)))
    if len(names) < 2:
        raise DatasetError("a data set needs at least two classes", value=names or "none", remedy=_LAYOUT)
    files, digest = listing_sha256(
        root, [*(one.path for one in train + test), *_annotation_files(root, coco)]
    )
    source = DataSource("coco" if coco else "voc", written(root), files, digest, skip_bad)
    check_known(source, known)
    seen = _Seen(Counter(), [])
    found = [_arrays(images, names, size, seen) for images in (train, test)]
    notes = skip([error for _, bad in found for error in bad], len(train) + len(test), skip_bad)
    for (pixels, _), _ in found:
        if len(pixels) < 2:
            raise DatasetError("a split has at least 2 images", value=len(pixels), remedy=_LAYOUT)
    notes += [*_turned(seen.turned), *resized(seen.sizes, size)]
    return FolderData(found[0][0], found[1][0], tuple(names), source, tuple(notes))


@dataclass
class _Seen:
    """Upright sizes (height, width) of the images, and files whose boxes were turned with them."""

    sizes: Counter[tuple[int, int]]
    turned: list[Path]


def _annotation_files(root: Path, coco: bool) -> Iterable[Path]:
    """Files that say what is in the images."""
    if coco:
        return (root / "annotations").glob("instances_*.json")
    return [*(root / "Annotations").glob("*.xml"), *(root / "ImageSets/Main").glob("*.txt")]


def _arrays(
    images: list[Annotated], names: list[str], size: tuple[int, int], seen: _Seen
) -> tuple[Arrays, list[ImageFileError]]:
    """Pixels and boxes of those that can be read, and why the others cannot."""
    found, bad = each(images, lambda image: _read_image(image, size, seen))
    kept = [(image, one) for image, one in zip(images, found, strict=True) if one is not None]
    pixels = np.empty((len(kept), *size, 3), np.uint8)
    rows = []
    for index, (image, (values, corners)) in enumerate(kept):
        pixels[index] = values
        row = np.zeros((len(image.objects), BOX_FIELDS), np.float32)
        row[:, :4] = np.clip(corners, 0, (size[1], size[0], size[1], size[0]))
        for target, one in zip(row, image.objects, strict=True):
            target[4:] = names.index(one[4]), one[5]
        rows.append(row[(row[:, 2] > row[:, 0]) & (row[:, 3] > row[:, 1])])
    return (pixels, padded(rows)), bad


def _read_image(image: Annotated, size: tuple[int, int], seen: _Seen) -> tuple[np.ndarray, np.ndarray]:
    """Upright pixels (height, width, 3) and the corners of its boxes in them (n, 4), both stretched."""
    with opened(image.path) as file:
        frame = Frame(file.width, file.height, orientation_of(file))
        corners = np.array([one[:4] for one in image.objects], np.float64).reshape(-1, 4)
        boxes, turned = upright_boxes(image.path, corners, frame, image.stated)
        pixels = pixels_of(file, size, "RGB", frame.orientation)
    width, height = (frame.height, frame.width) if swaps_sides(frame.orientation) else file.size
    seen.sizes[height, width] += 1
    if turned:
        seen.turned.append(image.path)
    return pixels, boxes * np.array([size[1] / width, size[0] / height] * 2)


def _turned(paths: list[Path]) -> list[str]:
    """A note where annotations were taken for ones of images that lie as they are stored."""
    if not paths:
        return []
    shown = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
    return [
        f"{len(paths):,} images are turned by EXIF, and their annotations state the size before that: their "
        f"boxes were turned with them ({shown}); where your tool drew on upright images, correct width and "
        "height in the annotations"
    ]


def _coco(root: Path, part: str) -> list[Annotated]:
    wanted = ("train",) if part == "train" else ("test", "val")
    files = sorted(p for p in (root / "annotations").glob("instances_*.json") if _stem(p).startswith(wanted))
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "none"
        raise DatasetError(f"one instances_{wanted[-1]}*.json is needed", value=found, remedy=_LAYOUT)
    places = (root / _stem(files[0]), root / "images" / _stem(files[0]))
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise DatasetError("the images' folder is missing", value=places[0], remedy=_LAYOUT)
    with _malformed(files[0]):
        content = json.loads(_limited(files[0], JSON_MAX_BYTES))
        names = {int(one["id"]): str(one["name"]) for one in content["categories"]}
        images = {
            int(one["id"]): Annotated(
                _inside(folder, one["file_name"]), [], _stated(one.get("width"), one.get("height"))
            )
            for one in content["images"]
        }
        for one in content["annotations"]:
            left, top, width, height = (float(value) for value in one["bbox"])
            box = _checked_box(left, top, left + width, top + height)
            crowd = bool(one.get("iscrowd", 0))
            images[int(one["image_id"])].objects.append((*box, names[int(one["category_id"])], crowd))
    return _checked(list(images.values()), files[0])


def _voc(root: Path, part: str) -> list[Annotated]:
    wanted = ("train", "trainval") if part == "train" else ("test", "val")
    lists = [root / "ImageSets/Main" / f"{name}.txt" for name in wanted]
    listed = next((path for path in lists if path.is_file()), None)
    if listed is None:
        raise DatasetError("the list of images is missing", value=lists[0], remedy=_LAYOUT)
    names = _limited(listed, LIST_MAX_BYTES).decode("utf-8", "replace").split()
    return _checked([_voc_image(root, name) for name in names[: IMAGES_MAX + 1]], listed)


def _voc_image(root: Path, name: str) -> Annotated:
    stem = _inside(root / "JPEGImages", name)
    path = next((p for p in (stem.with_name(stem.name + suffix) for suffix in SUFFIXES) if p.is_file()), None)
    if path is None:
        raise DatasetError("an image is missing", value=stem, remedy=_LAYOUT)
    source = _inside(root / "Annotations", f"{name}.xml")
    tree, objects = parse_xml(_limited(source, XML_MAX_BYTES), source), []
    with _malformed(source):
        for one in tree.findall("object"):
            corners = [float(_text(one, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
            # VOC counts pixels from 1 and includes the last one
            box = _checked_box(corners[0] - 1, corners[1] - 1, corners[2], corners[3])
            difficult = (one.findtext("difficult") or "0").strip() == "1"
            objects.append((*box, _text(one, "name").strip(), difficult))
        stated = _stated(tree.findtext("size/width"), tree.findtext("size/height"))
    return Annotated(path, objects, stated)


def _stated(width: object, height: object) -> tuple[int, int] | None:
    """Width and height of an annotation; None: not there, or 0, which tools write where they do not know."""
    if width in (None, "") or height in (None, ""):
        return None
    found = int(str(width)), int(str(height))
    return found if min(found) > 0 else None


def parse_xml(data: bytes, source: Path) -> ElementTree.Element:
    """The root element of UTF-8 XML without document type and entities, which can blow up a parser.

    Raises:
        DatasetError: those, or no XML.
    """
    try:
        text = data.decode("utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DatasetError(
                "XML with a document type is not read", value=source, remedy="take the DOCTYPE out"
            )
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise DatasetError("not XML in UTF-8", value=f"{source}: {error}", remedy="get it again") from error


def _text(element: ElementTree.Element, path: str) -> str:
    found = element.findtext(path)
    if found is None:
        raise KeyError(path)
    return found


@contextlib.contextmanager
def _malformed(path: Path) -> Iterator[None]:
    """Turns what goes wrong inside a file's structure into a DatasetError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DatasetError(
            f"{path.name} is malformed: {type(error).__name__} {str(error)[:100]}",
            value=path,
            remedy="get it again",
        ) from error


def _checked_box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    """The same. ValueError: a corner that is no finite number."""
    if not all(math.isfinite(value) for value in (left, top, right, bottom)):
        raise ValueError("a box that is not finite")
    return left, top, right, bottom


def _checked(images: list[Annotated], source: Path) -> list[Annotated]:
    """The same. DatasetError: no images, or too many of them or of the objects in one."""
    if not 2 <= len(images) <= IMAGES_MAX:
        raise DatasetError(f"a split has 2 to {IMAGES_MAX} images", value=f"{len(images)} in {source}")
    crowded = [image for image in images if len(image.objects) > OBJECTS_MAX]
    if crowded:
        raise DatasetError(f"an image has more than {OBJECTS_MAX} objects", value=crowded[0].path)
    return images


def _inside(folder: Path, name: str) -> Path:
    """``folder/name``. DatasetError: it lies elsewhere, or no file can have that name."""
    path = folder / str(name)
    try:
        path.is_file()
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, links in a circle
        raise DatasetError("an annotation names no file", value=repr(str(name)[:100])) from error
    if not inside:
        raise DatasetError("an annotation names a file outside its folder", value=str(name)[:100])
    return path


def _limited(path: Path, most: int) -> bytes:
    """Content of a file of at most ``most`` bytes. DatasetError: larger, or unreadable."""
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"cannot read it: {reason}", value=path, remedy=_LAYOUT) from error
    if len(data) > most:
        raise DatasetError(f"{path.name} is larger than {most} bytes", value=path)
    return data


def _stem(path: Path) -> str:
    return path.stem.removeprefix("instances_")
