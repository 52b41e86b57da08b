"""The process that runs a teacher's ONNX network: the runtime is native code, the network may be anybody's.

    python -m semflash.teachers.child FOLDER

FOLDER holds ``job.json`` (see :mod:`semflash.teachers.onnx_teacher`, which starts it with limits) and a FIFO,
``requests``. A request is four uint32 (n, H, W, C) and uint8 pixels; the answer, on standard output, two
uint32 (n, width) and float32 numbers. It ends when the FIFO is closed.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from semflash.processes.limited import READY, REQUESTS
from semflash.teachers.attended import row_cls
from semflash.teachers.preparing import ImageInput, prepared

JOB = "job.json"
REQUEST, ANSWER = struct.Struct("<4I"), struct.Struct("<2I")


def main() -> int:
    """Entry point; returns the exit code."""
    folder = Path(sys.argv[1])
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    how = msgspec.convert(job["input"], ImageInput)
    session = _session(job)
    out.write(READY)
    out.flush()
    with (folder / REQUESTS).open("rb") as requests:
        while head := requests.read(REQUEST.size):
            shape = REQUEST.unpack(head)
            pixels = np.frombuffer(requests.read(int(np.prod(shape, dtype=np.int64))), np.uint8)
            _answer(out, np.concatenate(_ask(session, job, how, pixels.reshape(shape))))
    return 0


def _session(job: dict[str, Any]) -> Any:
    import onnxruntime as ort  # type: ignore[import-untyped]

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job["threads"], 1
    options.log_severity_level = 3
    return ort.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])


def _ask(session: Any, job: dict[str, Any], how: ImageInput, images: np.ndarray) -> list[np.ndarray]:
    """Answers float32 (n, width), a batch at a time."""
    answers = []
    for start in range(0, len(images), job["batch"]):
        values = prepared(images[start : start + job["batch"]], how)
        if job["channels_first"]:
            values = values.transpose(0, 3, 1, 2)
        fed = {job["image"]: np.ascontiguousarray(values)}
        found = session.run(job["outputs"], fed)
        if job["registers"] is None:
            answers.append(pooled(found[0], job["channels_first"]))
        else:
            answers.append(row_cls(found, job["registers"]))
    return answers


def pooled(values: np.ndarray, channels_first: bool) -> np.ndarray:
    """One row for each image: maps are averaged over positions, sequences (n, tokens, width) over tokens.

    ValueError: it is neither of these, nor rows.
    """
    if values.ndim == 4:
        values = values.mean(axis=(2, 3) if channels_first else (1, 2))
    elif values.ndim == 3:
        values = values.mean(axis=1)
    if values.ndim != 2 or values.dtype.kind != "f":
        raise ValueError(f"its output is {values.dtype} of {values.shape}, no row of numbers for each image")
    return values.astype(np.float32)


def _answer(out: BinaryIO, rows: np.ndarray) -> None:
    out.write(ANSWER.pack(*rows.shape))
    out.write(np.ascontiguousarray(rows, "<f4").tobytes())
    out.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:  # whatever a stranger's network makes the library raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
