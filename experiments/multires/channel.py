"""The device in integers, as the export makes it, and its payloads over a binary symmetric channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.multires import names
from experiments.multires.results import Row
from semflash.bundle.schema import ReceivedInput
from semflash.channels.bits import channel_rng, flip_bits
from semflash.codecs.multires.attention import best_in_common, spearman, taught
from semflash.codecs.multires.codec import PROTECT, RATE, SCORES, Multires
from semflash.conversion.device import quantise_device
from semflash.data.dataset import Dataset
from semflash.export.proof import run_edge, to_int8
from semflash.program.payload import decode
from semflash.program.reference.receive import values
from semflash.program.reference.run import Run, run
from semflash.program.used_controls import used_controls
from semflash.runtime.reference import ReferenceGraph
from semflash.training.task import TrainedTask

IMAGES, BATCH = 2_000, 250


class Integers:
    """The int8 device on the first 2,000 test images.

    Args:
        codec: With its weights.
        data: Calibration images are of its train split.
    """

    def __init__(self, codec: Multires, data: Dataset) -> None:
        self.codec, self.split = codec, data.test
        self.images = np.asarray(data.test.images[:IMAGES])
        self.labels = data.test.labels[:IMAGES]
        self.device = quantise_device(codec.device(), data)
        self._graphs = {name: ReferenceGraph(model, name) for name, model in self.device.models.items()}
        self._known: dict[int, Any] = {}

    def run(self, rate: int, protect: int) -> list[Run]:
        """What the device does, a few hundred images at a time."""
        controls = {RATE: rate, PROTECT: protect}
        return [self._run(start, controls) for start in range(0, len(self.images), BATCH)]

    def _run(self, start: int, controls: dict[str, int]) -> Run:
        def on_graph(name: str, inputs: Sequence[NDArray[np.int8]]) -> Sequence[NDArray[np.int8]]:
            return self._graph(start, name, inputs)

        return run(self.device.program, to_int8(self.images[start : start + BATCH]), on_graph, controls)

    def _graph(self, start: int, name: str, inputs: Any) -> Any:
        """The scores of the same images are not computed again for another rate."""
        if start not in self._known:
            self._known[start] = self._graphs[name].run_all(inputs)
        return self._known[start]

    def answers(self, received: Any, used: dict[str, int]) -> NDArray[np.int64]:
        """Labels of what arrived."""
        program = self.device.program
        graphs = self.codec.edge_graphs(None)
        tensors = {given.tensor for given in graphs[0].inputs if isinstance(given, ReceivedInput)}
        inputs = {name: values(program, received, name) for name in tensors}
        count = len(received.consistent)
        quality = np.zeros((count, 1), np.float32)
        told = used_controls(program.controls, {name: np.full(count, v) for name, v in used.items()}, count)
        return np.asarray(run_edge(graphs, inputs, quality, told)[graphs[-1].name].argmax(axis=1))


def integers(
    codec: Multires, data: Dataset, teacher: TrainedTask, rates: Sequence[int]
) -> tuple[list[Row], dict[str, Any]]:
    """Accuracy by rate, and how alike int8 scores, float scores and the teacher's attention are."""
    device = Integers(codec, data)
    sizes, rows, runs = codec.sizes, [], device.run(rates[0], 0)
    scores = np.concatenate([one.tensors[SCORES].reshape(-1, sizes.patches) for one in runs]).astype(float)
    for rate in rates:
        right, bits = [], []
        runs = device.run(rate, 0)
        for start, one in zip(range(0, len(device.images), BATCH), runs, strict=True):
            received = decode(device.device.program, one.sent.payloads, one.sent.bits)
            labels = device.answers(received, one.controls)
            right.append(labels == device.labels[start : start + BATCH])
            bits.append(one.sent.bits)
        assert int(np.concatenate(bits).max()) <= 8 * rate
        rows.append(
            Row(
                split="test",
                arm="int8",
                rate=rate,
                accuracy=float(np.concatenate(right).mean()),
                images=len(device.images),
                bits=float(np.concatenate(bits).mean()),
            )
        )
    whole = np.concatenate([codec.scores(device.images[i : i + BATCH]) for i in range(0, IMAGES, BATCH)])
    maps = taught(teacher.head, teacher.tail, device.images, sizes)
    target = maps.reshape(len(maps), -1)
    found = {
        name: {
            "spearman": float(spearman(each, target).mean()),
            "best_in_common": float(best_in_common(each, target).mean()),
        }
        for name, each in (("int8", scores), ("float", whole))
    }
    found["int8 and float"] = {"spearman": float(spearman(scores, whole).mean())}
    return rows, {"scores": found, "macs": device.device.whole.macs}


def with_errors(codec: Multires, data: Dataset, rate: int, bers: Sequence[float]) -> list[Row]:
    """Accuracy over bit errors, with the map as it is and protected; no map is ever misread."""
    device, rows = Integers(codec, data), []
    program = device.device.program
    for protect in (0, 1):
        runs = device.run(rate, protect)
        for ber in bers:
            rng, right, lost, misread = channel_rng(1, ber), [], [], 0
            for start, one in zip(range(0, len(device.images), BATCH), runs, strict=True):
                flipped = flip_bits(one.sent.payloads, ber, rng)
                received = decode(program, flipped, one.sent.bits)
                found = device.answers(received, one.controls)
                right.append(found == device.labels[start : start + BATCH])
                lost.append(~received.consistent)
                sent = one.tensors["levels"].reshape(len(found), -1)
                differs = (received.codes["levels"].reshape(len(found), -1) != sent).any(axis=1)
                misread += int((differs & received.consistent).sum())
            rows.append(
                Row(
                    split="test",
                    arm=names.STUDENT_VARIANCE if not misread else "misread",
                    rate=rate,
                    accuracy=float(np.concatenate(right).mean()),
                    images=len(device.images),
                    ber=ber,
                    protected=bool(protect),
                    lost=float(np.concatenate(lost).mean()),
                )
            )
    return rows
