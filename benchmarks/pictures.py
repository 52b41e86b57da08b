"""Draw docs/pictures/live.svg and report.png, which README.md and docs/first-board.md show, from real runs.

python benchmarks/pictures.py              # both; needs QEMU, Fashion-MNIST and Chromium
python benchmarks/pictures.py live
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console, Group

from semflash.bundle.reader import read_bundle
from semflash.edge.attach import attach
from semflash.edge.bundle_data import bundle_dataset
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator import emulator
from semflash.firmware.probes.flash import flash
from semflash.monitor.live.picture import lines
from semflash.monitor.monitor import MonitorOptions, monitor
from semflash.monitor.progress import Progress, View

DOCS = Path(__file__).resolve().parent.parent / "docs"
FOLDER = DOCS / "pictures"
#: Of the same bundles, by benchmarks/tables.py.
COSTS = DOCS / "results.json"
BUNDLE, BOARD, COUNT, LEVEL = "fashion-mnist-48", "qemu-stm32f405", 100, 0.01
COLUMNS, ROWS = 100, 27
REPORTED = ("fashion-mnist-24", "fashion-mnist-48")
#: Pixels of the report's picture: the head of the page on a laptop's screen.
WIDTH, HEIGHT = 1280, 960


def main() -> int:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", nargs="?", choices=("live", "report"), help="one of the two")
    which = parser.parse_args().which
    FOLDER.mkdir(parents=True, exist_ok=True)
    if which != "report":
        (FOLDER / "live.svg").write_text(live(), encoding="utf-8")
    if which != "live":
        report(FOLDER / "report.png")
    return 0


class LastScreen(View):
    """Keeps what the live view showed last before the run was over."""

    shown: Group | None = None

    def update(self, progress: Progress) -> None:
        """Draw in the size of the picture."""
        if progress.tally.received < COUNT:
            self.shown = Group(*lines(progress, COLUMNS, ROWS))


def live() -> str:
    """The live view of a run on the emulated board, as SVG without a font from elsewhere."""
    bundle, board, view = read_bundle(BUNDLE), load_board(BOARD), LastScreen()
    with tempfile.TemporaryDirectory() as folder:
        flash(build(bundle.path, board, out_dir=Path(folder) / "build"))
        try:
            with attach(board) as port:
                options = MonitorOptions(count=COUNT, level=LEVEL)
                monitor(bundle, port, bundle_dataset(bundle).test, options, view)
        finally:
            emulator.stop(board.name)
    assert view.shown is not None
    console = Console(
        width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(view.shown)
    svg = console.export_svg(title=f"semflash monitor {BUNDLE} --ber {LEVEL:g}", unique_id="live")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL) + "\n"


def report(target: Path) -> None:
    """The head of a report in headless Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not installed (Debian package chromium)")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        costs = Path(folder) / "bench.json"
        costs.write_text(json.dumps(list(json.loads(COSTS.read_text()).values())))
        command = [sys.executable, "-m", "semflash.cli", "evaluate", *REPORTED, "--limit", "2000"]
        command += ["--bench", str(costs), "--compare", "--report", str(page)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
        size = f"--window-size={WIDTH},{HEIGHT}"
        profile = f"--user-data-dir={folder}/profile"
        subprocess.run(
            [chromium, *flags, size, profile, f"--screenshot={target}", page.as_uri()],
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=300,
        )


if __name__ == "__main__":
    raise SystemExit(main())
