"""Where the files that firmware is built from lie: device/, boards/ and platformio.ini.

In a checkout (also an editable install) they are in the repository's root; a wheel carries them in
`semflash/_resources`.
"""

from __future__ import annotations

from pathlib import Path

from semflash.errors import BuildError

_PACKAGE = Path(__file__).resolve().parents[1]
_NEEDED = ("device/include/semflash/encoder.h", "boards", "platformio.ini")


def root() -> Path:
    """The folder that holds device/, boards/ and platformio.ini.

    Raises:
        BuildError: neither the installed package nor a checkout around it has them.
    """
    candidates = (_PACKAGE / "_resources", _PACKAGE.parents[1])
    for folder in candidates:
        if all((folder / name).exists() for name in _NEEDED):
            return folder
    raise BuildError(
        "the device sources of semflash are missing from this installation",
        value=", ".join(str(folder) for folder in candidates),
        remedy="install semflash again from a wheel, or run it from a checkout (pip install -e .)",
    )
