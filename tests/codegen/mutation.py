"""Ways to spoil a .tflite file: damage to its bytes, and well-formed files that lie."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

INTEGERS = (
    -(1 << 31),
    -129,
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    4096,
    65535,
    65536,
    1 << 24,
    (1 << 31) - 1,
)
SCALES = (0.0, -1.0, float("nan"), float("inf"), 1e-45, 1e-38, 1e-10, 1e-3, 1.0, 1e10, 3.4e38)


def mutate(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """(spoilt file, what was done). One to three changes of one family."""
    if rng.random() < 0.5:
        return _bytes(data, rng)
    return mutate_structure(data, rng)


def _bytes(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    out, names = bytearray(data), []
    for _ in range(rng.randrange(1, 4)):
        if len(out) < 16:
            break
        change = rng.choice((_truncate, _flip, _forge_word, _move, _forge_small, _forge_float, _insert))
        out = change(out, rng)
        names.append(change.__name__.strip("_"))
    return bytes(out), "+".join(names)


def _truncate(out: bytearray, rng: random.Random) -> bytearray:
    return out[: rng.randrange(len(out))]


def _flip(out: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.randrange(1, 12)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return out


def _forge_word(out: bytearray, rng: random.Random) -> bytearray:
    """An offset or a count somewhere."""
    at = rng.randrange(len(out) - 4) & ~3
    struct.pack_into(
        "<I",
        out,
        at,
        rng.choice((0, 1, 4, at, len(out), rng.getrandbits(16), rng.getrandbits(32), 0xFFFFFFFF)),
    )
    return out


def _move(out: bytearray, rng: random.Random) -> bytearray:
    size = rng.randrange(1, 64)
    at = rng.randrange(len(out))
    block = out[rng.randrange(len(out)) :][:size]
    out[at : at + len(block)] = block
    return out


def _forge_small(out: bytearray, rng: random.Random) -> bytearray:
    """A small word: a count, a dimension, an index, a stride."""
    small = [i for i in range(0, len(out) - 4, 4) if 0 < struct.unpack_from("<I", out, i)[0] < 128]
    if small:
        struct.pack_into("<i", out, rng.choice(small), rng.choice(INTEGERS))
    return out


def _forge_float(out: bytearray, rng: random.Random) -> bytearray:
    struct.pack_into("<f", out, rng.randrange(len(out) - 4) & ~3, rng.choice(SCALES))
    return out


def _insert(out: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(out))
    return out[:at] + rng.randbytes(rng.randrange(1, 32)) + out[at:]


def mutate_structure(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """(well-formed file that lies, what was done). One to three changes of what tables and lists say."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    names = []
    for _ in range(rng.randrange(1, 4)):
        if not model.subgraphs[0].operators:
            break
        change = rng.choice(_CHANGES)
        change(model, rng)
        names.append(change.__name__.strip("_"))
    builder = flatbuffers.Builder(len(data))
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except (struct.error, TypeError, ValueError, OverflowError, AttributeError):
        return _bytes(data, rng)  # a number that the schema's field cannot hold
    return bytes(builder.Output()), "+".join(names)


def _tensor(model: Any, rng: random.Random) -> Any:
    return rng.choice(model.subgraphs[0].tensors)


def _operator(model: Any, rng: random.Random) -> Any:
    return rng.choice(model.subgraphs[0].operators)


def _dimension(model: Any, rng: random.Random) -> None:
    tensor = _tensor(model, rng)
    shape = [int(n) for n in tensor.shape] if tensor.shape is not None else []
    kind = rng.randrange(4)
    if kind == 0 and shape:
        shape[rng.randrange(len(shape))] = rng.choice(INTEGERS)
    elif kind == 1:
        shape.append(rng.choice(INTEGERS))
    elif kind == 2:
        shape = shape[1:]
    else:
        rng.shuffle(shape)
    tensor.shape = shape


def _scale(model: Any, rng: random.Random) -> None:
    quantization = _tensor(model, rng).quantization
    if quantization is not None and quantization.scale is not None and len(quantization.scale):
        scale = np.array(quantization.scale, np.float32)
        scale[rng.randrange(len(scale))] = rng.choice(SCALES)
        quantization.scale = scale if rng.random() < 0.8 else scale[:-1]


