"""Flags that build, flash, run and bench share, and how they meet the settings."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.errors import UsageError
from semflash.settings import BUNDLE_SUFFIX

if TYPE_CHECKING:
    from semflash.bundle.reader import Bundle
    from semflash.firmware.boards.descriptions import Board
    from semflash.firmware.building.options import BuildOptions
    from semflash.firmware.building.result import BuildResult
    from semflash.settings import Settings


#: What build, flash, run and bench take.
SUBJECT = "bundle folder, a name of the zoo, or a .tflite file"


def add_target(parser: argparse.ArgumentParser, what: str = "bundle folder, or a name of the zoo") -> None:
    """BUNDLE and --board."""
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help=what)
    parser.add_argument("--board", metavar="NAME", help="board (semflash boards lists them)")


def add_build(parser: argparse.ArgumentParser, *, engine: bool = True) -> None:
    """How to build. engine: with --engine, which bench has in a form of its own."""
    from semflash_codegen.request import ENGINES, FAST, KERNELS, SMALL

    if engine:
        parser.add_argument("--engine", choices=ENGINES, help="what runs the graph (default: aot)")
    parser.add_argument("--kernels", choices=KERNELS, help="auto: the fastest for each layer (default)")
    parser.add_argument(
        "--weights", choices=(FAST, SMALL), help="tables of streaming kernels: int16 (fast, default) or int8"
    )
    parser.add_argument(
        "--pilot-bytes",
        type=int,
        metavar="N",
        help="known bytes per frame of codes, by which bit errors are estimated",
    )
    parser.add_argument(
        "--device-id",
        metavar="HEX",
        help="identity the device tells, instead of its chip's (at most 16 bytes)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="build folder (default: build/BUNDLE-BOARD)")
    parser.add_argument("--cmsis-nn-dir", type=Path, metavar="DIR", help="your own CMSIS-NN source tree")
    parser.add_argument(
        "--tflm-dir", type=Path, metavar="DIR", help="TFLM tree (--engine tflm; docs/engines.md)"
    )


def bundle_name(args: argparse.Namespace, settings: Settings) -> str:
    """The bundle that is meant.

    Raises:
        UsageError: neither the command line nor semflash.toml names one.
        BundleError: as :func:`own_bundle`.
    """
    if args.bundle:
        return str(args.bundle)
    if settings.build.bundle is None:
        raise UsageError("no bundle is named", remedy="give BUNDLE, or [build] bundle in semflash.toml")
    return own_bundle(settings.build.bundle, settings)


def own_bundle(name: str, settings: Settings) -> str:
    """The bundle that semflash.toml names.

    Raises:
        BundleError: export is to make it and has not yet.
    """
    from semflash.bundle.reader import resolve_bundle
    from semflash.errors import BundleError

    if not name.endswith(BUNDLE_SUFFIX):
        return name
    try:
        resolve_bundle(name)
    except BundleError as error:
        if os.path.lexists(name):
            raise
        run = settings.train.out_dir
        trained = run is not None and (Path(run) / "codec" / "weights.npz").is_file()
        raise BundleError(
            "the bundle of this project is not made yet",
            value=name,
            remedy="semflash export" if trained else "semflash train, then semflash export",
        ) from error
    return name


def bundle(args: argparse.Namespace, settings: Settings) -> Bundle:
    """The bundle that is meant, or a .tflite file without one, dressed as a bundle.

    Raises:
        UsageError: none is named. BundleError, ModelError: it cannot be read.
    """
    from semflash.bundle.reader import read_bundle
    from semflash.firmware.building.bare_model import read_bare_model

    name = bundle_name(args, settings)
    return read_bare_model(Path(name), whole=True) if is_model(name) else read_bundle(name)


def is_model(name: str) -> bool:
    """Whether a name is that of a .tflite file."""
    return name.endswith(".tflite")


def board(args: argparse.Namespace, settings: Settings) -> Board:
    """The board that is meant."""
    from semflash.firmware.boards.descriptions import load_board

    return load_board(args.board or settings.build.board)


def build_dir(args: argparse.Namespace, settings: Settings) -> Path | None:
    """The build folder that is named, or None for the usual one."""
    named = args.out or settings.build.out_dir
    return Path(named) if named is not None else None


def build_root(settings: Settings) -> Path:
    """Where build folders go that nobody named: beside semflash.toml, else in the working directory."""
    from semflash.firmware.building.firmware import BUILD_ROOT

    if settings.path is None or settings.path.parent == Path.cwd():
        return BUILD_ROOT
    return settings.path.parent / BUILD_ROOT


def usual_dir(settings: Settings, bundle: Bundle, board: Board) -> Path:
    """The build folder of a bundle for a board where none is named."""
    return build_root(settings) / f"{bundle.name}-{board.name}"


def tflm_dir(args: argparse.Namespace, settings: Settings) -> Path | None:
    """The TFLM tree that is named, but for the environment's."""
    folder = args.tflm_dir or settings.build.tflm_dir
    return Path(folder) if folder is not None else None


def options(args: argparse.Namespace, settings: Settings) -> BuildOptions:
    """How flags and settings say to build."""
    from semflash.firmware.building.options import BuildOptions

    chosen = settings.build
    cmsis = args.cmsis_nn_dir or chosen.cmsis_nn_dir
    return BuildOptions(
        engine=args.engine or chosen.engine,
        kernels=args.kernels or chosen.kernels,
        weights=args.weights or chosen.weights,
        out_dir=build_dir(args, settings),
        cmsis_nn_dir=Path(cmsis) if cmsis is not None else None,
        tflm_dir=tflm_dir(args, settings),
        pilot_bytes=chosen.pilot_bytes if args.pilot_bytes is None else args.pilot_bytes,
        device_id=args.device_id or "",
    )


def build(args: argparse.Namespace, settings: Settings) -> BuildResult:
    """Build what flags and settings say."""
    from semflash.firmware.building.firmware import build_bundle

    made, target = bundle(args, settings), board(args, settings)
    chosen = options(args, settings)
    if chosen.out_dir is None:
        chosen = replace(chosen, out_dir=usual_dir(settings, made, target))
    return build_bundle(made, target, chosen)
