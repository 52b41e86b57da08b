"""How good the readings are and how bad the channel is over time, in pieces of half a second; bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

PIECE_S = 0.5
KEPT = 600
SMOOTH_IMAGES = 50


@dataclass
class Piece:
    """Half a second.

    Attributes:
        labelled, total: images, and the sum of their values in the running metric.
        injected: level that was injected at its end; None: it had none yet. estimated: level after the
            pilots; None: no estimate.
    """

    labelled: int = 0
    total: float = 0.0
    injected: float | None = None
    estimated: float | None = None


class History:
    """The last ``KEPT`` pieces of a run, oldest first."""

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque([Piece()], maxlen=KEPT)
        self._began_s: float | None = None

    def add(self, value: float) -> None:
        """One image decoded, of a value in the running metric."""
        piece = self.pieces[-1]
        piece.labelled += 1
        piece.total += value

    def tick(self, now_s: float, injected: float, estimated: float | None) -> None:
        """Note the levels of now; begin a new piece when it is time. Call a few times per second."""
        if self._began_s is None:
            self._began_s = now_s
        self.pieces[-1].injected, self.pieces[-1].estimated = injected, estimated
        if now_s - self._began_s >= PIECE_S:
            self._began_s = now_s
            self.pieces.append(Piece(injected=injected, estimated=estimated))

    def values(self, count: int) -> list[float | None]:
        """Mean value in each of the last `count` pieces, over the ``SMOOTH_IMAGES`` images before.

        None where no image had come yet.
        """
        pieces = list(self.pieces)
        means: list[float | None] = []
        labelled, total, first = 0, 0.0, 0
        for piece in pieces:
            labelled += piece.labelled
            total += piece.total
            while labelled - pieces[first].labelled >= SMOOTH_IMAGES:
                labelled -= pieces[first].labelled
                total -= pieces[first].total
                first += 1
            means.append(total / labelled if labelled else None)
        return means[-count:]

    def injected(self, count: int) -> list[float | None]:
        """The injected level in each of the last `count` pieces."""
        return [piece.injected for piece in list(self.pieces)[-count:]]

    def estimated(self, count: int) -> list[float | None]:
        """The estimated level in each of the last `count` pieces; None where there is none."""
        return [piece.estimated for piece in list(self.pieces)[-count:]]
