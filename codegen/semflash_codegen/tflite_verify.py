"""Is every table, list and text of a .tflite file where it may be, aligned and of a known kind?

An interpreter follows the offsets of a file without looking. What passes here can be followed: every offset
stays within the file, numbers lie at multiples of their size, texts end in a zero byte, unions hold the table
that their tag names, and no table has a field that is not listed below. What numbers mean is not looked at.

Source: FlatBuffers' verifier (flatbuffers/verifier.h) and tensorflow/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from semflash_codegen.errors import MalformedModelError, UnsupportedModelError
from semflash_codegen.flatbuffer import Table, root
from semflash_codegen.schema import FILE_IDENTIFIER, TensorType

#: Fields of each table in the schema's order: a scalar of so many bytes; `*n` a list of them, `text`, the
#: name of a table, `*name` a list of tables, `options` (a union, its tag is the field before), `-` (must be
#: absent).
TABLES = {
    "model": "4 *operator_code *subgraph text *buffer *4 *metadata *signature - -",
    "operator_code": "1 text 4 4",
    "subgraph": "*tensor *4 *4 *operator text -",
    "tensor": "*4 1 4 text quantisation 1 - *4 1 - -",
    "quantisation": "*4 *4 *4 *8 - - 4",
    "operator": "4 *4 *4 1 options - 1 *1 *4 - - - - -",
    "buffer": "*1 8 8",
    "metadata": "text 4",
    "signature": "*tensor_map *tensor_map text - 4",
    "tensor_map": "text 4",
}

#: Fields of an operator's options by the union's tag; a tag that is not here is refused.
OPTIONS = {
    1: "1 4 4 1 4 4 1",  # CONV_2D
    2: "1 4 4 4 1 4 4",  # DEPTHWISE_CONV_2D
    5: "1 4 4 4 4 1",  # pools
    8: "1 1 1 1 1 -",  # FULLY_CONNECTED
    10: "4 1",  # CONCATENATION
    15: "- - 1 1",  # RESIZE_BILINEAR
    32: "4 4 4 4 4 1",  # STRIDED_SLICE
    49: "1 4 4 1 1",  # TRANSPOSE_CONV
    101: "1 1 1",  # BATCH_MATMUL
    **dict.fromkeys((9, 19, 35, 61, 75, 79, 94), "4"),
    **dict.fromkeys((21, 27, 29, 40, 55, 57, 77, 116), "1"),
    **dict.fromkeys((11, 28, 37, 74, 102), "1 1"),
    **dict.fromkeys((17, 30), "*4"),
    **dict.fromkeys((23, 59, 64), "4 4"),
    **dict.fromkeys(
        (22, 24, 25, 26, 33, 34, 36, 38, 39, 41, 42, 43, 44, 45, 46, 47, 48, 51, 52, 53, 54, 56), ""
    ),
    **dict.fromkeys((60, 62, 63, 65, 66, 67, 68, 72, 73, 76, 78, 81, 82, 84, 86, 89, 91, 98, 104, 123), ""),
}

_PARSED = {name: tuple(fields.split()) for name, fields in TABLES.items()} | {
    f"options {tag}": tuple(fields.split()) for tag, fields in OPTIONS.items()
}
#: Field of the options that names the type of a bias, by tag; the types that there are.
_BIAS_KIND = {1: 6, 8: 4, 49: 4}
_BIAS_KINDS = (TensorType.FLOAT32, TensorType.INT32, TensorType.INT64)
_REMEDY = "export the model again; the file is damaged or forged"
_UINT = struct.Struct("<I")
_INT = struct.Struct("<i")
_SHORT = struct.Struct("<H")
#: Tables in one file: more than any network of a size that these files may have.
_TABLES_MAX = 1 << 18


def verify(data: bytes) -> None:
    """Check the structure of a whole .tflite file.

    Raises:
        MalformedModelError: an offset, a list or a text leaves the file or is not aligned, a table has
            unknown fields.
        UnsupportedModelError: a known part of the format that no export of semflash uses (custom operators,
            sparse tensors, options of an operator that is not in the list).
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise MalformedModelError("not a TensorFlow Lite model", value=bytes(data[:8]), remedy=_REMEDY)
    walker = _Walker(data)
    waiting = [("model", walker.offset(0))]
    seen: set[tuple[str, int]] = set()
    while waiting:
        entry = waiting.pop()
        if entry in seen:
            continue
        seen.add(entry)
        if len(seen) > _TABLES_MAX:
            raise UnsupportedModelError(
                f"the model has more than {_TABLES_MAX} tables", remedy="use a smaller model"
            )
        waiting += walker.table(*entry)
    _check_indices(root(data, FILE_IDENTIFIER))


