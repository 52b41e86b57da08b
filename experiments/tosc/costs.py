"""What student and teacher cost: bytes, time for an image, and time of an epoch with and without a store; and
the exported student on a channel that changes."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import changing_channel
from experiments.tosc.bench import Bench, Outcome
from experiments.tosc.measuring import Condition, Measured
from semflash.bundle.reader import Bundle, read_bundle
from semflash.data.dataset import Dataset, Split
from semflash.edge.decoder import EdgeDecoder
from semflash.errors import UsageError
from semflash.export.run import export
from semflash.program.reference.run import run
from semflash.program.stages import Modulate, Project, Stage
from semflash.runtime.litert import load_interpreter
from semflash.tasks.losses import distillation
from semflash.teachers.live import LiveTeacher
from semflash.teachers.store import TeacherStore, find_store
from semflash.training.alone.run import train_own
from semflash.training.models import TrainedCodec
from semflash.training.teaching.live import live_teacher

IMAGES, WARM_UP = 200, 5
#: Quantile of the times that is reported.
QUICK = 0.1
LEVEL = 18.0
#: Views whose stored and live answers are compared, and the temperature of their loss.
COMPARED, TEMPERATURE = 640, 3.0


def bundle_of(bench: Bench) -> Bundle:
    """The trained codec as a bundle beside its run, exported now where there is none."""
    place = bench.folder / "student.semcodec"
    if place.is_dir():
        return read_bundle(place)
    bench.codec()
    return export(bench.folder, place, name="student")


def costs(bench: Bench) -> Outcome:
    """Bytes of both, and the time of one image on this machine, one thread each, taken in turns."""
    data = bench.data()
    store = find_store(bench.recipe.teacher, data)
    bundle = bundle_of(bench)
    student = Student(bundle)
    with live_teacher(store, data) as teacher:
        times = in_turns([lambda i: teach(teacher, i), lambda i: views(teacher, data, i), student], data)
    teacher_s = times[0] - times[1]  # it makes the view that it answers
    return Outcome(
        figures={
            "images": IMAGES,
            "teacher_ms": 1e3 * teacher_s,
            "student_ms": 1e3 * times[2],
            "teacher_bytes": store.manifest.teacher.weights_bytes,
            "teacher_input": store.manifest.teacher.settings,
            "encoder_bytes": sum(len(model) for model in bundle.models.values()),
            "projection_bytes": projection_bytes(bundle.program.stages),
            "decoder_bytes": sum(len(model) for model in bundle.edge.values()),
            "store_bytes": store.size_bytes,
            "views": store.views,
            "view_bytes": int(np.prod(data.train.images.shape)),
        }
    )


def teach(teacher: LiveTeacher, index: int) -> None:
    """Ask the teacher for one image."""
    teacher.logits(np.array([index]), np.array([0]))


def views(teacher: LiveTeacher, data: Dataset, index: int) -> None:
    """Make the view alone."""
    teacher.view_images(np.asarray(data.train.images[[index]]), np.array([index]), np.array([0]))


class Student:
    """One image through encoder, integer stages, payload and decoder, as `semflash run` does it on a host.

    Args:
        bundle: exported.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.decoder = bundle, EdgeDecoder(bundle)
        self.graphs = {name: Graph(model, name) for name, model in bundle.models.items()}

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of an image uint8 (1, H, W, C)."""
        pixels = np.bitwise_xor(image, np.uint8(0x80)).view(np.int8)
        sent = run(self.bundle.program, pixels, lambda name, given: [self.graphs[name](given[0])]).sent
        return self.decoder.logits(sent.payloads, LEVEL, bits=sent.bits)


class Graph:
    """An int8 graph on LiteRT's fast kernels, one image at a time."""

    def __init__(self, model: bytes, name: str) -> None:
        self.interpreter = load_interpreter(model, name)
        self.source = int(self.interpreter.get_input_details()[0]["index"])
        self.output = int(self.interpreter.get_output_details()[0]["index"])

    def __call__(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """Output int8 (1, ...) of an input int8 (1, H, W, C)."""
        self.interpreter.set_tensor(self.source, np.ascontiguousarray(values))
        self.interpreter.invoke()
        found: NDArray[np.int8] = self.interpreter.get_tensor(self.output)
        return found


def in_turns(actions: Sequence[Callable[[Any], Any]], data: Dataset) -> list[float]:
    """Seconds of each action on the same images, the quickest tenth of them (:data:`QUICK`), for what else a
    machine does makes it slower; the last one is given the image, the others its number."""
    took: list[list[float]] = [[] for _ in actions]
    for index in range(WARM_UP + IMAGES):
        image = np.ascontiguousarray(data.train.images[[index]])
        for place, action in enumerate(actions):
            began = time.perf_counter()
            action(image if place == len(actions) - 1 else index)
            took[place].append(time.perf_counter() - began)
    return [float(np.quantile(each[WARM_UP:], QUICK)) for each in took]


def projection_bytes(stages: Sequence[Stage]) -> int:
    """Of the integer tables of all states, in flash.

    A projection has a byte for each weight, 4 for bias and multiplier and 1 for the shift of an output; a
    modulation 2 for the multiplier and 4 for the offset of a channel, and 1 for its shift.
    """
    found = 0
    for stage in stages:
        match stage:
            case Project():
                found += sum(len(table.weights) + 9 * len(table.bias) for table in stage.tables)
            case Modulate():
                found += sum(6 * len(table.multiplier) + 1 for table in stage.tables)
    return found


def stored_or_live(bench: Bench) -> Outcome:
    """The same short training twice, from the store and from the teacher itself; and both answers to the same
    views.

    Batches, views and noise of both trainings are the same, but the store's float16 is enough to make them
    part ways after some steps, as another order of adding up does; so the answers are compared by themselves.
    """
    data = bench.data()
    store: TeacherStore = find_store(bench.recipe.teacher, data)
    student, records = trained(bench, "stored", store)
    with live_teacher(store, data) as live:
        epochs = {"stored": records, "live": trained(bench, "live", live)[1]}
        answers = same_views(student.codec, data, store, live)
    figures = {"epochs": epochs, "images": bench.recipe.train_images, "views": store.views}
    return Outcome(figures=figures | {"same_views": answers})


def same_views(codec: Any, data: Dataset, store: Any, live: Any) -> dict[str, float]:
    """Loss of a student against stored and live answers to the same views, and how far these are apart.

    Args:
        store, live: the store, and its teacher.
    """
    rng = np.random.default_rng(0)
    indices = rng.integers(0, len(data.train), COMPARED)
    views = rng.integers(0, store.views, COMPARED)
    partners, _ = store.mixture(indices, views)
    images = store.view_images(data.train.images[indices], indices, views, data.train.images[partners])
    measured = Measured(codec, Split(images, data.train.labels[indices]), "train", 1)
    noise = rng.random((COMPARED, *codec.noise_shape()), dtype=np.float32)
    logits = measured.logits(measured.maps, noise, Condition(LEVEL))
    answers = [each.logits(indices, views) for each in (store, live)]
    losses = [float(distillation(logits, each, TEMPERATURE)) for each in answers]
    chances = [np.exp(each) for each in answers]
    return {
        "images": COMPARED,
        "loss_stored": losses[0],
        "loss_live": losses[1],
        "largest_difference": float(np.abs(chances[0] - chances[1]).max()),
    }


def trained(bench: Bench, name: str, answers: Any) -> tuple[TrainedCodec, list[dict[str, Any]]]:
    """The codec; and loss, validation and seconds of each epoch."""
    folder = bench.folder.with_name(f"{bench.folder.name}-{name}")
    codec = train_own(bench.recipe, folder, progress=bench.progress, answers=answers)
    return codec, json.loads((folder / "history.json").read_text(encoding="utf-8"))


def changing(bench: Bench) -> Outcome:
    """The exported student while the channel changes: steady, slowly, at every second image, at every one."""
    settings = bench.study.settings
    bundle = bundle_of(bench)
    words = ["--seeds", "0", "--count", str(settings["count"]), "--fading", settings["fading"]]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = changing_channel.main([str(bundle.path), *words])
    if code:
        raise UsageError("a changing channel could not be measured", value=code, remedy="see above")
    return Outcome(figures={"trace": json.loads(said.getvalue())})
