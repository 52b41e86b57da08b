"""``semflash collect``: what a board's own sensor sees, as labelled images."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options, link_options
from semflash.errors import SemflashError, UsageError
from semflash.settings import first

if TYPE_CHECKING:
    from semflash.bundle.reader import Bundle
    from semflash.data.own.album import Album
    from semflash.link.session import Session
    from semflash.monitor.collecting import Collected
    from semflash.settings import Settings

HELP = "store pictures of a board's own sensor as labelled images to learn from"
EPILOG = """examples:
  semflash collect stamps-48 --board nucleo_l476rg --images photos --label cat --count 60 --every 1
  semflash collect stamps-48 --board nucleo_l476rg --images photos --label dog --count 60
  semflash collect stamps-48 --board nucleo_l476rg --images photos --keys cat,dog
  semflash new mine --data photos

The firmware is your own and shows its source with sf_device_show() (docs/device.md); BUNDLE is in it and
gives the pictures their size. They are kept as IMAGES/LABEL/LABEL-000001.png, whole and never replaced. What
lies there counts towards --count, so the same command goes on where it was stopped. With --keys a terminal
shows what the board sees: 1..9 store it, space holds it, q ends.
"""

DEFAULT_EVERY_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own flags and those of the board."""
    build_options.add_target(parser, "bundle that is in the firmware, or a name of the zoo")
    parser.add_argument("--images", type=Path, metavar="DIR", required=True, help="folder of the classes")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--label", help="class that all pictures show")
    how.add_argument("--keys", metavar="A,B,...", help="classes that the keys 1..9 store a picture under")
    parser.add_argument(
        "--count", type=int, metavar="N", help="with --label: until so many are there (default: until Ctrl-C)"
    )
    parser.add_argument(
        "--every",
        type=float,
        metavar="S",
        help=f"with --label: seconds from one picture to the next, at least (default {DEFAULT_EVERY_S})",
    )
    parser.add_argument("--port", metavar="URL", help="serial port, or socket://host:port")
    parser.add_argument("--baud", type=link_options.baud, metavar="N", help="bits per second")
    parser.add_argument("--timeout", type=float, metavar="S", help="silence that counts as lost, seconds")
    parser.add_argument("--json", action="store_true", help="print what was stored as one JSON object")
    link_options.add_board(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Attach, take pictures, say what there is now."""
    from semflash.bundle import read_bundle
    from semflash.edge.attach import attach
    from semflash.firmware.boards.lock import BoardUser
    from semflash.link.session import Expected, Session
    from semflash.monitor.collecting import Collected

    entry = link_options.entry(args)  # may say which board is meant
    labels = _labels(args)
    board = build_options.board(args, settings)
    if board.kind == "native":
        raise UsageError("board 'native' has no sensor", remedy="--board, or --port of a board that has one")
    bundle = read_bundle(build_options.bundle_name(args, settings))
    _check_pixels(bundle)
    baud = first(args.baud, entry.baud if entry is not None else None, settings.link.baud)
    wished = link_options.flash_port(args, settings, board.kind)
    url = link_options.find_port(board, args, wished, entry)
    found = Collected()
    user = BoardUser("semflash collect", args.map)
    with attach(board, port=url, baud=baud, user=user) as port:
        timeout_s = first(args.timeout, settings.link.timeout_s) or 0.0
        session = Session(port, Expected.of(bundle), timeout_s=timeout_s)
        album = _album(args, bundle, session)
        try:
            _collect(args, session, bundle, album, labels, found)
        except (KeyboardInterrupt, SemflashError, OSError):
            if not args.json:
                _say(args, album, labels, found)
            raise
    _say(args, album, labels, found)
    return 0


def _labels(args: argparse.Namespace) -> list[str]:
    """The classes that are collected.

    Raises:
        UsageError: a name is no class's, flags do not go together, or keys have no terminal.
    """
    from semflash.data.own.album import check_label
    from semflash.monitor.live.keyboard import is_usable
    from semflash.monitor.live.viewfinder import LABELS_MAX

    if args.count is not None and args.count < 1:
        raise UsageError("--count must be at least 1", value=args.count)
    if args.every is not None and not 0 <= args.every <= 3600:
        raise UsageError("--every is a number of 0 to 3600 seconds", value=args.every)
    if args.label is not None:
        return [check_label(args.label)]
    if args.count is not None or args.every is not None or args.json:
        raise UsageError("--count, --every and --json go with --label", remedy="leave them out, or --keys")
    labels = [check_label(one) for one in args.keys.split(",")]
    if len(labels) > LABELS_MAX or len(set(labels)) < len(labels):
        raise UsageError(f"--keys takes up to {LABELS_MAX} different labels", value=args.keys)
    if not (is_usable(sys.stdin) and sys.stdout.isatty()):
        raise UsageError("--keys needs a terminal", remedy="--label stores without keys")
    return labels


def _check_pixels(bundle: Bundle) -> None:
    channels = bundle.image_shape[2]
    if channels not in (1, 3):
        raise UsageError(
            "image files hold grey or RGB pixels",
            value=f"{bundle.name}: {channels} channels",
            remedy="a bundle whose images have one channel or three",
        )


def _album(args: argparse.Namespace, bundle: Bundle, session: Session) -> Album:
    """The folder, with what the board says of itself in every file."""
    from semflash.data.own.album import Album
    from semflash.printable import printable

    hello = session.connect()
    source = f"board {printable(hello.board)}, bundle {bundle.hash_hex[:8]}, build {hello.build_id:08x}"
    return Album(args.images, {"Software": "semflash collect", "Source": source})


def _collect(
    args: argparse.Namespace,
    session: Session,
    bundle: Bundle,
    album: Album,
    labels: list[str],
    found: Collected,
) -> None:
    from semflash.monitor.collecting import ByLabel, collect
    from semflash.monitor.live.keyboard import Keyboard
    from semflash.monitor.live.viewfinder import Viewfinder

    if args.label is None:
        with Viewfinder(album, labels, Keyboard()) as finder:
            collect(session, bundle.image_shape, finder, found)
        return

    def tell(found: Collected) -> None:
        if not args.json and sys.stderr.isatty():
            print(f"\r{found.stored[args.label]:,} stored, {found.last}", end="", file=sys.stderr, flush=True)

    every_s = DEFAULT_EVERY_S if args.every is None else args.every
    collect(session, bundle.image_shape, ByLabel(album, args.label, args.count, every_s, tell), found)


def _say(args: argparse.Namespace, album: Album, labels: list[str], found: Collected) -> None:
    """What was stored, what there is now, and what comes next."""
    if args.json:
        import json

        there = {label: album.count(label) for label in labels}
        facts = {"images": str(album.folder), "stored": found.stored, "there": there, "spoilt": found.spoilt}
        print(json.dumps(facts))
        return
    if found.stored and args.label is not None and sys.stderr.isatty():
        print(file=sys.stderr)
    for label in labels:
        new = found.stored.get(label, 0)
        print(f"{label}: {new:,} stored, {album.count(label):,} in {album.folder / label}")
    if found.spoilt:
        print(f"{found.spoilt:,} pictures did not come whole and were not stored")
    classes = [path for path in album.folder.iterdir() if path.is_dir()] if album.folder.is_dir() else []
    folder = shlex.quote(str(album.folder))
    if len(classes) > 1:
        print(f"next: semflash new mine --data {folder}")
    else:
        print("next: the same with another --label; two classes are needed")
