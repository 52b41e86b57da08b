"""The process that runs a segmenter's ONNX networks: the runtime is native code, a network may be anybody's.

    python -m semflash.segments.child FOLDER

FOLDER holds ``job.json`` (:mod:`semflash.segments.networks`, which starts it with limits) and a FIFO. Request
and answer are a uint32 with the length of a JSON head, the head, and the numbers of its arrays: a request has
``model``, ``arrays`` (name, type, shape) and ``wanted`` (names of outputs; none: the networks' inputs and
outputs are described in the head).
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from semflash.processes.limited import READY, REQUESTS

JOB = "job.json"
LENGTH = struct.Struct("<I")


def main() -> int:
    """Entry point; returns the exit code."""
    folder = Path(sys.argv[1])
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    sessions = {name: _session(path, job["threads"]) for name, path in job["models"].items()}
    out.write(READY)
    out.flush()
    with (folder / REQUESTS).open("rb") as requests:
        while length := requests.read(LENGTH.size):
            head = json.loads(requests.read(LENGTH.unpack(length)[0]))
            if head["wanted"]:
                _run(out, sessions[head["model"]], head, requests)
            else:
                _write(out, {name: _described(one) for name, one in sessions.items()}, [])
    return 0


def _session(path: str, threads: int) -> Any:
    import onnxruntime as ort  # type: ignore[import-untyped]

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _described(session: Any) -> dict[str, list[list[Any]]]:
    """Names, types and shapes (0: any) of a network's inputs and outputs."""
    return {
        kind: [[one.name, one.type, _shape(one.shape)] for one in values]
        for kind, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
    }


def _shape(shape: list[Any]) -> list[int]:
    return [side if isinstance(side, int) else 0 for side in shape]


def _run(out: BinaryIO, session: Any, head: dict[str, Any], requests: BinaryIO) -> None:
    fed = {}
    for name, dtype, shape in head["arrays"]:
        kind = np.dtype(dtype)
        content = requests.read(int(np.prod(shape, dtype=np.int64)) * kind.itemsize)
        fed[name] = np.frombuffer(content, kind).reshape(shape)
    found = [np.ascontiguousarray(one, "<f4") for one in session.run(head["wanted"], fed)]
    _write(out, {"shapes": [list(one.shape) for one in found]}, found)


def _write(out: BinaryIO, head: dict[str, Any], arrays: list[np.ndarray]) -> None:
    text = json.dumps(head).encode()
    out.write(LENGTH.pack(len(text)) + text)
    for one in arrays:
        out.write(one.tobytes())
    out.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # whatever a stranger's network makes the library raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
