"""Data sets: idx files, image folders, validation split, and what happens to bad input."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semflash.data.registry import FASHION_MNIST_CLASSES, dataset_names, load_dataset
from semflash.errors import DatasetError

Image = pytest.importorskip("PIL.Image")

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def idx(array: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(gzip.compress(content, 1))


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        put(tmp_path, f"{part}-images-idx3-ubyte.gz", idx(rng.integers(0, 256, (count, 28, 28))))
        put(tmp_path, f"{part}-labels-idx1-ubyte.gz", idx(np.arange(count) % 10))
    return tmp_path


def picture(path: Path, value: int, mode: str = "L", size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    for part, count in (("train", 6), ("test", 2)):
        for value, name in ((10, "cat"), (200, "dog")):
            for index in range(count):
                picture(tmp_path / part / name / f"{index}.png", value)
    return tmp_path


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_idx_files_are_read_and_split(idx_folder: Path, name: str):
    data = load_dataset(name, data_dir=idx_folder)
    assert data.image_shape == (28, 28, 1)
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 10)
    assert data.train.images.dtype == np.uint8 and data.train.labels.dtype == np.int32
    assert data.test.labels.tolist() == list(range(10))
    assert len(data.class_names) == 10


def test_the_validation_split_is_the_same_every_time_and_shares_nothing_with_train(idx_folder: Path):
    first, second = (load_dataset("fashion-mnist", data_dir=idx_folder) for _ in range(2))
    assert (first.val.images == second.val.images).all()
    train = {image.tobytes() for image in first.train.images}
    assert not train & {image.tobytes() for image in first.val.images}
    assert len(train) == 36


def test_the_environment_variable_names_the_directory(idx_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEMFLASH_DATA_DIR", str(idx_folder))
    assert len(load_dataset("fashion-mnist").test) == 10


def test_neither_idx_files_nor_image_folders_import_keras(idx_folder: Path, image_folder: Path):
    code = (
        "import sys; from semflash.data.registry import load_dataset as l;"
        f"l('fashion-mnist', data_dir={str(idx_folder)!r}); l({str(image_folder)!r});"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow', 'jax')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_data_set_says_how_to_get_it(tmp_path: Path):
    with pytest.raises(DatasetError, match="apt-get install dataset-fashion-mnist"):
        load_dataset("fashion-mnist", data_dir=tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DatasetError, match="cifar100") as error:
        load_dataset("fashion")
    assert all(name in str(error.value) for name in dataset_names())


def test_a_failed_download_is_a_data_set_error(monkeypatch: pytest.MonkeyPatch):
    keras = pytest.importorskip("keras")

    def fail() -> None:
        raise Exception("URL fetch failure\nmore")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fail)
    with pytest.raises(DatasetError, match="URL fetch failure"):
        load_dataset("cifar10")


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_comes_from_keras_with_column_labels(monkeypatch: pytest.MonkeyPatch, name: str, classes: int):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)

    def arrays(count: int) -> tuple[np.ndarray, np.ndarray]:
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return images, rng.integers(0, classes, (count, 1), dtype=np.uint8)

    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", lambda: (arrays(30), arrays(5)))
    data = load_dataset(name)
    assert data.image_shape == (32, 32, 3) and data.test.labels.shape == (5,)
    assert len(data.class_names) == classes


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (IMAGES, lambda raw: raw[:-1], "should hold"),
        (IMAGES, lambda raw: raw + b"\0", "should hold"),
        (IMAGES, lambda raw: raw[:9], "header"),
        (IMAGES, lambda raw: b"\0\0\x0d\x03" + raw[4:], "unsigned bytes"),
        (IMAGES, lambda raw: b"\0\0\x08\x01" + raw[4:], "unsigned bytes"),
        (IMAGES, lambda raw: raw[:4] + b"\xff\xff\xff\xff" + raw[8:], "impossible size"),
        (IMAGES, lambda raw: raw[:4] + b"\0\0\0\0" + raw[8:], "impossible size"),
        (LABELS, lambda raw: idx(np.arange(39) % 10), "differ in number"),
        (LABELS, lambda raw: idx(np.arange(40)), "outside 0..9"),
        (LABELS, lambda raw: b"", "header"),
    ],
)
def test_a_damaged_idx_file_is_refused(idx_folder: Path, name: str, damage, message: str):
    raw = gzip.decompress((idx_folder / name).read_bytes())
    put(idx_folder, name, damage(raw))
    with pytest.raises(DatasetError, match=message):
        load_dataset("fashion-mnist", data_dir=idx_folder)


@pytest.mark.parametrize("keep", [0, 5, 30, -4])
def test_a_truncated_gzip_file_is_refused(idx_folder: Path, keep: int):
    path = idx_folder / IMAGES
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError):
        load_dataset("fashion-mnist", data_dir=idx_folder)


def test_bit_flips_in_a_gzip_file_never_pass_unnoticed(idx_folder: Path):
    path = idx_folder / LABELS
    whole, labels = path.read_bytes(), load_dataset("mnist", data_dir=idx_folder).train.labels
    unnoticed, tried = 0, range(10, len(whole), 3)
    for position in tried:
        path.write_bytes(whole[:position] + bytes((whole[position] ^ 0x10,)) + whole[position + 1 :])
        try:
            found = load_dataset("mnist", data_dir=idx_folder).train.labels
        except DatasetError:
            continue
        assert (found == labels).all()  # padding bits of the compressed stream carry nothing
        unnoticed += 1
    assert unnoticed < len(tried) / 2


def test_an_image_folder_is_resized_and_labelled_by_sorted_folder_names(image_folder: Path):
    data = load_dataset(image_folder, image_size=(8, 5))
    assert data.image_shape == (8, 5, 1) and data.class_names == ("cat", "dog")
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert (data.test.images[0] == 10).all() and (data.test.images[-1] == 200).all()


def test_one_class_only_is_refused(tmp_path: Path):
    for part in ("train", "test"):
        picture(tmp_path / part / "cat" / "0.png", 1)
    with pytest.raises(DatasetError, match="two classes"):
        load_dataset(tmp_path)


def test_an_image_that_would_fill_the_memory_is_refused(image_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(DatasetError, match=r"cannot read 16 of 16 images[^$]*too many pixels"):
        load_dataset(image_folder)


def test_a_class_without_images_is_refused(image_folder: Path):
    (image_folder / "train" / "owl").mkdir()
    with pytest.raises(DatasetError, match="no images"):
        load_dataset(image_folder)


def test_an_empty_test_folder_is_refused(image_folder: Path):
    for path in (image_folder / "test").rglob("*.png"):
        path.unlink()
    with pytest.raises(DatasetError, match="no images"):
        load_dataset(image_folder)


def test_a_test_class_that_train_lacks_is_refused(image_folder: Path):
    picture(image_folder / "test" / "owl" / "0.png", 3)
    with pytest.raises(DatasetError, match="owl"):
        load_dataset(image_folder)


def test_grey_and_colour_mixed_is_refused(image_folder: Path):
    picture(image_folder / "train" / "cat" / "9.png", 3, "RGB")
    with pytest.raises(DatasetError, match="mixed"):
        load_dataset(image_folder)


def test_an_image_with_alpha_is_refused(image_folder: Path):
    Image.new("RGBA", (4, 4)).save(image_folder / "train" / "cat" / "9.png")
    with pytest.raises(DatasetError, match="grey or RGB"):
        load_dataset(image_folder)


def test_a_file_that_is_no_image_is_refused(image_folder: Path):
    (image_folder / "train" / "cat" / "9.png").write_bytes(b"not an image")
    with pytest.raises(DatasetError, match="cannot read"):
        load_dataset(image_folder)


def test_a_folder_without_train_and_test_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match="train/"):
        load_dataset(tmp_path)


def test_debian_fashion_mnist_has_its_known_size():
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    data = load_dataset("fashion-mnist")
    assert (len(data.train), len(data.val), len(data.test)) == (55_000, 5_000, 10_000)
    assert data.class_names == FASHION_MNIST_CLASSES
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
