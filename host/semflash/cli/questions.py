"""Questions at a terminal, each with a proposal; where nobody can answer, the proposal is taken."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

from semflash.errors import UsageError


class Questions:
    """Asks on standard input.

    Args:
        silent: Ask nothing. So it is as well where standard input or output is no terminal.
    """

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent or not (sys.stdin.isatty() and sys.stdout.isatty())

    def text(self, question: str, proposal: str = "") -> str:
        """Any text; the proposal on an empty line."""
        shown = f" [{proposal}]" if proposal else ""
        try:
            return input(f"{question}{shown}: ").strip() or proposal
        except EOFError:
            return proposal

    def number(self, question: str, given: int | None, proposal: int, usual: Sequence[int]) -> int:
        """A whole number: what a flag gave, else what is typed, else the proposal."""
        if given is not None or self.silent:
            return proposal if given is None else given
        named = ", ".join(map(str, usual))
        while True:
            text = self.text(f"{question} ({named}, or another)", str(proposal))
            if text.isdecimal() and int(text) > 0:
                return int(text)
            print(f"{text!r} is no whole number above 0")

    def choice(self, flag: str, what: str, given: str | None, proposal: str, known: Sequence[str]) -> str:
        """One of some names.

        Raises:
            UsageError: a flag gave none of them.
        """
        if given is not None:
            if given not in known:
                near = difflib.get_close_matches(given, known, n=1, cutoff=0.4)
                remedy = f"--{flag} {near[0]}" if near else f"one of {', '.join(known)}"
                raise UsageError(f"no such {flag}", value=given[:80], remedy=remedy)
            return given
        if self.silent:
            return proposal
        while True:
            text = self.text(f"{flag} {what} ({', '.join(known)})", proposal)
            if text in known:
                return text
            print(f"{text!r} is none of them")
