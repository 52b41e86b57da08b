"""How many symbols an image may have so that their mean stays below a bound: a Lyapunov controller.

Each slot (an image) has one of several settings. A setting costs ``rho`` (a share of what could be sent) and
is worth ``Lambda`` at the SNR of the moment. A queue Z grows by what is spent beyond the bound, and the
setting is the one of least ``Z rho - V Lambda`` (drift plus penalty, as in arXiv 2505.17604):

    Z <- max(0, Z + mu (rho - rho_th))

The mean of rho over T slots is at most ``rho_th + (Z(T) - Z(0)) / (mu T)``. A queue that begins at its bound,

    V max (Lambda(g) - Lambda(least)) / (rho(g) - rho(least)) + mu (max rho - rho_th)

never exceeds it, and so the mean is within the bound after every slot; the paper begins at 0. All numbers
are whole: Lambda has 15 bits behind the point, rho and Z have 16. ``device/src/controller.c`` does the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semflash.errors import UsageError

LAMBDA_ONE, RHO_ONE = 1 << 15, 1 << 16
QUEUE_MAX = (1 << 32) - 1
V_MAX, MU_MAX, SETTINGS_MAX, ROWS_MAX = 1 << 14, 255, 64, 64
#: Q15 worth to the Q32 of Z rho.
_WORTH_SHIFT = 17


@dataclass(frozen=True)
class Worth:
    """What settings cost and what they are worth.

    Attributes:
        rho: Of each setting, 0 to 65,536 for all that could be sent.
        worth: Lambda of each setting, 0 to 32,768 for 1, in a row for each SNR.
        snr_low: SNR of the first row, in hundredths of a dB.
        snr_step: From row to row, the same unit, above 0.

    Raises:
        UsageError: Numbers out of range, or rows of other lengths.
    """

    rho: tuple[int, ...]
    worth: tuple[tuple[int, ...], ...]
    snr_low: int
    snr_step: int

    def __post_init__(self) -> None:
        count = len(self.rho)
        if not 1 <= count <= SETTINGS_MAX or not 1 <= len(self.worth) <= ROWS_MAX:
            raise UsageError("a table has 1 to 64 settings and 1 to 64 rows", value=(count, len(self.worth)))
        if any(len(row) != count for row in self.worth):
            raise UsageError("each row has a worth for each setting", value=[len(row) for row in self.worth])
        if not all(0 <= rho <= RHO_ONE for rho in self.rho):
            raise UsageError("rho is a share, 0 to 65,536", value=self.rho)
        if not all(0 <= worth <= LAMBDA_ONE for row in self.worth for worth in row):
            raise UsageError("a worth is a share, 0 to 32,768")
        if self.snr_step < 1:
            raise UsageError("rows are an SNR apart", value=self.snr_step)

    def row(self, snr: int) -> int:
        """The row nearest to an SNR in hundredths of a dB, halves up; outside it is the first or the last."""
        nearest = (2 * (snr - self.snr_low) + self.snr_step) // (2 * self.snr_step)
        return min(max(nearest, 0), len(self.worth) - 1)

    @property
    def least(self) -> int:
        """The setting of least rho, of equal ones the first."""
        return self.rho.index(min(self.rho))

    def steepest(self, v: int) -> int:
        """V times the largest gain of worth per rho over the least setting, Q16, rounded up."""
        least, found = self.least, 0
        for row in self.worth:
            for rho, worth in zip(self.rho, row, strict=True):
                more = rho - self.rho[least]
                gain = v * max(worth - row[least], 0) << _WORTH_SHIFT
                found = max(found, -(-gain // more)) if more else found
        return found


class Controller:
    """Chooses a setting for each slot.

    Args:
        table: What settings cost and are worth.
        threshold: The bound of the mean rho, 0 to 65,536.
        v: Weight of the worth, 1 to 16,384; 1 to 10 hold the bound tightly.
        mu: Weight of the queue's steps, 1 to 255.
        at_bound: Whether the queue begins at its bound; otherwise at 0, as in the paper.

    Attributes:
        queue: Z.

    Raises:
        UsageError: A number is out of its range, or the queue's bound is.
    """

    def __init__(
        self, table: Worth, threshold: int, v: int = 10, mu: int = 1, *, at_bound: bool = True
    ) -> None:
        if not 0 <= threshold <= RHO_ONE or not 1 <= v <= V_MAX or not 1 <= mu <= MU_MAX:
            raise UsageError(
                f"threshold 0 to {RHO_ONE}, v 1 to {V_MAX}, mu 1 to {MU_MAX}", value=(threshold, v, mu)
            )
        self.table, self.threshold, self.v, self.mu = table, threshold, v, mu
        self.bound = table.steepest(v) + mu * max(max(table.rho) - threshold, 0)
        if self.bound > QUEUE_MAX // 2:
            raise UsageError("the queue's bound is too large", value=self.bound, remedy="a smaller v")
        self.queue = self.bound if at_bound else 0

    def choose(self, snr: int) -> int:
        """The setting for an SNR in hundredths of a dB; of equal ones that of less rho, then the first."""
        row = self.table.worth[self.table.row(snr)]
        return min(range(len(row)), key=lambda g: (self._cost(g, row), self.table.rho[g], g))

    def _cost(self, setting: int, row: Sequence[int]) -> int:
        return self.queue * self.table.rho[setting] - (self.v * row[setting] << _WORTH_SHIFT)

    def spent(self, rho: int) -> None:
        """What a slot really cost, 0 to 65,536."""
        self.queue = min(max(0, self.queue + self.mu * (rho - self.threshold)), QUEUE_MAX)

    @property
    def infeasible(self) -> bool:
        """Whether the queue tells that no choice keeps the bound: it is beyond twice its own."""
        return self.queue > 2 * self.bound
