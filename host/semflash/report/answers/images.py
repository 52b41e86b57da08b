"""A report on pictures: samples as sent and as received at each level, and SSIM beside PSNR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.channels.of_quality import channel_for
from semflash.edge.route import Route
from semflash.outputs.image import clipped, pixels, unit
from semflash.outputs.metrics import PSNR
from semflash.outputs.psnr_ssim import psnr
from semflash.report import pictures
from semflash.report.answers.material import EXAMPLES, Material
from semflash.report.importance import Importance
from semflash.report.page import Chart, Section, Table
from semflash.report.view import BundleView, Details, Example


@dataclass(frozen=True)
class Sample:
    """One image and what arrived of it.

    Attributes:
        name: For a row.
        original: uint8 (H, W, C).
        received: Level -> picture uint8 (H, W, C).
        ratios: Level -> its PSNR in dB.
    """

    name: str
    original: NDArray[np.uint8]
    received: dict[float, NDArray[np.uint8]]
    ratios: dict[float, float]


@dataclass(frozen=True)
class ImageDetails(Details):
    """Sample pictures; empty: not asked for."""

    samples: Sequence[Sample] = ()

    def sections(self, views: Sequence[BundleView]) -> list[Section]:
        """Pictures, and every metric by level."""
        charts = [_samples(view) for view in views if _of(view)]
        tables = [_table(view) for view in views]
        title = "Pictures as sent and as received"
        return [Section("pictures", "Pictures", title, charts=charts, tables=tables)]

    def as_json(self, view: BundleView) -> dict[str, Any]:
        """PSNR of the samples by level."""
        ratios = [{f"{level:g}": value for level, value in one.ratios.items()} for one in self.samples]
        return {"samples": ratios}


def _of(view: BundleView) -> Sequence[Sample]:
    return view.details.samples if isinstance(view.details, ImageDetails) else ()


def _samples(view: BundleView) -> Chart:
    samples, name, quality = _of(view), view.bundle.name, view.quality
    levels = list(samples[0].received)
    columns = ["original", *(f"received,\n{quality.text(level)}" for level in levels)]
    rows = [one.name for one in samples]
    grid = [[one.original, *one.received.values()] for one in samples]
    story = "; ".join(
        f"{one.name}: "
        + ", ".join(f"{PSNR.text(value)} at {quality.text(level)}" for level, value in one.ratios.items())
        for one in samples
    )
    return Chart(
        f"pictures-{name}",
        f"{name}: images as they were sent, and what the edge made of their payloads.",
        f"Grid of test images of {name} with the pictures received: {story}",
        partial(pictures.samples, grid, rows, columns),
        wide=True,
    )


def _table(view: BundleView) -> Table:
    measured, quality = view.evaluation.measurement, view.quality
    head = [quality.short, *(f"{m.title},{m.sign}" if m.sign else m.title for m in measured.metrics)]
    rows = []
    for point in measured.points:
        pairs = zip(measured.metrics, point.scores, strict=True)
        rows.append([quality.number(point.level), *(metric.number(score.value) for metric, score in pairs)])
    return Table(f"{view.bundle.name}: means over {measured.images:,} images", head, rows)


def measured(material: Material) -> tuple[ImageDetails, list[Example], Importance | None]:
    """Details; pictures have no features that a task network reads, so no examples of those."""
    if not material.pictures:
        return ImageDetails(), [], None
    bundle, quality = material.bundle, material.bundle.quality
    originals, measured_at = material.images[:EXAMPLES], material.evaluation
    route = Route(bundle, originals, channel_for(bundle.program, measured_at.fading), material.seed)
    received: dict[float, NDArray[np.float32]] = {}
    for level in sorted(material.evaluation.predictions, reverse=quality.worse(0.0, 1.0)):
        received[level] = clipped(route.outputs(level, measured_at.settings(bundle, level)))
    ratios = {level: psnr(found, unit(originals)) for level, found in received.items()}
    indices = material.evaluation.indices
    samples = [
        Sample(
            f"image {indices[row]}",
            original,
            {level: pixels(found[row]) for level, found in received.items()},
            {level: float(values[row]) for level, values in ratios.items()},
        )
        for row, original in enumerate(originals)
    ]
    return ImageDetails(samples), [], None
