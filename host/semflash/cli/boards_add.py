"""semflash boards add: a new board description, from flags or questions."""

from __future__ import annotations

import argparse
import sys

from semflash.errors import UsageError

#: flag, type, what is asked where it is missing and somebody can answer (empty: not asked)
_FLAGS: tuple[tuple[str, type, str], ...] = (
    ("title", str, "what people call the board"),
    ("mcu", str, "its microcontroller, for instance stm32f411re"),
    ("platformio_board", str, "PlatformIO's name of the board (pio boards)"),
    ("flash_bytes", int, "flash, bytes"),
    ("ram_bytes", int, "RAM in one piece, bytes"),
    ("clock_hz", int, "CPU clock, Hz"),
    ("cpu", str, ""),
    ("source_hz", int, ""),
    ("pll_m", int, ""),
    ("pll_n", int, ""),
    ("pll_p", int, ""),
    ("pll_q", int, ""),
    ("pll_r", int, ""),
    ("wait_states", int, ""),
    ("usart", int, ""),
    ("baud", int, ""),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `add`, in a group of their own."""
    parser.add_argument("action", nargs="?", choices=("add",), help="write a new board description")
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the new board")
    group = parser.add_argument_group("add (each flag that is left out is as on the board of --like)")
    group.add_argument("--like", metavar="BOARD", help="hardware board of the same family")
    for flag, kind, _ in _FLAGS:
        group.add_argument(
            f"--{flag.replace('_', '-')}",
            type=_number if kind is int else str,
            metavar="N" if kind is int else "TEXT",
        )
    group.add_argument("--source", choices=("hsi", "hse", "hse-bypass", "msi"), help="oscillator")
    group.add_argument("--apb-dividers", type=_number, nargs=2, metavar=("APB1", "APB2"))
    group.add_argument("--over-drive", action=argparse.BooleanOptionalAction, default=None)
    group.add_argument("--no-questions", action="store_true", help="ask nothing")


def run(args: argparse.Namespace) -> int:
    """Ask what is missing, check, write."""
    from semflash.firmware.boards.add import Changes, add_board
    from semflash.firmware.boards.descriptions import load_board

    if args.name is None:
        raise UsageError("the new board has no name", remedy="semflash boards add NAME --like BOARD")
    asking = sys.stdin.isatty() and not (args.no_questions or args.json)
    if args.like is None and asking:
        args.like = _ask("a board of the same family", "nucleo_f446re")
    if args.like is None:
        raise UsageError("nothing says which board the new one is like", remedy="--like nucleo_f446re")
    base = load_board(args.like)
    values = {name: getattr(args, name) for name in Changes.__struct_fields__}
    for flag, kind, question in _FLAGS:
        if question and values[flag] is None and asking:
            values[flag] = _answer(flag, kind, question, base)
    if values["apb_dividers"] is not None:
        values["apb_dividers"] = tuple(values["apb_dividers"])
    path = add_board(args.name, args.like, Changes(**values))
    if args.json:
        import json

        print(json.dumps({"board": args.name, "path": str(path)}))
    else:
        print(f"written  {path}\nnext     semflash build BUNDLE --board {args.name}")
    return 0


def _answer(flag: str, kind: type, question: str, base: object) -> str | int | None:
    """What the user types; None where it is as on the board that is alike."""
    known = {
        "flash_bytes": getattr(base, "flash_bytes", None),
        "ram_bytes": getattr(base, "ram_bytes", None),
        "title": None,
    }.get(flag, getattr(base, flag, None))
    while True:
        text = _ask(question, str(known) if known is not None else "")
        if text in ("", str(known)):
            return None
        if kind is str:
            return text
        try:
            return _number(text)
        except argparse.ArgumentTypeError as error:
            print(error)


def _ask(question: str, default: str) -> str:
    shown = f" [{default}]" if default else ""
    try:
        return input(f"{question}{shown}: ").strip() or default
    except EOFError:
        return default


def _number(text: str) -> int:
    """A whole number, decimal or hex, with optional underscores."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return value
