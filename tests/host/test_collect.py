"""Pictures of a board's own source as labelled images: none replaced, none half written, and it goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from PIL import Image

from fakes.link_device import FakeDevice
from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.data.image_files import opened
from semflash.data.own import survey
from semflash.data.own.album import Album, check_label
from semflash.errors import DatasetError, LinkError, UsageError
from semflash.monitor.collecting import ByLabel, Collected, collect

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
NOTES = {"Software": "a test"}


def picture(seed: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (6, 5, channels)).astype(np.uint8)


class Camera:
    """Gives pictures in turn, or an error where there is one in its place."""

    def __init__(self, *given: np.ndarray | LinkError) -> None:
        self.given, self.taken = list(given), 0

    def picture(self) -> bytes:
        self.taken += 1
        one = self.given.pop(0)
        if isinstance(one, LinkError):
            raise one
        return (one.astype(np.int16) - 128).astype(np.int8).tobytes()


def by_label(album: Album, label: str, number: int | None) -> ByLabel:
    return ByLabel(album, label, number, 0.0, lambda found: None)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_stored_picture_has_the_pixels_that_came(tmp_path: Path, channels: int, mode: str) -> None:
    album, sent = Album(tmp_path, NOTES), picture(1, channels)
    found = Collected()
    collect(Camera(sent), sent.shape, by_label(album, "cat", 1), found)
    assert found.stored == {"cat": 1} and found.last == tmp_path / "cat" / "cat-000001.png"
    with opened(found.last) as image:
        assert image.mode == mode and image.text == NOTES
        assert (np.asarray(image).reshape(sent.shape) == sent).all()


def test_two_collected_classes_are_what_new_takes(tmp_path: Path) -> None:
    album = Album(tmp_path, NOTES)
    for number, label in enumerate(("cat", "dog")):
        shown = [picture(10 * number + each) for each in range(3)]
        collect(Camera(*shown), (6, 5, 1), by_label(album, label, 3), Collected())
    found = survey.look_at(tmp_path)
    assert found.classes == ("cat", "dog") and len(found.pictures) == 6
    assert found.grey and not found.bad and not found.others and not found.same()


def test_the_same_picture_twice_is_found_by_the_survey(tmp_path: Path) -> None:
    album = Album(tmp_path, NOTES)
    for label, seeds in (("cat", (1, 1)), ("dog", (2,))):
        for seed in seeds:
            album.add(label, picture(seed))
    assert [len(group) for group in survey.look_at(tmp_path).same()] == [2]


def test_what_is_there_counts_and_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "holiday.JPG").write_bytes(b"mine")
    (tmp_path / "cat" / "cat-000007.png").write_bytes(b"mine, too")
    (tmp_path / "cat" / ".cat-000009.png.part").write_bytes(b"left over")
    album, camera = Album(tmp_path, NOTES), Camera(*map(picture, range(9)))
    assert album.count("cat") == 2
    collect(camera, (6, 5, 1), by_label(album, "cat", 5), Collected())
    assert camera.taken == 3 and album.count("cat") == 5
    assert (tmp_path / "cat" / "cat-000007.png").read_bytes() == b"mine, too"
    assert sorted(path.name for path in (tmp_path / "cat").glob("*.png")) == [
        f"cat-{number:06d}.png" for number in (7, 8, 9, 10)
    ]
    again = by_label(Album(tmp_path, NOTES), "cat", 5)
    collect(camera, (6, 5, 1), again, Collected())
    assert camera.taken == 3


def test_a_number_that_somebody_took_meanwhile_is_passed_by(tmp_path: Path) -> None:
    album = Album(tmp_path, NOTES)
    album.add("cat", picture(0))
    (tmp_path / "cat" / "cat-000002.png").write_bytes(b"another's")
    assert album.add("cat", picture(1)).name == "cat-000003.png"
    assert (tmp_path / "cat" / "cat-000002.png").read_bytes() == b"another's"


def _add_many(folder: Path, first: int) -> None:
    album = Album(folder, NOTES)
    for number in range(25):
        album.add("cat", picture(first + number))


def test_two_collectors_of_one_class_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_add_many, args=(tmp_path, first)) for first in (0, 100)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    wanted = {picture(first + number).tobytes() for first in (0, 100) for number in range(25)}
    stored = {np.asarray(Image.open(path)).tobytes() for path in (tmp_path / "cat").iterdir()}
    assert stored == wanted


def test_a_full_disk_leaves_no_half_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album, found = Album(tmp_path, NOTES), Collected()
    album.add("cat", picture(0))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        collect(Camera(picture(1)), (6, 5, 1), by_label(album, "cat", None), found)
    assert [path.name for path in (tmp_path / "cat").iterdir()] == ["cat-000001.png"]
    assert found.stored == {}


def test_pictures_that_do_not_come_whole_are_counted_and_not_stored(tmp_path: Path) -> None:
    bad, found = LinkError("rows were lost"), Collected()
    camera = Camera(bad, picture(0), bad, bad, picture(1))
    collect(camera, (6, 5, 1), by_label(Album(tmp_path, NOTES), "cat", 2), found)
    assert found.spoilt == 3 and found.stored == {"cat": 2}
    with pytest.raises(LinkError, match="rows were lost"):
        collect(Camera(bad, bad, bad), (6, 5, 1), by_label(Album(tmp_path, NOTES), "dog", 2), found)
    assert not (tmp_path / "dog").exists()


def test_pictures_come_no_sooner_than_they_are_wanted(tmp_path: Path) -> None:
    now, slept = 100.0, []

    def clock() -> float:
        return now

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 6))
        now += seconds

    class Slow(Camera):
        def picture(self) -> bytes:
            nonlocal now
            now += 0.25 if self.taken != 2 else 5.0
            return super().picture()

    chooser = ByLabel(Album(tmp_path, NOTES), "cat", 5, 1.0, lambda found: None, clock, sleep)
    collect(Slow(*map(picture, range(5))), (6, 5, 1), chooser, Collected())
    assert slept == [0.75, 0.75, 0.75]  # none is made up for after the slow one


@pytest.mark.parametrize(
    "label",
    ["", ".", ".hidden", "a/b", "..", "a\nb", " cat", "cat ", "x" * 81, "é" * 41, "train", "test", "val"],
)
def test_a_label_that_is_no_class_folder_is_refused(label: str) -> None:
    with pytest.raises(UsageError):
        check_label(label)


@pytest.mark.parametrize("label", ["cat", "é" * 40, "no animal", "0", "-"])
def test_a_label_that_is_one_is_taken(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 1), np.int8)])
def test_pixels_that_are_no_image_are_refused(pixels: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="grey or RGB"):
        Album(tmp_path, NOTES).add("cat", pixels)
    assert not (tmp_path / "cat").exists()


# The verb, at a device behind a port that is not there.

Attached = Callable[..., int]


class ClosableDevice(FakeDevice):
    def __enter__(self) -> ClosableDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Iterator[ClosableDevice]:
    """The board of every attach: the tiny bundle's, with a source whose picture k has all pixels k - 128."""
    bundle = read_bundle(TINY)
    height, width, channels = bundle.image_shape
    numbers = count()
    device = ClosableDevice(
        bundle=bundle.hash32,
        rows=height,
        row_bytes=width * channels,
        payload_bytes=bundle.payload_bytes,
        source=lambda: bytes([(next(numbers) + 128) % 256]) * (height * width * channels),
    )
    monkeypatch.setattr("semflash.edge.attach.attach", lambda *_, **__: device)
    yield device
    assert device.closed


