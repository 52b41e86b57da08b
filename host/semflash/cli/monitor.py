"""``semflash monitor``: images through a board, labels out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options, control_options, data_options, link_options, quality_options
from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from semflash.bundle import Bundle
    from semflash.edge.split import Split
    from semflash.firmware.boards.descriptions import Board
    from semflash.firmware.boards.lock import BoardUser
    from semflash.link.faults.log import FaultLog
    from semflash.link.port import Port
    from semflash.monitor.monitor import MonitorOptions, MonitorResult, View

HELP = "run images through a board and show what is read, losses and accuracy"
EPILOG = """examples:
  semflash monitor fashion-mnist-48                                # the emulated board, 200 test images
  semflash monitor fashion-mnist-48 --ber 0.01 --record run.jsonl  # 1 % of all payload bits flipped
  semflash monitor fashion-mnist-48 --board native --count 10000 --check-golden
  semflash monitor fashion-mnist-48 --board nucleo_f446re --port /dev/ttyACM0
  semflash monitor fashion-mnist-48 --entry desk                   # of the hardware map
  semflash monitor fashion-mnist-limitnet --rate 24                # payloads of at most 24 bytes
  semflash monitor fashion-mnist-limitnet --rate-trace fading:8-48 # another rate for each image
  semflash monitor tosc.semcodec --snr 3 --fading rayleigh         # its state follows the channel
  semflash monitor tosc.semcodec --snr-trace steps.txt --state 7   # or stays, whatever the channel does
  semflash monitor fashion-mnist-48 --loop                         # until q; + and - change the bit errors
  semflash monitor fashion-mnist-48 --jsonl | jq .kind             # every record as it is written

