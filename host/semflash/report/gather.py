"""What the report says of a bundle: measured by the edge's own code (LiteRT)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.on_air import has_symbols
from semflash.data.lazy import some
from semflash.data.sample import SAMPLE_SEED, balanced
from semflash.edge.evaluate import evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.edge.split import cover_of
from semflash.errors import UsageError
from semflash.program.tensors import Codes
from semflash.report import symbols
from semflash.report.answers import pictured, rates
from semflash.report.answers.material import Material
from semflash.report.answers.registry import details_of
from semflash.report.view import BundleView, coded

USE_IMAGES = 1_000


def view(
    bundle: Bundle,
    dataset: Any,
    levels: Sequence[float],
    costs: Sequence[dict[str, Any]],
    *,
    seed: int = 0,
    limit: int | None = None,
    sample_seed: int = SAMPLE_SEED,
    split: str = "test",
    pictures: bool = True,
    fading: Fading = NO_FADING,
    controls: Mapping[str, int] | None = None,
    state_error: int = 0,
    attention: Callable[[NDArray[np.uint8]], NDArray[np.floating]] | None = None,
) -> BundleView:
    """Measure one bundle.

    Args:
        levels: of the bundle's kind of quality; the one whose answers are shown is measured in any case.
        costs: records of `semflash bench`; the one of this bundle's hash is taken.
        seed, limit, sample_seed, split, fading, controls, state_error: as
            :func:`semflash.edge.evaluate.evaluate`.
        pictures: with examples and their importance, which import Keras where it is installed.
        attention: see :class:`semflash.report.answers.material.Material`.

    Raises: as `evaluate`.
    """
    quality = bundle.quality
    every = sorted({*levels, quality.damaged}, reverse=quality.worse(0.0, 1.0))
    evaluation = evaluate(
        *(bundle, dataset, every),
        seed=seed,
        limit=limit,
        sample_seed=sample_seed,
        split=split,
        fading=fading,
        controls=controls,
        state_error=state_error,
    )
    part = getattr(dataset, split)
    images, labels = some(part.images, evaluation.indices), part.labels[evaluation.indices]
    sample = some(images, balanced(labels, USE_IMAGES))
    use = code_use(bundle, sample)
    cover = cover_of(part, evaluation.indices)
    material = Material(bundle, images, labels, evaluation, seed, pictures, cover, attention)
    details, shown, maps = details_of(material)
    cost = next((one for one in costs if one.get("bundle_hash") == bundle.hash_hex), None)
    sent: tuple[symbols.Symbols, ...] = ()
    if has_symbols(bundle.program):
        sent = symbols.measured(bundle, sample, [evaluation.controls[level] for level in reversed(every)])
    return BundleView(
        *(bundle, evaluation, use, details, shown, maps, history(bundle), cost, sent),
        samples=pictured.measured(material),
        rates=rates.measured(material),
    )


def code_use(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of each code among those of the images, (levels,); empty where the edge reads no codes."""
    holds = bundle.program.tensor(coded(bundle)).holds
    if not isinstance(holds, Codes):
        return np.empty(0)
    codes = GoldenEncoder(bundle).run(images).tensors[coded(bundle)]
    return np.bincount(codes.ravel(), minlength=holds.levels) / codes.size


def history(bundle: Bundle) -> list[dict[str, Any]]:
    """Records of the training out of history.json; empty where the bundle has none."""
    if bundle.record.history is None:
        return []
    records = json.loads((bundle.path / bundle.record.history.file).read_text(encoding="utf-8"))
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []


def read_costs(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Records of `semflash bench --json` (an object or a list), or of docs/benchmarks.json.

    Raises:
        UsageError: unreadable, or neither.
    """
    found: list[dict[str, Any]] = []
    for path in files:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot read a bench file: {error}", value=path, remedy="semflash bench BUNDLE --json > FILE"
            ) from error
        before = len(found)
        found += list(_records(content))
        if len(found) == before:
            raise UsageError(
                "no record of `semflash bench` in it",
                value=path,
                remedy="semflash bench BUNDLE --json > FILE",
            )
    return found


def _records(content: Any) -> Iterable[dict[str, Any]]:
    if isinstance(content, dict) and "counts_median" in content:
        yield content
    elif isinstance(content, dict):
        for inner in content.values():
            yield from _records(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from _records(inner)
