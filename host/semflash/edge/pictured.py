"""All that the edge of a bundle gives, the task's output, a picture and levels: read, judged and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from semflash.bundle.reader import Bundle
from semflash.edge.decoder import Decoded
from semflash.edge.route import Route
from semflash.edge.split import Split, cover_of
from semflash.outputs import pictured
from semflash.outputs.metrics import Metric, Score
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


@dataclass(frozen=True)
class Measured:
    """What some images are worth at a level.

    Attributes:
        scores: One for each of :attr:`Measuring.metrics`.
        answers: Of the task's output, one an image.
        figures: Of the pictures, float64 (N, metrics); None: there are none.
        size: Bytes of a payload, in the mean and of the longest.
        inconsistent: Payloads that could not be believed in what they say of themselves.
    """

    scores: tuple[Score, ...]
    answers: Any
    figures: pictured.Figures | None
    size: tuple[float, int]
    inconsistent: int


@dataclass(frozen=True)
class Measuring:
    """Images with what is right for them, and their route: measures all that the edge gives.

    Attributes:
        bundle: Of the route.
        images: uint8 (N, H, W, C).
        truth: What answers are compared with.
        cover: Where objects lie; None: the data set has no masks.
        route: What they go.
    """

    bundle: Bundle
    images: Any
    truth: Any
    cover: Any
    route: Route

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Of the output, and of the picture beside it."""
        beside = pictured.metrics(self.cover) if self.bundle.picture is not None else ()
        return (*self.bundle.output.metrics, *beside)

    def measure(self, level: float, controls: Mapping[str, int], told: float | None, seed: int) -> Measured:
        """Everything at a level. told: as :meth:`Route.outputs`; seed: of resampled intervals."""
        answers, figures, inconsistent = [], [], 0
        output = self.bundle.output
        for part, found in self.route.decoded(level, controls, told):
            answers.append(output.answers(found.outputs, self.truth[part]))
            inconsistent += int((~found.consistent).sum())
            if found.pictures is not None:
                cover = None if self.cover is None else self.cover[part]
                figures.append(pictured.figures(found.pictures, np.asarray(self.images[part]), cover))
        joined = output.joined(answers)
        scores = output.measure(joined, self.truth, seed=seed)
        together = np.concatenate(figures) if figures else None
        scores += () if together is None else pictured.measure(together)
        sizes = -(-self.route.sent(controls).bits // 8)
        return Measured(scores, joined, together, (float(sizes.mean()), int(sizes.max())), inconsistent)
