"""What a device could do with an imported head: quantised to int8, compared, and put through the generator.

A codec with an encoder of its own (``staged``) does not run the head, so that a head a device cannot run is
said, not refused. One whose int8 form has lost the features is refused: the encoder is quantised alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from semflash.conversion.graphs import convert_int8
from semflash.conversion.int8_check import check_int8
from semflash.errors import ExportError, TrainingError
from semflash.importing.device_operators import beyond_device
from semflash.importing.parts import Parts

#: The largest difference between the int8 head's features and the float one's, as a share of their spread: at
#: one half the features of two images can no longer be told apart. Healthy heads are below 0.1.
INT8_LIMIT = 0.5
#: So many splits before the one that is refused are tried.
_TRIED = 4


def check_on_device(
    parts: Parts,
    finish: Callable[[keras.Model], keras.Model],
    calibration: np.ndarray,
    images: np.ndarray,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The int8 check of a head as plain values for ``run.json``.

    Args:
        finish: Puts the preprocessing in front of a head.
        calibration: uint8 (N, H, W, C), give the ranges.
        images: The same, are compared.
        say: Told what was found.

    Raises:
        TrainingError: the int8 head is too far from the float one.
    """
    try:
        check, graph = check_int8(finish(parts.head), calibration, images)
    except ExportError as error:
        splits = _runnable(parts, finish, calibration)
        say(f"the head does not run on a device as it is: {error.what}: {_near(splits)}")
        return {"refused": error.what, "device_splits": splits}
    found = (
        f"features differ by {check.max_difference:.3g} at most "
        f"({check.relative_difference:.1%} of their spread)"
    )
    if not check.relative_difference <= INT8_LIMIT:
        raise TrainingError(
            f"the int8 head is not the float one any more, the limit is {INT8_LIMIT:.0%}",
            value=found,
            remedy="a split nearer to the image, images that the network was trained for (--dataset or "
            "--check-images: the ranges come from them), or the network's own --mean and --std",
        )
    say(f"int8 head: {found}, {check.macs:,} MACs")
    missing, reason = beyond_device(check.operators), generator_refusal(graph.data)
    if not missing and not reason:
        return check.described()
    splits = _runnable(parts, finish, calibration)
    why = f"the device has no {', '.join(missing)}" if missing else f"no device runs this head: {reason}"
    say(f"{why}: {_near(splits)}; the default encoder does not run the head")
    return check.described() | {"not_on_device": missing, "refused": reason, "device_splits": splits}


def generator_refusal(data: bytes) -> str:
    """Why the code generator has no C for an int8 .tflite; empty: it has."""
    from semflash_codegen.errors import CodegenError
    from semflash_codegen.graph import compile_graph
    from semflash_codegen.passes import make_plan
    from semflash_codegen.tflite_reader import read_model

    try:
        compile_graph("head", "sf_head", make_plan(read_model(data), "auto", small=False))
    except CodegenError as error:
        return error.what if error.value is None else f"{error.what} ({error.value})"
    return ""


def _runnable(
    parts: Parts, finish: Callable[[keras.Model], keras.Model], calibration: np.ndarray
) -> list[str]:
    """The nearest splits before this one whose heads a device runs: tried, where the heads can be made."""
    if parts.head_at is None:
        return list(parts.device_splits)
    for name in parts.device_splits[::-1][:_TRIED]:
        try:
            graph = convert_int8(finish(parts.head_at(name)), calibration)
        except (ExportError, TrainingError):
            continue
        if not beyond_device(graph.operators) and not generator_refusal(graph.data):
            return [name]
    return []


def _near(splits: list[str]) -> str:
    names = " or ".join(splits)
    return f"a codec behind the head needs the split {names}" if splits else "no codec goes behind this head"
