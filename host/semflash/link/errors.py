"""How a link fails, one class per cause (all exit with code 3)."""

from __future__ import annotations

from semflash.errors import LinkError


class PortVanishedError(LinkError):
    """The port is gone: unplugged, or the emulator ended."""

    kind = "port-vanished"


class SilenceError(LinkError):
    """The port is there, but no byte comes."""

    kind = "silence"


class GarbageError(LinkError):
    """Bytes come, but no frame of ours."""

    kind = "garbage"


class LossyLineError(LinkError):
    """Frames came whole before; now only broken ones do."""

    kind = "lossy-line"


class StalledError(LinkError):
    """The device answers HELLO, but no image."""

    kind = "stalled"
