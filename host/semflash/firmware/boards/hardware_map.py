"""The hardware map: which boards stand on this desk, at which probes; written by a scan, completed by hand.

    [[board]]
    name = "desk"              # of this entry; yours to choose
    board = "nucleo_f446re"    # semflash boards lists them; "unknown" until you say
    probe = "066AFF..."        # serial number of the debug probe; none for an emulated board
    port = "/dev/ttyACM0"      # where it was seen last
    baud = 921600              # only where it is not the board's own
    fixtures = ["camera"]      # what else is attached, for tests that need it
    connected = true

Model: the hardware map of Zephyr's twister. An update changes `port` and `connected` of known probes and adds
unknown ones; comments, order and everything else stay as they are.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from semflash.errors import UsageError
from semflash.firmware.boards.descriptions import list_boards
from semflash.firmware.boards.probe import Probe, device_file, same_number, twins

FILE_NAME = "semflash-boards.toml"
VARIABLE = "SEMFLASH_BOARDS_MAP"
UNKNOWN_BOARD = "unknown"
#: Stands in a new map where no probe is plugged in.
EMULATED_BOARD = "qemu-stm32f405"
_MAX_BYTES = 1 << 17

#: No control characters: these texts reach terminals.
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
#: Names files of results, too.
Name = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f-\x9f/\\.][^\x00-\x1f\x7f-\x9f/\\]*\Z")]


class MapEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One board of the desk; the keys are those of the file."""

    name: Name
    board: Text
    probe: Text | None = None
    port: Text | None = None
    baud: Annotated[int, Meta(ge=1200, le=20_000_000)] | None = None
    fixtures: tuple[Text, ...] = ()
    connected: bool = True
    product: str = ""
    notes: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    board: tuple[MapEntry, ...] = ()


class HardwareMap(msgspec.Struct, frozen=True):
    """A map that was read and checked."""

    path: Path
    entries: tuple[MapEntry, ...]

    def get(self, name: str) -> MapEntry:
        """The entry called `name`, whose board must be known.

        Raises:
            UsageError: there is none, or its board is not filled in yet.
        """
        names = [entry.name for entry in self.entries]
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
            raise UsageError(
                "the hardware map has no such board", value=name, remedy=f"it has {', '.join(near) or 'none'}"
            )
        entry = self.entries[names.index(name)]
        if entry.board == UNKNOWN_BOARD:
            raise UsageError(
                f"the hardware map does not say which board {name!r} is",
                value=f'board = "{UNKNOWN_BOARD}"',
                remedy=f"write its name into {self.path} (semflash boards lists them)",
            )
        return entry

    def by_probe(self, serial: str) -> MapEntry | None:
        """The entry of a probe; upper and lower case are the same."""
        return next((e for e in self.entries if e.probe is not None and same_number(e.probe, serial)), None)


