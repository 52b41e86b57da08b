"""Opening image files: formats by content, regular files only, a limit of pixels, EXIF; all bad ones."""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from PIL import Image

from fakes.noise_folders import noise_folder
from fakes.turned_images import save_turned
from semflash.data import boxes_folder as detection_folder
from semflash.data import image_headers
from semflash.data import lazy as lazy_images
from semflash.data.image_files import (
    FORMATS,
    PIXELS_MAX,
    ImageFileError,
    open_regular,
    opened,
    orientation_of,
    pixels_of,
)
from semflash.data.lazy import LazyImages
from semflash.data.registry import load_dataset
from semflash.data.stamps.cutouts import read_sprite
from semflash.errors import DatasetError

#: PostScript of one page; Pillow hands it to Ghostscript where it may take it for EPS.
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def png_of(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds one row of it: a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(30))) + chunk(b"IEND", b"")


def quadrants() -> np.ndarray:
    """An upright image uint8 (48, 32, 3) of four colours, no two of its turns alike."""
    image = np.zeros((48, 32, 3), np.uint8)
    image[:24, :16], image[:24, 16:], image[24:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return image


def pixels(path: Path, size: tuple[int, int] = (48, 32)) -> np.ndarray:
    with opened(path) as image:
        return pixels_of(image, size, "RGB", orientation_of(image))


def strange_files(folder: Path) -> dict[str, str]:
    """Files called as images that must not be opened as such, and what is said of each."""
    (folder / "eps.jpg").write_bytes(EPS)
    os.mkfifo(folder / "fifo.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "huge.png").write_bytes(png_of(13_000, 13_000))
    (folder / "vast.png").write_bytes(png_of(60_000, 60_000))
    (folder / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "deep.png")
    (folder / "cut.png").write_bytes((folder / "deep.png").read_bytes()[:20])
    return {
        "eps.jpg": "none of JPEG, PNG",
        "fifo.jpg": "not a regular file",
        "device.jpg": "not a regular file",
        "loop.jpg": "Too many levels of symbolic links",
        "folder.jpg": "not a regular file",
        "huge.png": "13000x13000, more than 64,000,000 pixels",
        "vast.png": "too many pixels",
        "empty.png": "none of",
        "deep.png": "pixels of mode I;16",
        "cut.png": "Truncated",
    }


def test_strange_files_are_refused_before_anything_runs_waits_or_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "/nowhere")  # whoever looked for Ghostscript would say so
    for name, reason in strange_files(tmp_path).items():
        with pytest.raises(ImageFileError) as caught, opened(tmp_path / name):
            pytest.fail(f"{name} was opened")
        assert reason in caught.value.reason, name
    assert "EPS" not in FORMATS and PIXELS_MAX < 13_000 * 13_000


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path):
    Image.fromarray(quadrants()).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "b.png"), quadrants())
    with open_regular(tmp_path / "b.png") as file:
        assert file.read() == (tmp_path / "a.png").read_bytes()


