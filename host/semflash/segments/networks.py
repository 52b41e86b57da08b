"""ONNX networks of a segmenter, run by ONNX Runtime in a child process with limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from semflash.errors import SegmentError
from semflash.processes.limited import MEMORY_BYTES, LimitedChild
from semflash.segments.child import JOB, LENGTH

#: Time that one run of a network may take.
RUN_TIMEOUT_S = 120.0
_HEAD_BYTES_MAX, _ANSWER_BYTES_MAX = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Value:
    """An input or output of a network: its name, ONNX's type, and its shape, 0: any."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Interface:
    """What a network takes and gives."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


class Networks:
    """Networks that are run by their names; their process starts with the context.

    Args:
        segmenter: named in errors.
        models: the .onnx files, or their contents.
        threads: of ONNX Runtime.
        memory_bytes: that the child may have.
    """

    def __init__(
        self,
        segmenter: str,
        models: Mapping[str, Path | bytes],
        threads: int = 1,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._segmenter, self._models, self._threads = segmenter, dict(models), threads
        self._memory = memory_bytes
        self._child = LimitedChild("semflash.segments.child", self._prepare, self._refused, memory_bytes)
        self.interfaces: dict[str, Interface] = {}

    def __enter__(self) -> Self:
        self._child.__enter__()
        try:
            head = self._ask({"model": "", "arrays": [], "wanted": []}, b"")
            self.interfaces = {
                name: Interface(
                    *(tuple(_value(one) for one in found[kind]) for kind in ("inputs", "outputs"))
                )
                for name, found in head.items()
            }
        except BaseException:
            self._child.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def run(self, model: str, fed: Mapping[str, np.ndarray], wanted: Sequence[str]) -> tuple[np.ndarray, ...]:
        """Outputs of these names, float32.

        Raises:
            SegmentError: the network failed, takes too long, or gives something that is no number.
        """
        arrays = [(name, np.ascontiguousarray(value)) for name, value in fed.items()]
        head = {
            "model": model,
            "arrays": [[name, value.dtype.str, list(value.shape)] for name, value in arrays],
            "wanted": list(wanted),
        }
        answer = self._ask(head, b"".join(value.tobytes() for _, value in arrays))
        found = []
        for name, shape in zip(wanted, answer["shapes"], strict=True):
            size = int(np.prod(shape, dtype=np.int64))
            if not 0 <= size <= _ANSWER_BYTES_MAX // 4:
                raise self._child.failed(f"its output {name} has {size} numbers")
            values = np.frombuffer(self._child.receive(4 * size, RUN_TIMEOUT_S), "<f4").reshape(shape)
            if not np.isfinite(values).all():
                raise SegmentError(
                    f"the network of {self._segmenter} gives something that is no number",
                    value=f"{int((~np.isfinite(values)).sum())} of {size} values of {name}",
                    remedy="another network, or the range of pixels that this one was made for",
                )
            found.append(values)
        return tuple(found)

    def _ask(self, head: dict[str, Any], content: bytes) -> dict[str, Any]:
        text = json.dumps(head).encode()
        self._child.send(LENGTH.pack(len(text)) + text + content)
        (length,) = LENGTH.unpack(self._child.receive(LENGTH.size, RUN_TIMEOUT_S))
        if length > _HEAD_BYTES_MAX:
            raise self._child.failed(f"its answer has a head of {length} bytes")
        answer: dict[str, Any] = json.loads(self._child.receive(length, RUN_TIMEOUT_S))
        return answer

    def _prepare(self, folder: Path) -> None:
        paths = {}
        for name, model in self._models.items():
            if isinstance(model, Path):
                paths[name] = str(model.resolve())
            else:
                (folder / f"{name}.onnx").write_bytes(model)
                paths[name] = str(folder / f"{name}.onnx")
        job = {"models": paths, "threads": self._threads}
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")

    def _refused(self, how: str, value: str | None) -> SegmentError:
        return SegmentError(
            f"the network of {self._segmenter} failed: {how}",
            value=value,
            remedy=f"a smaller network (it may take {self._memory >> 30} GiB of memory), or run it with ONNX "
            "Runtime by hand to see why",
        )


def _value(described: list[Any]) -> Value:
    name, kind, shape = described
    return Value(str(name), str(kind), tuple(int(side) for side in shape))
