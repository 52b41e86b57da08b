"""Operators that work number by number: activations, arithmetic with broadcasting, comparisons, choices."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import numpy as np

from semflash.bundle.graphs.call import REAL, TRUTH, WHOLE, Call, Rule, Value

_UNARY = (
    "ABS",
    "CEIL",
    "COS",
    "ELU",
    "EXP",
    "FLOOR",
    "HARD_SWISH",
    "LOG",
    "LOGISTIC",
    "NEG",
    "RELU",
    "RELU6",
    "RELU_0_TO_1",
    "RELU_N1_TO_1",
    "ROUND",
    "RSQRT",
    "SIGN",
    "SIN",
    "SQRT",
    "SQUARE",
    "TANH",
)
#: Options tag, whether they hold a fused activation, and the same for whole numbers.
_BINARY: dict[str, tuple[int, bool, Callable[..., object] | None]] = {
    "ADD": (11, True, np.add),
    "SUB": (28, True, np.subtract),
    "MUL": (21, True, np.multiply),
    "DIV": (29, True, None),
    "FLOOR_DIV": (65, False, np.floor_divide),
    "FLOOR_MOD": (72, False, np.mod),
    "MAXIMUM": (39, False, np.maximum),
    "MINIMUM": (39, False, np.minimum),
    "POW": (56, False, None),
    "SQUARED_DIFFERENCE": (76, False, None),
}
_DIVISIONS = ("FLOOR_DIV", "FLOOR_MOD")
_COMPARISONS: dict[str, Callable[..., object]] = {
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
}
_CASTS = (REAL, *WHOLE, TRUTH)


def _unary(call: Call) -> list[Value]:
    call.operands(1)
    return [call.made(call.real(0).shape)]


def _leaky_relu(call: Call) -> list[Value]:
    bits = call.option(75, 0, "<I")
    slope: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    call.expect(math.isfinite(slope), "a slope that is not finite", slope)
    return _unary(call)


def _gelu(call: Call) -> list[Value]:
    call.choice(116, 0, (False, True))
    return _unary(call)


def _zeros_like(call: Call) -> list[Value]:
    call.operands(1)
    return [call.made(call.input(0).shape, call.input(0).kind)]


def _prelu(call: Call) -> list[Value]:
    call.operands(2)
    source, alpha = call.real(0), call.weights(1, len(call.real(1).shape))
    call.expect(call.broadcast(source, alpha) == source.shape, "slopes of another shape", alpha.shape)
    return [call.made(source.shape)]


def _binary(call: Call) -> list[Value]:
    call.operands(2)
    a, b = call.input(0), call.input(1)
    kind, shape = call.same_kind(a, b), call.broadcast(a, b)
    tag, fused, function = _BINARY[call.op.name]
    if fused:
        call.activation(tag, 0)
    if kind is REAL:
        return [call.made(shape)]
    call.expect(kind in WHOLE and function is not None, "inputs that are not float32", kind.name)
    assert function is not None
    if call.op.name in _DIVISIONS:
        call.expect(b.known is not None and bool((b.known > 0).all()), "a division by what may be 0")
    return [call.made(shape, kind, call.folded(function, a, b))]


def _comparison(call: Call) -> list[Value]:
    call.operands(2)
    a, b = call.input(0), call.input(1)
    call.expect(call.same_kind(a, b) is not TRUTH, "truths are compared")
    return [call.made(call.broadcast(a, b), TRUTH, call.folded(_COMPARISONS[call.op.name], a, b))]


def _logical(call: Call) -> list[Value]:
    call.operands(1 if call.op.name == "LOGICAL_NOT" else 2)
    values = [call.input(i) for i in range(len(call.inputs))]
    call.expect(call.same_kind(*values) is TRUTH, "inputs that are no truths", values[0].kind.name)
    return [call.made(call.broadcast(*values), TRUTH)]


def _select(call: Call) -> list[Value]:
    call.operands(3)
    condition, a, b = call.input(0), call.input(1), call.input(2)
    call.expect(condition.kind is TRUTH, "a condition that is no truth", condition.kind.name)
    kind, shape = call.same_kind(a, b), call.broadcast(condition, a, b)
    if call.op.name == "SELECT":
        call.expect(shape == condition.shape == a.shape == b.shape, "inputs of several shapes")
    return [call.made(shape, kind)]


def _cast(call: Call) -> list[Value]:
    call.operands(1)
    source, kind = call.input(0), call.model.tensors[call.op.outputs[0]].dtype
    call.expect(source.kind in _CASTS and kind in _CASTS, "a cast to another kind", kind.name)
    for field, found in ((0, source.kind), (1, kind)):
        code = call.option(37, field, "<b", int(found))
        call.expect(code == int(found), "options of another cast", code)
    whole = kind in WHOLE and source.kind in WHOLE
    return [call.made(source.shape, kind, source.known if whole else None)]


def _add_n(call: Call) -> list[Value]:
    call.operands(1, 64)
    values = [call.real(i) for i in range(len(call.inputs))]
    call.expect(len({value.shape for value in values}) == 1, "inputs of several shapes")
    return [call.made(values[0].shape)]


def _cumsum(call: Call) -> list[Value]:
    call.operands(2)
    source = call.real(0)
    call.axis(call.scalar(1), len(source.shape))
    return [call.made(source.shape)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"), _logical),
    **dict.fromkeys(("SELECT", "SELECT_V2"), _select),
    "ADD_N": _add_n,
    "CAST": _cast,
    "CUMSUM": _cumsum,
    "GELU": _gelu,
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "ZEROS_LIKE": _zeros_like,
}
