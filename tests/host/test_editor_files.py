"""A build folder in an editor: its own settings are enough for `pio run`, and a user's settings stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building import editor, firmware

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


def test_a_users_own_settings_stay(tmp_path: Path) -> None:
    own = tmp_path / editor.SETTINGS
    own.parent.mkdir()
    own.write_text("{}")
    editor.write_editor_files(tmp_path)
    assert own.read_text() == "{}"
    assert json.loads((tmp_path / editor.EXTENSIONS).read_text())["recommendations"]


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
def test_pio_run_works_with_nothing_but_what_the_settings_say(tmp_path: Path) -> None:
    built = firmware.build(TINY, load_board("qemu-stm32f405"), out_dir=tmp_path / "b")
    folder = Path(built.directory)
    settings = json.loads((folder / editor.SETTINGS).read_text())
    terminal = settings["terminal.integrated.env.linux"]
    path = terminal.pop("PATH").replace("${env:PATH}", os.environ["PATH"])
    bare = {key: value for key, value in os.environ.items() if not key.startswith("PLATFORMIO_")}
    pio = shutil.which("pio", path=settings["platformio-ide.customPATH"])
    assert pio is not None
    (image,) = folder.glob(".pio/build/*/*.elf")
    image.unlink()
    done = subprocess.run(
        [pio, "run", "-d", folder],
        env={**bare, **terminal, "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert image.is_file() and "SUCCESS" in done.stdout
