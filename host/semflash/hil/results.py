"""What came of a run: one line per check and board, sums and the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """One check of one board.

    Attributes:
        target: Name in the map.
        check: For people.
        verdict: "ok" or what is wrong in one word.
        detail: What was found, or what failed with its remedy.
        exit_code: Of a failure, else 0.
    """

    target: str
    check: str
    outcome: Outcome
    verdict: str
    detail: str
    seconds: float
    exit_code: int = 0


@dataclass
class HilResult:
    """All checks of all boards; `facts` by target: ids, counts, rates."""

    checks: list[CheckResult] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def failed(self) -> list[CheckResult]:
        """Those that failed."""
        return [check for check in self.checks if check.outcome == "failed"]

    @property
    def exit_code(self) -> int:
        """0 all well; 3 where a board or its link failed; else 1."""
        return max((check.exit_code for check in self.failed), default=0)

    def of(self, target: str) -> list[CheckResult]:
        """The checks of one board, in order."""
        return [check for check in self.checks if check.target == target]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "boards": [
                {
                    "name": target,
                    "facts": facts,
                    "checks": [
                        {
                            "check": check.check,
                            "outcome": check.outcome,
                            "verdict": check.verdict,
                            "detail": check.detail,
                            "seconds": round(check.seconds, 3),
                        }
                        for check in self.of(target)
                    ],
                }
                for target, facts in self.facts.items()
            ],
            "failed": len(self.failed),
            "exit_code": self.exit_code,
        }
