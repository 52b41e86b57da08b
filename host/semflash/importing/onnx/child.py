"""The process that touches a stranger's network: ONNX Runtime for numbers, onnx2tf for conversion.

    python -m semflash.importing.onnx.child FOLDER

Started by :mod:`semflash.importing.onnx.convert` with limits, in a private folder that holds ``job.json``,
``whole.onnx``, ``head.onnx``, ``tail.onnx`` and ``images.npy``. Leaves ``expected.npz`` (features, logits),
``head.tflite`` and ``tail.tflite``, or ``error.json``; and ``converter.log`` either way.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TAIL = 600
LOG_CHARS = 1 << 16


def main() -> int:
    """Entry point; returns the exit code."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    step = "running the network with ONNX Runtime"
    log, names = io.StringIO(), dict[str, str]()
    try:
        _expected(folder, job)
        # onnx2tf looks for this file where it runs, and would fetch it from the network otherwise.
        np.save(folder / CALIBRATION_FILE, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
        for part in ("head", "tail"):
            step = f"converting the {part} with onnx2tf"
            names.clear()
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                _convert(folder, part, job["begin"] if part == "head" else "", job["channels_first"], names)
    except (Exception, SystemExit) as error:  # whatever a stranger's network makes the libraries raise
        _report(folder, step, log.getvalue(), error, names)
        return 1
    finally:
        text = _COLOURS.sub("", log.getvalue())[-LOG_CHARS:]
        (folder / "converter.log").write_text(text, encoding="utf-8", errors="replace")
    return 0


def _expected(folder: Path, job: dict[str, Any]) -> None:
    """Features and logits by ONNX Runtime, one image at a time, without graph optimisation."""
    import onnxruntime as ort  # type: ignore[import-untyped]

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(str(folder / "whole.onnx"), options, providers=["CPUExecutionProvider"])
    images = np.load(folder / "images.npy")
    found: list[list[np.ndarray]] = []
    for image in images:
        fed = image[None].transpose(0, 3, 1, 2) if job["channels_first"] else image[None]
        names = [job["features"], job["logits"]]
        found.append(session.run(names, {job["image"]: np.ascontiguousarray(fed)}))
    features, logits = (np.concatenate([one[i] for one in found]) for i in range(2))
    np.savez(folder / "expected.npz", features=features, logits=logits)


def _convert(folder: Path, part: str, image: str, channels_first: bool, names: dict[str, str]) -> None:
    """One .onnx to a float32 .tflite, channels last; ``names``: filled with new name -> name in the file."""
    import onnx
    import onnx2tf
    import onnxsim  # type: ignore[import-untyped]

    from semflash.importing.onnx.rewrites import plain_names, rewrite

    source = folder / f"{part}.onnx"
    simple, same = onnxsim.simplify(onnx.load(source), check_n=0)
    if not same:
        raise ValueError(f"onnxsim could not simplify the {part}")
    changed = rewrite(simple)
    names.update(plain_names(changed))
    onnx.save(changed, source)
    kept = None if channels_first or not image else [new for new, old in names.items() if old == image]
    onnx2tf.convert(
        input_onnx_file_path=str(source),
        output_folder_path=str(folder / part),
        not_use_onnxsim=True,
        keep_nwc_or_nhwc_or_ndhwc_input_names=kept,
        verbosity="error",
    )
    (folder / part / f"{part}_float32.tflite").replace(folder / f"{part}.tflite")


def _report(folder: Path, step: str, log: str, error: BaseException, names: dict[str, str]) -> None:
    """What went wrong: in the error, or, where the converter only ended, in the last line of its log."""
    text = _COLOURS.sub("", log)
    nodes = re.findall(r"onnx_op_name: (\S+)", text)
    reason = _COLOURS.sub("", str(error)) or type(error).__name__
    if isinstance(error, SystemExit):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("ERROR")] or lines
        reason = told[-1] if told else "the converter ended without a word"
    node = names.get(nodes[-1], nodes[-1]) if nodes else ""
    said = {"step": step, "reason": reason[-_TAIL:], "node": node}
    (folder / "error.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
