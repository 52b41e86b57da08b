"""Flags that say a level of channel quality: --ber for bundles that are told a bit error rate, --snr for SNR.

A flag of the kind that the bundle does not have is refused; a setting of that kind is for other bundles.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from semflash.errors import UsageError
from semflash.settings import first

if TYPE_CHECKING:
    from semflash.bundle import Bundle
    from semflash.program.quality import Quality
    from semflash.settings import EvaluateSettings, MonitorSettings

_KINDS = ("ber", "snr")


def add_level_flags(parser: argparse.ArgumentParser) -> None:
    """--ber and --snr with one number, to inject."""
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--ber", type=float, metavar="B", help="bit errors to inject into payloads, 0..0.5")
    level.add_argument(
        "--snr",
        type=float,
        metavar="DB",
        help="SNR in dB of noise to inject, for bundles that are told an SNR",
    )


def add_told_flags(parser: argparse.ArgumentParser) -> None:
    """--assume-ber, --assume-snr and --ber-known: what the decoder is told."""
    told = parser.add_mutually_exclusive_group()
    told.add_argument(
        "--assume-ber",
        type=float,
        metavar="B",
        help="tell the decoder this BER, not the estimate from the pilots",
    )
    told.add_argument("--assume-snr", type=float, metavar="DB", help="the same with an SNR in dB")
    told.add_argument(
        "--ber-known",
        "--snr-known",
        action="store_true",
        default=None,
        help="tell the decoder the injected level exactly",
    )
    parser.add_argument(
        "--ber-window",
        "--snr-window",
        type=int,
        metavar="N",
        help="pilot bits that the estimate remembers (default 8192, of an SNR 512)",
    )


def add_list_flags(parser: argparse.ArgumentParser) -> None:
    """--ber and --snr with lists, and what the decoder is told."""
    parser.add_argument("--ber", type=_levels, metavar="B[,B...]", help="bit error rates to inject, 0..0.5")
    parser.add_argument(
        "--snr",
        type=_levels,
        metavar="DB[,DB...]",
        help="SNRs to inject in dB, for bundles that are told an SNR",
    )
    parser.add_argument("--assume-ber", type=float, metavar="B", help="tell the decoder this BER instead")
    parser.add_argument("--assume-snr", type=float, metavar="DB", help="tell the decoder this SNR instead")


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a list of numbers: {text!r}") from None


def check_kind(bundle: Bundle, args: argparse.Namespace) -> Quality:
    """The bundle's kind of quality.

    Raises:
        UsageError: A flag of another kind was given.
    """
    quality = bundle.quality
    for kind in _KINDS:
        for flag, value in ((f"--{kind}", vars(args)[kind]), (f"--assume-{kind}", assumed(args, kind))):
            if kind != quality.name and value is not None:
                raise UsageError(
                    f"{bundle.name} is told a {quality.title}, so {flag} says nothing to it",
                    value=value,
                    remedy=flag.replace(kind, quality.name),
                )
    return quality


def assumed(args: argparse.Namespace, kind: str) -> float | None:
    """What --assume-KIND says."""
    value: float | None = vars(args)[f"assume_{kind}"]
    return value


def levels(bundle: Bundle, args: argparse.Namespace, table: EvaluateSettings) -> tuple[float, ...]:
    """Levels to evaluate at. UsageError: see :func:`check_kind`."""
    quality = check_kind(bundle, args)
    given: tuple[float, ...] | None = vars(args)[quality.name]
    settings = {"ber": table.bers, "snr": table.snrs}
    return first(given, settings[quality.name]) or ()


def level(bundle: Bundle, args: argparse.Namespace, table: MonitorSettings | None) -> float | None:
    """The level to inject; None: nothing. UsageError: see :func:`check_kind`."""
    quality = check_kind(bundle, args)
    given: float | None = vars(args)[quality.name]
    settings = {} if table is None else {"ber": table.ber, "snr": table.snr}
    return first(given, settings.get(quality.name))


def told(bundle: Bundle, args: argparse.Namespace, table: MonitorSettings | None) -> float | None:
    """The level that the decoder is told; None: it is not said. UsageError: see :func:`check_kind`."""
    quality = check_kind(bundle, args)
    settings = {} if table is None else {"ber": table.assume_ber, "snr": table.assume_snr}
    return first(assumed(args, quality.name), settings.get(quality.name))
