"""What the edge side of a codec gives for an image: the typed part of the contract, one kind each."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from semflash.fields import Share, Side

ANCHORS_MAX = 1 << 20
#: Side of the window of SSIM, pixels; no picture is smaller.
SSIM_WINDOW = 7
#: Values of an anchor before its class scores: x, y, width, height.
BOX = 4


class ClassificationTask(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="classification"
):
    """The task tail gives logits float32 (B, classes)."""


class DetectionTask(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="detection"):
    """The task tail gives maps float32 (B, height, width, classes + 4), :mod:`semflash.outputs.detections`.

    Attributes:
        height, width: of the maps. stride: pixels of the image per cell, in both directions.
        peak_window: side of the window in which a peak is the largest score, cells, odd.
        score_min: peaks below it are no objects. objects_max: most objects per image.
    """

    height: Side
    width: Side
    stride: Annotated[int, Meta(ge=1, le=256)]
    peak_window: Annotated[int, Meta(ge=1, le=15)]
    score_min: Share
    objects_max: Annotated[int, Meta(ge=1, le=1000)]


class AnchorTask(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="anchors"):
    """The task tail gives boxes float32 (B, anchors, 4 + classes), :mod:`semflash.outputs.anchor_boxes`.

    Attributes:
        height, width: of the image, pixels. anchors: boxes per image.
        score_min: boxes below it are no objects.
        overlap_max: IoU above which a box of a class suppresses a worse one of the same class.
        candidates_max: boxes per image that are looked at, the best. objects_max: most objects per image.
    """

    height: Side
    width: Side
    anchors: Annotated[int, Meta(ge=1, le=ANCHORS_MAX)]
    score_min: Share
    overlap_max: Share
    candidates_max: Annotated[int, Meta(ge=1, le=10_000)]
    objects_max: Annotated[int, Meta(ge=1, le=1000)]


class ImageTask(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="image"):
    """The edge gives pictures float32 (B, height, width, channels) in [0, 1], :mod:`semflash.outputs.image`.

    Attributes:
        height: Of the image, pixels.
        width: Of the image, pixels.
        channels: Of the image.
    """

    height: Side
    width: Side
    channels: Annotated[int, Meta(ge=1, le=16)]


Task = ClassificationTask | DetectionTask | AnchorTask | ImageTask
CLASSIFICATION = ClassificationTask()
