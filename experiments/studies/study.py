"""One job of a series of experiments. Nothing is trained or loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.plan import slug
from experiments.resolve import digest, same_settings


@dataclass(frozen=True)
class Study:
    """One job.

    Attributes:
        name: of the job and of its result.
        group, variant, seed: what it is, for tables.
        kind: what is done; each series of experiments has its own kinds.
        settings: everything that decides its result, plain JSON.
        of: job whose trained codec is measured; empty: its own.
        needs: jobs that must be done before.
        priority: smaller ones first.
        seconds: what it is thought to take on one core.
    """

    name: str
    group: str
    variant: str
    seed: int
    kind: str
    settings: dict[str, Any]
    of: str = ""
    needs: tuple[str, ...] = ()
    priority: int = 0
    seconds: float = 400.0

    @property
    def digest(self) -> str:
        """Of the settings, 16 hexadecimal digits."""
        return digest(self.settings)

    def is_done(self, stored: dict[str, Any]) -> bool:
        """Whether a result of these settings is what the job would give now.

        Recipe fields that are new since then and stand at their defaults do not count.
        """
        return same_settings(stored, self.settings)


def name_of(group: str, variant: str, seed: int) -> str:
    """Of a job: letters, digits and hyphens."""
    return f"{group}-{slug(variant)}-s{seed}"
