"""The error tree of semflash.

Every error carries three texts: *what* went wrong, the offending *value* and the *remedy*.
The command line prints them and exits with :attr:`SemflashError.exit_code`.

Exit codes: 0 ok, 1 build or user error, 2 usage, 3 device or link, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations


class SemflashError(Exception):
    """Base of all errors a user can meet.

    Args:
        what: one sentence, what is wrong.
        value: the value that is wrong (shown as it is); ``None`` where there is none.
        remedy: what the user can do about it.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, what: str, *, value: object | None = None, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.value = value
        self.remedy = remedy

    @property
    def in_one_line(self) -> str:
        """What, and the value."""
        return self.what if self.value is None else f"{self.what} (got: {self.value})"

    def __str__(self) -> str:
        text = self.in_one_line
        if self.remedy:
            text += f"\n  try: {self.remedy}"
        return text


class UsageError(SemflashError):
    """The command line or semflash.toml asks for something that does not exist."""

    exit_code = 2
    kind = "usage"


class StorageError(SemflashError):
    """A file cannot be written: there is no room, or the disk failed."""

    kind = "storage"


class DatasetError(SemflashError):
    """A data set is missing or malformed."""

    kind = "dataset"


class BundleError(SemflashError):
    """A bundle is corrupt, truncated, tampered with or of an unknown version."""

    kind = "bundle"


class ProgramError(BundleError):
    """A device program breaks a rule, or it was given numbers that do not fit it."""

    kind = "program"


class ModelError(SemflashError):
    """A .tflite file cannot be compiled for a device (operator, type, shape)."""

    kind = "model"


class TrainingError(SemflashError):
    """Training cannot start or go on."""

    kind = "training"


class TeacherError(SemflashError):
    """A teacher cannot be asked, or its stored answers do not go with the data."""

    kind = "teacher"


class SegmentError(SemflashError):
    """An image cannot be divided into segments, or stored segments do not go with the data."""

    kind = "segments"


class ExportError(SemflashError):
    """The export proof failed: two references disagree, or the graph is not pure int8."""

    kind = "export"


class BuildError(SemflashError):
    """Firmware could not be built, or does not fit the board."""

    kind = "build"


class ToolMissingError(BuildError):
    """A compiler, emulator or PlatformIO package is not installed."""

    kind = "tool-missing"


class DeviceError(SemflashError):
    """A board could not be flashed, found, started or stopped."""

    exit_code = 3
    kind = "device"


class LinkError(SemflashError):
    """The byte stream to the device failed (silence, garbage, port gone)."""

    exit_code = 3
    kind = "link"


class WrongFirmwareError(LinkError):
    """The device answers, but runs another bundle or protocol version."""

    kind = "wrong-firmware"
