"""What is wrong with a board, in one word for machines and a text with a remedy for people."""

from __future__ import annotations

import enum

from semflash.errors import DeviceError, LinkError, WrongFirmwareError
from semflash.link.errors import GarbageError, SilenceError


class Verdict(enum.StrEnum):
    """Everything that finding, flashing and asking a board can end with, but success."""

    NO_PROBE = "no-probe"
    NO_PERMISSION = "no-permission"
    WRONG_BOARD = "wrong-board"
    FLASH_FAILED = "flash-failed"
    VERIFY_FAILED = "verify-failed"
    NO_HELLO = "no-hello"
    WRONG_FIRMWARE = "wrong-firmware"
    LINK_TIMEOUT = "link-timeout"
    OUTPUT_MISMATCH = "output-mismatch"
    RATE_EXCEEDED = "rate-exceeded"


UDEV_FILE = "/etc/udev/rules.d/60-st-link.rules"
UDEV_RULE = (
    'SUBSYSTEMS=="usb", ATTRS{idVendor}=="0483", ATTRS{idProduct}=="374[0-9a-f]|375[0-9a-f]",'
    ' MODE="0660", TAG+="uaccess"'
)
#: One command, to paste: the rule, and reading it for what is plugged in.
UDEV_COMMAND = (
    f"echo '{UDEV_RULE}' | sudo tee {UDEV_FILE} && sudo udevadm control --reload && sudo udevadm trigger"
)
SERIAL_COMMAND = 'sudo usermod -aG dialout "$USER"'
UDEV_REMEDY = f"{UDEV_COMMAND}\n  {SERIAL_COMMAND}   # for its serial port; then log in again"

#: Text and remedy of each verdict; whoever knows more says more.
TEXTS: dict[Verdict, tuple[str, str]] = {
    Verdict.NO_PROBE: (
        "no debug probe was found",
        "plug the board's ST-LINK in (semflash boards lists what is seen);"
        " semflash monitor takes any serial port with --port",
    ),
    Verdict.NO_PERMISSION: ("the probe is there, but this user may not open it", UDEV_REMEDY),
    Verdict.WRONG_BOARD: (
        "another board answers than the firmware is for",
        "check which board the probe belongs to (semflash boards --scan, and the hardware map)",
    ),
    Verdict.FLASH_FAILED: (
        "the firmware could not be written",
        "check the board's power and its ST-LINK jumpers, or hold reset while flashing",
    ),
    Verdict.VERIFY_FAILED: (
        "what was read back from flash differs from the image",
        "flash again; try another cable",
    ),
    Verdict.NO_HELLO: (
        "the board does not answer HELLO",
        "reset it; check baud rate and serial port (semflash boards)",
    ),
    Verdict.WRONG_FIRMWARE: (
        "the board runs other firmware than it was given",
        "flash again; is another program using the board?",
    ),
    Verdict.LINK_TIMEOUT: (
        "the link to the board broke off",
        "check the cable; unplug and plug the board",
    ),
    Verdict.OUTPUT_MISMATCH: (
        "the board's codes differ from the reference",
        "build with --kernels reference and compare; semflash monitor --check-golden --record",
    ),
    Verdict.RATE_EXCEEDED: (
        "the board's payloads are longer than it was told",
        "build and flash again; semflash monitor --record keeps bytes told and payload of each image",
    ),
}


class VerdictError(DeviceError):
    """A board with a verdict. `kind` is the verdict's word; exit code 3, or 1 where the board works but lies.

    Args:
        verdict: Which.
        what: One sentence; the verdict's own when None.
        remedy: What to do; the verdict's own when None.
        value: What was seen.
    """

    def __init__(
        self,
        verdict: Verdict,
        what: str | None = None,
        *,
        value: object | None = None,
        remedy: str | None = None,
    ) -> None:
        text, mend = TEXTS[verdict]
        super().__init__(what or text, value=value, remedy=mend if remedy is None else remedy)
        self.verdict = verdict
        self.kind = str(verdict)
        self.exit_code = 1 if verdict in (Verdict.OUTPUT_MISMATCH, Verdict.RATE_EXCEEDED) else 3


def of_link(error: LinkError) -> VerdictError:
    """The verdict of a link that failed; its texts are the error's.

    >>> of_link(SilenceError("the device is silent")).kind
    'no-hello'
    """
    if isinstance(error, WrongFirmwareError):
        verdict = Verdict.WRONG_FIRMWARE
    elif isinstance(error, (SilenceError, GarbageError)):
        verdict = Verdict.NO_HELLO
    elif "no permission" in error.what:
        return VerdictError(Verdict.NO_PERMISSION, error.what, value=error.value)
    else:
        verdict = Verdict.LINK_TIMEOUT
    return VerdictError(verdict, error.what, value=error.value, remedy=error.remedy)
