"""What `semflash hil` runs: which boards, which bundle, how much, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from semflash.bundle.reader import Bundle, read_bundle
from semflash.errors import UsageError
from semflash.firmware import resources
from semflash.firmware.boards.descriptions import DEFAULT_BOARD, Board, load_board
from semflash.firmware.boards.hardware_map import MapEntry, read_map
from semflash.firmware.building.firmware import BUILD_ROOT
from semflash.firmware.building.options import BuildOptions
from semflash.hil import budget

IMAGES = 500
FAULT_IMAGES = 40


@dataclass(frozen=True)
class Target:
    """One board of the map.

    Attributes:
        name: In the map, unique.
        board: Its description.
        entry: What the map says of it; None: there is no map.
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
        targets: Boards, in order.
        bundle: What they run.
        build: How it is built; out_dir is not used.
        images: For the bit-exact check.
        fault_images: For each fault case.
        dataset: Data set for the images; None: made from `seed`.
        data_dir: Its files.
        flash: False: the boards run what they were flashed with before.
        map_path: The hardware map; None: there is none.
        budget_path: File of the budgets.
        update_budget: Write what was measured.
        work_dir: Folder for build folders.
        record_dir: Folder for the raw bytes of each board; None: not kept.
        timeout_s: Silence after which a session starts over.
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


def targets_of(map_path: Path | None, names: tuple[str, ...] = ()) -> tuple[Target, ...]:
    """The boards of a hardware map; the emulated board alone where there is no map.

    Args:
        names: only these; all when empty.

    Raises:
        UsageError: the map is malformed, empty or has no such board.
    """
    if map_path is None:
        board = load_board(DEFAULT_BOARD)
        targets: tuple[Target, ...] = (Target(board.name, board),)
    else:
        hardware_map = read_map(map_path)
        entries = [hardware_map.get(entry.name) for entry in hardware_map.entries]
        targets = tuple(Target(entry.name, load_board(entry.board), entry) for entry in entries)
        if not targets:
            raise UsageError(
                "the hardware map is empty", value=map_path, remedy="semflash boards --scan fills it"
            )
    known = {target.name: target for target in targets}
    for name in names:
        if name not in known:
            raise UsageError("the map has no such board", value=name, remedy=f"boards are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else targets


def budget_path(map_path: Path | None) -> Path:
    """Where budgets are kept: beside the map, else with the board descriptions."""
    folder = map_path.resolve().parent if map_path is not None else resources.root() / "boards" / "hil"
    return folder / budget.FILE_NAME


def plan_of(bundle: str, *, map_path: Path | None = None, names: tuple[str, ...] = ()) -> HilPlan:
    """A plan with everything else as usual."""
    return HilPlan(
        targets=targets_of(map_path, names),
        bundle=read_bundle(bundle),
        work_dir=BUILD_ROOT / "hil",
        budget_path=budget_path(map_path),
        map_path=map_path,
    )
