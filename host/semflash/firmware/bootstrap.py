"""`python -m semflash.firmware.bootstrap`: make PlatformIO work without its registry."""

from __future__ import annotations

import sys

from semflash.errors import SemflashError
from semflash.firmware.building import platformio


def main() -> int:
    """Write tool-scons into the private PlatformIO folder. Exit code 0, or the error's."""
    try:
        print(f"tool-scons: {platformio.bootstrap()}")
    except SemflashError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
