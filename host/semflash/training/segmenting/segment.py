"""Making a segment store: ``segment(request)`` behind ``semflash segment``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.data.summary import summary
from semflash.errors import SegmentError
from semflash.printable import printable
from semflash.segments.base import Plan, Segmenter
from semflash.segments.manifest import (
    FORMAT,
    NAME_CHARS,
    SEGMENTS,
    SPLITS,
    SegmentManifest,
    data_sha256,
    identity_of,
)
from semflash.segments.opening import DEFAULT, SegmenterOptions, plan_of
from semflash.segments.store import SegmentStore, SegmentWriter, folder_of
from semflash.stores.locks import locked
from semflash.training.progress import Progress

#: Images that are divided and written at a time.
BLOCK = 16


@dataclass(frozen=True)
class SegmentRequest:
    """What is to be divided, and by what.

    Attributes:
        dataset: name of a data set, or an image folder.
        segmenter: a name of :data:`semflash.segments.opening.NAMES`.
        splits: of the data set.
        limit: so many images of each split, from the first on; None: all.
        out: folder of the store; None: in the cache.
        data_dir: where the data set's files lie.
        image_size: side of a folder's images, pixels.
        skip_bad: leave out images of a folder that cannot be read.
        options: of a network.
    """

    dataset: str
    segmenter: str = DEFAULT
    splits: tuple[str, ...] = SPLITS
    limit: int | None = None
    out: Path | None = None
    data_dir: Path | None = None
    image_size: int = 64
    skip_bad: bool = False
    options: SegmenterOptions = field(default_factory=SegmenterOptions)


def segment(request: SegmentRequest, progress: Progress | None = None) -> tuple[SegmentStore, Dataset]:
    """Make a segment store, or go on with one, or give it more images; the store and its data set.

    Raises:
        DatasetError: the data set is missing or malformed.
        UsageError: there is no such segmenter.
        ToolMissingError: its extra is not installed.
        SegmentError: its files are no good, it failed, another process makes the store, or the folder holds
            another one.
    """
    progress = progress or Progress()
    size = (request.image_size, request.image_size)
    plan = plan_of(request.segmenter, request.options)
    data = load_dataset(
        request.dataset, data_dir=request.data_dir, image_size=size, skip_bad=request.skip_bad
    )
    for line in summary(data):
        progress.say(line)
    if plan.record.exact and data.train.masks is None:
        raise SegmentError(
            "the data set has no exact masks",
            value=data.name,
            remedy="--with hed, or a composed data set: stamps-focus",
        )
    if plan.record.classical and not plan.record.exact:
        progress.warn(f"{plan.record.name} is a classical method: no network has learnt what things are")
    manifest = _manifest(request, data, plan)
    folder = request.out or folder_of(plan.record, manifest.identity)
    with locked(folder, SEGMENTS):
        writer = SegmentWriter(folder, manifest, data)
        if not writer.manifest.complete:
            _make(writer, plan, data, progress)
    return SegmentStore.open(folder, data), data


def _manifest(request: SegmentRequest, data: Dataset, plan: Plan) -> SegmentManifest:
    """Of the store as it is to be."""
    digest = data_sha256(data, exact=plan.record.exact)
    images = {}
    for split in request.splits:
        count = len(getattr(data, split))
        images[split] = count if request.limit is None else min(request.limit, count)
    return SegmentManifest(
        FORMAT,
        printable(data.name)[:NAME_CHARS],
        digest,
        data.image_shape,
        images,
        BLOCK,
        plan.record,
        identity_of(digest, plan.record),
    )


def _make(writer: SegmentWriter, plan: Plan, data: Dataset, progress: Progress) -> None:
    """Divide all images that are not there."""
    left = writer.left()
    total = sum(writer.manifest.images.values())
    missing = sum(len(writer.rows[split].images_of(block)) for split, block in left)
    took: list[float] = []
    with (
        plan.start() as segmenter,
        progress.work(f"dividing by {plan.record.name}", total, total - missing) as bar,
    ):
        for number, (split, block) in enumerate(left):
            rows = writer.rows[split]
            begun = time.monotonic()
            rows.write(block, [_divided(segmenter, data, split, rows.images_of(block))])
            took.append((time.monotonic() - begun) / len(rows.images_of(block)))
            missing -= len(rows.images_of(block))
            bar.advance(len(rows.images_of(block)))
            if not progress.bar and number in _TOLD_AFTER:
                progress.say(_remaining(took, missing))
    writer.finish(round(1e3 * float(np.median(took)), 3) if took else 0.0)


#: Blocks after which a line says how long it takes, where there is no bar.
_TOLD_AFTER = {8**power for power in range(8)}


def _divided(segmenter: Segmenter, data: Dataset, split: str, indices: np.ndarray) -> np.ndarray:
    """Maps of a block's images, uint8 (n, H, W)."""
    part = getattr(data, split)
    images = np.asarray(part.images[indices])
    masks = [None] * len(images) if part.masks is None else list(part.masks[indices])
    return np.stack([segmenter.segment(image, mask) for image, mask in zip(images, masks, strict=True)])


def _remaining(took: list[float], images: int) -> str:
    each = float(np.median(took))
    return f"{1e3 * each:.1f} ms an image, {images:,} to go, about {max(1, round(each * images / 60))} min"
