"""What the system's errors at a port mean: of pyserial, of termios, with and without a number."""

from __future__ import annotations

import errno
import os
import termios

import pytest
import serial

from semflash.link.port_errors import cannot_open, takes_no_more, vanished


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EACCES, "Permission denied"), "no permission"),
        (termios.error(errno.EACCES, "Permission denied"), "no permission"),
        (serial.SerialException(errno.ENOENT, "could not open port"), "no such port"),
        (termios.error(errno.ENOENT, "x"), "no such port"),
        (OSError(errno.EBUSY, "busy"), "in use"),
        (OSError(errno.EAGAIN, "again"), "in use"),
        (termios.error(errno.EBUSY, "x"), "in use"),
        (serial.SerialException("Could not exclusively lock port /dev/x"), "in use"),
        (serial.SerialException("[Errno 11] Resource temporarily unavailable"), "in use"),
        (OSError(errno.EIO, "Input/output error"), "cannot open the port: .*Input/output error"),
        (termios.error(errno.EIO, "x"), f"cannot open the port: {os.strerror(errno.EIO)}"),
        (termios.error("odd"), "cannot open the port: odd"),
        (termios.error(), "cannot open the port"),
        (ValueError("Not a valid baud rate"), "cannot open the port: Not a valid"),
    ],
)
def test_why_a_port_does_not_open(error: Exception, says: str) -> None:
    found = cannot_open("/dev/x", error)
    assert found.value == "/dev/x" and found.remedy
    with pytest.raises(type(found), match=says):
        raise found


def test_a_vanished_port_says_why_in_words() -> None:
    assert "the port vanished: closed" in str(vanished("/dev/x", "closed"))
    assert os.strerror(errno.EIO) in str(vanished("/dev/x", termios.error(errno.EIO, "?")))
    assert "Bad file" in str(vanished("/dev/x", OSError(errno.EBADF, "Bad file")))
    assert "takes no more bytes" in str(takes_no_more("/dev/x"))
