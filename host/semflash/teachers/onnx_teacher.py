"""A teacher in an ONNX file, run by ONNX Runtime in a child process with limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from semflash.errors import TeacherError
from semflash.processes.limited import MEMORY_BYTES, LimitedChild
from semflash.teachers.child import ANSWER, JOB, REQUEST
from semflash.teachers.manifest import TeacherRecord
from semflash.teachers.preparing import ImageInput

#: Time that one image may take.
IMAGE_TIMEOUT_S = 60.0
#: Images of one request.
PIECE = 64


@dataclass(frozen=True)
class Network:
    """What the child needs to know of a network.

    Attributes:
        model: the .onnx file, or its content.
        image, output: names of its input and of what is asked.
        channels_first: (n, C, H, W), else (n, H, W, C).
        batch: images at a time; 1 where the file fixes it.
        input: how images are given.
        keys: a second output, where ``output`` are the queries of an attention; empty: there is none.
        registers: the answer is an attention without so many registers; None: it is no attention.
    """

    model: Path | bytes
    image: str
    output: str
    channels_first: bool
    batch: int
    input: ImageInput
    keys: str = ""
    registers: int | None = None


class OnnxTeacher:
    """Asks a network, whose process starts with the context.

    Args:
        record: what the teacher is known by.
        network: checked by whoever made it.
        threads: of ONNX Runtime. One is best where several processes share few cores.
        memory_bytes: that the child may have.
    """

    def __init__(
        self, record: TeacherRecord, network: Network, threads: int = 1, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.record = record
        self._network, self._threads, self._memory = network, threads, memory_bytes
        self._child = LimitedChild("semflash.teachers.child", self._prepare, self._refused, memory_bytes)

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Answers float32 (n, width) to uint8 images (n, H, W, C).

        Raises:
            TeacherError: the network cannot answer, or takes too long.
        """
        if not len(images):
            return np.zeros((0, 0), np.float32)
        pieces = (images[start : start + PIECE] for start in range(0, len(images), PIECE))
        return np.concatenate([self._ask(np.ascontiguousarray(piece, np.uint8)) for piece in pieces])

    def _prepare(self, folder: Path) -> None:
        network = self._network
        job = {
            "model": str(_placed(network.model, folder)),
            "image": network.image,
            "outputs": [network.output, *([network.keys] if network.keys else [])],
            "registers": network.registers,
            "channels_first": network.channels_first,
            "batch": network.batch,
            "threads": self._threads,
            "input": network.input.plain(),
        }
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")

    def _ask(self, images: np.ndarray) -> np.ndarray:
        self._child.send(REQUEST.pack(*images.shape) + images.tobytes())
        timeout_s = IMAGE_TIMEOUT_S * len(images)
        count, width = ANSWER.unpack(self._child.receive(ANSWER.size, timeout_s))
        if count != len(images) or not 0 < width <= 1 << 20:
            raise self._child.failed(f"it answered {len(images)} images with {count} rows of {width}")
        rows = np.frombuffer(self._child.receive(4 * count * width, timeout_s), "<f4")
        return rows.reshape(count, width).astype(np.float32)

    def _refused(self, how: str, value: str | None) -> TeacherError:
        return TeacherError(
            f"the teacher {self.record.name} cannot answer: {how}",
            value=value,
            remedy=f"a smaller teacher (it may take {self._memory >> 30} GiB of memory), or run it with "
            "ONNX Runtime by hand to see why",
        )


def _placed(model: Path | bytes, folder: Path) -> Path:
    """Where the child finds the network."""
    if isinstance(model, Path):
        return model.resolve()
    path = folder / "network.onnx"
    path.write_bytes(model)
    return path
