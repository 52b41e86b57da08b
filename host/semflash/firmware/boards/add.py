"""New board descriptions: from one that exists, with what is different. Checked before they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from semflash import atomic
from semflash.errors import UsageError
from semflash.firmware.boards.descriptions import Board, list_boards, load_board, own_folder, parse_board


class Changes(msgspec.Struct, frozen=True):
    """What a new board has of its own; None: as the board it is like.

    Attributes:
        platformio_board: PlatformIO's name of the board (`pio boards`).
        source, source_hz, pll_m .. pll_r: The clock tree.
        apb_dividers: Of APB1, APB2.
    """

    title: str | None = None
    mcu: str | None = None
    cpu: str | None = None
    platformio_board: str | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    clock_hz: int | None = None
    source: str | None = None
    source_hz: int | None = None
    pll_m: int | None = None
    pll_n: int | None = None
    pll_p: int | None = None
    pll_q: int | None = None
    pll_r: int | None = None
    apb_dividers: tuple[int, ...] | None = None
    wait_states: int | None = None
    over_drive: bool | None = None
    usart: int | None = None
    baud: int | None = None


def add_board(name: str, like: str, changes: Changes, folder: Path | None = None) -> Path:
    """Write boards/<name>.toml.

    Args:
        like: hardware board that the new one resembles: same family, port and probe.
        folder: for the description; that of :func:`own_folder` when None.

    Raises:
        UsageError: the name is taken, or `like` is no hardware board.
        BuildError: the result contradicts itself; says how.
    """
    folder = own_folder() if folder is None else folder
    if name in {board.name for board in list_boards()} or (folder / f"{name}.toml").exists():
        raise UsageError(
            "there is a board of this name", value=name, remedy="choose another, or edit its file"
        )
    base = load_board(like)
    if base.kind != "hardware":
        raise UsageError(
            "a new board resembles one that can be plugged in",
            value=like,
            remedy=f"--like {' or '.join(b.name for b in list_boards() if b.kind == 'hardware')}",
        )
    text = describe(name, base, changes)
    parse_board(text.encode(), name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    atomic.write(path, text, new=True)
    return path


def describe(name: str, base: Board, changes: Changes) -> str:
    """The description's text."""
    given = {key: value for key, value in msgspec.structs.asdict(changes).items() if value is not None}
    tree: dict[str, Any] = msgspec.to_builtins(base)
    tree["name"], tree["platformio_env"] = name, name
    tree["title"] = given.get("title", name)
    for key in ("mcu", "cpu", "clock_hz"):
        tree[key] = given.get(key, tree[key])
    tree["platformio_board"] = given.get("platformio_board") or base.platformio_board or base.platformio_env
    tree["flash"]["size_bytes"] = given.get("flash_bytes", tree["flash"]["size_bytes"])
    if "ram_bytes" in given:
        tree["ram"] = [{**tree["ram"][0], "size_bytes": given["ram_bytes"]}]
    clock, serial = tree["clock"], tree["serial"]
    for key in ("source", "source_hz", "apb_dividers", "over_drive"):
        clock[key] = given.get(key, clock[key])
    clock["flash_wait_states"] = given.get("wait_states", clock["flash_wait_states"])
    for key in clock["pll"]:
        clock["pll"][key] = given.get(f"pll_{key}", clock["pll"][key])
    for key in ("usart", "baud"):
        serial[key] = given.get(key, serial[key])
    return f"# {tree['title']}. Written by semflash boards add; docs/boards.md explains the keys.\n" + _toml(
        tree
    )


def _toml(tree: dict[str, Any]) -> str:
    """Plain values first, then tables, with addresses in hex."""
    lines: list[str] = []
    tables = ("flash", "ram", "clock", "serial")
    lines += [
        f"{key} = {_value(value)}" for key, value in tree.items() if key not in tables and value is not None
    ]
    for key in tables:
        for table in tree[key] if key == "ram" else [tree[key]]:
            lines += ["", f"[[{key}]]" if key == "ram" else f"[{key}]"]
            lines += [
                f"{name} = {_value(value, hexadecimal=name == 'origin')}" for name, value in table.items()
            ]
    return "\n".join(lines) + "\n"


def _value(value: Any, *, hexadecimal: bool = False) -> str:
    """One value; strings are quoted as in JSON, which TOML reads alike."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    if hexadecimal:
        return f"{value:#010x}"
    return msgspec.json.encode(value).decode()
