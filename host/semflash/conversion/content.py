"""A digest of what an int8 graph computes.

Training writes it into the run's folder, and the export compares: the digest of a graph must stay the same
from one version of semflash to the next. It is taken over the schema's own objects, as it was from the
beginning, and is only asked of what the converter of this process has made, never of files from strangers.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from semflash_codegen.schema import operator_name


def content_sha256(data: bytes) -> str:
    """SHA-256 (hexadecimal) of operators, their options, shapes, quantisation and weights of an int8 graph.

    The names of tensors are left out: they count up from one conversion to the next.
    """
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    digest = hashlib.sha256()
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = operator_name(max(code.builtinCode, code.deprecatedBuiltinCode))
            options = sorted((key, str(value)) for key, value in _options(operator))
            wires = [[int(i) for i in part] for part in (operator.inputs, operator.outputs)]
            digest.update(repr((name, options, wires)).encode())
        for tensor in graph.tensors:
            scales = tensor.quantization
            numbers = [] if scales is None else [scales.scale, scales.zeroPoint, scales.quantizedDimension]
            shape = [int(side) for side in tensor.shape]
            digest.update(repr((shape, tensor.type, [np.asarray(n).tolist() for n in numbers])).encode())
            weights = model.buffers[tensor.buffer].data
            digest.update(b"" if weights is None else np.asarray(weights, np.uint8).tobytes())
    return digest.hexdigest()


def _options(operator: Any) -> list[tuple[str, Any]]:
    return [] if operator.builtinOptions is None else list(vars(operator.builtinOptions).items())
