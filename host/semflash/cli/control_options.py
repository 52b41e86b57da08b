"""Flags of the device's controls, the rate among them, and of the channel that they follow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.errors import UsageError

if TYPE_CHECKING:
    from semflash.bundle import Bundle
    from semflash.channels.fading import Fading
    from semflash.channels.rate_trace import RateTrace
    from semflash.channels.trace import Trace

AUTO = "auto"
#: The control that --state is short for.
STATE = "state"
#: Steps of a control that is a share.
SHARE_STEPS = 255


def add_control_flags(parser: argparse.ArgumentParser) -> None:
    """--control, --rate (or --bytes), --rate-trace, --alpha, --state and --state-error."""
    parser.add_argument(
        "--control",
        action="append",
        type=_setting,
        metavar="NAME=N|auto",
        help="encode with this value of one of the bundle's controls; auto (the default of those that can): "
        "it follows the channel; stream=N: codes leave early",
    )
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--rate",
        "--bytes",
        dest="rate",
        type=_bytes,
        metavar="BYTES",
        help="a payload may have so many bytes: sets the control of the bundle that is in bytes",
    )
    rate.add_argument(
        "--rate-trace",
        metavar="TRACE",
        help="a rate for each image: FILE of numbers or CSV, steady:N, fading:LOW-HIGH, alternating:A,B",
    )
    parser.add_argument(
        "--alpha",
        type=_share,
        metavar="SHARE",
        help="share of an image that is sent, up to 1: sets the control of the bundle that is a share",
    )
    parser.add_argument("--state", type=_value, metavar="N|auto", help="the same as --control state=N")
    parser.add_argument(
        "--state-error",
        type=int,
        default=0,
        metavar="N",
        help="experiment: add this to the values that follow the channel, e.g. -1",
    )


def add_fading_flag(parser: argparse.ArgumentParser) -> None:
    """--fading."""
    parser.add_argument(
        "--fading",
        metavar="none|rayleigh[:BLOCK]",
        help="the injected channel fades: one gain per image, or per BLOCK symbols; the SNR is its mean",
    )


def add_trace_flags(parser: argparse.ArgumentParser) -> None:
    """--ber-trace and --snr-trace."""
    trace = parser.add_mutually_exclusive_group()
    for kind in ("ber", "snr"):
        trace.add_argument(
            f"--{kind}-trace",
            type=Path,
            metavar="FILE",
            help=f"change the {kind.upper()} while images run: lines of a number of images and a level",
        )


def _bytes(text: str) -> int:
    """Whole bytes; the bundle says how many it can have."""
    if not text.isdecimal() or len(text) > 5:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes")
    return int(text)


def _share(text: str) -> int:
    """A share in steps of 1/255, at least one of them."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and up to 1")
    return max(1, round(share * SHARE_STEPS))


def _value(text: str) -> int | str:
    """N or auto."""
    if text == AUTO:
        return AUTO
    if not text.isdecimal() or len(text) > 5:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a value nor {AUTO}")
    return int(text)


def _setting(text: str) -> tuple[str, int | str]:
    """--control; the bundle says which there are."""
    name, equals, value = text.partition("=")
    if not (name and equals and (value == AUTO or value.isdecimal())):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=N, for instance bytes=24")
    return name, value if value == AUTO else int(value)


def fixed(bundle: Bundle, args: argparse.Namespace, rate: int | None = None) -> dict[str, int]:
    """Values that were given, by the controls' names; those that follow the channel are not among them.

    Args:
        rate: Of the settings, for bundles that have one; flags go before it.

    Raises:
        UsageError: The bundle has no such control, a value is out of its range, a control that is to follow
            the channel cannot, or the rate is said twice.
    """
    from semflash.edge.following import followed
    from semflash.link.controls import check_settings, the_rate, the_share
    from semflash.program.controls import rate_control

    given = list(args.control or ()) + ([] if args.state is None else [(STATE, args.state)])
    controls, found = bundle.program.controls, dict[str, int]()
    if args.rate is not None or args.rate_trace is not None:
        flag, name = "--rate" if args.rate is not None else "--rate-trace", the_rate(controls).name
        if name in dict(given):
            raise UsageError(
                f"the rate is said twice, by {flag} and --control {name}", remedy="leave one out"
            )
        given += [] if args.rate is None else [(name, args.rate)]
    elif rate is not None and (control := rate_control(controls)) and control.name not in dict(given):
        given.append((control.name, rate))
    if args.alpha is not None:
        share = the_share(controls).name
        if share in dict(given):
            raise UsageError(
                f"the share is said twice, by --alpha and --control {share}", remedy="leave one out"
            )
        given.append((share, args.alpha))
    able = [control.name for control in followed(controls)]
    for name, value in given:
        if value == AUTO:
            if name not in able:
                names = ", ".join(able) or "none of this bundle's does"
                raise UsageError("no control that follows the channel", value=name, remedy=f"those: {names}")
            found.pop(name, None)
        else:
            check_settings(controls, {name: value})
            found[name] = value
    return found


def rate_trace(bundle: Bundle, args: argparse.Namespace, setting: str | None = None) -> RateTrace | None:
    """The rates of --rate-trace; None: there are none.

    Args:
        setting: Of the settings, for bundles whose rate can be set and where no flag says another.

    Raises:
        UsageError: The bundle has no rate, or the trace is none of its.
    """
    from semflash.channels.rate_trace import parse_rate_trace
    from semflash.link.controls import the_rate
    from semflash.program.controls import rate_control

    if args.rate_trace is not None:
        return parse_rate_trace(args.rate_trace, the_rate(bundle.program.controls))
    control = rate_control(bundle.program.controls)
    if (
        setting is None
        or control is None
        or args.rate is not None
        or control.name in dict(args.control or ())
    ):
        return None
    return parse_rate_trace(setting, control)


def fading(args: argparse.Namespace) -> Fading:
    """What --fading says. UsageError: there is no such fading."""
    from semflash.channels.fading import NO_FADING, Fading

    return NO_FADING if args.fading is None else Fading.parse(args.fading)


def trace(bundle: Bundle, args: argparse.Namespace) -> Trace | None:
    """The trace of --ber-trace or --snr-trace; None: there is none.

    Raises:
        UsageError: It is of the other kind than the bundle's quality, or cannot be read.
    """
    from semflash.channels.trace import read_trace
    from semflash.program.quality import KINDS

    for kind in KINDS:
        path: Path | None = vars(args)[f"{kind}_trace"]
        if path is None:
            continue
        if kind != bundle.quality.name:
            flag = f"--{bundle.quality.name}-trace"
            said = f"{bundle.name} is told a {bundle.quality.title}, so --{kind}-trace says nothing to it"
            raise UsageError(said, value=path, remedy=flag)
        return read_trace(path, KINDS[kind])
    return None
