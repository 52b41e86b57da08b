"""A bounds-checked reader of the FlatBuffers wire format, as far as a .tflite file uses it.

Every offset is checked against the buffer before it is followed, so a forged or truncated file ends in
:class:`MalformedModelError` and in nothing else. Format: FlatBuffers "internals" document.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from semflash_codegen.errors import MalformedModelError

MAX_TEXT_BYTES = 1024

_REMEDY = "export the model again; the file is damaged or not a TensorFlow Lite model"


class Table:
    """One table: a buffer and a position, with fields by their number in the schema."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        vtable = position - _scalar(data, position, "<i")
        self._vtable = vtable
        self._vtable_bytes = _scalar(data, vtable, "<H")
        if self._vtable_bytes < 4 or vtable + self._vtable_bytes > len(data):
            raise MalformedModelError(
                "the model has a table that leaves the file", value=vtable, remedy=_REMEDY
            )

    def _field(self, number: int) -> int:
        """Absolute position of a field, 0 when it is absent."""
        slot = 4 + 2 * number
        if slot + 2 > self._vtable_bytes:
            return 0
        offset: int = _scalar(self._data, self._vtable + slot, "<H")
        return self._position + offset if offset else 0

    def _follow(self, number: int) -> int:
        """Absolute position that an offset field points to, 0 when it is absent."""
        field = self._field(number)
        return field + _scalar(self._data, field, "<I") if field else 0

    def integer(self, number: int, fmt: str, default: int = 0) -> int:
        """A scalar field; fmt is a struct code such as ``<b``, ``<i``, ``<I``, ``<q``."""
        field = self._field(number)
        return int(_scalar(self._data, field, fmt)) if field else default

    def table(self, number: int) -> Table | None:
        """A sub-table or union value, None when absent."""
        target = self._follow(number)
        return Table(self._data, target) if target else None

    def text(self, number: int) -> str:
        """A string, cut after MAX_TEXT_BYTES; bytes that are not UTF-8 are replaced."""
        target = self._follow(number)
        if not target:
            return ""
        start, count = self._vector(target, 1)
        return self._data[start : start + min(count, MAX_TEXT_BYTES)].decode("utf-8", "replace")

    def numbers(self, number: int, dtype: str, limit: int) -> npt.NDArray[np.generic] | None:
        """A vector of scalars as a read-only view, None when absent; dtype such as ``<i4``."""
        target = self._follow(number)
        if not target:
            return None
        kind = np.dtype(dtype)
        start, count = self._vector(target, kind.itemsize)
        if count > limit:
            raise MalformedModelError("the model has a list that is too long", value=count, remedy=_REMEDY)
        return np.frombuffer(self._data, dtype=kind, count=count, offset=start)

    def tables(self, number: int, limit: int) -> Iterator[Table]:
        """The tables of a vector of tables (none when absent)."""
        target = self._follow(number)
        if not target:
            return
        start, count = self._vector(target, 4)
        if count > limit:
            raise MalformedModelError("the model has a list that is too long", value=count, remedy=_REMEDY)
        for i in range(count):
            field = start + 4 * i
            yield Table(self._data, field + _scalar(self._data, field, "<I"))

    def _vector(self, target: int, item_bytes: int) -> tuple[int, int]:
        count: int = _scalar(self._data, target, "<I")
        if target + 4 + count * item_bytes > len(self._data):
            raise MalformedModelError(
                "the model has a list that leaves the file", value=count, remedy=_REMEDY
            )
        return target + 4, count


def root(data: bytes, identifier: bytes) -> Table:
    """The root table of a buffer whose file identifier must be `identifier`."""
    if len(data) < 8 or data[4:8] != identifier:
        raise MalformedModelError("not a TensorFlow Lite model", value=bytes(data[:8]), remedy=_REMEDY)
    return Table(data, _scalar(data, 0, "<I"))


def _scalar(data: bytes, position: int, fmt: str) -> int:
    if position < 0 or position + struct.calcsize(fmt) > len(data):
        raise MalformedModelError(
            "the model has an offset that leaves the file", value=position, remedy=_REMEDY
        )
    value: int = struct.unpack_from(fmt, data, position)[0]
    return value
