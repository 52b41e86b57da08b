"""Pictures of a board's own source, one after the other, into an album: the host sees what the board sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semflash.data.own.album import Album
from semflash.errors import LinkError

#: Pictures in a row that may be spoilt by the line or the sensor before it counts as broken.
TRIES = 3

Pixels = NDArray[np.uint8]


@dataclass
class Collected:
    """What a run has stored.

    Attributes:
        stored: pictures of this run by label. spoilt: pictures that did not come whole.
        last: the file that was stored last.
    """

    stored: dict[str, int] = field(default_factory=dict)
    spoilt: int = 0
    last: Path | None = None

    def add(self, album: Album, label: str, pixels: Pixels) -> None:
        """Store a picture and count it."""
        self.last = album.add(label, pixels)
        self.stored[label] = self.stored.get(label, 0) + 1


class Chooser(Protocol):
    """Says what becomes of the pictures."""

    def wants(self, found: Collected) -> bool:
        """Whether to take another picture; may wait, and may store the one that is shown."""
        ...

    def see(self, pixels: Pixels, found: Collected) -> None:
        """A picture came: store it, show it, or both."""
        ...


class PictureSource(Protocol):
    """What gives pictures: :class:`semflash.link.session.Session`."""

    def picture(self) -> bytes:
        """int8 pixels, row by row. LinkError: none came whole."""
        ...


def collect(source: PictureSource, shape: tuple[int, int, int], chooser: Chooser, found: Collected) -> None:
    """Take pictures until the chooser has enough.

    Args:
        shape: (H, W, C) of a picture. found: is brought up to date with every picture.

    Raises:
        LinkError: :data:`TRIES` pictures in a row did not come whole.
        OSError: the disk takes no more. All pictures that were counted are stored.
    """
    failed = 0
    while chooser.wants(found):
        try:
            pixels = as_uint8(source.picture(), shape)
        except LinkError:
            found.spoilt += 1
            failed += 1
            if failed == TRIES:
                raise
            continue
        failed = 0
        chooser.see(pixels, found)


def as_uint8(values: bytes, shape: tuple[int, int, int]) -> Pixels:
    """int8 values of a device (pixel - 128, row by row) as the pixels they are.

    >>> as_uint8(bytes([128, 255, 0, 127]), (2, 2, 1))[..., 0].tolist()
    [[0, 127], [128, 255]]
    """
    return np.bitwise_xor(np.frombuffer(values, np.uint8), np.uint8(0x80)).reshape(shape)


class ByLabel:
    """All pictures are of one class.

    Args:
        count: so many are to be there in the end, those that lay there before included; None: no end.
        every_s: seconds from one picture to the next, at least.
        tell: is called after each picture.
    """

    def __init__(
        self,
        album: Album,
        label: str,
        count: int | None,
        every_s: float,
        tell: Callable[[Collected], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._album, self._label, self._every_s, self._tell = album, label, every_s, tell
        self._left = None if count is None else max(0, count - album.count(label))
        self._clock, self._sleep = clock, sleep
        self._due_s = clock()

    def wants(self, found: Collected) -> bool:
        """Wait until the next one is due."""
        if self._left == 0:
            return False
        wait_s = self._due_s - self._clock()
        if wait_s > 0:
            self._sleep(wait_s)
        self._due_s = max(self._due_s, self._clock()) + self._every_s
        return True

    def see(self, pixels: Pixels, found: Collected) -> None:
        """Store it."""
        found.add(self._album, self._label, pixels)
        self._left = None if self._left is None else self._left - 1
        self._tell(found)
