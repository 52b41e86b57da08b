"""What each kind of job does: train, measure, give rows and figures back."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from experiments.multires import channel, compared, names
from experiments.multires.another import another_classifier
from experiments.multires.bench import Bench
from experiments.multires.formats import tuned
from experiments.multires.pointing import figures, mass, on_object
from experiments.multires.results import Result, Row
from experiments.studies.doing import result_of
from experiments.work import finished
from semflash.codecs.multires.attention import (
    best_in_common,
    smoothed,
    spearman,
)
from semflash.codecs.multires.codec import Multires
from semflash.codecs.multires.measuring import Measure
from semflash.codecs.multires.selecting import contrast
from semflash.codecs.multires.training import transform_of
from semflash.data.dataset import Dataset
from semflash.tasks.attention import attention_maps
from semflash.tasks.transformer import STRIDE
from semflash.training.alone.run import train_own
from semflash.training.codec import train_codec
from semflash.training.models import load_run
from semflash.training.recipes.recipe import CodecRecipe
from semflash.training.run_dir import WEIGHTS_FILE

#: Attention of the teacher: title, followed back, mean with that to the mirror image.
ATTENTIONS = (
    ("last block", False, False),
    ("rollout", True, False),
    ("both ways round, last block", False, True),
    ("both ways round, rollout", True, True),
)


@dataclass
class Outcome:
    """What a job found; see :class:`experiments.multires.results.Result`."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    training_s: float = 0.0


def teacher(bench: Bench) -> Outcome:
    """The transformer: accuracy, and how well its attention and the local contrast find the object."""
    task, data, found = bench.teacher(), bench.data(), {}
    for name in ("val", "test"):
        split = getattr(data, name)
        touched = on_object(split.cover)
        one: dict[str, Any] = {"accuracy": task.accuracy(split), "chance": float(touched.mean())}
        for title, rollout, mirrored in ATTENTIONS:
            maps = attention_maps(task.head, task.tail, split.images, rollout=rollout, mirrored=mirrored)
            for share in (0.0, 0.5, 0.8):
                flat = smoothed(maps, share).reshape(len(maps), -1)
                key = f"{title}, smoothed {share:g}"
                one[key] = figures(flat, touched) | {"mass": mass(flat, touched)}
        one["local contrast"] = figures(contrast(split.images, STRIDE).astype(float), touched)
        found[name] = one
    seconds = bench.trained_s(bench.work / "task") + bench.trained_s(bench.work / "task" / "first")
    return Outcome(figures=found, training_s=seconds)


def coders(bench: Bench) -> Outcome:
    """The coders of all resolutions, which serve every seed: their errors as they begin and at the end."""
    codec, data = load_run(bench.coders()).codec, bench.data()
    assert isinstance(codec, Multires)  # the plan has no other family
    measure = Measure(codec, data.val)
    errors = {str(bits): measure.error_of(coder) for bits, coder in codec.coders.items()}
    found = {"mse": errors, "closed_form": closed_form(codec, data)}
    return Outcome(figures=found, training_s=bench.trained_s(bench.coders(), "level-"))


def task_coders(bench: Bench) -> Outcome:
    """Coders that learn the task network's features beside the squared error, in the place of the others.

    Student and tail are those of the codec. The rows have the tail, which never saw these coders; the task
    network as it is, which never saw any, is in the figures with both kinds of coders.
    """
    settings, codec, data = bench.study.settings, bench.codec(), bench.data()
    plain, wanted = bench.plain_classifier(), tuple(settings["arms"])
    rates = tuple(settings["rates"])
    before = list(bench.measured("test", codec).rows(plain, wanted, rates))
    recipe = msgspec.convert(settings["coders"], CodecRecipe)
    folder = bench.work / recipe.name
    if not finished(folder):
        started = dataclasses.replace(recipe, start=str(bench.coders() / WEIGHTS_FILE))
        train_own(started, folder, progress=bench.progress, task_dir=bench.work / "task")
    learnt = load_run(folder).codec
    assert isinstance(learnt, Multires)  # the plan has no other family
    for bits, coder in codec.coders.items():
        coder.set_weights(learnt.coders[bits].get_weights())
    Measure(codec, data.val).distort(data.train)
    test = bench.measured("test", codec)
    found = {
        "mse": {str(bits): Measure(codec, data.val).error_of(coder) for bits, coder in codec.coders.items()},
        "plain": {
            name: [msgspec.to_builtins(row) for row in rows]
            for name, rows in (
                ("squared error", before),
                ("features", list(test.rows(plain, wanted, rates))),
            )
        },
    }
    return Outcome(list(test.rows(codec.classifier, wanted, rates)), found, bench.trained_s(folder))


