"""The child of :mod:`semflash.edge.first_run`: every graph of a bundle, on made-up images and payloads."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from semflash.bundle.checks import check_contract
from semflash.bundle.graphs.device import check_device_graph
from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Record
from semflash.edge.first_run import Parcel, Verdict
from semflash.errors import SemflashError
from semflash.runtime.child_side import Answers, limit_process, parcel
from semflash.runtime.litert import load_interpreter

_MEMORY_BYTES = 8 << 30
_CPU_S = 90
#: Numbers of images: one, and a batch that is no round number.
_BATCHES = (1, 3)


def main() -> int:
    """Read a parcel, run it, answer with a verdict."""
    data = parcel()
    limit_process(_MEMORY_BYTES + 4 * len(data), _CPU_S)
    answers = Answers()
    given = msgspec.msgpack.decode(data, type=Parcel)
    try:
        check_contract(given.contract)
        record = Record(semflash_version="", recipe={}, seed=0)
        contract, path = given.contract, Path(given.contract.name)
        try_all(Bundle(path, contract, record, given.files, "0" * 64, contract), answers)
    except SemflashError as error:
        value = "" if error.value is None else str(error.value)[:1000]
        answers.result(msgspec.json.encode(Verdict(error.what, value, error.remedy)))
        return 0
    answers.result(msgspec.json.encode(Verdict()))
    return 0


def try_all(bundle: Bundle, answers: Answers) -> None:
    """Each graph alone, so that a crash names it, then the whole edge as it is used.

    Raises:
        SemflashError: of whatever does not run.
    """
    from semflash.edge.decoder import EdgeDecoder
    from semflash.edge.golden import GoldenEncoder

    contract, rng = bundle.contract, np.random.default_rng(0)
    for model in contract.models:
        check_device_graph(bundle.files[model.file.file], model.file.file)
    check_edge(contract, bundle.edge)
    for name in (graph.file.file for graph in contract.edge):
        answers.stage(name)
        interpreter = load_interpreter(bundle.files[name], name)
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], np.float32))
        interpreter.invoke()
    answers.stage("the edge side of the bundle")
    decoder, controls = EdgeDecoder(bundle, admitted=True), contract.program.controls
    for count in _BATCHES:
        payloads = rng.integers(0, 256, (count, bundle.payload_bytes), np.uint8)
        highest = {control.name: control.high for control in controls}
        lowest = {control.name: control.low for control in controls}
        decoder.logits(payloads, contract.program.quality.high, controls=highest)
        decoder.features(payloads, contract.program.quality.low, controls=lowest)
    answers.stage(", ".join(model.file.file for model in contract.models))
    golden = GoldenEncoder(bundle, admitted=True)
    shape = bundle.image_shape
    images = [np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), rng.integers(0, 256, shape, np.uint8)]
    for image in images:
        golden.payloads(image[None])
    golden.payloads(np.stack(images))


if __name__ == "__main__":
    sys.exit(main())
