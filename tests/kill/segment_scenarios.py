"""Stored segments and their weights: a stopped run leaves whole blocks, which are not made again."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fakes.segments import RECORD, masked_data, quarters
from kill.scenarios import NOTHING, nothing_before
from kill.stopping import Scenario
from semflash.data.dataset import Dataset
from semflash.errors import SegmentError
from semflash.segments.manifest import SEGMENTS, SegmentManifest, data_sha256, identity_of
from semflash.segments.store import SegmentStore, SegmentWriter
from semflash.segments.weighing import Weighing, stored_weights, weighing
from semflash.stores.locks import locked

_IMAGES, _BLOCK = 20, 8


@cache
def _data() -> Dataset:
    return masked_data(train=_IMAGES)


def _ready() -> None:
    _data()


def _divide(folder: Path, images: int, stop_after: int = 99) -> None:
    """Divide so many training images, in blocks of 8; stop after some blocks."""
    data, place = _data(), folder / "store"
    digest = data_sha256(data, exact=False)
    manifest = SegmentManifest(
        1, data.name, digest, data.image_shape, {"train": images}, _BLOCK, RECORD, identity_of(digest, RECORD)
    )
    with locked(place, SEGMENTS):
        writer = SegmentWriter(place, manifest, data)
        if writer.manifest.complete:
            return
        rows = writer.rows["train"]
        for _, block in writer.left()[:stop_after]:
            found = [quarters(image) for image in data.train.images[rows.images_of(block)]]
            rows.write(block, [np.stack(found)])
        if not writer.left():
            writer.finish(1.0)


def _weigh(folder: Path, images: int, network: str) -> None:
    """Divide all images, then weigh so many by a network that gives each segment its own weight."""
    _divide(folder, _IMAGES)
    store = SegmentStore.open(folder / "store", _data())
    wanted = Weighing(1, "task", store.digest, {"network": network}, {"train": images}, _BLOCK)
    with weighing(store, wanted) as rows:
        for block in rows["train"].left():
            shape = (len(rows["train"].images_of(block)), 64)
            rows["train"].write(block, [np.full(shape, len(network) / 8, "<f2")])


def _look(folder: Path) -> Any:
    """A digest of each image's map, as far as they are there."""
    try:
        store = SegmentStore.open(folder / "store", _data(), partial=True)
    except SegmentError as error:
        if "no segment store" in error.what:
            return NOTHING
        raise
    if not store.count("train"):
        return NOTHING
    return [hashlib.sha256(one.tobytes()).hexdigest() for one in store.segments("train")]


def _look_at_weights(folder: Path) -> Any:
    try:
        store = SegmentStore.open(folder / "store", _data())
        weights = stored_weights(store, "train", "task")
    except SegmentError as error:
        if any(words in error.what for words in ("no segment store", "nothing has weighed", "not finished")):
            return NOTHING
        raise
    return [len(weights), float(weights.mean())]


def _has_the_first(seen: Any, old: Any, new: Any) -> bool:
    """Fewer images than there are to be, each as it is to be."""
    return bool(seen == NOTHING and old == NOTHING) or (seen != NOTHING and seen == new[: len(seen)])


def _is_not_there(seen: Any, old: Any, new: Any) -> bool:
    """Weights that are being made are no weights."""
    return bool(seen == NOTHING)


ALL = (
    Scenario("segment store, first", nothing_before, lambda f: _divide(f, 12), _look, _has_the_first, _ready),
    Scenario(
        "segment store, more images",
        lambda folder: _divide(folder, 12),
        lambda folder: _divide(folder, _IMAGES),
        _look,
        _has_the_first,
        _ready,
    ),
    Scenario(
        "segment store, a stopped one finished with fewer",
        lambda folder: _divide(folder, _IMAGES, stop_after=1),
        lambda folder: _divide(folder, 12),
        _look,
        _has_the_first,
        _ready,
    ),
    Scenario(
        "weights of segments, more images",
        lambda folder: _weigh(folder, 12, "first"),
        lambda folder: _weigh(folder, _IMAGES, "first"),
        _look_at_weights,
        _is_not_there,
        _ready,
    ),
    Scenario(
        "weights of segments, another network",
        lambda folder: _weigh(folder, _IMAGES, "first"),
        lambda folder: _weigh(folder, _IMAGES, "second"),
        _look_at_weights,
        _is_not_there,
        _ready,
    ),
)
