"""What the system's errors about a port mean, as errors of the link."""

from __future__ import annotations

import errno
import os
import termios

from semflash.errors import LinkError
from semflash.link.errors import PortVanishedError


def vanished(url: str, why: object) -> PortVanishedError:
    """The error of a port that was open and is gone."""
    text = _system_text(why) if isinstance(why, Exception) else why
    return PortVanishedError(
        f"the port vanished: {text}",
        value=url,
        remedy="plug the board in again (emulated board: semflash flash starts it again)",
    )


def takes_no_more(url: str) -> LinkError:
    """The error of a port that takes no bytes for a long time."""
    return LinkError(
        "the device takes no more bytes",
        value=url,
        remedy="reset the board, or flash it again; check that no other program holds it",
    )


def cannot_open(url: str, error: Exception) -> LinkError:
    """The error of a port that does not open."""
    number = _number(error)
    text = _system_text(error)
    if number == errno.EACCES:
        remedy = "sudo usermod -aG dialout $USER, then log in again"
        what = "no permission to open the port"
    elif number == errno.ENOENT:
        what, remedy = "there is no such port", "semflash boards lists what is attached"
    elif (
        number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "Resource temporarily" in text
    ):
        what, remedy = "the port is in use", "close the other program (a second monitor, a terminal)"
    else:
        what, remedy = f"cannot open the port: {text}", "semflash boards lists what is attached"
    return LinkError(what, value=url, remedy=remedy)


def _number(error: Exception) -> int | None:
    """The system's error number; termios.error has it as its first argument only."""
    first = error.args[0] if isinstance(error, termios.error) and error.args else None
    return first if isinstance(first, int) else getattr(error, "errno", None)


def _system_text(error: Exception) -> str:
    """What the system said."""
    number = _number(error)
    return os.strerror(number) if isinstance(error, termios.error) and number is not None else str(error)
