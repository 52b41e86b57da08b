"""onnx2tf and ONNX Runtime in a child process: private folder, no network, limits on memory and time.

onnx2tf changes its process (seeds, recursion limit, environment, TensorFlow's settings), ends it on some
errors, and fetches a calibration file if it finds none; none of that reaches the caller from a child.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from semflash import atomic
from semflash.errors import TrainingError
from semflash.importing.onnx.child import LOG_CHARS
from semflash.importing.onnx.graph import OnnxNetwork, check_operators
from semflash.printable import printable_lines
from semflash.processes import children

TIMEOUT_S = 900
MEMORY_BYTES = 12 << 30
#: A proxy that nobody serves: a library that wants to fetch something fails at once.
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Converted:
    """What the child leaves.

    Attributes:
        head: The part before the split, a float32 .tflite, channels last.
        tail: The part behind it, likewise.
        features: By ONNX Runtime, float32 (N, ...) in ONNX's layout.
        logits: float32 (N, classes).
        log: What onnx2tf said.
    """

    head: bytes
    tail: bytes
    features: np.ndarray
    logits: np.ndarray
    log: str = ""


def convert(
    network: OnnxNetwork, features: str, images: np.ndarray, *, begin: str = "", timeout_s: float = TIMEOUT_S
) -> Converted:
    """Convert both sides of a cut, and run the whole network on some images.

    Args:
        features: the tensor to cut at.
        images: float32 (N, H, W, C), what the network takes.
        begin: the tensor at which the head begins; empty: the image.

    Raises:
        TrainingError: an operator does not convert (operator and node are named), or the child fails; the
            converter's log is a note on the error.
    """
    parts = {
        "whole": network.with_output(features),
        "head": network.part(begin or network.image, features),
        "tail": network.part(features, network.logits),
    }
    job = {
        "image": network.image,
        "begin": begin or network.image,
        "features": features,
        "logits": network.logits,
        "channels_first": network.channels_first,
    }
    with atomic.scratch(Path(tempfile.gettempdir()), "semflash-onnx-") as folder:
        for part, model in parts.items():
            check_operators(model)
            onnx.save(model, folder / f"{part}.onnx")
        np.save(folder / "images.npy", np.ascontiguousarray(images, np.float32))
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _run(folder, timeout_s)
        head, tail = ((folder / f"{part}.tflite").read_bytes() for part in ("head", "tail"))
        with np.load(folder / "expected.npz", allow_pickle=False) as found:
            return Converted(head, tail, found["features"], found["logits"], _log(folder))


def _log(folder: Path) -> str:
    """What the converter said, fit for a terminal."""
    path = folder / "converter.log"
    if not path.is_file():
        return ""
    return printable_lines(path.read_text(encoding="utf-8", errors="replace")[-LOG_CHARS:].strip())


def _run(folder: Path, timeout_s: float) -> None:
    # -P: nothing is imported from the folder that it runs in.
    command = [sys.executable, "-P", "-m", "semflash.importing.onnx.child", str(folder)]
    try:
        done = children.run(
            command,
            timeout_s=timeout_s,
            env=_environment(folder),
            stderr=subprocess.PIPE,
            cwd=folder,
            preexec_fn=_limit,
        )
    except subprocess.TimeoutExpired as error:
        raise TrainingError(
            "the conversion took too long and was stopped",
            value=f"{timeout_s:.0f} s",
            remedy="a smaller network, or a split nearer to the image",
        ) from error
    if done.returncode == 0:
        return
    failure = _failure(folder, done)
    log = _log(folder) or printable_lines(done.stderr[-LOG_CHARS:].strip())
    if log:
        failure.add_note(f"the converter's log:\n{log}")
    raise failure


def _failure(folder: Path, done: subprocess.CompletedProcess[str]) -> TrainingError:
    report = folder / "error.json"
    if not report.is_file():
        lines = done.stderr.strip().splitlines()
        return TrainingError(
            f"the converter ended with code {done.returncode}",
            value=lines[-1][:300] if lines else None,
            remedy="a smaller network: memory of the conversion is limited",
        )
    said = json.loads(report.read_text(encoding="utf-8"))
    node = f"node {said['node']}: " if said["node"] else ""
    return TrainingError(
        f"{said['step']} failed",
        value=f"{node}{said['reason']}",
        remedy="export the network with other operators there (docs/networks.md lists them); "
        "-v shows the converter's log",
    )


def _environment(folder: Path) -> dict[str, str]:
    """What the child needs of ours; home and temporary files lie in its folder."""
    kept = {
        key: os.environ[key]
        for key in ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT")
        if key in os.environ
    }
    if "PYTHONPATH" in kept:  # the child runs in another directory
        places = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(place).resolve()) for place in places if place)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        kept |= {name: _NOWHERE, name.lower(): _NOWHERE}
    single = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    own = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    return kept | single | own


def _limit() -> None:
    for which, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(which, (limit, limit))
