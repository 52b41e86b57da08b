"""What `semflash hil` runs: which boards, which bundle, how much, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from semflash.bundle.reader import Bundle
from semflash.firmware.boards import Board
from semflash.firmware.hardware_map import MapEntry
from semflash.firmware.options import BuildOptions

IMAGES = 500
FAULT_IMAGES = 40


@dataclass(frozen=True)
class Target:
    """One board of the map.

    Attributes:
        name: in the map, unique. board: its description.
        entry: what the map says of it; None: there is no map.
    """

    name: str
    board: Board
    entry: MapEntry | None = None

    @property
    def baud(self) -> int | None:
        """Line speed, where it differs from the description's."""
        return self.entry.baud if self.entry is not None else None


@dataclass(frozen=True)
class HilPlan:
    """One run.

    Attributes:
        targets: boards, in order. bundle: what they run. build: how it is built; out_dir is not used.
        images: for the bit-exact check; fault_images: for each fault case.
        dataset: data set for the images; None: made from `seed`. data_dir: its files.
        flash: False: the boards run what they were flashed with before.
        map_path: the hardware map; None: there is none.
        budget_path: file of the budgets. update_budget: write what was measured.
        work_dir: folder for build folders.
        record_dir: folder for the raw bytes of each board; None: not kept.
        timeout_s: silence after which a session starts over.
    """

    targets: tuple[Target, ...]
    bundle: Bundle
    work_dir: Path
    budget_path: Path
    map_path: Path | None = None
    build: BuildOptions = field(default_factory=BuildOptions)
    images: int = IMAGES
    fault_images: int = FAULT_IMAGES
    seed: int = 0
    dataset: str | None = None
    data_dir: Path | None = None
    flash: bool = True
    update_budget: bool = False
    record_dir: Path | None = None
    timeout_s: float = 10.0
