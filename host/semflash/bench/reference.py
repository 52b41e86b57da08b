"""Golden payloads of a bench run, for bundles and for bare models."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.firmware.building.bare_model import is_bare
from semflash.program.reference.run import run
from semflash.program.tensors import Values
from semflash.runtime.reference_run import BUILTIN_REF, TFLM, Ends, Engine, run_reference

_ARENA_BYTES = 64 << 20


#: Operators that tflite-micro does not have (TILE), or computes otherwise than LiteRT, which is followed: it
#: pads images that it deals out with the code 0, not the zero point, and takes an open batch for one image.
_NOT_ON_TFLM = frozenset({"SPACE_TO_BATCH_ND", "TILE"})


def reference_name(bundle: Bundle) -> str:
    """What :func:`golden_payloads` runs: "tflite-micro" or "LiteRT BUILTIN_REF"."""
    return _engine(bundle) if is_bare(bundle) else BUILTIN_REF


def golden_payloads(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Payloads uint8 (N, P) of images uint8 (N, H, W, C).

    A bare model runs in a child, on tflite-micro where it is installed and has the operators: the two
    references differ by a step in some FULLY_CONNECTED layers, and the device follows tflite-micro. What that
    lacks, and bundles, run on LiteRT's BUILTIN_REF.

    Raises:
        ModelError: the host cannot run the model.
        BundleError: as :class:`semflash.edge.golden.GoldenEncoder`.
    """
    if not is_bare(bundle):
        from semflash.edge.golden import GoldenEncoder

        return GoldenEncoder(bundle).payloads(images)
    pixels = (images.astype(np.int16) - 128).astype(np.int8)
    return run(bundle.program, pixels, partial(_run_graph, bundle)).sent.payloads


def _run_graph(bundle: Bundle, name: str, inputs: Sequence[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
    (stage,) = (graph for graph in bundle.program.graphs if graph.name == name)
    source, output = (bundle.program.tensor(end) for end in (*stage.inputs, *stage.outputs))
    assert isinstance(source.holds, Values) and isinstance(output.holds, Values)  # of a bare model
    ends = (
        Ends(source.holds.scale, source.holds.zero_point),
        Ends(output.holds.scale, output.holds.zero_point),
    )
    values = run_reference(_engine(bundle), bundle.models[name], inputs[0], ends, _ARENA_BYTES)
    return [values.reshape(len(inputs[0]), *output.shape)]


def _engine(bundle: Bundle) -> Engine:
    """The interpreter whose results the device follows for all operators of a bare model."""
    from semflash_codegen.tflite_reader import read_model

    operators = {op.name for model in bundle.models.values() for op in read_model(model).operators}
    return TFLM if _has_tflm() and not operators & _NOT_ON_TFLM else BUILTIN_REF


def _has_tflm() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None