At a terminal the view is live: + - bytes of the next images where the bundle has a rate, else bit errors
(> < in any case), p pause, s one image, q quit, ? help.
Bit errors are injected into received payloads (seeded per image); a serial line is practically error-free.
--fault puts errors on the whole line, frames and all.
Exit code: 0 ok, 1 a payload differs from the golden reference or is longer than its image was told, 3 the
link failed or images were lost.
"""

RECONNECT_S = 60.0
COUNT = 200  # images of a run, where nobody says how many
ALL = -1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    build_options.add_target(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="build folder of board native")
    add_monitor_flags(parser)
    add_output_flags(parser)
    link_options.add_board(parser)


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """--json and --jsonl."""
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    output.add_argument("--jsonl", action="store_true", help="print records and progress as JSON lines")


def add_monitor_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that `semflash run` shares."""
    parser.add_argument(
        "--port", metavar="URL", help="serial port, or socket://host:port (default: the board's)"
    )
    parser.add_argument(
        "--baud", type=link_options.baud, metavar="N", help="bits per second (default: the board's)"
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="silence that counts as lost, seconds")
    data_options.add_data_flags(parser)
    parser.add_argument(
        "--count",
        type=_count,
        metavar="N|all",
        help="so many test images, as many of each class (default 200, or all where there are fewer)",
    )
    parser.add_argument("--loop", action="store_true", help="begin again after the last image, until q")
    parser.add_argument(
        "--reconnect",
        type=float,
        metavar="S",
        help="wait so long for a cable that was pulled (default: 60 at a terminal, else 0)",
    )
    control_options.add_control_flags(parser)
    control_options.add_fading_flag(parser)
    control_options.add_trace_flags(parser)
    quality_options.add_level_flags(parser)
    quality_options.add_told_flags(parser)
    parser.add_argument("--seed", type=int, help="of the injected errors")
    parser.add_argument(
        "--fault",
        metavar="SPEC",
        help="put faults on the line, e.g. flip=1e-4,drop=1e-5;seed=7 (docs/link.md)",
    )
    parser.add_argument("--fault-log", type=Path, metavar="FILE", help="write every fault as a JSON line")
    parser.add_argument(
        "--record-raw",
        type=Path,
        metavar="FILE",
        help="keep the raw bytes with their times (semflash replay)",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write every image as a JSON line")
    parser.add_argument(
        "--check-golden",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compare every payload with the int8 reference, bit for bit",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Attach, run, sum up."""
    from semflash.bundle import read_bundle
    from semflash.firmware.boards.lock import BoardUser

    link_options.entry(args)  # may say which board is meant
    name = build_options.bundle_name(args, settings)
    if build_options.is_model(name):
        raise UsageError(
            "a .tflite file has no decoder, so that there are no labels to watch",
            value=name,
            remedy=f"semflash run {name} shows what it computes",
        )
    bundle = read_bundle(name)
    work = prepare(bundle, args, settings)
    user = BoardUser("semflash monitor", args.map)
    folder = build_options.build_dir(args, settings)
    return run_on_board(bundle, work, args, settings, user, build_dir=folder)


def prepare(bundle: Bundle, args: argparse.Namespace, settings: Settings) -> tuple[Split, MonitorOptions]:
    """Images and options of a run, checked before a board is touched.

    Raises:
        UsageError: A flag is out of range.
        DatasetError: The images are missing or do not fit the bundle.
    """
    from semflash.link.faults.spec import FaultSpec
    from semflash.monitor.monitor import check_run

    table = settings.monitor
    FaultSpec.parse(first(args.fault, table.fault) or "")
    split = data_options.load(bundle, args, table).test
    options = _options(bundle, args, settings, len(split))
    check_run(bundle, split, options)
    return split, options


def run_on_board(
    bundle: Bundle,
    work: tuple[Split, MonitorOptions],
    args: argparse.Namespace,
    settings: Settings,
    user: BoardUser,
    *,
    build_dir: Path | None = None,
    port: str | None = None,
    flashed: ExitStack | None = None,
) -> int:
    """What `monitor` and `run` share; `args` has the flags of add_monitor_flags, `board` and `json`.

    Args:
        work: what `prepare` returned.
        build_dir: of board native; build/BUNDLE-native when None.
        user: who holds the board meanwhile.
        port: where flashing said the board is, unless --port says otherwise.
        flashed: holds the board since it was flashed; closed as soon as its port is open and holds it.
    """
    from semflash.edge.attach import attach
    from semflash.edge.reopen import reopener
    from semflash.link.faults.log import FaultLog
    from semflash.monitor.monitor import monitor

    entry = link_options.entry(args)
    board = build_options.board(args, settings)
    split, options = work
    wished = port or link_options.flash_port(args, settings, board.kind)
    folder = build_dir or build_options.usual_dir(settings, bundle, board)
    baud = first(args.baud, entry.baud if entry is not None else None, settings.link.baud)
    url = link_options.find_port(board, args, wished, entry)
    with (
        attach(board, port=url, baud=baud, build_dir=folder, user=user) as opened,
        _view(args) as view,
    ):
        if flashed is not None:
            flashed.close()
        again = reopener(board, opened, port=wished, baud=baud, user=user)
        stream = sys.stdout if args.jsonl else None
        with FaultLog(args.fault_log) as log:
            line, again = _bad_line(args, settings, board, opened, again, log)
            result = monitor(bundle, line, split, options, view, reopen=again, stream=stream)
        if log.total and not (args.json or args.jsonl):
            print("faults      " + ", ".join(f"{count:,} {name}" for name, count in log.by_name().items()))
    if not args.jsonl:
        _report(result, as_json=args.json)
    if result.error is not None:
        raise result.error
    if wrong := result.progress.tally.golden_wrong:
        from semflash.firmware.probes.verdicts import Verdict, VerdictError

        checked = result.progress.tally.golden_checked
        raise VerdictError(Verdict.OUTPUT_MISMATCH, value=f"{wrong:,} of {checked:,} payloads")
    if result.rate_exceeded:
        from semflash.firmware.probes.verdicts import Verdict, VerdictError

        came = result.progress.tally.received
        raise VerdictError(Verdict.RATE_EXCEEDED, value=f"{result.rate_exceeded:,} of {came:,} payloads")
    for failure in (*result.progress.unrecorded, log.failure):
        if failure is not None:
            raise failure
    return result.exit_code


def _bad_line(
    args: argparse.Namespace,
    settings: Settings,
    board: Board,
    opened: Port,
    again: Callable[[], Port] | None,
    log: FaultLog,
) -> tuple[Port, Callable[[], Port] | None]:
    """The port behind the faults of --fault, and what opens it again."""
    text = first(args.fault, settings.monitor.fault)
    if not text:
        return opened, again
    from semflash.link.faults.port import FaultyPort
    from semflash.link.faults.spec import FaultSpec

    faulty = FaultyPort(opened, FaultSpec.parse(text), log=log, reset=board_reset(board, opened))
    return faulty, faulty.reopener(again)


def board_reset(board: Board, port: Port) -> Callable[[], None] | None:
    """What resets the board from here; None: nothing does."""
    if board.kind == "native":
        return getattr(port, "reset", None)
    if board.kind == "emulated":
        from semflash.firmware.emulator import emulator

        return lambda: emulator.reset(board.name)
    return None


def _count(text: str) -> int:
    """--count; all is :data:`ALL`."""
    if text == "all":
        return ALL
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor all") from None


def _how_many(wanted: int | None, there: int) -> int:
    """Images of a run out of so many; None: nobody said."""
    if wanted is None:
        return min(COUNT, there)
    return there if wanted == ALL else wanted


def _options(bundle: Bundle, args: argparse.Namespace, settings: Settings, there: int) -> MonitorOptions:
    from semflash.monitor.monitor import MonitorOptions

    table, trace = settings.monitor, control_options.trace(bundle, args)
    if trace is not None and vars(args)[bundle.quality.name] is not None:
        raise UsageError("one level, or a trace of them", remedy=f"leave --{bundle.quality.name} out")
    rates = control_options.rate_trace(bundle, args, table.rate_trace)
    record, raw = first(args.record, table.record), first(args.record_raw, table.record_raw)
    return MonitorOptions(
        count=_how_many(first(args.count, table.count), there),
        sample_seed=first(args.sample_seed, table.sample_seed) or 0,
        level=None if trace is not None else quality_options.level(bundle, args, table),
        assumed=None if args.ber_known else quality_options.told(bundle, args, table),
        known=bool(first(args.ber_known, table.ber_known))
        and quality_options.assumed(args, bundle.quality.name) is None,
        window=first(args.ber_window, table.ber_window),
        seed=first(args.seed, table.seed) or 0,
        record_path=Path(record) if record is not None else None,
        raw_path=Path(raw) if raw is not None else None,
        check_golden=bool(first(args.check_golden, table.check_golden)),
        timeout_s=first(args.timeout, settings.link.timeout_s) or 0.0,
        loop=args.loop,
        reconnect_s=_reconnect_s(args),
        controls=control_options.fixed(bundle, args, None if rates is not None else table.rate),
        state_error=args.state_error,
        fading=control_options.fading(args),
        trace=trace,
        rate_trace=rates,
    )


def _reconnect_s(args: argparse.Namespace) -> float:
    """A person at a terminal may plug the cable in again; a script wants its error."""
    if args.reconnect is not None:
        return float(args.reconnect)
    return RECONNECT_S if sys.stdout.isatty() and not (args.json or args.jsonl) else 0.0


def _view(args: argparse.Namespace) -> View:
    if args.json or args.jsonl:
        from semflash.monitor.progress import View

        return View()
    from semflash.monitor.live_table import choose_view

    return choose_view()


def _report(result: MonitorResult, *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(result.as_dict()))
        return
    from semflash.monitor.live_table import print_summary

    print_summary(result)