class ScanReport(msgspec.Struct, frozen=True):
    """What an update of a map found, by name of the entry.

    Attributes:
        added: Probes that are new.
        moved: Known probes at another port.
        present: Known ones at their port.
        gone: Known ones that are not plugged in.
        unnumbered: Ports of probes without serial number, which no map can name.
        shared: Ports of probes that say the same serial number; a map cannot tell them apart, and the entry
            with that number stays as it is.
    """

    path: str
    added: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unnumbered: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def find_map(start: Path | None = None) -> Path | None:
    """SEMFLASH_BOARDS_MAP, else the nearest semflash-boards.toml from `start` (working directory) upward."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    here = (start or Path.cwd()).resolve()
    return next((f / FILE_NAME for f in (here, *here.parents) if (f / FILE_NAME).is_file()), None)


def read_map(path: Path) -> HardwareMap:
    """A map, checked.

    Raises:
        UsageError: it cannot be read, is malformed, names an unknown board, or a name or probe twice.
    """
    return HardwareMap(path, _parse(_read(path), path))


def update_map(path: Path, probes: Iterable[Probe]) -> ScanReport:
    """Bring the map at `path` up to date with the probes that are plugged in; makes it where there is none.

    Raises:
        UsageError: what is there is no map.
    """
    from semflash.firmware.building.project import exclusive, write_if_changed

    with exclusive(path.resolve().parent):
        data = _read(path) if path.exists() else _HEADER.encode()
        entries = _parse(data, path)
        text = data.decode("utf-8")
        changed, report = _merged(text, entries, list(probes), path)
        _parse(changed.encode(), path)  # what is written can be read again
        write_if_changed(path, changed, durable=True)
    return report


_HEADER = f"""\
# Boards on this desk. `semflash boards --scan` keeps port and connected up to date. The rest is yours: board
# ("{UNKNOWN_BOARD}" until you say: semflash boards lists them), name, baud, fixtures, notes (docs/boards.md).
"""


def _merged(
    text: str, entries: tuple[MapEntry, ...], probes: list[Probe], path: Path
) -> tuple[str, ScanReport]:
    """The map's new text."""
    import tomlkit
    from tomlkit.items import AoT

    document = tomlkit.parse(text)
    tables = document.get("board")
    if not isinstance(tables, AoT):
        tables = tomlkit.aot()
        document["board"] = tables
    numbered, shared = _by_number(probes)
    numbers = {port.serial.casefold() for port in shared}
    said: dict[str, list[str]] = {"added": [], "moved": [], "present": [], "gone": []}
    for table, entry in zip(tables, entries, strict=True):
        if entry.probe is None or entry.probe.casefold() in numbers:
            continue
        seen = numbered.pop(entry.probe.casefold(), None)
        if seen is None:
            said["gone"].append(entry.name)
            _set(table, "connected", False, entry.connected)
            continue
        stays = entry.port is not None and device_file(entry.port) == device_file(
            seen.port
        )  # or a link to it
        said["present" if stays and entry.connected else "moved"].append(entry.name)
        if not stays:
            _set(table, "port", seen.port, entry.port)
        _set(table, "connected", True, entry.connected)
    taken = {entry.name for entry in entries}
    for probe in numbered.values():
        name = next(f"board-{i}" for i in range(1, 10_000) if f"board-{i}" not in taken)
        taken.add(name)
        said["added"].append(name)
        tables.append(_table(name, probe))
    if not len(tables):  # a map without a board would be of no use to anybody
        tables.append(_emulated())
    unnumbered = tuple(probe.port for probe in probes if not probe.serial)
    found = {key: tuple(names) for key, names in said.items()}
    ports = tuple(probe.port for probe in shared)
    return tomlkit.dumps(document), ScanReport(str(path), unnumbered=unnumbered, shared=ports, **found)


def _by_number(probes: list[Probe]) -> tuple[dict[str, Probe], list[Probe]]:
    """The first port of every probe by its number in lower case, and all ports of numbers that two share."""
    shared = [probe for probe in probes if twins(probe, probes)]
    numbered: dict[str, Probe] = {}
    for probe in probes:
        if probe.serial and probe not in shared:
            numbered.setdefault(probe.serial.casefold(), probe)
    return numbered, shared


def _set(table: object, key: str, value: str | bool, before: object) -> None:
    """Change a value where it differs; comments at its line stay."""
    if value != before or key not in table:  # type: ignore[operator]
        table[key] = value  # type: ignore[index]


def _table(name: str, probe: Probe) -> object:
    """An entry for a probe that was not known."""
    import tomlkit

    table = tomlkit.table()
    values = {"name": name, "board": UNKNOWN_BOARD, "probe": probe.serial, "port": probe.port}
    for key, value in values.items():
        table.add(key, value)
    table.add("fixtures", [])
    table.add("connected", True)
    if probe.product:
        table.add("product", probe.product)
    return table


def _emulated() -> object:
    """An entry for the emulated board, which needs no probe."""
    import tomlkit

    table = tomlkit.table()
    for key, value in {"name": "emulated", "board": EMULATED_BOARD}.items():
        table.add(key, value)
    return table


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the hardware map cannot be read: {error.strerror}",
            value=path,
            remedy="semflash boards --scan writes one",
        ) from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"the hardware map is longer than {_MAX_BYTES} bytes", value=path)
    return data


def _parse(data: bytes, path: Path) -> tuple[MapEntry, ...]:
    """Entries, each of which makes sense."""
    try:
        entries = msgspec.toml.decode(data, type=_File).board
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"the hardware map is malformed: {error}", value=path, remedy="docs/boards.md shows its keys"
        ) from error
    known = {board.name for board in list_boards()}
    for index, entry in enumerate(entries):
        problem = ""
        if entry.board not in known and entry.board != UNKNOWN_BOARD:
            near = difflib.get_close_matches(entry.board, known, n=1, cutoff=0.4) or sorted(known)
            problem = f"board {entry.board!r} does not exist; did you mean {', '.join(near)}?"
        for other in entries[:index]:
            one_probe = entry.probe is not None and same_number(other.probe or "", entry.probe)
            if other.name == entry.name or one_probe:
                problem = f"entries {other.name!r} and {entry.name!r} have the same name or probe"
        if problem:
            raise UsageError(f"the hardware map is wrong: {problem}", value=path, remedy="correct it by hand")
    return entries
