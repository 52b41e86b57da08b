"""What lets an editor open a build folder: VS Code with PlatformIO, offline by semflash's core folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from semflash.firmware.building import platformio
from semflash.firmware.building.project import write_if_changed

SETTINGS = Path(".vscode") / "settings.json"
EXTENSIONS = Path(".vscode") / "extensions.json"


def write_editor_files(folder: Path) -> None:
    """``.vscode/settings.json`` and ``extensions.json`` of a build folder, where it has none yet.

    Terminals of the editor get the environment that semflash runs PlatformIO in, and the Python that has it,
    so that ``pio run`` there does what ``semflash build`` does. Paths of this machine stand in them: they are
    no part of the sources, and of no build id.
    """
    environment = {
        key: value for key, value in platformio.environment().items() if key.startswith("PLATFORMIO_")
    }
    programs = str(Path(sys.executable).parent)
    settings = {
        "platformio-ide.useBuiltinPIOCore": False,
        "platformio-ide.customPATH": programs,
        "platformio-ide.disablePIOHomeStartup": True,
        "platformio-ide.autoRebuildAutocompleteIndex": False,
        "terminal.integrated.env.linux": {**environment, "PATH": f"{programs}:${{env:PATH}}"},
    }
    files = {SETTINGS: settings, EXTENSIONS: {"recommendations": ["platformio.platformio-ide"]}}
    for name, content in files.items():
        if not (folder / name).exists():  # the user's own, or written before
            write_if_changed(folder / name, json.dumps(content, indent=2) + "\n")
