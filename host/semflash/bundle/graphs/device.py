"""The int8 graph of the device, before LiteRT or TFLite-Micro see it: what the code generator could lower.

The generator's own checks (operands, shapes, options, quantisation, sums within int32) are the strictest
there are, and were held against ten thousand forged models. Its passes rewrite some operators (SPLIT, shape
arithmetic, pairs of SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND), and only where shapes and constants fit.
"""

from __future__ import annotations

from semflash.bundle.graphs.edge_graph import as_bundle_error
from semflash.errors import BundleError
from semflash_codegen.ir import Model
from semflash_codegen.operators import ALIASES, LOWER, Context
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.tflite_verify import verify
from semflash_codegen.validate import fold_aliases, validate_ends, validate_order

#: Most inputs of an operator where it is not 1; the generator reads those that it needs, LiteRT counts them.
_INPUTS = {
    "ADD": 2,
    "CONCATENATION": 64,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "EXPAND_DIMS": 2,
    "FULLY_CONNECTED": 3,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "PADV2": 3,
    "PRELU": 2,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "RESHAPE": 2,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "SLICE": 3,
    "STRIDED_SLICE": 4,
    "SUB": 2,
    "TILE": 2,
    "TRANSPOSE": 2,
    "TRANSPOSE_CONV": 4,
}
#: Values of a SOFTMAX from which on the reference kernels can stop at an assertion (docs/codegen.md).
_SOFTMAX_DEPTH = 512
_REMEDY = "export the bundle again; no export of semflash makes this"


def check_device_graph(data: bytes, file: str) -> None:
    """Check a device graph.

    Args:
        data: Content of the .tflite file.
        file: Its name, for refusals.

    Raises:
        BundleError: damaged or forged, or an operator that no device of semflash runs.
    """
    with as_bundle_error(file):
        verify(data)
        model = simplify(read_model(data))
        validate_ends(model)
        _check_operators(file, model)
        validate_order(model)
        fold_aliases(model)
        context = Context(model, "reference")
        for op in model.operators:
            if op.name in LOWER:
                LOWER[op.name](context, op)


def _check_operators(file: str, model: Model) -> None:
    for op in model.operators:
        label = f"{file}, {model.layer_name(op)}"
        if op.name not in LOWER and op.name not in ALIASES:
            raise BundleError(
                f"{label}: an operator that no device has",
                value=op.name,
                remedy="use " + ", ".join(sorted({*LOWER, *ALIASES})),
            )
        if len(op.inputs) > _INPUTS.get(op.name, 1):
            raise BundleError(f"{label}: too many inputs", value=len(op.inputs), remedy=_REMEDY)
        if op.name == "SOFTMAX":
            depth = model.tensors[op.inputs[0]].shape[-1:] if op.inputs and op.inputs[0] >= 0 else ()
            if not depth or depth[0] >= _SOFTMAX_DEPTH:
                raise BundleError(
                    f"{label}: over {_SOFTMAX_DEPTH} values and more there is no reference to compare with",
                    value=depth,
                    remedy="leave the SOFTMAX out of the encoder",
                )
