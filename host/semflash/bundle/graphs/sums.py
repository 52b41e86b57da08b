"""Operators that sum over numbers: dense layers, matrix products, reductions, softmax."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import numpy as np

from semflash.bundle.graphs.call import REAL, TRUTH, WHOLE, Call, Rule, Value

_FULLY_CONNECTED, _BATCH_MATMUL, _REDUCER = 8, 101, 27
_REDUCTIONS: dict[str, Callable[..., object] | None] = {
    "MEAN": None,
    "SUM": np.sum,
    "REDUCE_PROD": np.prod,
    "REDUCE_MAX": np.max,
    "REDUCE_MIN": np.min,
}
_TRUTHS = ("REDUCE_ALL", "REDUCE_ANY")


def _fully_connected(call: Call) -> list[Value]:
    call.operands(2, 3)
    call.needs_options()
    source, weights = call.real(0), call.weights(1, 2)
    outputs, depth = weights.shape
    call.bias(2, outputs)
    call.activation(_FULLY_CONNECTED, 0)
    call.expect(call.option(_FULLY_CONNECTED, 1, "<b") == 0, "shuffled weights")
    keep = call.choice(_FULLY_CONNECTED, 2, (False, True))
    call.expect(bool(source.shape), "a scalar input")
    if keep:
        call.expect(source.shape[-1] == depth, "weights for another length", weights.shape)
        return [call.made((*source.shape[:-1], outputs))]
    call.expect(source.elements % depth == 0, "weights for another length", weights.shape)
    return [call.made((source.elements // depth, outputs))]


def _batch_matmul(call: Call) -> list[Value]:
    call.operands(2)
    ranks = range(2, 6)
    left, right = call.real(0, *ranks).shape, call.real(1, *ranks).shape
    turned = [call.choice(_BATCH_MATMUL, field, (False, True)) for field in range(2)]
    rows, inner = left[-2:][::-1] if turned[0] else left[-2:]
    depth, columns = right[-2:][::-1] if turned[1] else right[-2:]
    call.expect(inner == depth, "matrices that do not fit", (left, right))
    leading = call.broadcast(Value(left[:-2]), Value(right[:-2]))
    return [call.made((*leading, rows, columns))]


def _axes(call: Call, rank: int) -> set[int]:
    return {call.axis(int(axis), rank) for axis in call.whole(1).reshape(-1)}


def _reduced(call: Call, source: Value) -> tuple[int, ...]:
    axes, keep = _axes(call, len(source.shape)), call.choice(_REDUCER, 0, (False, True))
    call.expect(bool(axes), "no axis")
    return tuple(1 if i in axes else side for i, side in enumerate(source.shape) if keep or i not in axes)


def _reduction(call: Call) -> list[Value]:
    call.operands(2)
    source, function = call.input(0), _REDUCTIONS[call.op.name]
    shape = _reduced(call, source)
    if source.kind is REAL:
        call.real(0)
        return [call.made(shape)]
    call.expect(source.kind in WHOLE and function is not None, "an input that is not float32")
    assert function is not None
    axes, keep = tuple(_axes(call, len(source.shape))), len(shape) == len(source.shape)
    known = call.folded(lambda numbers: function(numbers, axis=axes, keepdims=keep), source)
    return [call.made(shape, source.kind, known)]


def _truth(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    call.expect(source.kind is TRUTH, "an input that holds no truths", source.kind.name)
    return [call.made(_reduced(call, source), TRUTH)]


def _arg(call: Call) -> list[Value]:
    call.operands(2)
    source, kind = call.real(0), call.model.tensors[call.op.outputs[0]].dtype
    axis = call.axis(call.scalar(1), len(source.shape))
    tag = 40 if call.op.name == "ARG_MAX" else 57
    code = call.option(tag, 0, "<b", int(kind))
    call.expect(kind in WHOLE and code == int(kind), "a result of another kind", code)
    return [call.made(source.shape[:axis] + source.shape[axis + 1 :], kind)]


def _softmax(call: Call) -> list[Value]:
    call.operands(1)
    call.needs_options()
    bits = call.option(9, 0, "<I")
    beta: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    call.expect(math.isfinite(beta) and beta > 0.0, "beta must be positive", beta)
    return [call.made(call.real(0, 1, 2, 3, 4).shape)]


def _log_softmax(call: Call) -> list[Value]:
    call.operands(1)
    return [call.made(call.real(0, 1, 2, 3, 4).shape)]


def _top_k(call: Call) -> list[Value]:
    call.operands(2)
    source, count = call.real(0), call.scalar(1)
    call.expect(bool(source.shape) and 1 <= count <= source.shape[-1], "k out of range", count)
    shape, kind = (*source.shape[:-1], count), call.model.tensors[call.op.outputs[-1]].dtype
    call.expect(kind in WHOLE[:1], "indices of another kind", kind.name)
    return [call.made(shape), call.made(shape, kind)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(_TRUTHS, _truth),
    "ARG_MAX": _arg,
    "ARG_MIN": _arg,
    "BATCH_MATMUL": _batch_matmul,
    "FULLY_CONNECTED": _fully_connected,
    "LOG_SOFTMAX": _log_softmax,
    "SOFTMAX": _softmax,
    "TOPK_V2": _top_k,
}
