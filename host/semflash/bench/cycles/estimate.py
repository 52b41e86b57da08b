"""Estimated cycles of one image, read from what the plugin wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from semflash.bench.cycles.flash import FlashModel
from semflash.errors import DeviceError

_MAX_BYTES = 64 << 20


class FlashStalls(msgspec.Struct, frozen=True):
    """Cycles that the core waits for one imagined flash: for instructions and for constants."""

    name: str
    fetch: int
    read: int


class CycleEstimate(msgspec.Struct, frozen=True):
    """An ESTIMATE of cycles, from the timing table of docs/cycles.md; no board has measured it.

    Attributes:
        instructions: Executed.
        core_min: Without waiting for flash; branches refill in 1 cycle, divisions take 2.
        core: The same with 2 and 7.
        core_max: With 3 and 12, and one or two more for every access to an odd address.
        flash: Waiting for each imagined flash.
    """

    instructions: int
    core_min: int
    core: int
    core_max: int
    flash: tuple[FlashStalls, ...]

    def with_flash(self, name: str) -> int:
        """Cycles of the core and of waiting for the flash called `name`."""
        (stalls,) = (one for one in self.flash if one.name == name)
        return self.core + stalls.fetch + stalls.read

    def less(self, others: Sequence[CycleEstimate]) -> CycleEstimate:
        """What is left beside `others`, which are parts of this."""
        return CycleEstimate(
            self.instructions - sum(one.instructions for one in others),
            self.core_min - sum(one.core_min for one in others),
            self.core - sum(one.core for one in others),
            self.core_max - sum(one.core_max for one in others),
            tuple(
                FlashStalls(
                    stalls.name,
                    stalls.fetch - sum(one.flash[index].fetch for one in others),
                    stalls.read - sum(one.flash[index].read for one in others),
                )
                for index, stalls in enumerate(self.flash)
            ),
        )


class CycleResult(msgspec.Struct, frozen=True):
    """The estimates of a bench.

    Attributes:
        flash_of: The board whose flash is imagined.
        clock_hz: Its clock.
        total: Of one image on the firmware as it ships.
        layers: As the layers of the bench, in a firmware with the layer clock, whose own cycles are left
            out; empty where layers were not measured.
        rest: What the layers leave of an image: taking rows in, tail, packing.
    """

    flash_of: str
    clock_hz: int
    total: CycleEstimate
    layers: tuple[CycleEstimate, ...] = ()
    rest: CycleEstimate | None = None


class _Counts(msgspec.Struct, frozen=True):
    instructions: int
    core: tuple[int, int, int]
    fetch: tuple[int, ...]
    read: tuple[int, ...]


class _Image(msgspec.Struct, frozen=True):
    total: _Counts
    layers: tuple[tuple[int, _Counts], ...]


class _Written(msgspec.Struct, frozen=True):
    images: tuple[_Image, ...]


def read_estimate(path: Path, models: Sequence[FlashModel]) -> tuple[CycleEstimate, dict[int, CycleEstimate]]:
    """The last image's estimate, caches warm from those before it, and its layers by number.

    Raises:
        DeviceError: The emulator has written nothing, or something else.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("it is too long")
        written = msgspec.json.decode(path.read_bytes(), type=_Written)
        if not written.images:
            raise ValueError("no image ran")
        last = written.images[-1]
        return _estimate(last.total, models), {n: _estimate(counts, models) for n, counts in last.layers}
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise DeviceError(
            "the emulator counted no cycles", value=str(error), remedy="run again, or --no-cycles"
        ) from error


def _estimate(counts: _Counts, models: Sequence[FlashModel]) -> CycleEstimate:
    stalls = tuple(
        FlashStalls(model.name, fetch, read)
        for model, fetch, read in zip(models, counts.fetch, counts.read, strict=True)
    )
    return CycleEstimate(counts.instructions, *counts.core, stalls)
