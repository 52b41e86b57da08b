"""Payloads of the int8 device over a binary symmetric channel, down to the picture and its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.lamsc import names
from experiments.lamsc.coded import Coded
from experiments.lamsc.results import Row
from semflash.bundle.schema import ReceivedInput
from semflash.channels.bits import channel_rng, flip_bits
from semflash.codecs.lamsc.codec import LEVELS, PROTECT, RATE, Lamsc
from semflash.codecs.multires.picture import PICTURE
from semflash.conversion.device import quantise_device
from semflash.data.dataset import Dataset
from semflash.export.proof import run_edge, to_int8
from semflash.program.payload import decode
from semflash.program.program import Program
from semflash.program.reference.receive import values
from semflash.program.reference.run import run
from semflash.program.used_controls import used_controls
from semflash.runtime.reference import ReferenceGraph


def with_errors(
    codec: Lamsc, data: Dataset, coded: Coded, rate: int, bers: Sequence[float], images: int
) -> Iterator[tuple[Row, dict[str, float]]]:
    """A row of each bit error rate, and beside it the share of lost pictures and how many maps were misread.

    The host protects the map where the control that follows the channel says so.

    Args:
        coded: The test split, whose first images are sent.
    """
    device = quantise_device(codec.device(), data)
    program = device.program
    graphs = {name: ReferenceGraph(model, name) for name, model in device.models.items()}
    shown = coded.images[:images]
    (control,) = (each for each in program.controls if each.name == PROTECT)
    for ber in bers:
        follows = control.follows or ()
        protect = sum(ber >= level for level in follows) - 1 if follows else 0
        done = run(
            program,
            to_int8(shown),
            lambda name, inputs: graphs[name].run_all(inputs),
            {RATE: rate, PROTECT: max(0, protect)},
        )
        flipped = flip_bits(done.sent.payloads, ber, channel_rng(1, ber))
        received = decode(program, flipped, done.sent.bits)
        pictures, labels = answers(codec, program, received, done.controls, ber)
        sent = done.tensors[LEVELS].reshape(len(shown), -1)
        differs = (received.codes[LEVELS].reshape(len(shown), -1) != sent).any(axis=1)
        row = coded.row(names.CODEC, rate, pictures, float(np.ceil(done.sent.bits / 8).mean()), ber=ber)
        right = float((labels == coded.split.labels[: len(shown)]).mean())
        more = {"lost": float((~received.consistent).mean()), "protected": float(protect > 0)}
        more["misread"] = float((differs & received.consistent).sum())
        more["accuracy"] = right
        yield row, more


def answers(
    codec: Lamsc, program: Program, received: object, used: dict[str, int], ber: float
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures and labels of what arrived."""
    graphs = codec.edge_graphs(None)
    tensors = {given.tensor for given in graphs[0].inputs if isinstance(given, ReceivedInput)}
    inputs = {name: values(program, received, name) for name in tensors}  # type: ignore[arg-type]
    count = len(received.consistent)  # type: ignore[attr-defined]
    quality = np.full((count, 1), ber, np.float32)
    told = used_controls(program.controls, {name: np.full(count, v) for name, v in used.items()}, count)
    found = run_edge(graphs, inputs, quality, told)
    pixels = np.rint(np.clip(found[PICTURE], 0, 1) * 255).astype(np.uint8)
    return pixels, found[graphs[-1].name].argmax(axis=1)
