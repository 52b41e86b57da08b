"""Accuracy and bit errors over time, in pieces of half a second; memory is bounded."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

PIECE_S = 0.5
KEPT = 600
SMOOTH_IMAGES = 50


@dataclass
class Piece:
    """Half a second.

    Attributes:
        labelled, right: labels, and those that are right.
        injected: BER that was injected at its end. estimated: BER after the pilots; None: no estimate.
    """

    labelled: int = 0
    right: int = 0
    injected: float = 0.0
    estimated: float | None = None


class History:
    """The last ``KEPT`` pieces of a run, oldest first."""

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque([Piece()], maxlen=KEPT)
        self._began_s: float | None = None

    def add_label(self, *, right: bool) -> None:
        """One image decoded."""
        piece = self.pieces[-1]
        piece.labelled += 1
        piece.right += right

    def tick(self, now_s: float, injected: float, estimated: float | None) -> None:
        """Note the rates of now; begin a new piece when it is time. Call a few times per second."""
        if self._began_s is None:
            self._began_s = now_s
        self.pieces[-1].injected, self.pieces[-1].estimated = injected, estimated
        if now_s - self._began_s >= PIECE_S:
            self._began_s = now_s
            self.pieces.append(Piece(injected=injected, estimated=estimated))

    def accuracy(self, count: int) -> list[float | None]:
        """Share of right labels in each of the last `count` pieces, over the ``SMOOTH_IMAGES`` labels before.

        None where no label had come yet.
        """
        pieces = list(self.pieces)
        shares: list[float | None] = []
        labelled = right = first = 0
        for piece in pieces:
            labelled += piece.labelled
            right += piece.right
            while labelled - pieces[first].labelled >= SMOOTH_IMAGES:
                labelled -= pieces[first].labelled
                right -= pieces[first].right
                first += 1
            shares.append(right / labelled if labelled else None)
        return shares[-count:]

    def injected(self, count: int) -> list[float | None]:
        """log10 of the injected BER in each of the last `count` pieces; None where it is 0."""
        return [_log(piece.injected) for piece in list(self.pieces)[-count:]]

    def estimated(self, count: int) -> list[float | None]:
        """log10 of the estimated BER in each of the last `count` pieces; None where there is none."""
        return [_log(piece.estimated) for piece in list(self.pieces)[-count:]]


def _log(rate: float | None) -> float | None:
    return math.log10(rate) if rate else None