def measured(bench: Bench) -> Outcome:
    """Train a codec; then every way to spend the bits, and how alike student and teacher are."""
    results = bench.run().info.results
    codec = bench.codec()
    test = bench.measured("test", codec)
    rows = list(test.rows(codec.classifier))
    if bench.recipe.seed == 0:
        wanted = (names.STUDENT, names.STUDENT_VARIANCE)  # one of them is chosen by these
        rows += list(bench.measured("val", codec).rows(codec.classifier, wanted))
    target = test.weights[names.TEACHER].astype(float)
    scores = test.student
    found = {
        "student": figures(scores, test.touched)
        | {
            "spearman": float(spearman(scores, target).mean()),
            "best_in_common": float(best_in_common(scores, target).mean()),
        },
        "training": results,
        "distortion": [float(each) * 255**2 for each in codec.distortion],
        "parameters": parameters(codec),
    }
    return Outcome(rows, found, bench.trained_s(bench.folder))


def closed_form(codec: Any, data: Dataset) -> dict[str, float]:
    """Mean squared error of each coder as it begins, on the images that the trained one is measured on."""
    start = type(codec)(codec.sizes)
    transform = transform_of(data.train, codec.sizes.patch)
    measure = Measure(start, data.val)
    found = {}
    for bits, coder in start.coders.items():
        coder.begin(transform.start(bits))
        found[str(bits)] = measure.error_of(coder)
    return found


def parameters(codec: Any) -> dict[str, int]:
    """Numbers of each part of a codec."""
    return {
        name: sum(int(np.prod(weight.shape)) for weight in part.weights)
        for name, part in codec.parts().items()
    }


def formats(bench: Bench) -> Outcome:
    """Image formats at the same bytes, seen by a classifier that was tuned on them."""
    settings, began = bench.study.settings, time.monotonic()
    classifier = tuned(
        bench.plain_classifier(), bench.data().train, settings["steps"], settings["images"], bench.recipe.seed
    )
    seconds = time.monotonic() - began
    return Outcome(list(bench.measured("test", bench.codec()).format_rows(classifier)), training_s=seconds)


def others(bench: Bench) -> Outcome:
    """A codec of another paper, at the rates that its payload can be cut to."""
    settings = bench.study.settings
    recipe = msgspec.convert(settings["compared"], CodecRecipe)
    bench.teacher()
    folder = bench.work / recipe.name
    trained = (
        load_run(folder)
        if finished(folder)
        else train_codec(recipe, bench.work / "task", folder, progress=bench.progress)
    )
    rows = [
        Row(
            split=name,
            arm=recipe.family,
            rate=rate,
            accuracy=compared.accuracy(trained, split, rate),
            images=len(split),
            bits=8.0 * rate,
        )
        for name, split in (("val", bench.data().val), ("test", bench.data().test))
        for rate in settings["rates"]
    ]
    found = {"training": trained.info.results, "parameters": parameters(trained.codec)}
    return Outcome(rows, found, bench.trained_s(folder))


def untuned(bench: Bench) -> Outcome:
    """The same with the task network as it is, which never saw a reconstruction."""
    return Outcome(list(bench.measured("test", bench.codec()).rows(bench.plain_classifier())))


def another(bench: Bench) -> Outcome:
    """Another classifier, without attention, on the same codec."""
    codec = bench.codec()
    data = bench.data()
    classifier = another_classifier(codec, data, bench.study.settings["steps"], bench.recipe.seed)
    wanted = (names.SINGLE, names.STUDENT, names.STUDENT_VARIANCE, names.VARIANCE, names.CHANCE)
    rows = list(bench.measured("test", codec).rows(classifier, wanted))
    return Outcome(rows, {"parameters": classifier.count_params()})


def int8(bench: Bench) -> Outcome:
    """The device in integers: its scores against the float student's, and accuracy by rate."""
    codec, data = bench.codec(), bench.data()
    return Outcome(*channel.integers(codec, data, bench.teacher(), bench.study.settings["rates"]))


def errors(bench: Bench) -> Outcome:
    """Bit errors, with the map as it is and protected."""
    settings = bench.study.settings
    rows = channel.with_errors(bench.codec(), bench.data(), settings["rate"], settings["bers"])
    return Outcome(rows)


KINDS: dict[str, Callable[[Bench], Outcome]] = {
    "teacher": teacher,
    "coders": coders,
    "codec": measured,
    "task coders": task_coders,
    "formats": formats,
    "compared": others,
    "untuned": untuned,
    "another": another,
    "int8": int8,
    "errors": errors,
}


def execute(bench: Bench) -> Result:
    """Do a job.

    Raises:
        SemflashError: Training or measuring is refused.
    """
    study = bench.study
    return result_of(study, lambda: KINDS[study.kind](bench), Result)