def _zero_point(model: Any, rng: random.Random) -> None:
    quantization = _tensor(model, rng).quantization
    if quantization is not None and quantization.zeroPoint is not None and len(quantization.zeroPoint):
        zeros = np.array(quantization.zeroPoint, np.int64)
        zeros[rng.randrange(len(zeros))] = rng.choice((*INTEGERS, 1 << 40, -(1 << 63)))
        quantization.zeroPoint = zeros if rng.random() < 0.8 else zeros[:-1]


def _type(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).type = rng.randrange(-1, 24)


def _buffer(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).buffer = rng.choice(
        (0, 1, rng.randrange(len(model.buffers)), len(model.buffers), 1 << 31)
    )


def _content(model: Any, rng: random.Random) -> None:
    buffer = rng.choice(model.buffers)
    if buffer.data is not None and len(buffer.data):
        values = np.array(buffer.data, np.uint8)
        if rng.random() < 0.5:
            values = values[: rng.randrange(len(values))]
        else:
            values[:] = rng.choice((0, 127, 128, 255, rng.randrange(256)))
        buffer.data = values


def _wires(model: Any, rng: random.Random) -> None:
    """An operator's inputs or outputs."""
    operator, count = _operator(model, rng), len(model.subgraphs[0].tensors)
    side = rng.choice(("inputs", "outputs"))
    values = [int(i) for i in getattr(operator, side)]
    kind = rng.randrange(4)
    if kind == 0 and values:
        values[rng.randrange(len(values))] = rng.choice((-1, -2, count, rng.randrange(count), 1 << 30))
    elif kind == 1 and values:
        values.pop(rng.randrange(len(values)))
    elif kind == 2:
        values.append(rng.randrange(-1, count))
    else:
        values *= rng.choice((0, 2, 30))
    setattr(operator, side, values)


def _code(model: Any, rng: random.Random) -> None:
    """What an operator is."""
    code = rng.choice(model.operatorCodes)
    code.builtinCode = rng.choice(
        (0, 1, 2, 3, 4, 9, 17, 18, 19, 22, 23, 25, 34, 40, 54, 60, 67, 76, rng.randrange(210))
    )
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)


def _option(model: Any, rng: random.Random) -> None:
    """One number of an operator's options, or all of them."""
    operator = _operator(model, rng)
    if operator.builtinOptions is None or rng.random() < 0.1:
        operator.builtinOptions, operator.builtinOptionsType = None, 0
        return
    field = rng.choice(list(vars(operator.builtinOptions)) or ["none"])
    if isinstance(getattr(operator.builtinOptions, field, None), bool):
        setattr(operator.builtinOptions, field, rng.random() < 0.5)
    elif isinstance(getattr(operator.builtinOptions, field, None), float):
        setattr(operator.builtinOptions, field, rng.choice(SCALES))
    elif isinstance(getattr(operator.builtinOptions, field, None), int):
        setattr(
            operator.builtinOptions,
            field,
            rng.choice([n for n in INTEGERS if -128 <= n <= 127] + [255, 65536]),
        )


def _ends(model: Any, rng: random.Random) -> None:
    """The graph's inputs and outputs."""
    graph = model.subgraphs[0]
    count = len(graph.tensors)
    values = [rng.randrange(count) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
    setattr(graph, rng.choice(("inputs", "outputs")), values)


def _order(model: Any, rng: random.Random) -> None:
    """Operators shuffled, doubled, dropped or many."""
    graph = model.subgraphs[0]
    kind = rng.randrange(4)
    if kind == 0:
        rng.shuffle(graph.operators)
    elif kind == 1:
        graph.operators.append(_operator(model, rng))
    elif kind == 2:
        graph.operators.pop(rng.randrange(len(graph.operators)))
    else:
        graph.operators *= rng.choice((2, 40))


def _graphs(model: Any, rng: random.Random) -> None:
    model.subgraphs = model.subgraphs * rng.choice((1, 2))
    model.version = rng.choice((3, 3, 0, 2, 4))


_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    _dimension,
    _dimension,
    _scale,
    _scale,
    _zero_point,
    _type,
    _buffer,
    _content,
    _wires,
    _code,
    _option,
    _option,
    _ends,
    _order,
    _graphs,
)