def test_every_reader_of_images_refuses_what_is_no_image(tmp_path: Path):
    """The image folder, the lazy one, boxes and stamps: none of them opens files by itself."""
    (tmp_path / "bad.png").write_bytes(EPS)
    frame = detection_folder.Annotated(tmp_path / "bad.png", [])
    seen = detection_folder._Seen(Counter(), [])
    for read in (
        lambda path: LazyImages([path], (8, 8)).read(),
        read_sprite,
        lambda _: detection_folder._read_image(frame, (8, 8), seen),
    ):
        with pytest.raises(DatasetError, match="none of JPEG, PNG"):
            read(tmp_path / "bad.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_an_image_is_read_as_a_viewer_shows_it(tmp_path: Path, orientation: int, suffix: str):
    options = {".png": {}, ".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}[suffix]
    path = tmp_path / f"turned{suffix}"
    save_turned(path, quadrants(), orientation, **options)
    for found in (pixels(path), LazyImages([path], (48, 32)).read()[0]):
        assert np.abs(found.astype(int) - quadrants()).max() <= 3


def test_large_turned_jpegs_are_reduced_along_the_right_sides(tmp_path: Path):
    """The lazy reader decodes a JPEG no larger than needed, by the sides as they lie in the file."""
    upright = quadrants().repeat(20, 0).repeat(5, 1)  # 960 high, 160 wide
    save_turned(tmp_path / "a.jpg", upright, 6, quality=95)
    found = LazyImages([tmp_path / "a.jpg"], (48, 32)).read()[0]
    assert np.abs(found[4:20, 2:14].astype(int) - (250, 0, 0)).max() < 12
    assert np.abs(found[28:44, 2:14].astype(int) - (0, 0, 250)).max() < 12


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_an_exif_block_that_says_nothing_changes_nothing(tmp_path: Path, block: bytes):
    Image.fromarray(quadrants()).save(tmp_path / "a.png", exif=block)
    assert np.array_equal(pixels(tmp_path / "a.png"), quadrants())


def test_of_an_animation_the_first_frame_counts(tmp_path: Path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (pixels(tmp_path / "a.gif", (8, 8)) == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM"])
def test_damaged_files_of_every_format_are_image_errors_and_nothing_else(tmp_path: Path, kind: str):
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.{kind.lower()}"
    exif = {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(
        path, kind, **(exif if kind in ("PNG", "JPEG", "WEBP") else {})
    )
    whole, refused = path.read_bytes(), 0
    for trial in range(400):
        data = bytearray(whole)
        for position in rng.integers(0, len(data), 1 + trial % 4):
            data[position] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data) + 1)] if trial % 3 == 0 else data)
        try:
            assert pixels(path, (8, 8)).shape == (8, 8, 3)
        except ImageFileError as error:
            assert error.path == path and error.reason
            refused += 1
    assert 0 < refused < 400


def bad_folder(root: Path) -> tuple[Path, list[str]]:
    """An image folder with three bad files among 68."""
    folder = noise_folder(root, suffix=".jpg", size=(40, 36))
    bad = ["train/dark/3.jpg", "train/light/9.jpg", "test/dark/0.jpg"]
    (folder / bad[0]).write_bytes(b"not an image")
    (folder / bad[1]).write_bytes((folder / bad[1]).read_bytes()[:-300])
    (folder / bad[2]).write_bytes(EPS)
    return folder, bad


@pytest.mark.parametrize("lazy", [False, True])
def test_all_bad_files_are_named_at_once_and_left_out_on_demand(
    tmp_path: Path, lazy: bool, monkeypatch: pytest.MonkeyPatch
):
    folder, bad = bad_folder(tmp_path / "data")
    monkeypatch.setattr(lazy_images, "IN_MEMORY_MAX_BYTES", 0 if lazy else 1 << 30)
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    headers = [bad[0], bad[2]] if lazy else bad  # one that is cut off shows when it is decoded
    assert f"cannot read {len(headers)} of 68 images" in str(caught.value)
    assert all(name in str(caught.value) for name in headers) and "--skip-bad" in str(caught.value)
    data = load_dataset(folder, skip_bad=True)
    assert (len(data.train) + len(data.val), len(data.test)) == (58, 7)
    assert np.bincount(data.test.labels).tolist() == [3, 4]
    note = next(note for note in data.notes if note.startswith("left out, 3 of 68"))
    assert all(name in note for name in bad)
    assert np.asarray(data.test.images)[data.test.labels == 0].mean() < 120  # labels stay with their images


def test_what_is_left_after_bad_files_must_still_be_a_data_set(tmp_path: Path):
    folder = noise_folder(tmp_path / "data", train=2, test=2)
    for path in (folder / "train/dark").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="a class has no images"):
        load_dataset(folder, skip_bad=True)


def test_headers_of_many_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, _ = bad_folder(tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image_headers, "CACHED_FROM", 1)
    paths = sorted((folder / "train/dark").iterdir())
    save_turned(paths[0], quadrants(), 6)
    first = image_headers.read_headers(paths)
    read: list[Path] = []
    look = image_headers._orientation
    monkeypatch.setattr(
        image_headers, "_orientation", lambda path, decode: (read.append(path), look(path, decode))[1]
    )
    again = image_headers.read_headers(paths)
    assert np.array_equal(first.orientations, again.orientations) and first.orientations[0] == 6
    assert [error.path for error in again.bad] == read == [folder / "train/dark/3.jpg"]
    paths[1].write_bytes(b"changed")
    assert len(image_headers.read_headers(paths).bad) == 2


def test_a_folder_says_what_it_resized_and_what_it_left_out(tmp_path: Path):
    folder = noise_folder(tmp_path / "data", train=3, test=2, size=(40, 36))
    (folder / "train/dark/a.heic").write_bytes(b"x")
    (folder / "train/light/notes.txt").write_bytes(b"x")
    (folder / "train/light/.hidden.png").write_bytes(b"x")
    (folder / "train/light/more").mkdir()
    notes = load_dataset(folder, image_size=(32, 32)).notes
    assert notes[0].startswith("left out, no images by their names: 1 .heic, 1 .txt, 1 folders")
    assert notes[1] == (
        "10 of 10 images are resized from 36x40 to 32x32 (height x width); "
        "10 of them are stretched, not cropped"
    )
    assert load_dataset(folder, image_size=(36, 40)).notes == notes[:1]
