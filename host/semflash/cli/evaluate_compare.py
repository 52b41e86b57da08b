"""``semflash evaluate --compare``: several bundles, results of experiments beside them, and the report."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle import Bundle, read_bundle
from semflash.cli import control_options, data_options, quality_options
from semflash.edge.bundle_data import data_name
from semflash.errors import UsageError
from semflash.printable import printable
from semflash.report import curves, render, sections
from semflash.report.comparable import check_comparable, choose
from semflash.report.content import Content
from semflash.report.gather import BundleView, read_costs, view
from semflash.report.results import RunResult, read_results
from semflash.settings import Settings, first

#: Device cost of the checkout, where there is one.
BENCH_FILE = Path("docs") / "benchmarks.json"


def compare(names: Sequence[str], args: argparse.Namespace, settings: Settings) -> int:
    """Measure every bundle, print a table or JSON, write what was asked for; returns the exit code.

    Raises:
        UsageError: flags that do not go together, results or places that cannot be used.
        SemflashError: as :func:`semflash.edge.evaluate.evaluate`.
    """
    _check_flags(args)
    target = None if args.report is None else render.check_target(args.report)
    if args.plots is not None and not args.plots.parent.is_dir():
        raise UsageError("the folder above --plots does not exist", value=args.plots, remedy="make it first")
    results = read_results(args.compare or ())
    costs = read_costs(args.bench or ([BENCH_FILE] if BENCH_FILE.is_file() else []))
    seed = first(args.seed, settings.evaluate.seed) or 0
    bundles = _bundles(names, args, settings, results)
    chosen = choose({one.name: data for one, data in bundles}, results)
    for note in chosen.notes:
        print(f"semflash: {printable(note)}", file=sys.stderr)
    content = Content(_views(bundles, args, settings, costs, seed), chosen.results, seed, chosen.notes)
    written: list[Path] = []
    if target is not None or args.plots is not None:
        page = sections.page(content)
        if target is not None:
            written = render.write_report(page, target)
        if args.plots is not None:
            render.write_plots(page, args.plots)
            written.append(args.plots)
    if args.json:
        print(json.dumps(render.as_json(content) | {"written": [str(path) for path in written]}))
    else:
        _print(content, written)
    return 0


def _check_flags(args: argparse.Namespace) -> None:
    if args.limit is not None and args.limit < 1:
        raise UsageError("--limit must be at least 1", value=args.limit)
    for flag, given in (
        ("--record", args.record),
        ("--plot", args.plot),
        ("--assume-ber", args.assume_ber),
        ("--assume-snr", args.assume_snr),
        ("--rate-trace", args.rate_trace),
    ):
        if given not in (None, False):
            raise UsageError(f"{flag} is for one bundle without --compare", remedy=f"leave out {flag}")


def _bundles(
    names: Sequence[str], args: argparse.Namespace, settings: Settings, results: Sequence[RunResult]
) -> list[tuple[Bundle, str]]:
    """Each bundle, and the data set it is measured on: its own, unless one is named."""
    bundles = [read_bundle(name) for name in names]
    twice = {bundle.name for bundle in bundles if sum(bundle.name == other.name for other in bundles) > 1}
    if twice:
        raise UsageError("two bundles of one name", value=", ".join(sorted(twice)), remedy="compare others")
    check_comparable(bundles, results)
    named = first(args.dataset, settings.evaluate.dataset)
    return [(one, data_name(one, named)) for one in bundles]


def _views(
    bundles: Sequence[tuple[Bundle, str]],
    args: argparse.Namespace,
    settings: Settings,
    costs: Sequence[dict[str, Any]],
    seed: int,
) -> list[BundleView]:
    """Each bundle measured."""
    pictures = args.report is not None or args.plots is not None
    if pictures:  # Keras, for the importance maps, where it is installed
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    table, views, loaded = settings.evaluate, [], {}
    attention = None if args.task is None else _attention(args.task)
    for bundle, wanted in bundles:
        key = (wanted, bundle.image_shape, tuple(bundle.contract.class_names))
        if key not in loaded:
            loaded[key] = data_options.load(bundle, args, table)
        levels = quality_options.levels(bundle, args, table)
        limit = first(args.limit, table.count)
        measured = {"seed": seed, "limit": limit, "split": args.split, "pictures": pictures}
        measured["sample_seed"] = first(args.sample_seed, table.sample_seed) or 0
        measured |= {"fading": control_options.fading(args), "state_error": args.state_error}
        measured["controls"] = control_options.fixed(bundle, args, table.rate)
        views.append(view(bundle, loaded[key], levels, costs, attention=attention, **measured))
    return views


def _attention(folder: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.floating]]:
    """Of a task network, followed back and both ways round.

    Raises:
        TrainingError: There is none, or it has no CLS token.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from semflash.runtime.native_messages import hidden_native_messages

    with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
        from semflash.tasks.attention import attention_maps
        from semflash.tasks.transformer import attention_of
        from semflash.training.task import load_task
    task = load_task(folder)
    attention_of(task.tail)  # refused before anything is measured
    return lambda images: attention_maps(task.head, task.tail, images, rollout=True, mirrored=True)


def _print(content: Content, written: Sequence[Path]) -> None:
    from rich.table import Table

    from semflash.console import console as make_console

    console = make_console(highlight=False, markup=False)  # a budget in brackets is no markup
    for section in (sections.summary(content), curves.against_quality(content)):
        for one in section.tables:
            table = Table(title=printable(one.caption), title_justify="left")
            heads, *rows = [[printable(cell) for cell in row] for row in (one.head, *one.rows)]
            for index, head in enumerate(heads):
                words = [word for row in (heads, *rows) for word in row[index].split()]
                table.add_column(
                    head, justify="left" if index == 0 else "right", min_width=max(map(len, words), default=1)
                )
            for row in rows:
                table.add_row(*row)
            console.print(table, crop=False)
        for paragraph in section.text:
            console.print(printable(paragraph), soft_wrap=True)
    for path in written:
        console.print(f"written: {path}", soft_wrap=True)
