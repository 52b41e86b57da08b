"""What each kind of job does: train, measure, give rows and figures back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.studies.board_cost import board_cost
from experiments.studies.doing import result_of
from experiments.tosc import boxes, costs, others
from experiments.tosc.bench import Bench, Outcome
from experiments.tosc.likeness import likeness
from experiments.tosc.measuring import Condition, Measured, most_telling
from experiments.tosc.results import Result
from semflash.codecs.registry import create
from semflash.training.run_dir import load_weights


def train_codec(bench: Bench) -> Outcome:
    """Train, then measure both splits; of the test split what was right is kept image by image."""
    trained = bench.codec()
    results, data, rows = trained.info.results, bench.data(), []
    wanted = bench.study.settings["measure"]
    for name in ("val", "test"):
        measured = Measured(trained.codec, getattr(data, name), name, wanted["repeats"])
        rows += [measured.row(Condition(level), with_images=name == "test") for level in wanted["levels"]]
    figures = {"nats": results["nats"], "parameters": parameters(trained.codec)}
    record = trained.info.recipe.get("teacher_record")
    figures |= {"teacher": record} if record else {}
    return Outcome(rows, figures, bench.trained_s())


def parameters(codec: Any) -> dict[str, int]:
    """Weights of each part of a codec."""
    return {
        name: sum(int(np.prod(weight.shape)) for weight in part.weights)
        for name, part in codec.parts().items()
    }


def states(bench: Bench) -> Outcome:
    """The encoder's state wrong by some classes, the decoder told a wrong quality, or another state than the
    one that was used, which the echo in the payload rules out."""
    trained, settings = bench.codec(), bench.study.settings
    measured = Measured(trained.codec, bench.data().test, "test", settings["measure"]["repeats"])
    rows = []
    for level in settings["measure"]["levels"]:
        rows.append(measured.row(Condition(level)))
        for error in settings["errors"]:
            rows.append(measured.row(Condition(level, state_error=error)))
            rows.append(measured.row(Condition(level, decoder_error=error)))
        for told in settings["told"]:
            rows.append(measured.row(Condition(level, told_error=told)))
            both = Condition(level, told_error=told, state_error=round(told / 3.0))
            rows.append(measured.row(both))
    return Outcome(rows)


def kept(bench: Bench) -> Outcome:
    """Only the values that tell most are sent; which ones is decided on the validation split."""
    trained, settings = bench.codec(), bench.study.settings
    data, rows, below = bench.data(), [], {}
    validation = Measured(trained.codec, data.val, "val", 1)
    test = Measured(trained.codec, data.test, "test", settings["measure"]["repeats"])
    for level in settings["measure"]["levels"]:
        nats = validation.own.nats(level, validation.maps)
        below[f"{level:g}"] = {"mean_nats": float(nats.mean()), "below_0.01": int((nats < 0.01).sum())}
        rows += [test.row(Condition(level), kept=most_telling(nats, count)) for count in settings["kept"]]
    return Outcome(rows, {"nats": below})


def fading(bench: Bench) -> Outcome:
    """Over Rayleigh fading, whichever channel the codec was trained for."""
    trained, settings = bench.codec(), bench.study.settings
    codec = create("tosc", trained.info.recipe["built_sizes"] | {"fading": "rayleigh"})
    load_weights(bench.folder, codec.parts())
    measured = Measured(codec, bench.data().test, "test", settings["measure"]["repeats"])
    levels = settings["measure"]["levels"]
    return Outcome([measured.row(Condition(level), with_images=True) for level in levels])


def similarity(bench: Bench) -> Outcome:
    """How much of the teacher's answers the student's logits and what it sends have."""
    trained, data = bench.codec(), bench.data()
    return Outcome(figures=likeness(trained.codec, data, bench.study.settings["level"]))


def board(bench: Bench) -> Outcome:
    """What an image of a bundle of the zoo costs on the emulated board."""
    return Outcome(figures=board_cost(bench.study.settings["bundle"]))


#: Kind of job -> what does it.
KINDS: dict[str, Callable[[Bench], Outcome]] = {
    "codec": train_codec,
    "states": states,
    "kept": kept,
    "fading": fading,
    "similarity": similarity,
    "task": others.task_network,
    "baseline": others.baseline,
    "fits": others.fits,
    "jscc": others.deep_jscc,
    "costs": costs.costs,
    "board": board,
    "live": costs.stored_or_live,
    "changing": costs.changing,
    "detector": boxes.detector,
    "boxes": boxes.boxes,
}


def execute(bench: Bench) -> Result:
    """Do a job.

    Raises:
        SemflashError: training or measuring is refused.
    """
    study = bench.study
    return result_of(study, lambda: KINDS[study.kind](bench), Result)
