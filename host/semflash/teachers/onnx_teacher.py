"""A teacher in an ONNX file, run by ONNX Runtime in a child process with limits."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from semflash import atomic
from semflash.errors import TeacherError
from semflash.printable import printable
from semflash.processes import children
from semflash.teachers.child import ANSWER, JOB, READY, REQUEST, REQUESTS
from semflash.teachers.manifest import TeacherRecord
from semflash.teachers.preparing import ImageInput

MEMORY_BYTES = 16 << 30
START_TIMEOUT_S = 300.0
#: Time that one image may take.
IMAGE_TIMEOUT_S = 60.0
#: Images of one request.
PIECE = 64
_NOWHERE = "http://127.0.0.1:9"
_POLL_S = 0.01


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
        self._ends = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._requests = -1

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            self._folder = ends.enter_context(
                atomic.scratch(Path(tempfile.gettempdir()), "semflash-teacher-")
            )
            self._start(ends)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()
        self._process = None

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Answers float32 (n, width) to uint8 images (n, H, W, C).

        Raises:
            TeacherError: the network cannot answer, or takes too long.
        """
        if not len(images):
            return np.zeros((0, 0), np.float32)
        pieces = (images[start : start + PIECE] for start in range(0, len(images), PIECE))
        return np.concatenate([self._ask(np.ascontiguousarray(piece, np.uint8)) for piece in pieces])

    def _start(self, ends: contextlib.ExitStack) -> None:
        network, folder = self._network, self._folder
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
        os.mkfifo(folder / REQUESTS, 0o600)
        # -P: nothing is imported from the folder that it runs in.
        command = [sys.executable, "-P", "-m", "semflash.teachers.child", str(folder)]
        errors = ends.enter_context((folder / "errors").open("wb"))
        self._process = children.start(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=_environment(folder, os.environ),
            preexec_fn=self._limit,
            bufsize=0,
        )
        ends.callback(children.end, self._process)
        if self._read(len(READY), START_TIMEOUT_S) != READY:
            raise self._failed("its process says something else than it should")
        self._requests = self._opened()
        ends.callback(os.close, self._requests)

    def _limit(self) -> None:
        for which, limit in ((resource.RLIMIT_AS, self._memory), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(which, (limit, limit))

    def _opened(self) -> int:
        """The writing end of the FIFO, once the child has opened the other."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._alive():
            try:
                handle = os.open(self._folder / REQUESTS, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:  # nobody reads yet
                time.sleep(_POLL_S)
            else:
                os.set_blocking(handle, True)
                return handle
        raise self._failed("its process did not begin to listen")

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _ask(self, images: np.ndarray) -> np.ndarray:
        message = memoryview(REQUEST.pack(*images.shape) + images.tobytes())
        try:
            while message:
                message = message[os.write(self._requests, message) :]
        except BrokenPipeError as error:
            raise self._failed("its process ended") from error
        timeout_s = IMAGE_TIMEOUT_S * len(images)
        count, width = ANSWER.unpack(self._read(ANSWER.size, timeout_s))
        if count != len(images) or not 0 < width <= 1 << 20:
            raise self._failed(f"it answered {len(images)} images with {count} rows of {width}")
        rows = np.frombuffer(self._read(4 * count * width, timeout_s), "<f4")
        return rows.reshape(count, width).astype(np.float32)

    def _read(self, size: int, timeout_s: float) -> bytes:
        """So many bytes of the child. TeacherError: it ended, or takes longer."""
        assert self._process is not None and self._process.stdout is not None
        deadline, got = time.monotonic() + timeout_s, b""
        while len(got) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise self._failed(f"it took more than {timeout_s:.0f} s")
            piece = os.read(self._process.stdout.fileno(), min(size - len(got), 1 << 20))
            if not piece:
                self._process.wait()
                raise self._failed("its process ended")
            got += piece
        return got

    def _failed(self, how: str) -> TeacherError:
        with (self._folder / "errors").open("rb") as file:
            lines = file.read()[-4_096:].decode("utf-8", "replace").strip().splitlines()
        code = None if self._process is None else self._process.poll()
        ended = f" with code {code}" if code else ""
        return TeacherError(
            f"the teacher {self.record.name} cannot answer: {how}{ended}",
            value=printable(lines[-1][:300]) if lines else None,
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


def _environment(folder: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """What the child needs of ours; home and temporary files lie in its folder, and nothing is fetched."""
    kept = {name: ours[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in ours}
    if ours.get("PYTHONPATH"):  # the child runs in another directory
        places = [place for place in ours["PYTHONPATH"].split(os.pathsep) if place]
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(place).resolve()) for place in places)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        kept |= {name: _NOWHERE, name.lower(): _NOWHERE}
    return kept | {"HOME": str(folder), "TMPDIR": str(folder)}
