"""--alpha: a share of the image in the steps of the bundle's control."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import pytest

from semflash.cli import control_options
from semflash.errors import UsageError
from semflash.program.controls import Control

ALPHA = Control("alpha", 1, 1, 255, 51, "share")
SYMBOLS = Control("symbols", 2, 0, 3, 2, "entry")


def given(*flags: str, controls: tuple[Control, ...] = (ALPHA, SYMBOLS)) -> dict[str, int]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    control_options.add_control_flags(parser)
    bundle: Any = SimpleNamespace(program=SimpleNamespace(controls=controls))
    return control_options.fixed(bundle, parser.parse_args(flags))


@pytest.mark.parametrize(
    ("text", "value"), [("0.2", 51), ("1", 255), ("1.0", 255), ("0.5", 128), ("1e-9", 1)]
)
def test_a_share_is_told_in_steps_of_the_control(text: str, value: int) -> None:
    assert given("--alpha", text, "--control", "symbols=3") == {"alpha": value, "symbols": 3}


@pytest.mark.parametrize("text", ["0", "-0.1", "1.01", "nan", "inf", "half", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    control_options.add_control_flags(parser)
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parser.parse_args([f"--alpha={text}"])


def test_bundles_without_a_share_and_shares_said_twice_are_refused() -> None:
    with pytest.raises(UsageError, match="no control of this bundle is a share"):
        given("--alpha", "0.2", controls=(SYMBOLS,))
    with pytest.raises(UsageError, match="several controls"):
        given("--alpha", "0.2", controls=(ALPHA, Control("other", 3, 1, 255, 51, "share")))
    with pytest.raises(UsageError, match="said twice"):
        given("--alpha", "0.2", "--control", "alpha=3")
