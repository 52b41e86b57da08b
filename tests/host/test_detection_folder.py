"""COCO and VOC folders: the same pictures give the same arrays; hostile annotations are refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from fakes.box_folder import COLOURS, coco_folder, voc_folder, voc_xml
from fakes.turned_images import STORED, save_turned
from semflash.data import boxes_folder as detection_folder
from semflash.data.boxes_folder import parse_xml
from semflash.data.registry import load_dataset
from semflash.errors import DatasetError

FIRST_XML = "Annotations/2007_000000.xml"
TRAIN_JSON = "annotations/instances_train2017.json"


@pytest.mark.parametrize("make", [coco_folder, voc_folder])
def test_a_folder_loads_with_boxes_that_fit_the_pictures(make: Callable[[Path], Path], tmp_path: Path):
    data = load_dataset(make(tmp_path / "shapes"), image_size=(48, 64))
    assert data.name == "shapes" and data.class_names == ("brick", "sky") and data.has_boxes
    assert (len(data.train), len(data.val), len(data.test)) == (11, 1, 4)
    assert data.image_shape == (48, 64, 3) and data.train.labels.shape == (11, 2, 6)
    for image, rows in zip(data.train.images, data.train.labels, strict=True):
        outside = np.ones(image.shape[:2], bool)
        for left, top, right, bottom, label, ignored in rows.astype(int):
            assert (image[top:bottom, left:right] == COLOURS[data.class_names[label]]).all() and not ignored
            outside[top:bottom, left:right] = False
        assert (image[outside] == 128).all()


def test_coco_and_voc_of_the_same_pictures_are_equal(tmp_path: Path):
    coco = load_dataset(coco_folder(tmp_path / "coco"), image_size=(48, 64))
    voc = load_dataset(voc_folder(tmp_path / "voc"), image_size=(48, 64))
    for split in ("train", "val", "test"):
        first, second = getattr(coco, split), getattr(voc, split)
        assert np.array_equal(first.images, second.images) and np.array_equal(first.labels, second.labels)


def test_boxes_are_stretched_with_their_images(tmp_path: Path):
    root = voc_folder(tmp_path)
    large, small = (load_dataset(root, image_size=size).test for size in ((48, 64), (24, 16)))
    assert small.images.shape == (4, 24, 16, 3)
    assert small.labels[..., :4] == pytest.approx(large.labels[..., :4] * [0.25, 0.5, 0.25, 0.5])


def test_crowds_and_difficult_objects_are_marked_as_ignored(tmp_path: Path):
    coco, voc = coco_folder(tmp_path / "coco"), voc_folder(tmp_path / "voc")
    content = json.loads((coco / TRAIN_JSON).read_text())
    for one in content["annotations"]:
        one["iscrowd"] = 1
    (coco / TRAIN_JSON).write_text(json.dumps(content))
    for path in (voc / "Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    for root in (coco, voc):
        labels = load_dataset(root).train.labels
        objects = labels[labels[..., 4] >= 0]
        assert len(objects) >= 10 and (objects[:, 5] == 1).all()


def test_an_empty_image_has_no_objects(tmp_path: Path):
    root = voc_folder(tmp_path)
    (root / FIRST_XML).write_text(voc_xml([]))
    labels = np.concatenate([s.labels for s in (load_dataset(root).train, load_dataset(root).val)])
    assert sorted((labels[..., 4] >= 0).sum(1)) == [0] + [2] * 11


BOMB = "<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'><!ENTITY c '&b;&b;&b;&b;'>]><annotation>&c;</annotation>"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BOMB.encode(), "document type"),
        (BOMB.encode("utf-16"), "not XML in UTF-8"),
        (b"<annotation><object>", "not XML"),
        (b"\xff\xfe", "not XML in UTF-8"),
        (b"", "not XML"),
    ],
)
def test_hostile_and_broken_xml_is_refused(data: bytes, message: str):
    with pytest.raises(DatasetError, match=message):
        parse_xml(data, Path("a.xml"))


XML_DAMAGE = {
    "a corner that is no number": ("<xmin>", "<xmin>x", "malformed: ValueError"),
    "a corner that is not finite": ("<xmax>", "<xmax>nan</xmax><xmax>", "malformed: ValueError"),
    "a corner missing": ("ymax>", "ymox>", "malformed: KeyError"),
    "a class that test alone has": ("sky", "ocean", "train has not"),
}


@pytest.mark.parametrize("damage", XML_DAMAGE.values(), ids=XML_DAMAGE)
def test_damaged_voc_annotations_are_refused(tmp_path: Path, damage: tuple[str, str, str]):
    old, new, message = damage
    root = voc_folder(tmp_path)
    for path in sorted((root / "Annotations").glob("*.xml"))[12:]:
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message):
        load_dataset(root)


JSON_DAMAGE: dict[str, tuple[Callable[[dict], object], str]] = {
    "no categories": (lambda c: c.pop("categories"), "malformed: KeyError"),
    "a category that is not listed": (
        lambda c: c["annotations"][0].update(category_id=9),
        "malformed: KeyError",
    ),
    "an image that is not listed": (lambda c: c["annotations"][0].update(image_id=9), "malformed: KeyError"),
    "three corners": (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "malformed: ValueError"),
    "a path out of the folder": (lambda c: c["images"][0].update(file_name="../../x"), "outside its folder"),
    "an absolute path": (lambda c: c["images"][0].update(file_name="/etc/passwd"), "outside its folder"),
    "an image file that is missing": (
        lambda c: c["images"][0].update(file_name="no.png"),
        "cannot read an image",
    ),
    "a single class": (
        lambda c: [a.update(category_id=3) for a in c["annotations"]],
        "at least two classes|has not",
    ),
    "a corner that is infinite": (lambda c: c["annotations"][0].update(bbox=[1e999, 1, 2, 3]), "ValueError"),
    "a number without end": (lambda c: c["images"][0].update(id=float("inf")), "malformed: OverflowError"),
    "a corner beyond any float": (
        lambda c: c["annotations"][0].update(bbox=[10**400, 1, 2, 3]),
        "malformed: OverflowError",
    ),
    "a name with a zero byte": (lambda c: c["images"][0].update(file_name="a\0b"), "names no file"),
    "a name that is too long": (lambda c: c["images"][0].update(file_name="a" * 5000), "names no file"),
    "images that are no list": (lambda c: c.update(images=3), "malformed: TypeError"),
    "no images": (lambda c: c.update(images=[], annotations=[]), "a split has 2 to"),
}


@pytest.mark.parametrize("damage", JSON_DAMAGE.values(), ids=JSON_DAMAGE)
def test_damaged_coco_annotations_are_refused(tmp_path: Path, damage: tuple[Callable[[dict], object], str]):
    root = coco_folder(tmp_path)
    content = json.loads((root / TRAIN_JSON).read_text())
    damage[0](content)
    (root / TRAIN_JSON).write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=damage[1]):
        load_dataset(root)


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "../../x"])
def test_a_voc_list_that_names_no_file_of_its_folder_is_refused(name: str, tmp_path: Path):
    root = voc_folder(tmp_path)
    with (root / "ImageSets/Main/train.txt").open("a") as file:
        file.write(f"{name}\n")
    with pytest.raises(DatasetError, match=r"names no file|outside its folder"):
        load_dataset(root)


def test_files_that_are_not_json_too_large_or_missing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = coco_folder(tmp_path / "coco")
    with monkeypatch.context() as patched:
        patched.setattr(detection_folder, "JSON_MAX_BYTES", 100)
        with pytest.raises(DatasetError, match="larger than 100 bytes"):
            load_dataset(root)
    (root / TRAIN_JSON).write_text('{"images": [')
    with pytest.raises(DatasetError, match="malformed: JSONDecodeError"):
        load_dataset(root)
    (root / TRAIN_JSON).unlink()
    with pytest.raises(DatasetError, match=r"one instances_train\*\.json is needed"):
        load_dataset(root)
    voc = voc_folder(tmp_path / "voc")
    (voc / "ImageSets/Main/train.txt").unlink()
    with pytest.raises(DatasetError, match="list of images is missing"):
        load_dataset(voc)


def turned_folder(root: Path, kind: str, stated: str) -> tuple[Path, list[int]]:
    """A COCO or VOC folder of one upright picture, 40x24 (width x height), once per EXIF orientation, with
    two boxes. stated: whether width and height are those of the ``upright`` image, the ``stored`` one
    (the box then counts from there), or ``none``.
    """
    picture = np.full((24, 40, 3), 90, np.uint8)
    picture[2:10, 4:16] = (250, 30, 20)
    picture[14:22, 20:36] = (20, 30, 250)
    orientations = list(range(1, 9))
    content: dict = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 1, "name": "brick"}, {"id": 2, "name": "sky"}]
    places = {"coco": "train", "voc": "JPEGImages"}
    for folder in (places[kind], "annotations" if kind == "coco" else "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for orientation in orientations:
        name = f"{orientation}.png"
        save_turned(root / places[kind] / name, picture, orientation)
        marked = [np.zeros((24, 40), bool), np.zeros((24, 40), bool)]
        marked[0][2:10, 4:16], marked[1][14:22, 20:36] = True, True
        if stated == "stored" and orientation >= 5:
            marked = [STORED[orientation](mask) for mask in marked]
        height, width = marked[0].shape
        size = (width, height) if stated != "none" else (0, 0)
        content["images"].append({"id": orientation, "file_name": name, "width": size[0], "height": size[1]})
        objects = []
        for label, mask in enumerate(marked):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            left, top, right, bottom = (int(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
            box = [left, top, right - left, bottom - top]
            content["annotations"].append({"image_id": orientation, "category_id": label + 1, "bbox": box})
            objects.append((left, top, right, bottom, ("brick", "sky")[label]))
        if kind == "voc":
            xml = voc_xml(objects).replace(
                "<annotation>",
                f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>",
            )
            (root / f"Annotations/{orientation}.xml").write_text(xml)
    if kind == "voc":
        for split in ("train", "test"):
            (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(map(str, orientations)))
    else:
        (root / "annotations/instances_train.json").write_text(json.dumps(content))
        (root / "val").symlink_to(root / "train")
        (root / "annotations/instances_val.json").write_text(json.dumps(content))
    return root, orientations


@pytest.mark.parametrize("stated", ["upright", "stored", "none"])
@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_boxes_lie_on_their_objects_however_the_camera_was_held(kind: str, stated: str, tmp_path: Path):
    root, orientations = turned_folder(tmp_path / "data", kind, stated)
    data = load_dataset(root, image_size=(24, 40))
    assert len(data.test) == len(orientations)
    for image, rows in zip(data.test.images, data.test.labels, strict=True):
        assert rows[:, :4].astype(int).tolist() == [[4, 2, 16, 10], [20, 14, 36, 22]]
        assert (image[2:10, 4:16] == (250, 30, 20)).all() and (image[14:22, 20:36] == (20, 30, 250)).all()
    told = [note for note in data.notes if "boxes were turned with them" in note]
    assert len(told) == (stated == "stored")
    assert stated != "stored" or told[0].startswith("8 images are turned by EXIF")  # 4 in either split


def test_an_annotation_of_another_image_size_is_refused(tmp_path: Path):
    root = coco_folder(tmp_path)
    content = json.loads((root / TRAIN_JSON).read_text())
    for one in content["images"][:2]:
        one["width"] = 640
    (root / TRAIN_JSON).write_text(json.dumps(content))
    with pytest.raises(DatasetError) as caught:
        load_dataset(root)
    assert "cannot read 2 of 16 images" in str(caught.value)
    assert "the annotation says 640x48 (width x height), the file has 64x48" in str(caught.value)
    data = load_dataset(root, skip_bad=True)
    assert len(data.train) + len(data.val) == 10 and "left out, 2 of 16" in data.notes[0]


def test_boxes_outside_the_image_that_an_annotation_means_are_refused(tmp_path: Path):
    """What draws on upright images but states the stored size: the box would silently lie elsewhere."""
    root, _ = turned_folder(tmp_path / "data", "voc", "upright")
    path = root / "Annotations/6.xml"
    path.write_text(path.read_text().replace("<width>40</width><height>24", "<width>24</width><height>40"))
    with pytest.raises(DatasetError, match=r"6\.png: EXIF turns it, and boxes lie outside the 24x40 pixels"):
        load_dataset(root)


def test_annotations_that_are_no_regular_files_are_refused(tmp_path: Path):
    root = coco_folder(tmp_path)
    (root / TRAIN_JSON).unlink()
    os.mkfifo(root / TRAIN_JSON)
    with pytest.raises(DatasetError, match="not a regular file"):
        load_dataset(root)
