"""A report on pictures beside a task's output: as sent and as received, levels, figures by quality."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.channels.of_quality import channel_for
from semflash.edge.golden import GoldenEncoder
from semflash.edge.pictured import level_count
from semflash.edge.route import Route
from semflash.outputs.image import pixels, unit
from semflash.outputs.level_map import LevelMap, heat
from semflash.outputs.metrics import PSNR
from semflash.outputs.psnr_ssim import psnr
from semflash.program.patch_stages import Select
from semflash.program.reference.select import attention_of
from semflash.report import pictures
from semflash.report.answers.material import EXAMPLES, Material
from semflash.report.page import Chart, Section, Table
from semflash.report.view import BundleView, PicturedSample

#: Who attends.
DEVICE, TASK = "device's network", "task network"


def measured(material: Material) -> tuple[PicturedSample, ...]:
    """Samples at the levels of quality that a report is about; none where they are not asked for, or the
    bundle gives neither picture nor levels."""
    bundle, evaluation = material.bundle, material.evaluation
    if not material.pictures or (bundle.picture is None and bundle.level_map is None):
        return ()
    originals = np.asarray(material.images[:EXAMPLES])
    route = Route(bundle, originals, channel_for(bundle.program, evaluation.fading), material.seed)
    levels = [level for level in bundle.quality.main if level in evaluation.predictions]
    found = {level: next(route.decoded(level, evaluation.settings(bundle, level)))[1] for level in levels}
    samples, attended = [], _attended(material, originals)
    for row, original in enumerate(originals):
        received = {
            level: pixels(one.pictures[row]) for level, one in found.items() if one.pictures is not None
        }
        ratios = {
            level: float(psnr(one.pictures[row : row + 1], unit(originals[row : row + 1]))[0])
            for level, one in found.items()
            if one.pictures is not None
        }
        first = found[levels[0]].levels
        map_of = None if first is None else LevelMap(first[row], level_count(bundle))
        shares = {title: maps[row] for title, maps in attended.items()}
        name = f"image {evaluation.indices[row]}"
        samples.append(PicturedSample(name, original, received, ratios, map_of, shares))
    return tuple(samples)


def _attended(material: Material, originals: NDArray[np.uint8]) -> dict[str, NDArray[np.floating]]:
    """Shares of the patches of each image by who attends, float (n, rows, columns): the device's network,
    whose scores rank the patches, and the task network that it learned from, where that is at hand."""
    program, found = material.bundle.program, {}
    for stage in program.stages:
        if isinstance(stage, Select):
            scores = GoldenEncoder(material.bundle).run(originals).tensors[stage.scores]
            shape = len(originals), *program.tensor(stage.output).shape
            weights = attention_of(stage, scores.reshape(len(originals), -1).view(np.int8)).astype(np.float64)
            found[DEVICE] = (weights / weights.sum(axis=1, keepdims=True)).reshape(shape)
    if material.attention is not None:
        found[TASK] = material.attention(originals)
    return found


def section(views: Sequence[BundleView]) -> Section:
    """Samples, and every metric by level; empty where no bundle gives a picture or levels."""
    there = [view for view in views if view.bundle.picture is not None or view.bundle.level_map is not None]
    charts = [_chart(view) for view in there if view.samples]
    tables = [_table(view) for view in there if view.bundle.picture is not None]
    return Section("pictured", "Pictures", "Pictures as sent and as received", charts=charts, tables=tables)


def as_json(samples: Sequence[PicturedSample]) -> list[dict[str, Any]]:
    """PSNR by level of quality, and patches by level, of each sample."""
    found = []
    for one in samples:
        plain: dict[str, Any] = {"name": one.name}
        plain |= (
            {
                "attention": {
                    title: [[round(float(share), 4) for share in row] for row in shares]
                    for title, shares in one.attention.items()
                }
            }
            if one.attention
            else {}
        )
        plain["psnr"] = {f"{level:g}": ratio for level, ratio in one.ratios.items()}
        if one.levels is not None:
            plain["patches_by_level"] = one.levels.patches
        found.append(plain)
    return found


def _chart(view: BundleView) -> Chart:
    samples, name, quality = view.samples, view.bundle.name, view.quality
    columns = ["original", *(f"received,\n{quality.text(level)}" for level in samples[0].received)]
    grid = [[_rgb(one.original), *map(_rgb, one.received.values())] for one in samples]
    story = "; ".join(_story(one, view) for one in samples)
    caption = f"{name}: images as they were sent, and what the edge made of their payloads"
    if samples[0].levels is not None:
        columns.append("levels")
        for row, one in zip(grid, samples, strict=True):
            assert one.levels is not None  # all of a bundle's samples have levels, or none
            row.append(one.levels.over(one.original))
        caption += "; the level of each patch over the image, the lighter the higher"
    for title in samples[0].attention:
        columns.append(f"attention,\n{title}")
        for row, one in zip(grid, samples, strict=True):
            row.append(heat(one.attention[title], one.original))
    if samples[0].attention:
        caption += "; what a patch weighs before its contrast counts, the lighter the more"
    return Chart(
        f"pictured-{name}",
        f"{caption}.",
        f"Grid of test images of {name} with the pictures received: {story}",
        partial(pictures.samples, grid, [one.name for one in samples], columns),
        wide=True,
    )


def _story(one: PicturedSample, view: BundleView) -> str:
    said = [f"{PSNR.text(value)} at {view.quality.text(level)}" for level, value in one.ratios.items()]
    said += [] if one.levels is None else [f"patches by level {one.levels.words}"]
    return f"{one.name}: " + ", ".join(said)


def _rgb(picture: Any) -> Any:
    """Grey pictures stay as they are; of more than three channels the first three are shown."""
    return picture[..., :3] if picture.shape[-1] >= 3 else picture[..., :1]


def _table(view: BundleView) -> Table:
    measured, quality = view.evaluation.measurement, view.quality
    head = [quality.short, *(f"{m.title},{m.sign}" if m.sign else m.title for m in measured.metrics)]
    rows = []
    for point in measured.points:
        pairs = zip(measured.metrics, point.scores, strict=True)
        rows.append([quality.number(point.level), *(metric.number(score.value) for metric, score in pairs)])
    return Table(f"{view.bundle.name}: means over {measured.images:,} images", head, rows)