def test_the_verb_stores_goes_on_and_says_what_comes_next(
    shows: FakeDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "my photos"
    flags = ["collect", str(TINY), "--images", str(images), "--every", "0", "--label"]
    assert main([*flags, "cat", "--count", "2"]) == 0
    out = capsys.readouterr().out
    assert f"cat: 2 stored, 2 in {images / 'cat'}" in out and "two classes are needed" in out
    assert main([*flags, "dog", "--count", "1"]) == 0
    assert f"next: semflash new mine --data '{images}'" in capsys.readouterr().out
    assert main([*flags, "cat", "--count", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "images": str(images),
        "stored": {"cat": 1},
        "there": {"cat": 3},
        "spoilt": 0,
    }
    stored = [np.unique(np.asarray(Image.open(path))) for path in sorted((images / "cat").iterdir())]
    assert [values.tolist() for values in stored] == [[0], [1], [3]]
    with opened(images / "cat" / "cat-000001.png") as image:
        assert (
            image.text["Source"]
            == f"board fake-board, bundle {read_bundle(TINY).hash_hex[:8]}, build 0000b01d"
        )


WRONG = [
    ([], "--label"),
    (["--label", "cat", "--keys", "cat"], "not allowed with"),
    (["--label", "a/b"], "name of a folder"),
    (["--label", "test"], "part of a data set"),
    (["--label", "cat", "--count", "0"], "--count must be at least 1"),
    (["--label", "cat", "--every", "-1"], "--every is a number"),
    (["--label", "cat", "--board", "native"], "has no sensor"),
    (["--keys", "cat,cat"], "different labels"),
    (["--keys", ",".join("abcdefghij")], "up to 9"),
    (["--keys", "cat,dog", "--count", "3"], "go with --label"),
    (["--keys", "cat,dog"], "needs a terminal"),
]


@pytest.mark.parametrize(("flags", "words"), WRONG, ids=[" ".join(flags) for flags, _ in WRONG])
def test_what_is_wrong_is_said_before_a_board_is_touched(
    flags: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", str(TINY), "--images", str(tmp_path / "p"), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
