"""Stored segments: what comes back, what is refused, and what a stopped run leaves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fakes.segments import Quarters, masked_data, quarters
from semflash.data.dataset import Dataset, Split
from semflash.errors import SegmentError
from semflash.segments.base import Plan
from semflash.segments.manifest import MANIFEST, load_manifest
from semflash.segments.store import SegmentStore, cache_dir, find_store
from semflash.training.progress import Progress
from semflash.training.segmenting import segment as module
from semflash.training.segmenting.segment import SegmentRequest, segment

DATA = masked_data()
Run = Callable[..., SegmentStore]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Makes a store of DATA in a folder of its own, by a fake segmenter."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(
        segmenter: Quarters | None = None, data: Dataset = DATA, plan: Plan | None = None, **asked: object
    ) -> SegmentStore:
        found = plan or (segmenter or Quarters()).plan
        monkeypatch.setattr(module, "plan_of", lambda *_: found)
        monkeypatch.setattr(module, "load_dataset", lambda *_, **__: data)
        asked.setdefault("out", tmp_path / "store")
        return segment(SegmentRequest("masked", **asked), Progress(quiet=True))[0]  # type: ignore[arg-type]

    return run


def maps_of(split: Split) -> np.ndarray:
    return np.stack([quarters(image) for image in split.images])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def test_maps_of_all_splits_come_back(run: Run, tmp_path: Path) -> None:
    store = run()
    assert store.splits == ("train", "val", "test")
    for name, split in (("train", DATA.train), ("val", DATA.val), ("test", DATA.test)):
        assert np.array_equal(store.segments(name), maps_of(split)) and store.count(name) == len(split)
    again = SegmentStore.open(tmp_path / "store", DATA)
    assert again.digest == store.digest and again.manifest.segmenter.ms_per_image > 0


@pytest.mark.parametrize("stopped", [0, 1, 16, 17, 39, 41, 53])
def test_a_stopped_run_goes_on_with_the_block_that_it_was_at(run: Run, tmp_path: Path, stopped: int) -> None:
    whole = run(out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(Quarters(fails_after=stopped))
    with pytest.raises(SegmentError, match="not finished"):
        SegmentStore.open(tmp_path / "store", DATA)
    second = Quarters()
    store = run(second)
    # Blocks of 16 images in each split of its own: 40 are 16, 16 and 8.
    ends = np.cumsum([0, 16, 16, 8, 8, 6])
    assert second.asked == 54 - max(end for end in ends if end <= stopped)
    assert contents(store.folder) == contents(whole.folder)
    assert store.manifest.sha256 == whole.manifest.sha256


def test_a_store_that_is_being_made_can_be_read_as_far_as_it_is(run: Run, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Quarters(fails_after=35))
    store = SegmentStore.open(tmp_path / "store", DATA, partial=True)
    assert store.splits == ("train",) and store.count("train") == 32
    assert np.array_equal(store.segments("train"), maps_of(DATA.train)[:32])
    with pytest.raises(SegmentError, match="no images of the split test"):
        store.segments("test")


def test_a_larger_limit_adds_images_and_asks_only_for_them(run: Run, tmp_path: Path) -> None:
    first = Quarters()
    assert run(first, limit=20).count("train") == 20 and first.asked == 20 + 8 + 6
    more = Quarters()
    store = run(more)
    # The last block had 4 of its 16 images, so it is made again.
    assert more.asked == 24 and np.array_equal(store.segments("train"), maps_of(DATA.train))
    fewer = Quarters()
    assert run(fewer, limit=5).count("train") == 40 and fewer.asked == 0
    assert contents(store.folder) == contents(run(out=tmp_path / "whole").folder)


def test_a_stopped_run_that_was_to_divide_more_can_be_finished_with_less(run: Run, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Quarters(fails_after=17))
    second = Quarters()
    store = run(second, limit=6, splits=("test",))
    assert second.asked == 6 and store.count("train") == 16 and store.splits == ("train", "test")
    third = Quarters()
    assert run(third, limit=20, splits=("train",)).count("train") == 20 and third.asked == 4
    assert contents(run().folder) == contents(run(out=tmp_path / "whole").folder)


def test_a_split_can_be_added_later(run: Run) -> None:
    assert run(splits=("test",)).splits == ("test",)
    second = Quarters()
    assert run(second, splits=("val",)).splits == ("val", "test") and second.asked == 8


def test_other_images_are_refused(run: Run, tmp_path: Path) -> None:
    store = run()
    other = masked_data(seed=1)
    with pytest.raises(SegmentError, match="other images"):
        SegmentStore.open(store.folder, other)
    with pytest.raises(SegmentError, match="other images"):
        run(data=other)
    fewer = dataclasses.replace(DATA, val=Split(DATA.val.images[:7], DATA.val.labels[:7]))
    with pytest.raises(SegmentError, match="other images"):
        SegmentStore.open(store.folder, fewer)


@pytest.mark.parametrize(
    "changed", [{"name": "halves"}, {"version": 2}, {"sha256": "cd" * 32}, {"settings": {"by": 3}}]
)
def test_a_folder_of_another_segmenter_weights_version_or_setting_is_refused(
    run: Run, changed: dict[str, object]
) -> None:
    run()
    other = Quarters()
    other.record = msgspec.structs.replace(other.record, **changed)
    with pytest.raises(SegmentError, match="another segmenter, other weights"):
        run(other)


def test_masks_decide_only_where_they_are_given_back(run: Run) -> None:
    masks = dataclasses.replace(DATA.train, masks=1 - DATA.train.masks % 2)
    other = dataclasses.replace(DATA, train=masks)
    assert SegmentStore.open(run().folder, other).count("train") == 40
    from semflash.segments.opening import plan_of

    exact = run(out=None, plan=plan_of("exact"))
    assert np.array_equal(exact.segments("train"), DATA.train.masks)
    with pytest.raises(SegmentError, match="other images"):
        SegmentStore.open(exact.folder, other)


def test_exact_is_refused_without_masks(run: Run) -> None:
    from semflash.segments.opening import plan_of

    bare = Dataset(
        "bare", *(Split(s.images, s.labels) for s in (DATA.train, DATA.val, DATA.test)), tuple("abc")
    )
    with pytest.raises(SegmentError, match="no exact masks"):
        run(data=bare, plan=plan_of("exact"))


@pytest.mark.parametrize("damage", ["byte", "short", "gone", "number"])
def test_damaged_files_are_found(run: Run, damage: str) -> None:
    store = run()
    path = store.folder / "val-segments.u8"
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "short":
        path.write_bytes(content[:-1])
    else:
        content[5] = 77 if damage == "number" else content[5] ^ 1
        path.write_bytes(content)
    with pytest.raises(SegmentError) as caught:
        SegmentStore.open(store.folder, DATA)
    words = {
        "byte": "not what was written",
        "short": "too small",
        "gone": "cannot be read",
        "number": "number",
    }
    assert words[damage] in str(caught.value) and "make the store again" in caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 2}',
        b"\xff",
        b"[" * 100_000,
        b" " * (2 << 20),
    ],
)
def test_a_damaged_manifest_is_an_error_that_says_so(run: Run, content: bytes) -> None:
    store = run()
    (store.folder / MANIFEST).write_bytes(content)
    with pytest.raises(SegmentError, match=r"damaged|another format"):
        SegmentStore.open(store.folder, DATA)


def test_a_manifest_with_a_split_that_there_is_not_is_refused(run: Run) -> None:
    store = run()
    values = json.loads((store.folder / MANIFEST).read_text())
    values["images"]["../val"] = 3
    (store.folder / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(SegmentError, match="damaged"):
        load_manifest(store.folder)


def test_a_store_is_found_by_the_name_of_its_segmenter(run: Run, tmp_path: Path) -> None:
    store = run(out=None)
    assert store.folder.parent == cache_dir() == tmp_path / "cache" / "semflash" / "segments"
    assert find_store("quarters", DATA).folder == store.folder
    assert find_store(store.folder, DATA).digest == store.digest
    with pytest.raises(SegmentError, match="no stored segments of this name"):
        find_store("hed", DATA)
    with pytest.raises(SegmentError, match="there are those of masked"):
        find_store("quarters", masked_data(seed=2))
    other = Quarters()
    other.record = msgspec.structs.replace(other.record, version=2)
    run(other, out=None)
    with pytest.raises(SegmentError, match="several stores"):
        find_store("quarters", DATA)
