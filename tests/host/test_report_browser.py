"""The report in headless Chromium: nothing is fetched, no complaint, pictures and tables have a size."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from fakes.idx_files import write_blocks
from fakes.results import campaign
from semflash.cli.main import main
from semflash.edge.report.results import ResultStore

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--enable-logging=stderr",
)  # fmt: skip
#: Run in the page: sizes of what it shows, and whether it is wider than the window.
PROBE = """<script>
addEventListener("load", () => {
  const sizes = [...document.querySelectorAll("figure svg, table")].map(e => {
    for (const d of document.querySelectorAll("details")) d.open = true;
    const box = e.getBoundingClientRect(); return [e.tagName, box.width, box.height]; });
  const found = {sizes, wide: document.documentElement.scrollWidth > innerWidth,
    loaded: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:"))};
  const out = document.createElement("pre"); out.id = "probe"; out.textContent = JSON.stringify(found);
  document.body.append(out); });
</script></body>"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)"
)


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on localhost and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        handler = functools.partial(Handler, directory=str(folder))
        super().__init__(("127.0.0.1", 0), handler)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The report of the tiny bundle with made-up methods, as it is and with a probe in it."""
    folder = tmp_path_factory.mktemp("served")
    data = write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)
    store = ResultStore(tmp_path_factory.mktemp("results"))
    for one in campaign()[:12]:
        store.put(one)
    arguments = ["evaluate", str(TINY), "--data-dir", str(data), "--compare", str(store.root)]
    assert main([*arguments, "--report", str(folder / "report.html")]) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    probed = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", PROBE)
    (folder / "probed.html").write_text(probed, encoding="utf-8")
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def browse(served: Server, page: str, tmp_path: Path, *more: str, width: int = 1200) -> tuple[str, str]:
    """What Chromium printed: standard output and error."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},1600",
        *more,
    ]
    url = f"http://127.0.0.1:{served.server_address[1]}/{page}"
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, done.stderr


def test_nothing_but_the_page_is_fetched_and_the_console_stays_empty(served: Server, tmp_path: Path) -> None:
    served.asked.clear()
    picture = tmp_path / "page.png"
    _, messages = browse(served, "report.html", tmp_path, f"--screenshot={picture}")
    assert served.asked == ["/report.html"]
    assert ":CONSOLE" not in messages
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000


@pytest.mark.parametrize("width", [1200, 500])
def test_pictures_and_tables_have_a_size_and_the_page_fits_its_window(
    served: Server, tmp_path: Path, width: int
) -> None:
    text, _ = browse(served, "probed.html", tmp_path, "--dump-dom", width=width)
    match = re.search(r'<pre id="probe">(.*?)</pre>', text)
    assert match is not None
    found = json.loads(match[1])
    tags = [tag.lower() for tag, _, _ in found["sizes"]]
    assert tags.count("svg") >= 8 and tags.count("table") >= 7
    assert all(across > 100 and down > 40 for _, across, down in found["sizes"])
    assert not found["wide"] and found["loaded"] == []
