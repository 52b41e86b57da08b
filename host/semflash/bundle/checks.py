"""How the numbers of a contract must fit together; run on every write and every load.

Each function raises BundleError with what, value and remedy, and returns nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

from semflash.bundle.schema import (
    CODEC_FILE,
    ENCODER_MAX_BYTES,
    HISTORY_MAX_BYTES,
    Contract,
    DeviceGraph,
    Record,
)
from semflash.errors import BundleError
from semflash.fields import OUTPUTS_MAX
from semflash.outputs.kinds import BOX, AnchorTask, DetectionTask
from semflash.program.checks import check_tail
from semflash.program.stages import TableTail, TailTable

INPUT_SCALE = 1.0 / 255.0
INPUT_ZERO_POINT = -128
RECIPE_MAX_DEPTH = 8
_EXPORT_AGAIN = "export the bundle again"


def _refuse(what: str, value: object, remedy: str = _EXPORT_AGAIN) -> BundleError:
    return BundleError(what, value=value, remedy=remedy)


def check_contract(contract: Contract) -> None:
    """Every consistency rule of the contract that needs no other file."""
    _check_input(contract)
    graphs = contract.device_graphs
    if len(graphs) != 1:
        raise _refuse(
            "this version runs exactly one device graph", len(graphs), "update semflash, or export one graph"
        )
    check_tail(contract.device_tail)
    _check_tail_fits_graph(contract.device_tail, graphs[0])
    _check_payload(contract, graphs[0])
    _check_centres(contract)
    if contract.channel.ber_min > contract.channel.ber_max:
        raise _refuse(
            "channel.ber_min is above ber_max", (contract.channel.ber_min, contract.channel.ber_max)
        )
    _check_task(contract)
    repeated = [name for name, times in Counter(contract.class_names).most_common(3) if times > 1]
    if repeated:
        raise _refuse("class names repeat", repeated)
    _check_model_files(contract)


def _check_input(contract: Contract) -> None:
    image = contract.input
    if image.scale != INPUT_SCALE or image.zero_point != INPUT_ZERO_POINT:
        raise _refuse(
            "input quantisation must be scale 1/255 and zero point -128 (q = pixel - 128)",
            (image.scale, image.zero_point),
        )
    if image.width * image.channels > 65_535:
        raise _refuse(
            "an image row has more than 65,535 values", image.width * image.channels, "use smaller images"
        )


def _check_tail_fits_graph(tail: TailTable, graph: DeviceGraph) -> None:
    if tail.channels != graph.channels:
        raise _refuse("device tail and device graph differ in channels", (tail.channels, graph.channels))
    if tail.zero_point != graph.zero_point:
        raise _refuse(
            "device tail and device graph differ in zero point", (tail.zero_point, graph.zero_point)
        )
    if graph.height * graph.width > 65_535:
        raise _refuse("more than 65,535 latent positions", graph.height * graph.width)


def _check_payload(contract: Contract, graph: DeviceGraph) -> None:
    payload = contract.payload
    symbols = graph.height * graph.width * graph.channels
    if payload.symbols != symbols:
        raise _refuse(
            "payload.symbols is not height x width x channels of the latent", (payload.symbols, symbols)
        )
    size = -(-symbols * payload.bits_per_symbol // 8)
    if payload.payload_bytes != size:
        raise _refuse("payload_bytes does not follow from symbols and bits", (payload.payload_bytes, size))
    levels = contract.device_tail.levels
    if levels > 1 << payload.bits_per_symbol or payload.bits_per_symbol != max(1, (levels - 1).bit_length()):
        raise _refuse("bits_per_symbol does not fit the number of levels", (payload.bits_per_symbol, levels))


def _check_centres(contract: Contract) -> None:
    centres = contract.centres
    if len(centres) != contract.device_tail.levels:
        raise _refuse(
            "number of centres and levels of the tail differ", (len(centres), contract.device_tail.levels)
        )
    if not all(math.isfinite(c) for c in centres):
        raise _refuse("a centre is not finite", centres)
    if isinstance(contract.device_tail, TableTail):
        if len(set(centres)) != len(centres):
            raise _refuse("centres repeat", centres)
    elif any(a >= b for a, b in pairwise(centres)):
        raise _refuse("centres are not ascending", centres)


def _check_task(contract: Contract) -> None:
    task, image = contract.task, contract.input
    if isinstance(task, AnchorTask):
        if (task.height, task.width) != (image.height, image.width):
            raise _refuse("the detector's boxes are of another image", (task.height, task.width))
        values = task.anchors * (BOX + len(contract.class_names))
        if values > OUTPUTS_MAX:
            raise _refuse("the task tail gives too many numbers", values, "a smaller detector")
        return
    if not isinstance(task, DetectionTask):
        return
    covered = (task.height * task.stride, task.width * task.stride)
    if covered != (image.height, image.width):
        raise _refuse("the detection grid does not cover the image", (covered, (image.height, image.width)))
    if task.peak_window % 2 == 0:
        raise _refuse("the window of a detection peak needs a middle (odd side)", task.peak_window)


def _check_model_files(contract: Contract) -> None:
    for graph in contract.device_graphs:
        if graph.model.size_bytes > ENCODER_MAX_BYTES:
            raise _refuse("device graph larger than 64 MiB", graph.model.size_bytes, "use a smaller encoder")


def check_file_names(contract: Contract, record: Record) -> None:
    """Every file of the bundle has a name of its own, on file systems that ignore case, too. BundleError."""
    names = [CODEC_FILE, *(g.model.file for g in contract.device_graphs)]
    names += [contract.decoder.file, contract.task_tail.file]
    names += [] if record.history is None else [record.history.file]
    if len({name.lower() for name in names}) != len(names):
        raise _refuse("files of the bundle share a name", names)


def check_record(record: Record) -> None:
    """Limits of the freely formed part of the record."""
    if record.history is not None and record.history.size_bytes > HISTORY_MAX_BYTES:
        raise _refuse("training history larger than 64 MiB", record.history.size_bytes)
    _check_depth(record.recipe, RECIPE_MAX_DEPTH)


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise _refuse(f"record.recipe is nested deeper than {RECIPE_MAX_DEPTH} levels", "recipe")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, left - 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, left - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refuse("record.recipe holds a number that is not finite", value)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise _refuse("record.recipe holds a value that is not JSON", type(value).__name__)
