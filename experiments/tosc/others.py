"""The other methods at the same payload, trained on the same images in as many passes.

Those that send bits over symbols use QPSK: 32 bits in as many channel uses, 16; their decoders are told the
bit error rate that belongs to the ratio.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plan import BudgetPlan, Measure, Run, Shared, TaskPlan, expand, read_experiments, read_shared
from experiments.resolve import resolve, trial_counts
from experiments.tosc import jscc
from experiments.tosc.bench import Bench, Outcome
from experiments.tosc.measuring import noise_rng
from experiments.tosc.results import Row, pack
from experiments.work import Places, Worker
from semflash.baselines.image_streams import ImageStream, pillow_image
from semflash.baselines.jpeg import JpegStream
from semflash.baselines.webp import WebpStream
from semflash.codecs.tosc.sizes import ToscSizes
from semflash.data.registry import load_dataset
from semflash.report.results import ResultStore
from semflash.training.task import load_task

STREAMS: dict[str, type[ImageStream]] = {"jpeg": JpegStream, "webp": WebpStream}
SIDES = (16, 12, 8, 4, 2, 1)
LOOKED_AT = 500
HOUSE_RESULTS = Path(__file__).resolve().parent.parent / "results"


def baseline(bench: Bench) -> Outcome:
    """A method of the house's catalogue, with the settings that its search at 48 bytes chose."""
    settings = bench.study.settings
    shared = with_task(read_shared(), settings)
    run = as_run(bench)
    plan = expand(read_experiments(), read_shared(), trial_counts())  # where the search is looked up
    found = resolve(run, plan, shared, ResultStore(HOUSE_RESULTS))
    assert found.spec is not None
    worker = Worker(shared, Places(bench.work / "baselines"), bench.progress)
    result = worker.execute(run, found)
    rows = [
        Row(
            split=row.split,
            channel=row.channel,
            level=row.rate,
            accuracy=row.value,
            images=row.images,
        )
        for row in result.rows
        if row.framing == found.spec.framings[0]
    ]
    figures = {"title": result.title, "trial": found.trial, "settings": found.settings}
    return Outcome(rows, figures | result.figures, result.seconds["training"])


def with_task(shared: Shared, settings: dict[str, Any]) -> Shared:
    """The house's tables, with the task network of a job."""
    task = TaskPlan(**settings["task"])
    return Shared(shared.budgets, shared.tasks | {settings["task_name"]: task}, shared.measures)


def as_run(bench: Bench) -> Run:
    """A job as a run of the house's plan."""
    study, settings = bench.study, bench.study.settings
    budget = BudgetPlan(
        f"{settings['images']:,} training images, {settings['passes']} passes",
        settings["task_name"],
        settings["images"],
        settings["passes"],
        first_epochs=max(1, settings["passes"] // 5),
    )
    measures = tuple(Measure(settings["channel"], settings["levels"], split) for split in ("val", "test"))
    return Run(
        "tosc",
        study.name,
        settings["method"],
        settings["bytes"],
        study.seed,
        "",
        "passes",
        budget,
        settings["task_name"],
        measures,
        study.priority,
        changes=settings["changes"],
    )


def task_network(bench: Bench) -> Outcome:
    """The task network that the other methods stand on, trained once."""
    settings = bench.study.settings
    worker = Worker(with_task(read_shared(), settings), Places(bench.work / "baselines"), bench.progress)
    folder = worker.task(settings["task_name"])
    task = load_task(folder)
    data = load_dataset(settings["task"]["dataset"])
    accuracy = {split: float(task.accuracy(getattr(data, split))) for split in ("val", "test")}
    return Outcome(figures={"accuracy": accuracy}, training_s=bench.trained_s(folder))


def fits(bench: Bench) -> Outcome:
    """How many bytes the image codecs need at their lowest quality, headers that are always the same left
    away: by side, the least, the median and the share of the test images that fit."""
    settings = bench.study.settings
    data, size = load_dataset(settings["dataset"]), settings["bytes"]
    images, figures = data.test.images[:LOOKED_AT], {}
    for name, kind in STREAMS.items():
        for side in SIDES:
            stream = kind(data.image_shape, size, (side,))
            lengths = [
                len(stream.compress(pillow_image(image).resize((side, side)), 0, 0)) for image in images
            ]
            figures[f"{name}-{side}"] = {
                "least": min(lengths),
                "median": float(np.median(lengths)),
                "fit": float(np.mean(np.array(lengths) <= size)),
            }
    return Outcome(figures={"images": len(images), "bytes": size, "sides": figures})


def deep_jscc(bench: Bench) -> Outcome:
    """Pictures by deep joint source-channel coding, and a task network that reads them."""
    settings, data = bench.study.settings, bench.data()
    sizes = ToscSizes.from_dict(settings["sizes"])
    reader = jscc.train(bench.recipe, sizes, data, bench.folder, bench.progress)
    rows = []
    wanted = settings["measure"]
    for name in ("val", "test"):
        split = getattr(data, name)
        for level in wanted["levels"]:
            rng = noise_rng(level)
            counts = sum(
                jscc.right(reader, split, level, rng).astype(np.uint8) for _ in range(wanted["repeats"])
            )
            rows.append(
                Row(
                    split=name,
                    channel="awgn",
                    level=level,
                    accuracy=float(np.sum(counts)) / (len(split) * wanted["repeats"]),
                    images=len(split),
                    repeats=wanted["repeats"],
                    right=pack(np.asarray(counts)) if name == "test" else "",
                )
            )
    mse = {f"{level:g}": jscc.error(reader.codec, data.test, level) for level in wanted["levels"]}
    return Outcome(rows, {"mse": mse, "title": "Deep JSCC, then a task network"}, bench.trained_s())
