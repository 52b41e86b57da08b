"""Readings and judges of a bundle with all that its edge gives: the task's output, a picture, levels."""

from __future__ import annotations

from semflash.bundle.reader import Bundle
from semflash.edge.decoder import Decoded
from semflash.edge.split import Split, cover_of
from semflash.outputs import pictured
from semflash.outputs.output import Judge, Reading
from semflash.program.tensors import Codes


def gives_more(bundle: Bundle) -> bool:
    """Whether the edge gives a picture or levels beside the task's output."""
    return bundle.picture is not None or bundle.level_map is not None


def readings(bundle: Bundle, decoded: Decoded) -> list[Reading]:
    """What the edge says of each image."""
    found = bundle.output.read(decoded.outputs)
    if not gives_more(bundle):
        return found
    return pictured.readings(found, decoded.pictures, decoded.levels, level_count(bundle))


def level_count(bundle: Bundle) -> int:
    """How many different levels a patch can have; 0: the bundle has no map of levels."""
    if bundle.level_map is None:
        return 0
    holds = bundle.program.tensor(bundle.level_map).holds
    assert isinstance(holds, Codes)  # as every load checks
    return holds.levels


def judge_of(bundle: Bundle, split: Split) -> Judge:
    """Who judges such readings of the images of a split."""
    judge = bundle.output.judge(split.images, split.labels)
    return pictured.PicturedJudge(judge, split.images, cover_of(split)) if gives_more(bundle) else judge
