"""What a board may cost: counts per image and flash, in a TOML file that `--update-budget` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from semflash.errors import UsageError
from semflash.firmware.building.project import write_if_changed

FILE_NAME = "budgets.toml"
TOLERANCE = 0.03
#: What may not grow; the stack is kept for the eye alone, its depth depends on when interrupts come.
MEASURES = ("count_per_image", "flash_bytes")
_MAX_BYTES = 1 << 17
_HEADER = """# What the boards cost, written by `semflash hil --update-budget`; growth by more than 3 % fails.
# count_per_image: instructions (emulated) or cycles, median.
"""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one firmware cost on one board.

    Attributes:
        board: Description, for instance "nucleo_f446re".
        bundle: Name.
        engine: As HELLO has it.
        bundle_hash: First 32 bits, of the bundle that was measured.
        counter: "instructions" or "cycles".
        count_per_image: Median; None where the board counts none.
        stack_bytes: Deepest, not compared.
        flash_bytes: Of the image; None on native.
    """

    board: str
    bundle: str
    engine: str
    bundle_hash: str
    counter: str
    count_per_image: int | None = None
    stack_bytes: int | None = None
    flash_bytes: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is looked up by."""
        return self.board, self.bundle, self.engine


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    budget: tuple[Budget, ...] = ()


def read_budgets(path: Path) -> dict[tuple[str, str, str], Budget]:
    """All budgets of a file, by board, bundle and engine; none where there is no file.

    Raises:
        UsageError: the file is malformed, or names a firmware twice.
    """
    try:
        data = path.read_bytes()
        if len(data) > _MAX_BYTES:
            raise ValueError(f"{len(data)} bytes is too long")
        found = msgspec.toml.decode(data, type=_File).budget
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise UsageError(
            "the budget file is malformed", value=f"{path}: {error}", remedy="semflash hil --update-budget"
        ) from error
    budgets = {budget.key: budget for budget in found}
    if len(budgets) != len(found):
        raise UsageError("the budget file names a firmware twice", value=path, remedy="remove one of the two")
    return budgets


def write_budgets(path: Path, measured: Sequence[Budget]) -> None:
    """Put `measured` in place of what the file says of the same firmware; the rest stays."""
    budgets = read_budgets(path)
    budgets.update({budget.key: budget for budget in measured})
    tables = [_table(budgets[key]) for key in sorted(budgets)]
    write_if_changed(path, _HEADER + "".join(tables))


def _table(budget: Budget) -> str:
    lines = ["\n[[budget]]\n"]
    for name in budget.__struct_fields__:
        value = getattr(budget, name)
        if isinstance(value, int):
            lines.append(f"{name} = {value:_}\n")
        elif value is not None:
            lines.append(f"{name} = {msgspec.json.encode(value).decode()}\n")
    return "".join(lines)


def excess(measured: Budget, allowed: Budget) -> list[str]:
    """What grew by more than the tolerance, in words; empty where nothing did.

    >>> old = Budget("b", "c", "e", "1", "cycles", count_per_image=1000)
    >>> excess(msgspec.structs.replace(old, count_per_image=1031), old)
    ['1,031 cycles per image, budget 1,000: +3.1 %']
    """
    names = {
        "count_per_image": f"{measured.counter} per image",
        "flash_bytes": "bytes of flash",
    }
    found = []
    for measure in MEASURES:
        new, old = getattr(measured, measure), getattr(allowed, measure)
        if old is None:
            continue
        if new is None:
            found.append(f"{names[measure]} is not measured any more, budget {old:,}")
        elif new > old * (1 + TOLERANCE):
            found.append(f"{new:,} {names[measure]}, budget {old:,}: {new / old - 1:+.1%}".replace("%", " %"))
    return found