def _check_indices(model: Table) -> None:
    """Numbers of buffers and tensors that only an interpreter follows: metadata, signatures, state."""
    buffers = sum(1 for _ in model.tables(4, _TABLES_MAX))
    graphs = list(model.tables(2, _TABLES_MAX))
    tensors = [sum(1 for _ in graph.tables(0, _TABLES_MAX)) for graph in graphs]
    for metadata in model.tables(6, _TABLES_MAX):
        _expect_below(metadata.integer(1, "<I"), buffers, "metadata")
    for signature in model.tables(7, _TABLES_MAX):
        graph = signature.integer(4, "<I")
        _expect_below(graph, len(graphs), "a signature")
        for side in (0, 1):
            for entry in signature.tables(side, _TABLES_MAX):
                _expect_below(entry.integer(1, "<I"), tensors[graph], "a signature")
    for graph_table in graphs:
        for operator in graph_table.tables(3, _TABLES_MAX):
            if any(_length(operator, field) for field in (7, 8)):
                raise UnsupportedModelError("an operator keeps state between images", remedy=_REMEDY)
            options, kind = operator.table(4), _BIAS_KIND.get(operator.integer(3, "<B"))
            if options is not None and kind is not None and options.integer(kind, "<b") not in _BIAS_KINDS:
                raise MalformedModelError(
                    "an operator's bias has an unknown type",
                    value=options.integer(kind, "<b"),
                    remedy=_REMEDY,
                )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _length(table: Table, field: int) -> int:
    numbers = table.numbers(field, "u1", _TABLES_MAX)
    return 0 if numbers is None else len(numbers)


def _expect_below(index: int, count: int, where: str) -> None:
    if index >= count:
        raise MalformedModelError(f"{where} names what the model does not have", value=index, remedy=_REMEDY)


class _Walker:
    """Checks one table at a time and names the tables below it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._size = len(data)

    def offset(self, position: int) -> int:
        """Where the offset at `position` points to."""
        self._inside(position, 4, 4)
        target = position + int(_UINT.unpack_from(self._data, position)[0])
        if target == position or target >= self._size:
            raise self._malformed("an offset that leaves the file", target)
        return target

    def table(self, name: str, position: int) -> Iterator[tuple[str, int]]:
        """Check a table; the tables that it names."""
        fields = _PARSED[name]
        slots, inline_bytes = self._slots(name, position, len(fields))
        for number, (kind, slot) in enumerate(zip(fields, slots, strict=False)):
            if slot == 0:
                continue
            if kind == "-":
                raise UnsupportedModelError(
                    f"the model uses a part of the format that exports do not use: {name} field {number}",
                    remedy="export the model again without it",
                )
            if slot < 4 or slot + (int(kind) if kind.isdigit() else 4) > inline_bytes:
                raise self._malformed(f"a field outside its table ({name})", slot)
            field = position + slot
            if kind.isdigit():
                self._inside(field, int(kind), int(kind))
            elif kind == "options":
                yield self._options(position, slots, number), self.offset(field)
            else:
                yield from self._reference(kind, self.offset(field))

    def _reference(self, kind: str, target: int) -> Iterator[tuple[str, int]]:
        if kind == "text":
            count = self._count(target, 1, 1)
            if self._data[target + 4 + count : target + 5 + count] != b"\0":
                raise self._malformed("a text without an end", target)
            if not _is_utf8(self._data[target + 4 : target + 4 + count]):
                raise self._malformed("a text that is not UTF-8", target)
        elif not kind.startswith("*"):
            yield kind, target
        elif kind[1:].isdigit():
            self._count(target, int(kind[1:]), int(kind[1:]))
        else:
            for i in range(self._count(target, 4, 4)):
                yield kind[1:], self.offset(target + 4 + 4 * i)

    def _slots(self, name: str, position: int, known: int) -> tuple[tuple[int, ...], int]:
        """Offsets of a table's fields within it (0: absent), and the table's own bytes."""
        self._inside(position, 4, 4)
        vtable = position - int(_INT.unpack_from(self._data, position)[0])
        self._inside(vtable, 4, 2)
        vtable_bytes, inline_bytes = struct.unpack_from("<HH", self._data, vtable)
        if vtable_bytes < 4 or vtable_bytes % 2 or inline_bytes < 4:
            raise self._malformed(f"a table without fields ({name})", vtable)
        self._inside(vtable, vtable_bytes, 2)
        self._inside(position, inline_bytes, 4)
        slots = struct.unpack_from(f"<{vtable_bytes // 2 - 2}H", self._data, vtable + 4)
        if any(slots[known:]):
            raise self._malformed(f"a field that the format does not have ({name})", len(slots))
        return slots, inline_bytes

    def _options(self, position: int, slots: tuple[int, ...], number: int) -> str:
        tag = self._data[position + slots[number - 1]] if slots[number - 1] else 0
        if tag not in OPTIONS:
            raise UnsupportedModelError(
                "an operator has options of an unknown kind", value=tag, remedy=_REMEDY
            )
        return f"options {tag}"

    def _count(self, target: int, item_bytes: int, alignment: int) -> int:
        """Items of the list at `target`, all inside the file."""
        self._inside(target, 4, 4)
        count = int(_UINT.unpack_from(self._data, target)[0])
        if count * item_bytes > self._size:
            raise self._malformed("a list that leaves the file", count)
        if count:
            self._inside(target + 4, count * item_bytes, alignment)
        return count

    def _inside(self, position: int, size: int, alignment: int) -> None:
        if position < 0 or position + size > self._size or position % alignment:
            raise self._malformed("something outside the file or not aligned", position)

    @staticmethod
    def _malformed(what: str, value: int) -> MalformedModelError:
        return MalformedModelError(f"the model has {what}", value=value, remedy=_REMEDY)
